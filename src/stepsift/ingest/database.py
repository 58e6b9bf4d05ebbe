"""All candidates of a run in one temporary SQLite database: what needs to see every row, without holding every row.

The spool finds prompts whose rows contradict each other and exact duplicates, and gives everything back in the order
of the tables. Its file has no name any more once it is open, so nothing of it stays behind, however a run ends.

Texts that many rows share (prompts, answers, tests) are stored once, under a key that begins with their length: the
smallest key is the shortest text, which is the one a prompt gets where its rows differ in what identity ignores. That
is the text with the least that a teacher's harness put around the problem, and depends on no order. So it is with gold
answers that differ in spelling only (ingest/gold.py). Where rows of a prompt were written under different system
prompts, the prompt has none.
"""

import sqlite3
import tempfile
from collections.abc import Iterable, Iterator
from functools import lru_cache
from itertools import groupby
from pathlib import Path
from typing import Any, Literal

from stepsift.ingest.candidate import Candidate
from stepsift.ingest.gold import normal_form
from stepsift.ingest.identity import digest, trace_hash
from stepsift.ingest.rows import RowError

_SHORT = 32
"""Characters of a digest: a shorter text cannot have the key of a hashed one."""

_STORED_KEYS = 65_536
"""Keys of texts that are remembered as stored."""
_REMEMBERED_CHARS = 5_000
"""Longest text whose key is remembered."""
_MOST_PIECES = 100
"""Texts with nothing in common under one own id, each of which is looked for in all others."""
_WAITING_ROWS = 256
_WAITING_CHARS = 1_000_000
"""Candidates that are stored together."""

_SCHEMA = """
CREATE TABLE text (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE body (id INTEGER PRIMARY KEY, response TEXT NOT NULL);
CREATE TABLE trace (
    id INTEGER PRIMARY KEY, source TEXT NOT NULL, line INTEGER NOT NULL, part INTEGER NOT NULL,
    teacher TEXT NOT NULL, own_id TEXT, prompt_id TEXT NOT NULL, prompt_hash TEXT NOT NULL, prompt TEXT NOT NULL,
    without_system TEXT NOT NULL, system TEXT NOT NULL,
    first_id TEXT NOT NULL, trace_id TEXT NOT NULL, content_hash TEXT NOT NULL, n_chars INTEGER NOT NULL,
    answer TEXT, answer_form TEXT, answer_kind TEXT, domain TEXT, tests TEXT, label INTEGER, licence TEXT,
    reason TEXT, detail TEXT);
CREATE TABLE rejected (source TEXT, line INTEGER, trace_id TEXT, teacher TEXT, reason TEXT, detail TEXT);
CREATE TABLE wording (prompt_hash TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE kind (prompt_id TEXT PRIMARY KEY, answer_kind TEXT NOT NULL, accepted INTEGER) WITHOUT ROWID;
CREATE TABLE verdict (id INTEGER PRIMARY KEY, verdict TEXT NOT NULL, suspect INTEGER NOT NULL, ours TEXT NOT NULL);
CREATE TABLE ahead (id INTEGER PRIMARY KEY, answer_kind TEXT NOT NULL, verdict TEXT NOT NULL, suspect INTEGER NOT NULL);
CREATE TABLE settled (prompt_id TEXT PRIMARY KEY, answer TEXT) WITHOUT ROWID;
BEGIN;
"""

_IDENTITIES = """
CREATE INDEX trace_text ON trace (prompt_hash);
CREATE INDEX trace_own ON trace (own_id, prompt_hash) WHERE own_id IS NOT NULL;
CREATE TABLE root (prompt_hash TEXT PRIMARY KEY, root TEXT NOT NULL) WITHOUT ROWID;
INSERT INTO root SELECT DISTINCT prompt_hash, prompt_hash FROM trace;
CREATE TABLE alike (number INTEGER, prompt_hash TEXT);
"""

_WORDINGS_OF_IDS = """
SELECT own_id, prompt_hash, value FROM (
    SELECT DISTINCT own_id, prompt_hash FROM trace WHERE own_id IN (
        SELECT own_id FROM trace WHERE own_id IS NOT NULL GROUP BY own_id HAVING min(prompt_hash) <> max(prompt_hash)))
JOIN wording USING (prompt_hash) ORDER BY own_id, length(value), value
"""

_JOIN = """
UPDATE root SET root = new.root FROM (
    SELECT prompt_hash, min(least.root) AS root FROM alike JOIN (
        SELECT number, min(root) AS root FROM alike JOIN root USING (prompt_hash) GROUP BY number
    ) AS least USING (number) GROUP BY prompt_hash) AS new
WHERE new.prompt_hash = root.prompt_hash AND new.root < root.root
"""

_NAME = """
CREATE INDEX root_of ON root (root);
CREATE TABLE name AS
    SELECT root, min(own_id) AS own_id FROM (
        SELECT own_id, min(root) AS root FROM trace JOIN root USING (prompt_hash)
        WHERE own_id IS NOT NULL GROUP BY own_id HAVING min(root) = max(root))
    GROUP BY root;
CREATE UNIQUE INDEX name_key ON name (root);
UPDATE trace SET prompt_id = (
    SELECT coalesce(n.own_id, r.root) FROM root AS r LEFT JOIN name AS n USING (root)
    WHERE r.prompt_hash = trace.prompt_hash);
UPDATE trace SET trace_id = trace_hash(prompt_id, teacher, content_hash, 1)
    WHERE prompt_id <> coalesce(own_id, prompt_hash);
"""

_GOLDS = """
SELECT prompt_id, value, source, line, n FROM (
    SELECT prompt_id, answer, source, line, part, count(*) OVER one AS n, row_number() OVER (
        PARTITION BY prompt_id, answer ORDER BY source, line, part) AS place
    FROM trace WHERE reason IS NULL AND answer IS NOT NULL AND tests IS NULL AND prompt_id IN (
        SELECT prompt_id FROM trace WHERE reason IS NULL AND tests IS NULL
        GROUP BY prompt_id HAVING min(answer_form) <> max(answer_form))
    WINDOW one AS (PARTITION BY prompt_id, answer))
JOIN text ON text.key = answer WHERE place = 1 ORDER BY prompt_id, source, line, part, value
"""

_REJECT_CONFLICTS = """
UPDATE trace SET reason = 'answer_conflict', detail = 'rows of this prompt give different gold answers'
    WHERE reason IS NULL AND prompt_id IN (SELECT prompt_id FROM settled);
"""

_COPIES = """
CREATE INDEX trace_same ON trace (trace_id, source, line, part);
CREATE INDEX trace_first ON trace (first_id);
CREATE TABLE copy AS
    SELECT * FROM (
        SELECT id, row_number() OVER same AS number,
               first_value(source) OVER same AS source, first_value(line) OVER same AS line
        FROM trace WHERE reason IS NULL WINDOW same AS (PARTITION BY trace_id ORDER BY source, line, part))
    WHERE number > 1;
"""

_DROP_COPIES = """
UPDATE trace SET reason = 'duplicate_trace',
    detail = substr('same prompt, teacher and text as row ' || copy.line || ' of ' || copy.source, 1, 200)
    FROM copy WHERE trace.id = copy.id;
"""

_KEEP_COPIES = """
UPDATE trace SET trace_id = trace_hash(prompt_id, teacher, content_hash, copy.number)
    FROM copy WHERE trace.id = copy.id;
"""

_PROMPTS = """
CREATE TABLE prompt AS
    SELECT prompt_id, CASE WHEN min(system) = max(system) THEN min(prompt) ELSE min(without_system) END AS prompt,
           min(system) <> max(system) AS mixed, min(domain) AS domain, min(answer) AS answer,
           min(answer_kind) AS answer_kind, min(tests) AS tests, count(*) FILTER (WHERE reason IS NULL) AS candidates
    FROM trace WHERE reason IS NULL OR reason = 'duplicate_trace' GROUP BY prompt_id ORDER BY prompt_id;
CREATE UNIQUE INDEX prompt_key ON prompt (prompt_id);
UPDATE prompt SET answer = settled.answer FROM settled WHERE settled.prompt_id = prompt.prompt_id;
"""


@lru_cache(maxsize=2_048)
def _text_key(text: str) -> str:
    # A short text is its own key: of "B" and "b" the capital stands first, which kind_of knows for a choice.
    return f"{len(text):012d}{text if len(text) < _SHORT else digest('text', text)}"


@lru_cache(maxsize=4_096)
def _answer_form(answer: str) -> str:
    return digest("answer", normal_form(answer))


class Spool:
    """The database, a context manager. `add` and `reject` first, then `conflicts.resolve` once, then the rest."""

    def __init__(self, folder: Path, bodies: bool = True):
        """`folder` is where the file is made; without `bodies` responses are not stored, only counted."""
        self.bodies = bodies
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".spool-", dir=folder) as home:
            self._db = sqlite3.connect(Path(home) / "spool.sqlite", isolation_level=None)
            for pragma in ("journal_mode=OFF", "synchronous=OFF", "locking_mode=EXCLUSIVE", "cache_size=-32000"):
                self._db.execute(f"PRAGMA {pragma}")
            self._db.executescript(_SCHEMA)
        self._db.create_function("trace_hash", 4, trace_hash, deterministic=True)
        self._stored: set[str] = set()
        self._next_id = 0
        self._wordings: list[tuple[str, str]] = []
        self._traces: list[tuple[Any, ...]] = []
        self._bodies: list[tuple[int, str]] = []
        self._waiting_chars = 0
        self.torn_ids = 0
        """Own ids that stand for several texts which have nothing in common, once resolved."""

    def __enter__(self) -> "Spool":
        return self

    def __exit__(self, *exception: object) -> None:
        self._db.close()

    def add(self, c: Candidate, source: str, line: int, part: int) -> None:
        """Store the candidate that response `part` of row `line` gave."""
        self._next_id += 1
        prompt = self._key(c.prompt)
        own_id = c.prompt_id if c.prompt_id != c.prompt_hash else None
        if own_id is not None:
            self._wordings.append((c.prompt_hash, c.wording))
        self._traces.append(
            (
                *(self._next_id, source, line, part),
                *(c.teacher, own_id, c.prompt_id, c.prompt_hash, prompt),
                *(prompt if c.without_system == c.prompt else self._key(c.without_system), c.system or ""),
                *(c.trace_id, c.trace_id, c.content_hash, len(c.response)),
                *(self._key(c.answer), _answer_form(c.answer) if c.answer else None),
                *(None if c.answer_kind == "auto" else c.answer_kind, c.domain, self._key(c.tests), c.label, c.licence),
            )
        )
        self._waiting_chars += len(c.response)
        if self.bodies:
            self._bodies.append((self._next_id, c.response))
        if len(self._traces) >= _WAITING_ROWS or self._waiting_chars >= _WAITING_CHARS:
            self._store()

    def _store(self) -> None:
        """Write the candidates that wait for it: one statement for many rows costs half of one for each."""
        marks = ",".join("?" * 22)
        self._db.executemany("INSERT OR IGNORE INTO wording VALUES (?,?)", self._wordings)
        self._db.executemany(f"INSERT INTO trace VALUES ({marks},NULL,NULL)", self._traces)
        self._db.executemany("INSERT INTO body VALUES (?,?)", self._bodies)
        for rows in (self._wordings, self._traces, self._bodies):
            rows.clear()
        self._waiting_chars = 0

    def reject(self, error: RowError, source: str, line: int, teacher: str | None) -> None:
        """Store a row, or a response of one, that gave no candidate."""
        row = (source, line, teacher, error.reason, error.detail)
        self._db.execute("INSERT INTO rejected VALUES (?,?,NULL,?,?,?)", row)

    def _key(self, text: str | None) -> str | None:
        """Store a shared text; return its key."""
        if text is None:
            return None
        key = _text_key(text) if len(text) <= _REMEMBERED_CHARS else _text_key.__wrapped__(text)
        if key not in self._stored:
            if len(self._stored) >= _STORED_KEYS:
                self._stored.clear()
            self._stored.add(key)
            self._db.execute("INSERT OR IGNORE INTO text VALUES (?,?)", (key, text))
        return key

    def join_prompts(self) -> None:
        """Find out which rows are of one prompt.

        - Rows of one text in normal form are of one prompt, whatever their ids; rows of one own id are so where the
          shorter of their texts stands within the longer. An own id of texts that have nothing in common joins nothing
          (`torn_ids`): sets count their rows from 0, and nobody's trace is lost for that. One of more than _MOST_PIECES
          such texts does not join those within each other either.
        - A prompt's id is the smallest own id that is its alone, else the smallest hash of its texts.
        """
        self._store()
        self._db.execute("COMMIT")
        self._join_prompts()
        self._db.execute("CREATE INDEX trace_prompt ON trace (prompt_id)")

    def different_golds(self) -> Iterator[tuple[str, str, str, int, int]]:
        """(prompt_id, gold answer, source, row, traces) of prompts whose gold answers are not spelled alike.

        The source and row are the first that give the answer; by prompt, then source and row. Reference solutions
        beside tests are no gold answers.
        """
        return iter(self._db.execute(_GOLDS).fetchall())

    def settle(self, golds: dict[str, str], how: Literal["unchecked", "first", "reject"]) -> None:
        """Settle prompts whose gold answers differ (prompt_id to its first gold answer): see ingest.gold_conflicts."""
        rows = [(prompt_id, self._key(answer) if how == "first" else None) for prompt_id, answer in golds.items()]
        self._db.executemany("INSERT INTO settled VALUES (?,?)", rows)
        if how == "reject":
            self._db.executescript(_REJECT_CONFLICTS)

    def drop_copies(self, duplicates: Literal["drop", "keep"]) -> None:
        """Find exact duplicates, of which the first by source and row stays or has number 1; make the prompts."""
        self._db.executescript(_COPIES)
        self._db.executescript(_DROP_COPIES if duplicates == "drop" else _KEEP_COPIES)
        self._db.executescript(_PROMPTS)
        self._db.execute(
            "INSERT INTO rejected SELECT source, line, trace_id, teacher, reason, detail FROM trace"
            " WHERE reason IS NOT NULL"
        )

    def _join_prompts(self) -> None:
        """Give every row the id of its prompt, by text and by own id."""
        self._db.executescript(_IDENTITIES)
        number = 0
        for _, group in groupby(self._db.execute(_WORDINGS_OF_IDS), key=lambda row: row[0]):
            rest = [(hash_, text) for _, hash_, text in group]
            pieces: list[list[str]] = []
            while rest and len(pieces) <= _MOST_PIECES:
                shortest = rest[0][1]
                says_something = any(map(str.isalnum, shortest))
                piece, others = [], []
                for hash_, text in rest:
                    if text == shortest or (says_something and shortest in text):
                        piece.append(hash_)
                    else:
                        others.append((hash_, text))
                pieces.append(piece)
                rest = others
            self.torn_ids += len(pieces) > 1
            if not rest and len(pieces) <= _MOST_PIECES:
                numbered = [(number + n, hash_) for n, piece in enumerate(pieces) for hash_ in piece]
                self._db.executemany("INSERT INTO alike VALUES (?,?)", numbered)
                number += len(pieces)
        self._db.execute("CREATE INDEX alike_number ON alike (number)")
        while self._db.execute(_JOIN).rowcount:
            pass
        self._db.executescript(_NAME)

    def write_kinds(self, rows: Iterable[tuple[str, str, bool | None]]) -> None:
        """Store (prompt_id, answer kind, whether its verifier accepts the gold answer) for every prompt."""
        self._db.executemany("INSERT INTO kind VALUES (?,?,?)", rows)

    def write_ahead(self, rows: Iterable[tuple[int, str, str, bool]]) -> None:
        """Store (candidate number, kind of its row's gold answer, verdict by it, suspect), before prompts are known."""
        self._db.executemany("INSERT INTO ahead VALUES (?,?,?,?)", rows)

    def take_ahead(self) -> None:
        """Of what `write_ahead` stored, take the verdicts of kept traces whose prompt has that gold answer and kind."""
        self._db.execute(
            "INSERT INTO verdict SELECT t.id, h.verdict, h.suspect, h.verdict FROM ahead AS h"
            " JOIN trace AS t ON t.id = h.id JOIN prompt AS p ON p.prompt_id = t.prompt_id"
            " JOIN kind AS k ON k.prompt_id = t.prompt_id WHERE t.reason IS NULL"
            " AND p.answer = t.answer AND p.tests IS NULL AND k.answer_kind = h.answer_kind"
        )

    def write_verdicts(self, rows: Iterable[tuple[int, str, bool]]) -> None:
        """Store (candidate number, verdict, suspect) for every kept trace."""
        self._db.executemany("INSERT INTO verdict VALUES (?1,?2,?3,?2)", rows)

    def take_labels(self, how: Literal["compare", "fallback", "trust"]) -> None:
        """Let the sources' labels decide where ingest.labels says so."""
        where = {"compare": "0", "fallback": "verdict = 'unchecked'", "trust": "1"}[how]
        self._db.execute(
            "UPDATE verdict SET verdict = CASE label WHEN 1 THEN 'correct' ELSE 'wrong' END FROM trace"
            f" WHERE trace.id = verdict.id AND label IS NOT NULL AND {where}"
        )

    def accepted_kinds(self) -> Iterator[tuple[str, int, int]]:
        """(answer kind, prompts whose gold answer was tried, of which accepted)."""
        return self._db.execute(
            "SELECT answer_kind, count(*), sum(accepted) FROM kind WHERE accepted IS NOT NULL GROUP BY answer_kind"
            " ORDER BY answer_kind"
        )

    def accepted_golds(self) -> Iterator[tuple[str, str, int, int]]:
        """(source, answer kind, prompts whose gold answer was tried, of which accepted)."""
        return self._db.execute(
            "SELECT source, answer_kind, count(*), sum(accepted) FROM"
            " (SELECT DISTINCT source, prompt_id FROM trace WHERE reason IS NULL) JOIN kind USING (prompt_id)"
            " WHERE accepted IS NOT NULL GROUP BY source, answer_kind ORDER BY source, answer_kind"
        )

    def answers_of_teachers(self) -> list[tuple[str, str, int, int, int, int | None]]:
        """(teacher, source, traces checked, wrong or unparsed, suspect, number of an example), by our own verdicts.

        The example is the first suspect trace, else the first wrong one.
        """
        bad = "ours IN ('wrong', 'unparsed')"
        return self._db.execute(
            f"SELECT teacher, source, count(*) FILTER (WHERE ours <> 'unchecked'), count(*) FILTER (WHERE {bad}),"
            f" sum(suspect), coalesce(min(id) FILTER (WHERE suspect), min(id) FILTER (WHERE {bad}))"
            " FROM trace JOIN verdict USING (id) GROUP BY teacher, source ORDER BY teacher, source"
        ).fetchall()

    def response(self, number: int) -> tuple[int, str]:
        """(row, response) of a candidate."""
        return self._db.execute(
            "SELECT line, response FROM trace JOIN body USING (id) WHERE id = ?", (number,)
        ).fetchone()

    def golds(self) -> Iterator[tuple[str, str | None, str | None, str | None, str]]:
        """(prompt_id, gold answer, answer kind where given, tests, messages as JSON) of every prompt, by id."""
        return self._db.execute(
            "SELECT p.prompt_id, a.value, p.answer_kind, t.value, m.value FROM prompt AS p"
            " JOIN text AS m ON m.key = p.prompt LEFT JOIN text AS a ON a.key = p.answer"
            " LEFT JOIN text AS t ON t.key = p.tests ORDER BY p.prompt_id"
        )

    def long_golds(self, chars: int) -> Iterator[tuple[str, str, int]]:
        """(source, gold answer, traces) of answers of so many characters or more, whose kind nobody gave, sorted."""
        return self._db.execute(
            "SELECT source, value, count(*) FROM trace JOIN text ON text.key = answer WHERE reason IS NULL"
            " AND tests IS NULL AND answer_kind IS NULL AND length(value) >= ? GROUP BY source, answer"
            " ORDER BY source, answer",
            (chars,),
        )

    def answered(self) -> Iterator[tuple[int, str, str | None, str, str | None, str]]:
        """(candidate number, response, gold answer, answer kind, tests, messages as JSON) of kept traces that have no
        verdict yet, as read."""
        return self._db.execute(
            "SELECT t.id, b.response, a.value, k.answer_kind, s.value, m.value"
            " FROM trace AS t JOIN body AS b ON b.id = t.id JOIN prompt AS p ON p.prompt_id = t.prompt_id"
            " JOIN kind AS k ON k.prompt_id = t.prompt_id JOIN text AS m ON m.key = p.prompt"
            " LEFT JOIN text AS a ON a.key = p.answer LEFT JOIN text AS s ON s.key = p.tests"
            " WHERE t.reason IS NULL AND t.id NOT IN (SELECT id FROM verdict) ORDER BY t.id"
        )

    def prompts(self) -> Iterator[tuple[Any, ...]]:
        """Rows of the prompts table, by id; messages as JSON."""
        return self._db.execute(
            "SELECT p.prompt_id, m.value, p.domain, a.value, k.answer_kind, t.value FROM prompt AS p"
            " JOIN kind AS k ON k.prompt_id = p.prompt_id JOIN text AS m ON m.key = p.prompt"
            " LEFT JOIN text AS a ON a.key = p.answer LEFT JOIN text AS t ON t.key = p.tests ORDER BY p.prompt_id"
        )

    def traces(self) -> Iterator[tuple[Any, ...]]:
        """Rows of the traces table, by id."""
        return self._db.execute(
            "SELECT t.trace_id, t.content_hash, t.prompt_id, t.teacher, b.response, v.verdict, t.label, t.licence,"
            " t.source, t.line FROM trace AS t JOIN body AS b ON b.id = t.id JOIN verdict AS v ON v.id = t.id"
            " WHERE t.reason IS NULL ORDER BY t.trace_id"
        )

    def rejected(self) -> Iterator[tuple[Any, ...]]:
        """Rows of the rejected table, by its key."""
        return self._db.execute(
            "SELECT source, line, trace_id, teacher, reason, detail FROM rejected"
            " ORDER BY source, line, trace_id, reason, detail, teacher"
        )

    def tally(self) -> Iterator[tuple[str, str | None, str | None, int, int]]:
        """(source, teacher or None, reason or None where kept, rows, characters of responses)."""
        return self._db.execute(
            "SELECT source, teacher, NULL, count(*), sum(n_chars) FROM trace WHERE reason IS NULL"
            " GROUP BY source, teacher"
            " UNION ALL SELECT source, teacher, reason, count(*), 0 FROM rejected GROUP BY source, teacher, reason"
        )

    def licences(self) -> Iterator[tuple[str, str | None, int]]:
        """(source, licence or None, kept traces), sorted."""
        return self._db.execute(
            "SELECT source, licence, count(*) FROM trace WHERE reason IS NULL GROUP BY source, licence"
            " ORDER BY source, licence"
        )

    def judged(self) -> Iterator[tuple[str, str, str, str, int | None, int]]:
        """(source, teacher, verdict, our own verdict, label, traces)."""
        return self._db.execute(
            "SELECT source, teacher, verdict, ours, label, count(*) FROM trace JOIN verdict USING (id)"
            " GROUP BY source, teacher, verdict, ours, label"
        )

    def candidates(self) -> Iterator[tuple[int, int]]:
        """(number of candidates, prompts that have so many), ascending."""
        return self._db.execute("SELECT candidates, count(*) FROM prompt GROUP BY candidates ORDER BY candidates")

    def first_rejected(self, source: str, reason: str) -> tuple[int, str]:
        """(row, detail) of the first row of a file that was rejected for a reason."""
        return self._db.execute(
            "SELECT line, detail FROM rejected WHERE source = ? AND reason = ? ORDER BY line, detail LIMIT 1",
            (source, reason),
        ).fetchone()

    def knows(self, prompt_hashes: list[str]) -> int:
        """How many of some identities of texts a prompt of the pool has."""
        marks = ",".join("?" * len(prompt_hashes))
        return self._db.execute(f"SELECT count(*) FROM root WHERE prompt_hash IN ({marks})", prompt_hashes).fetchone()[
            0
        ]

    def mixed_systems(self) -> int:
        """Prompts whose rows were written under different system prompts, or some under none."""
        return self._db.execute("SELECT count(*) FROM prompt WHERE mixed").fetchone()[0]

    def prompts_of(self, first_ids: list[str]) -> dict[str, str]:
        """Ids that candidates had when they were read, to their prompt's id, for those kept."""
        found: dict[str, str] = {}
        for first_id in first_ids:
            row = self._db.execute("SELECT prompt_id FROM trace WHERE reason IS NULL AND first_id = ?", (first_id,))
            found.update((first_id, prompt_id) for (prompt_id,) in row)
        return found

    def kept(self, first_ids: list[str]) -> dict[str, tuple[str, str]]:
        """Ids that candidates had when they were read, to (id of the trace, messages as JSON), for those kept."""
        marks = ",".join("?" * len(first_ids))
        rows = self._db.execute(
            "SELECT t.first_id, min(t.trace_id), m.value FROM trace AS t JOIN prompt AS p USING (prompt_id)"
            " JOIN text AS m ON m.key = p.prompt"
            f" WHERE t.reason IS NULL AND t.first_id IN ({marks}) GROUP BY t.first_id",
            first_ids,
        )
        return {first_id: (trace_id, messages) for first_id, trace_id, messages in rows}
