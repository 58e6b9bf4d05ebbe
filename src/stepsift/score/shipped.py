"""Log-probabilities that a data set ships, read in place of a reference's forward pass.

A row holds the tokens of a response and their log-probabilities in the whole context. Its tokens joined must be the
response, byte for byte (an end token behind it may be there): then its values are those of the steps by text offsets,
whatever tokenizer made them. Rows that fit no trace are ignored and counted. What is not shipped (windows, ranks,
entropies) stays null.
"""

import hashlib
import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from itertools import accumulate, pairwise
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from stepsift import params, student
from stepsift.core import disk, table_files, tables
from stepsift.core.errors import ScoringError, StudentError
from stepsift.core.model_files import loaded_files
from stepsift.core.text import count
from stepsift.score.forward.windows import token_bounds
from stepsift.score.pool import Pool, Trace
from stepsift.segment.offsets import read_rows

_LOWEST = -float(np.finfo(np.float32).max)
"""No model gives a lower log-probability, and sums of lower ones are infinite."""
SUFFIXES = (".jsonl", ".parquet")
"""Kinds of file that hold log-probabilities; any other path is a model."""
_NONE = "no_logprobs"
_END = re.compile(rb"<[^<>\s]+>|\[[^\[\]\s]+\]")
"""What an end token looks like, such as <|im_end|>, </s> or [EOS]."""
Decode = Callable[[Any], list[bytes] | None]


@dataclass(frozen=True)
class _Values:
    """Tokens' ends in bytes of the joined text, and their log-probabilities in nats; both [tokens]."""

    ends: np.ndarray
    logprobs: np.ndarray


def is_shipped(reference: params.Reference) -> bool:
    """Whether a reference is a file of log-probabilities and no model."""
    return reference.path.endswith(SUFFIXES)


def score_shipped(reference: params.Reference, pool: Pool, out: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """Write tables step_scores and rejected of a reference that ships its values into `out`; its counts and identity.

    `rows_ignored` counts by reason the rows that were not read: `malformed` (no tokens with as many finite values of at
    most 0) and `no_such_trace` (their text is no trace's, or without a trace_id it could be of several). Raises
    TableError where the file cannot be read, ScoringError where no trace has values.
    """
    path = Path(reference.path)
    shipped = _Shipped(path, _decoder(reference), _prompts_of_texts(pool))
    rejected, n_traces, n_tokens = [], 0, 0
    with table_files.Writer(tables.STEP_SCORES, out / tables.STEP_SCORES.file) as writer:
        for trace in (t for chunk in pool.chunks() for t in chunk):
            n_traces += 1
            values = shipped.values(trace)
            if values is None:
                detail = f"no row of {path} has tokens that give this response"
                rejected.append(trace.origin | {"trace_id": trace.trace_id, "reason": _NONE, "detail": detail})
                continue
            steps = _steps(trace, values)
            n_tokens += int(steps["n_tokens"].sum())
            writer.write(steps)
    table_files.write(
        tables.REJECTED, pl.DataFrame(rejected, schema=tables.REJECTED.schema), out / tables.REJECTED.file
    )
    if len(rejected) == n_traces:
        raise ScoringError(
            f"not one of {count(n_traces, 'trace')} has log-probabilities in {path} ({count(shipped.n_rows, 'row')}): "
            "the tokens of a row, joined, must be the response as table traces has it"
        )
    numbers: dict[str, Any] = {"traces": n_traces, "scored": n_traces - len(rejected), "response_tokens": n_tokens}
    numbers |= {"rejected": {_NONE: len(rejected)} if rejected else {}}
    numbers |= {"rows": shipped.n_rows, "rows_ignored": shipped.ignored()}
    return numbers, {"model": disk.file_sha256(path), "numerics": {"source": "shipped log-probabilities"}}


def _prompts_of_texts(pool: Pool) -> dict[bytes, str | None]:
    """Response to the prompt that it answers, None for one that answers several: its values differ by prompt."""
    prompts: dict[bytes, str | None] = {}
    for trace in (t for chunk in pool.chunks() for t in chunk):
        text = _digest(trace.response.encode())
        prompts[text] = trace.prompt_id if prompts.get(text, trace.prompt_id) == trace.prompt_id else None
    return prompts


class _Shipped:
    """All rows of a file, held in memory: sixteen bytes per token."""

    def __init__(self, path: Path, decode: Decode | None, prompts: dict[bytes, str | None]):
        self.n_rows = self._malformed = 0
        self._prompts = prompts
        self._rows: dict[tuple[str, bytes], tuple[int, _Values] | None] = {}
        """By trace_id, or nothing, and text: number of the row and its values; None where two rows differ."""
        self._used: set[int] = set()
        for number, row in read_rows(path):
            self.n_rows += 1
            pieces, logprobs = _pieces(row, decode)
            if pieces is None or not _usable(pieces, logprobs):
                self._malformed += 1
                continue
            values = _Values(np.fromiter(accumulate(map(len, pieces)), np.int64), np.array(logprobs, np.float64))
            whose = row["trace_id"] if isinstance(row.get("trace_id"), str) else ""
            self._put((whose, _digest(b"".join(pieces))), number, values)
            if _END.fullmatch(pieces[-1]):
                self._put((whose, _digest(b"".join(pieces[:-1]))), number, values)

    def _put(self, key: tuple[str, bytes], number: int, values: _Values) -> None:
        there = self._rows.setdefault(key, (number, values))
        if there is None or not np.array_equal(there[1].logprobs, values.logprobs):
            self._rows[key] = None

    def values(self, trace: Trace) -> _Values | None:
        """Those of a trace; None where no row is certainly about it."""
        text = _digest(trace.response.encode())
        row = self._rows.get((trace.trace_id, text))
        if row is None and self._prompts[text] is not None:
            row = self._rows.get(("", text))
        if row is None:
            return None
        self._used.add(row[0])
        return row[1]

    def ignored(self) -> dict[str, int]:
        """Rows that gave no trace its values, by reason."""
        reasons = {"malformed": self._malformed, "no_such_trace": self.n_rows - self._malformed - len(self._used)}
        return {reason: n for reason, n in reasons.items() if n}


def _digest(text: bytes) -> bytes:
    return hashlib.sha256(text).digest()


def _usable(pieces: list[bytes], logprobs: Any) -> bool:
    numbers = isinstance(logprobs, list) and all(type(x) in (int, float) for x in logprobs)
    return numbers and len(pieces) == len(logprobs) > 0 and all(_LOWEST <= x <= 0 for x in logprobs)


def _pieces(row: Any, decode: Decode | None) -> tuple[list[bytes] | None, Any]:
    """A row's tokens as bytes and its log-probabilities, in any form that is known; None for no tokens.

    `tokens` and `logprobs`; `token_ids` and `logprobs` with `decode`; `logprobs: {content: [{token, logprob, bytes}]}`
    (chat completions); `logprobs: {tokens, token_logprobs}` (completions).
    """
    if not isinstance(row, dict):
        return None, None
    logprobs = row.get("logprobs")
    tokens = row.get("tokens")
    if isinstance(logprobs, dict):
        content = logprobs.get("content")
        if isinstance(content, list) and all(isinstance(c, dict) for c in content):
            tokens = [c.get("bytes") or c.get("token") for c in content]
            logprobs = [c.get("logprob") for c in content]
        else:
            tokens, logprobs = logprobs.get("tokens"), logprobs.get("token_logprobs")
    elif tokens is None and decode is not None:
        return decode(row.get("token_ids")), logprobs
    if not isinstance(tokens, list):
        return None, logprobs
    try:
        pieces = [t.encode() if isinstance(t, str) else bytes(t) for t in tokens if isinstance(t, str | list)]
    except (TypeError, ValueError):  # no bytes, or half of a surrogate
        return None, logprobs
    return pieces if len(pieces) == len(tokens) else None, logprobs


def _decoder(reference: params.Reference) -> Decode | None:
    """From token ids to the bytes of each, None where they are no text of this tokenizer; None without a tokenizer."""
    if reference.tokenizer is None:
        return None
    folder = Path(reference.tokenizer)
    loaded_files(folder, weights=False)  # raises for one that lies elsewhere
    if not folder.is_dir():
        raise StudentError(f"the tokenizer '{folder}' is no folder; put tokenizer.json and tokenizer_config.json there")
    renderer = student.load_renderer(student.StudentFiles(folder), params.Student(template="none"))

    def decode(ids: Any) -> list[bytes] | None:
        if not isinstance(ids, list) or not all(type(i) is int and i >= 0 for i in ids) or not ids:
            return None
        try:
            whole = renderer.tokenizer.decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=False)
            rendered = renderer.render([{"role": "user", "content": ""}], whole)
        except (OverflowError, StudentError, IndexError):
            return None
        own = rendered.response_ids
        # Other ids for the same text have no offsets that are known; behind them may stand an end token.
        if not own or own != ids[: len(own)] or len(ids) > len(own) + 1:
            return None
        text, ends = whole.encode(), _bytes_before(whole)[rendered.last_char + 1]
        pieces = [text[a:b] for a, b in pairwise([0, *ends])]
        return pieces + [b"</s>"] * (len(ids) - len(own))

    return decode


def _bytes_before(text: str) -> np.ndarray:
    """Bytes of UTF-8 before each character of a text, and of all of it: one more than it has characters."""
    codes = np.frombuffer(text.encode("utf-32-le"), np.uint32)
    lengths = 1 + (codes >= 0x80) + (codes >= 0x800) + (codes >= 0x10000)
    return np.concatenate([[0], np.cumsum(lengths)])


def _steps(trace: Trace, values: _Values) -> pl.DataFrame:
    """Rows of step_scores: sums over the tokens whose last byte lies in a step."""
    ends = _bytes_before(trace.response)[trace.ends]
    n = int(np.searchsorted(values.ends, ends[-1], side="right"))
    bounds = token_bounds(values.ends[:n] - 1, ends)
    sums = np.array([math.fsum(values.logprobs[a:b]) for a, b in pairwise(bounds)])
    n_tokens = np.diff(bounds).astype(np.int32)
    columns = {
        "trace_id": [trace.trace_id] * len(ends),
        "step": np.arange(1, len(ends) + 1, dtype=np.int32),
        "n_tokens": n_tokens,
        "n_first": np.zeros(len(ends), dtype=np.int32),
        "full_logprob": np.where(n_tokens > 0, sums, np.nan),
    }
    empty = {c: pl.Series([None] * len(ends), dtype=t) for c, t in tables.STEP_SCORES.schema.items()}
    frame = pl.DataFrame(empty | columns, schema=tables.STEP_SCORES.schema)
    return frame.with_columns(pl.col(pl.Float64).fill_nan(None))
