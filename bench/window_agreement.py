"""How often LALP chooses the trace that GALP and step_mean choose, against the share of a trace that its window shows.

    python bench/window_agreement.py POOL.jsonl.gz .. --student demo/student --out agreement.jsonl [--minutes 20]
    python bench/window_agreement.py --out agreement.jsonl          # the tables alone, of what is there

Each pool is a JSONL file whose rows have prompt_id, prompt, teacher and response. Some teachers of each pool answer a
seeded sample of its prompts; prompts of the pools take turns, and what is done is appended to --out, so a run may be
stopped at any time and goes on with the same command. Of a prompt, all traces are left out that are longer than
--most-tokens; it counts where two or more teachers are left.
"""

import argparse
import gzip
import json
import sys
import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain, pairwise, zip_longest
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np

from stepsift import params, segment
from stepsift.score.backends.local import LocalBackend
from stepsift.score.forward.request import Refused, Request
from stepsift.score.plan import Planner, in_seeded_order
from stepsift.score.window_share import of_token_counts
from stepsift.student import find

WINDOWS: tuple[int | float, ...] = (1, 2, 4, 8, 0.25, 0.5)
BANDS = (0.0, 0.2, 0.4, 0.6, 0.8, 0.999, 1.0)
"""Edges of the bands of window shares; in the last band steps see all of the response before them."""

Row = dict[str, Any]
Task = tuple[str, str, list[Row]]
"""Name of a pool, id of a prompt, and the rows of its traces."""


def tasks_of(pool: Path, n_teachers: int, seed: int) -> Iterator[Task]:
    """Prompts in a seeded order, with the traces of the `n_teachers` teachers that answered most of them."""
    data = gzip.decompress(pool.read_bytes()) if pool.suffix == ".gz" else pool.read_bytes()
    rows = [json.loads(line) for line in data.splitlines()]
    counts: dict[str, int] = defaultdict(int)
    for row in rows:
        counts[row["teacher"]] += 1
    teachers = sorted(counts, key=lambda name: (-counts[name], name))[:n_teachers]
    by_prompt: dict[str, dict[str, Row]] = defaultdict(dict)
    for row in rows:
        if row["teacher"] in teachers:
            by_prompt[row["prompt_id"]].setdefault(row["teacher"], row)
    for prompt_id in in_seeded_order(by_prompt, seed):
        yield pool.name.partition(".")[0], prompt_id, list(by_prompt[prompt_id].values())


class WindowScorer:
    """One student that scores a trace in its whole context and in each of `windows`."""

    def __init__(self, student: Path, dtype: str, windows: tuple[int | float, ...]) -> None:
        settings = params.parse(
            {"student": {"path": str(student)}, "score": {"dtype": dtype, "workers": 1}}, "bench/window_agreement.py"
        )
        self._segment = settings.segment
        self._backend = LocalBackend(settings.student, settings.score, "cpu")
        size = self._backend.size
        renderer = find(settings.student).load_renderer()

        def planner(window: int | float, name: str) -> Planner:
            changed = settings.score.model_copy(update={"window": window, "passes": (name,)})
            return Planner(renderer, changed, size.context, size.vocabulary)

        self._full = planner(4, "full")
        self._local = {window: planner(window, "local") for window in windows}

    def n_tokens(self, prompt: str, response: str) -> int | None:
        """Response tokens, or None where the trace cannot be scored."""
        plan = self._plan(self._full, prompt, response)
        return None if isinstance(plan, Refused) else int(plan.bounds[-1])

    def score(self, prompt: str, response: str) -> Row:
        """Tokens of each step, and sums of log-probabilities (nats) of each, in full and by window.

        Raises ValueError where the student cannot score the trace.
        """
        plan = self._plan(self._full, prompt, response)
        tokens = {"full": self._scores(plan.request()).full.logprob}
        for window, planner in self._local.items():
            request = self._plan(planner, prompt, response).request()
            # Where every pass begins at the first token, windows are the whole context.
            is_windowed = any(p.begin > 0 for p in request.local)
            tokens[f"{window:g}"] = self._scores(request).local.logprob if is_windowed else tokens["full"]
        sums = {name: np.concatenate([[0.0], np.cumsum(v.astype(np.float64))]) for name, v in tokens.items()}
        steps = {name: np.diff(values[plan.bounds]).round(5).tolist() for name, values in sums.items()}
        return {"n_tokens": np.diff(plan.bounds).tolist(), "logprob": steps}

    def _scores(self, request: Request) -> Any:
        ((_, result),) = next(iter(self._backend.score([request])))
        if isinstance(result, Refused):
            raise ValueError(f"{result.reason}: {result.detail}")
        return result

    def _plan(self, planner: Planner, prompt: str, response: str) -> Any:
        ends = segment.step_ends(response, self._segment)
        return planner.plan([{"role": "user", "content": prompt}], response, ends)


@dataclass(frozen=True)
class Compared:
    """A prompt under one window: the share of what comes before it that a step of its traces sees, and whether LALP
    chooses the trace that GALP and that step_mean chooses."""

    pool: str
    window: str
    share: float
    as_galp: bool
    as_step_mean: bool


def compare(rows: list[Row]) -> list[Compared]:
    """From the rows of --out; prompts whose traces all have one step are left out, since no window changes them."""
    compared: list[Compared] = []
    for row in rows:
        traces = row["traces"]
        galp, step_mean = _choice(traces, "galp"), _choice(traces, "full")
        for window in traces[0]["logprob"]:
            if window == "full":
                continue
            k = float(window) if float(window) < 1 else int(window)
            share = of_token_counts([np.array(trace["n_tokens"]) for trace in traces], k).share
            if share is not None:
                lalp = _choice(traces, window)
                compared.append(Compared(row["pool"], window, share, lalp == galp, lalp == step_mean))
    return compared


def by_share(compared: list[Compared]) -> str:
    """A Markdown table with a line for each band of window shares, over all pools."""
    lines = []
    for low, high in pairwise(BANDS):
        inside = [c for c in compared if low < c.share <= high]
        if inside:
            lines.append(f"| {f'{low:g} to {high:g}' if high < 1 else 'all'} | {_cells(inside)} |")
    return _table("window share", lines)


def by_pool(compared: list[Compared]) -> str:
    """A Markdown table with a line for each pool and window, the narrowest share first."""
    groups: dict[tuple[str, str], list[Compared]] = defaultdict(list)
    for c in compared:
        groups[c.pool, c.window].append(c)
    ordered = sorted((fmean(c.share for c in group), key, group) for key, group in groups.items())
    return _table(
        "pool, window (share)",
        [f"| {pool}, {window} ({share:.2f}) | {_cells(group)} |" for share, (pool, window), group in ordered],
    )


def _table(first: str, lines: list[str]) -> str:
    return "\n".join([f"| {first} | choices | as galp | as step_mean |", "|---|---|---|---|", *lines])


def _cells(group: list[Compared]) -> str:
    as_galp, as_step_mean = fmean(c.as_galp for c in group), fmean(c.as_step_mean for c in group)
    return f"{len(group)} | {as_galp:.0%} | {as_step_mean:.0%}"


def _choice(traces: list[Row], name: str) -> int:
    """Place of the best trace: by GALP (`galp`), or by the mean over steps in full or in a window."""
    scores = []
    for trace in traces:
        n_tokens = np.array(trace["n_tokens"])
        sums = np.array(trace["logprob"]["full" if name == "galp" else name])
        filled = n_tokens > 0
        scores.append(sums.sum() / n_tokens.sum() if name == "galp" else (sums[filled] / n_tokens[filled]).mean())
    return int(np.argmax(scores))


def run(arguments: argparse.Namespace, done: set[tuple[str, str]]) -> None:
    """Scores prompts until the time is up, and appends each to --out."""
    stop_s = time.monotonic() + 60 * arguments.minutes
    scorer = WindowScorer(arguments.student, arguments.dtype, WINDOWS)
    pools = [tasks_of(pool, arguments.teachers, arguments.seed) for pool in arguments.pools]
    n_done: dict[str, int] = defaultdict(int)
    with arguments.out.open("a", encoding="utf-8") as out:
        for pool, prompt_id, rows in filter(None, chain.from_iterable(zip_longest(*pools))):
            if n_done[pool] == arguments.prompts:
                continue
            if time.monotonic() > stop_s:
                return
            lengths = [scorer.n_tokens(row["prompt"], row["response"]) for row in rows]
            short = [row for row, n in zip(rows, lengths, strict=True) if n and n <= arguments.most_tokens]
            if len(short) < 2:
                continue
            n_done[pool] += 1
            if (pool, prompt_id) in done:
                continue
            try:
                traces = [{"teacher": row["teacher"], **scorer.score(row["prompt"], row["response"])} for row in short]
            except ValueError as error:
                print(f"{pool}, {prompt_id} is left out: {error}", file=sys.stderr)
                continue
            out.write(json.dumps({"pool": pool, "prompt_id": prompt_id, "traces": traces}) + "\n")
            out.flush()


def _cut_unfinished(out: Path) -> None:
    """Takes away the part of a line that a run that was killed has left."""
    if out.exists():
        data = out.read_bytes()
        out.write_bytes(data[: data.rfind(b"\n") + 1])


def main() -> int:
    """Scores what is asked for, prints the tables; returns the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("pools", type=Path, nargs="*", metavar="POOL", help="JSONL files, gzipped or not")
    parser.add_argument("--student", type=Path, default=Path("demo/student"), help="default: %(default)s")
    parser.add_argument("--out", type=Path, required=True, help="JSONL file that results are appended to")
    parser.add_argument("--dtype", choices=["float32", "bfloat16"], default="float32")
    parser.add_argument("--teachers", type=int, default=4, help="teachers of each pool; default: %(default)s")
    parser.add_argument("--prompts", type=int, default=40, help="prompts of each pool; default: %(default)s")
    parser.add_argument("--most-tokens", type=int, default=600, help="of a response; default: %(default)s")
    parser.add_argument("--minutes", type=float, default=20, help="then it stops; default: %(default)s")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()

    def read() -> list[Row]:
        if not arguments.out.exists():
            return []
        return [json.loads(line) for line in arguments.out.read_text(encoding="utf-8").splitlines()]

    if arguments.pools:
        _cut_unfinished(arguments.out)
        run(arguments, {(row["pool"], row["prompt_id"]) for row in read()})
    compared = compare(read())
    print(by_share(compared), by_pool(compared), sep="\n\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
