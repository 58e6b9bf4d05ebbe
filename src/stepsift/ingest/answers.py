"""Verdicts on all kept traces, and what they say of the reader."""

import json
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from stepsift import params, verify
from stepsift.core import text
from stepsift.ingest.candidate import Candidate
from stepsift.ingest.database import Spool
from stepsift.ingest.gold import alternatives
from stepsift.ingest.gold import verdict as verdict_on
from stepsift.ingest.record import ALTERNATIVES
from stepsift.ingest.verifiers import Verifiers
from stepsift.verify.gold import kinds

SAMPLED = 50
"""Traces of a teacher that `check` judges."""
SUSPECT_SHARE = 0.02
"""A teacher of which more is suspect is named."""
WRONG_SHARE = 0.9
"""A teacher of which so much is wrong or not read is named."""
EXAMPLE_CHARS = 120
SHORTEST_SOLUTION = 16
"""Characters below which no gold answer is a whole solution in words."""


@dataclass
class Gold:
    """The gold answers of a kind, judged as if they were responses."""

    prompts: int = 0
    accepted: int = 0
    share: float | None = None


@dataclass
class TeacherAnswers:
    """How the answers of a teacher in a file were judged."""

    checked: int = 0
    """Traces with a verdict other than unchecked."""
    wrong: int = 0
    """Those that are wrong or unparsed."""
    suspect: int = 0
    """Of these, the ones whose last line holds the gold answer all the same."""
    example: str = ""
    """The first suspect trace, else the first wrong one: its row and last line."""


@dataclass
class Answers:
    """What was found while answers were checked."""

    gold: dict[str, Gold]
    """Answer kind to how its verifier takes the gold answers."""
    gold_by_file: dict[str, dict[str, Gold]]
    code: dict[str, int]
    """Why traces with programs got their verdicts."""
    teachers: dict[str, dict[str, TeacherAnswers]] = field(default_factory=dict)
    """Teacher to file to its answers."""


def check_answers(spool: Spool, settings: params.Ingest, verifiers: Verifiers) -> Answers:
    """Store a kind for every prompt of a resolved spool and a verdict for every kept trace."""
    reasons: Counter[str] = Counter()
    for rows in verifiers.each(spool.golds(), _kinds):
        spool.write_kinds(rows)
    spool.take_ahead()
    for judged in verifiers.each(spool.answered(), _verdicts):
        reasons.update(reason for *_, reason in judged if reason is not None)
        spool.write_verdicts((number, verdict, suspect) for number, verdict, suspect, _ in judged)
    by_file: dict[str, dict[str, Gold]] = {}
    for source, kind, prompts, accepted in spool.accepted_golds():
        by_file.setdefault(source, {})[kind] = Gold(prompts, accepted, round(accepted / prompts, 4))
    gold = {kind: Gold(n, accepted, round(accepted / n, 4)) for kind, n, accepted in spool.accepted_kinds()}
    teachers = _teachers(spool)
    spool.take_labels(settings.labels)
    return Answers(gold, by_file, dict(sorted(reasons.items())), teachers)


def sampled_answers(
    spool: Spool, sample: list[Candidate], settings: params.Ingest
) -> dict[str, dict[str, TeacherAnswers]]:
    """How some candidates of each teacher would be judged, without storing anything; programs are left out.

    All are of one file, as a sample does not say from which its candidates are.
    """
    golds = {prompt_id: (answer, given) for prompt_id, answer, given, tests, _ in spool.golds() if tests is None}
    known = spool.prompts_of([c.trace_id for c in sample])
    teachers: dict[str, dict[str, TeacherAnswers]] = {}
    with verify.Verifier(settings.verify_timeout_s) as verifier:
        for c in sample:
            answer, given = golds.get(known.get(c.trace_id, ""), (None, None))
            if answer is None or given in ("code", "none") or ALTERNATIVES in answer:
                continue
            kind = given or verifier.kind_of(answer)
            if kind == "none":
                continue
            [(verdict, suspect)] = verifier.verdicts([(kind, c.response, answer)])
            counts = teachers.setdefault(c.teacher, {}).setdefault("", TeacherAnswers())
            wrong = verdict in ("wrong", "unparsed")
            if wrong and (not counts.example or (suspect and not counts.suspect)):
                counts.example = f"'{_last_line(c.response)}' where the gold answer is '{answer[:EXAMPLE_CHARS]}'"
            counts.checked += 1
            counts.wrong += wrong
            counts.suspect += suspect
    return teachers


def solutions(spool: Spool) -> list[str]:
    """A sentence for each file with gold answers that are whole solutions in words."""
    traces: Counter[str] = Counter()
    examples: dict[str, str] = {}
    for source, answer, count in spool.long_golds(SHORTEST_SOLUTION):
        if kinds(answer) == ("none",):
            traces[source] += count
            examples.setdefault(source, text.one_line(answer)[:EXAMPLE_CHARS])
    return [
        f"{source}: the gold answer of {text.count(n, 'trace')} is a whole solution in words (such as "
        f"'{examples[source]}'). No value can be read from it, so nothing is compared with it (unchecked). Map "
        "fields.answer to a short answer, or set answer_kind: exact in the file's rule if responses must have the same "
        "words"
        for source, n in sorted(traces.items())
    ]


def doubts(teachers: dict[str, dict[str, TeacherAnswers]]) -> list[str]:
    """A sentence for each teacher whose verdicts may be the reader's fault."""
    sentences = []
    for teacher, files in sorted(teachers.items()):
        checked, wrong, suspect = (sum(getattr(f, n) for f in files.values()) for n in ("checked", "wrong", "suspect"))
        if not checked:
            continue
        example = max(files.values(), key=lambda f: f.suspect if suspect else f.wrong).example
        if suspect > SUSPECT_SHARE * checked:
            verb = "was" if suspect == 1 else "were"
            sentences.append(
                f"teacher {teacher}: {suspect:,} of {text.count(checked, 'compared answer')} "
                f"({suspect / checked:.1%}) {verb} not found right although the last line holds the gold answer, for "
                f"example {example}. If it is right, set ingest.answer_kind or take the source's labels (ingest.labels)"
            )
        elif wrong >= WRONG_SHARE * checked:
            verb = "is" if wrong == 1 else "are"
            sentences.append(
                f"teacher {teacher}: {wrong:,} of {text.count(checked, 'compared answer')} "
                f"({wrong / checked:.0%}) {verb} wrong or cannot be read, for example {example}. Check that its "
                "responses end (reasoning that is cut off holds no answer) and belong to these gold answers"
            )
    return sentences


def _kinds(verifier: verify.Verifier, rows: list[Any]) -> list[tuple[str, str, bool | None]]:
    """(prompt_id, kind, whether its verifier accepts the gold answer; None where that was not tried)."""
    kinds_of: list[tuple[str, str, bool | None]] = []
    for prompt_id, answer, given, tests, prompt in rows:
        kind = given or (verifier.kind_of(alternatives(answer)[0]) if answer is not None else "none")
        kind = "none" if answer is None and kind != "code" else kind
        accepted = None
        if answer is not None and kind in verify.KINDS and tests is None:
            accepted = verifier.accepts(kind, alternatives(answer)[0])
        elif answer is not None and kind == "code" and tests is not None:
            outcome = verifier.passes(answer, tests, _last_turn(prompt))
            # Where nothing can be run, nothing is known of the tests.
            accepted = None if outcome.reason == "isolation" else outcome.verdict == "correct"
        kinds_of.append((prompt_id, kind, accepted))
    return kinds_of


def _verdicts(verifier: verify.Verifier, rows: list[Any]) -> list[tuple[int, str, bool, str | None]]:
    """(candidate number, verdict, suspect, why a program got its verdict) of each row."""
    # A reference solution beside tests is one of many: comparing texts would call the others wrong.
    questions = [
        ("none" if tests is not None or kind == "code" or ALTERNATIVES in (answer or "") else kind, response, answer)
        for _, response, answer, kind, tests, _ in rows
    ]
    judged: list[tuple[int, str, bool, str | None]] = []
    for row, (verdict, suspect) in zip(rows, verifier.verdicts(questions), strict=True):
        number, response, answer, kind, tests, prompt = row
        if kind == "code":
            outcome = verifier.run_tests(response, tests, _last_turn(prompt))
            judged.append((number, outcome.verdict, False, outcome.reason))
        elif tests is None and answer is not None and ALTERNATIVES in answer:
            judged.append((number, verdict_on(verifier, kind, response, answer), False, None))
        else:
            judged.append((number, verdict, suspect, None))
    return judged


def _teachers(spool: Spool) -> dict[str, dict[str, TeacherAnswers]]:
    teachers: dict[str, dict[str, TeacherAnswers]] = {}
    for teacher, source, checked, wrong, suspect, example in spool.answers_of_teachers():
        shown = ""
        if example is not None:
            line, response = spool.response(example)
            shown = f"row {line} of {source}: '{_last_line(response)}'"
        teachers.setdefault(teacher, {})[source] = TeacherAnswers(checked, wrong, suspect, shown)
    return teachers


def _last_line(response: str) -> str:
    return text.one_line(response.rstrip()[-400:].rpartition("\n")[2])[-EXAMPLE_CHARS:]


def _last_turn(messages: str) -> str:
    """The text of the last message of a prompt, of which JSON is given."""
    return json.loads(messages)[-1]["content"]
