"""The traces that bench/score.py measures on: real ones from files or made-up ones, as token ids with step bounds.

Real traces are the first of each file in turn that have the right length, all but the short ones with `<think>`; every
prompt is used once. Made-up ones are the text of bench/segment.py cut to length. Growth with length is measured on
steps of several traces set end to end.
"""

import gzip
import json
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain, zip_longest
from pathlib import Path

import numpy as np

from segment import ordinary
from stepsift import params
from stepsift.core.errors import SourceError
from stepsift.render import Renderer
from stepsift.score.forward.windows import local_passes, token_bounds
from stepsift.segment import split

WINDOW = 4
LENGTHS = {
    "short": (4, 100, 200),
    "long": (1, 1_100, 1_300),
    "very long": (1, 8_000, 10_000),
    "growth": (4, 4_000, 8_000),
}
"""Name of a set -> how many traces it has, and their fewest and most tokens."""
MADE_UP_TOKENS = {"short": (150, 110, 190, 130), "long": (1_200,), "very long": (8_000,), "growth": (16_000,)}
MADE_UP_PROMPT = (
    "Tom buys apples on some days and gives a few of them to his friends on others. He starts with 17 apples, buys 5 "
    "on each of the first six days, and gives 3 away on every second day after that. How many apples has he left "
    "after twenty days? Think step by step and put the final answer in a box."
)
_CHARS_A_TOKEN = (1, 8)
"""A response outside these is not worth the tokenizer's time."""


@dataclass(frozen=True)
class Trace:
    """Token ids of a prompt and a response; `bounds` [steps + 1] are the first tokens of steps, then the end."""

    prompt: list[int]
    response: list[int]
    bounds: np.ndarray


@dataclass(frozen=True)
class Window:
    """One step written out: prompt and `WINDOW` steps before it, its own tokens, and where they stand in the trace."""

    context: list[int]
    step: list[int]
    begin: int


def windows(trace: Trace) -> list[Window]:
    """One window for each step that has a token."""
    found = []
    for i, (begin, end) in enumerate(zip(trace.bounds[:-1], trace.bounds[1:], strict=True)):
        if end > begin:
            first = trace.bounds[max(0, i - WINDOW)]
            found.append(Window(trace.prompt + trace.response[first:begin], trace.response[begin:end], int(begin)))
    return found


def step_means(trace: Trace, logprobs: np.ndarray) -> np.ndarray:
    """Mean log-probability of each step that has a token, nats, from those of all tokens."""
    return np.array([logprobs[w.begin : w.begin + len(w.step)].mean() for w in windows(trace)])


def pushed(traces: list[Trace], full: bool) -> int:
    """Positions that must go through the student's body, padding not counted: nested windows, the prompt once a trace.

    A row is the prompt's last token and all response tokens but its last; the other prompt tokens go in once. With
    `full` there is one row per trace.
    """
    rows = (len(t.response) if full else sum(p.length for p in local_passes(t.bounds, WINDOW)) for t in traces)
    return sum(len(t.prompt) - 1 for t in traces) + sum(rows)


def written_out(traces: list[Trace]) -> int:
    """Tokens of all windows when each is written out with its prompt."""
    return sum(len(w.context) + len(w.step) for t in traces for w in windows(t))


def end_to_end(traces: list[Trace], n_tokens: int) -> Trace:
    """The first prompt, then the responses one after another, cut at `n_tokens`; raises SourceError if too short."""
    response = list(chain.from_iterable(t.response for t in traces))
    if len(response) < n_tokens:
        raise SourceError(f"the traces have {len(response)} tokens, {n_tokens} are wanted; give more or longer traces")
    starts, at = [], 0
    for t in traces:
        starts.append(t.bounds[:-1] + at)
        at += len(t.response)
    bounds = np.concatenate(starts)
    return Trace(traces[0].prompt, response[:n_tokens], np.append(bounds[bounds < n_tokens], n_tokens))


def made_up(renderer: Renderer) -> dict[str, list[Trace]]:
    """The sets of `MADE_UP_TOKENS` for this student's tokenizer; the traces of a set differ, but for the prompt."""
    pool = [_encode(renderer, MADE_UP_PROMPT, text) for text in ordinary(0.3)]
    return {
        name: [end_to_end(pool[i:], n_tokens) for i, n_tokens in enumerate(lengths)]
        for name, lengths in MADE_UP_TOKENS.items()
    }


def real(folder: Path, renderer: Renderer, names: list[str]) -> dict[str, list[Trace]]:
    """The named sets of `LENGTHS` from a folder of `*.jsonl.gz` files, whose rows have text `prompt` and `response`.

    Raises SourceError if the files do not hold enough traces of a length.
    """
    sets: dict[str, list[Trace]] = {name: [] for name in names}
    missing, used = set(names), set[str]()
    for prompt, response in _rows(folder):
        fits = {name for name in missing if _may_have(response, *LENGTHS[name][1:])}
        wanted = fits if "<think>" in response else fits & {"short"}
        if prompt in used or not wanted:
            continue
        trace = _encode(renderer, prompt, response)
        for name in wanted:
            count, fewest, most = LENGTHS[name]
            if fewest <= len(trace.response) <= most:
                sets[name].append(trace)
                used.add(prompt)
                missing -= {name} if len(sets[name]) == count else set()
                break
        if not missing:
            return sets
    needed = ", ".join("{} of {} to {} tokens ({})".format(*LENGTHS[name], name) for name in sorted(missing))
    raise SourceError(f"{folder.name} holds too few traces, needed are {needed}; give more, or leave out --traces")


def _rows(folder: Path) -> Iterator[tuple[str, str]]:
    """Prompts and responses, a row of each file in turn."""
    for turn in zip_longest(*(_rows_of(path) for path in sorted(folder.glob("*.jsonl.gz")))):
        yield from (row for row in turn if row is not None)


def _rows_of(path: Path) -> Iterator[tuple[str, str]]:
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        for line in lines:
            row = json.loads(line)
            yield row["prompt"], row["response"]


def _may_have(response: str, fewest: int, most: int) -> bool:
    low, high = _CHARS_A_TOKEN
    return low * fewest <= len(response) <= high * most


def _encode(renderer: Renderer, prompt: str, response: str) -> Trace:
    rendered = renderer.render([{"role": "user", "content": prompt}], response)
    ends = np.array(split(response, params.Segment()).ends)
    return Trace(rendered.prompt_ids, rendered.response_ids, token_bounds(rendered.last_char, ends))
