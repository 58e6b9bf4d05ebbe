"""Speed, memory and exactness of scoring, beside the usual ways to the same numbers; writes docs/BENCH.md.

    python bench/score.py --quick
    python bench/score.py --traces FOLDER --student FILE.gguf --threads 2 --write

The first takes less than two minutes, the second an hour or more. FOLDER holds `*.jsonl.gz` files whose rows have
`prompt` and `response` as text; without it traces are made up. `--student` may be given several times; the demo's
student comes first. `--only` leaves sections out: `speed` (seconds, ratios, differences, share of the ceiling),
`memory` (of the same methods), `growth` (both passes against length).

Fairness. All methods get the same token ids, threads and dtype, and the same weights from one loader; the baselines
share one model object, which `HFLM` gets ready-made. Each is called in turn, one at a time, `--repeat` rounds; cheap
methods are called again until a round has taken half a second; the figures are medians of all calls. Loading,
tokenizing, and what this engine and `HFLM` make before the first trace are outside the time; planning windows and
padding are inside. This engine yields four values a token, the others log-probabilities alone. What each baseline is
given, and why, stands at its function in bench/scoring/methods.py.
"""

import argparse
import sys
from contextlib import ExitStack
from enum import Enum
from itertools import product
from pathlib import Path
from typing import Any

from scoring.methods import ALL_OURS, FULL, LOCAL, OURS, OURS_FULL, WITH_OWN, Facts, Failure, Run, Setup
from scoring.page import CELL_S, growth_section, made_by, preamble, renewed, section
from scoring.tables import Cell, Cells
from scoring.traces import LENGTHS, Trace, end_to_end, made_up, real
from scoring.worker import Worker
from stepsift import params, student
from stepsift.core.errors import ScoringError, StepsiftError
from stepsift.score.forward.numerics import batch_tokens

DEMO = "demo/student"
DTYPES = ("float32", "bfloat16")
SECTIONS = ("speed", "memory", "growth")
GROWTH = (500, 1_000, 2_000, 4_000, 8_000, 16_000)
QUICK_GROWTH = (500, 1_000, 2_000, 4_000)
COMPARED = ("short", "long")
"""Sets that the baselines can be run on; the rest is for this engine alone."""
AT_LEAST_S = 0.5
"""A cheap method is called again until a round has taken so long."""
OUT = Path(__file__).resolve().parents[1] / "docs" / "BENCH.md"


def main() -> int:
    """Measures what the arguments ask for; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--traces", type=Path, metavar="FOLDER", help="folder with *.jsonl.gz files of real traces")
    parser.add_argument("--student", action="append", default=[], metavar="PATH", help="one more student; repeatable")
    parser.add_argument("--no-demo", action="store_true", help="leave the demo's student out")
    parser.add_argument(
        "--dtypes", nargs="+", choices=DTYPES, default=list(DTYPES), help="all are compared with the first"
    )
    parser.add_argument("--threads", type=int, help="of every method; default: what loading the student chooses")
    parser.add_argument(
        "--batch-tokens", type=int, default=batch_tokens(params.Score(), "cpu"), help="budget of this engine"
    )
    parser.add_argument("--repeat", type=int, default=3, help="rounds")
    parser.add_argument("--sets", nargs="+", choices=(*COMPARED, "very long"), default=[*COMPARED, "very long"])
    parser.add_argument("--lengths", type=int, nargs="+", default=GROWTH, metavar="N", help="tokens, for growth")
    parser.add_argument("--only", nargs="+", choices=SECTIONS, default=list(SECTIONS), help="sections to measure")
    parser.add_argument("--quick", action="store_true", help="the demo's student, float32, lengths to 4,000")
    parser.add_argument("--write", action="store_true", help=f"renew these students in {OUT.parent.name}/{OUT.name}")
    args = parser.parse_args()
    if min(args.repeat, args.batch_tokens, args.threads or 1) < 1:
        parser.error("--repeat, --batch-tokens and --threads must be at least 1")
    if args.quick:
        args.student, args.no_demo, args.dtypes = [], False, ["float32"]
    print("\n".join(preamble()))
    for path in [*([] if args.no_demo else [DEMO]), *args.student]:
        try:
            lines = measure(path, args)
        except StepsiftError as error:
            print(error, file=sys.stderr)
            return 1
        # At once: the next student may take an hour.
        print("\n".join(lines), flush=True)
        if args.write:
            page = renewed(OUT.read_text(encoding="utf-8"), {name_of(path): lines})
            OUT.write_text(page, encoding="utf-8", newline="\n")
    return 0


def name_of(path: str) -> str:
    """What the page calls a student."""
    return path if path == DEMO else Path(path).name


def measure(path: str, args: argparse.Namespace) -> list[str]:
    """All sections of one student, as lines of Markdown."""
    settings = params.Student(path=path)
    files = student.locate(settings)
    renderer = student.load_renderer(files, settings)
    names = [name for name in LENGTHS if name in args.sets]
    wanted = [*names, *(["growth"] if "growth" in args.only else [])]
    sets = real(args.traces, renderer, wanted) if args.traces else made_up(renderer)
    setups = {dtype: Setup(settings, dtype, args.threads, args.batch_tokens) for dtype in args.dtypes}
    lines = [f"## {name_of(path)}", "", *made_by(sys.argv[1:], args.repeat)]
    found: dict[tuple[str, bool], Cells] = {
        (name, full): {
            (method, dtype): Cell()
            for dtype in args.dtypes
            for method in (FULL if full else LOCAL)
            if name in COMPARED or method in ALL_OURS
        }
        for name, full in product(names, (False, True))
    }
    facts, ceilings = None, dict[str, float]()
    if "speed" in args.only:
        facts = measure_speed(setups, sets, found, ceilings, args.repeat)
        shown = ", ".join(f"{dtype} {flops / 1e9:.0f} Gflop/s" for dtype, flops in ceilings.items())
        lines += [
            f"Threads: {facts.threads}. Linear layers: {facts.body / 1e6:.2f} M weights, output embedding "
            f"{facts.head / 1e6:.2f} M. Ceiling: {shown}. Token budget {args.batch_tokens:,}.",
            "",
        ]
    if "memory" in args.only:
        measure_memory(setups, sets, found)
    if {"speed", "memory"} & set(args.only):
        for (name, full), cells in found.items():
            lines += section(name, full, sets[name], cells, facts, ceilings)
    if "growth" in args.only:
        lengths = QUICK_GROWTH if args.quick else tuple(args.lengths)
        for dtype, setup in setups.items():
            lines += growth_section(dtype, measure_growth(setup, sets["growth"], lengths, args.repeat))
    return lines


class _Process(Enum):
    """What has a process of its own in each dtype."""

    OURS = 1
    OWN_DECODER = 2
    BASELINES = 3


def _process_of(method: str) -> _Process:
    if method in WITH_OWN:
        return _Process.OWN_DECODER
    return _Process.OURS if method in ALL_OURS else _Process.BASELINES


def measure_speed(
    setups: dict[str, Setup],
    sets: dict[str, list[Trace]],
    found: dict[tuple[str, bool], Cells],
    ceilings: dict[str, float],
    repeat: int,
) -> Facts:
    """Call every method in turn, `repeat` times; fills `found` and `ceilings`.

    Raises ScoringError if a student cannot be loaded, or if this engine changes the number of threads.
    """
    with ExitStack() as open_workers:
        workers = {
            (dtype, of): open_workers.enter_context(Worker(setup)) for dtype, setup in setups.items() for of in _Process
        }
        facts = {key: _must(worker.ask("facts")) for key, worker in workers.items()}
        for number in range(1, repeat + 1):
            for dtype in setups:
                ceiling = _must(workers[dtype, _Process.BASELINES].ask("ceiling"))
                ceilings[dtype] = max(ceilings.get(dtype, 0.0), ceiling)
            in_turn = ((name, *key, cell) for (name, _), cells in found.items() for key, cell in cells.items())
            for name, method, dtype, cell in in_turn:
                if not cell.failed and sum(cell.seconds) < CELL_S:
                    worker = workers[dtype, _process_of(method)]
                    _keep(cell, sets[name], worker.ask("run", method, sets[name], AT_LEAST_S))
                    _progress(name, method, dtype, f"round {number}: {cell.failed or f'{cell.seconds[-1]:.3f} s'}")
        after = {key: worker.ask("facts") for key, worker in workers.items()}
    threads = {f.threads for f in (*facts.values(), *after.values()) if isinstance(f, Facts)}
    if len(threads) > 1:
        raise ScoringError(f"methods ran with different numbers of threads ({sorted(threads)}); set --threads 1")
    return next(iter(facts.values()))


def measure_memory(
    setups: dict[str, Setup], sets: dict[str, list[Trace]], found: dict[tuple[str, bool], Cells]
) -> None:
    """Peak of every method and dtype in a fresh process, which takes the sets in order of their length."""
    for full, dtype in product((False, True), setups):
        for method in FULL if full else LOCAL:
            with Worker(setups[dtype]) as worker:
                for (name, of_full), cells in found.items():
                    if of_full == full and (cell := cells.get((method, dtype))) and not cell.failed:
                        _keep_peak(cell, worker.ask("peak_mb", method, sets[name]))
                        _progress(name, method, dtype, cell.failed or f"peak {cell.peak_mb or 0:.0f} MB")


def measure_growth(
    setup: Setup, traces: list[Trace], lengths: tuple[int, ...], repeat: int
) -> dict[int, tuple[Cell, Cell]]:
    """Cells of LALP and of the full pass for each length: memory in a process each, then time in one, in turn."""
    cells = {n: (Cell(), Cell()) for n in lengths}
    cut = {n: [end_to_end(traces, n)] for n in lengths}
    for i, method in enumerate((OURS, OURS_FULL)):
        with Worker(setup) as worker:
            for n in lengths:
                cell = cells[n][i]
                _keep_peak(cell, worker.ask("peak_mb", method, cut[n]))
                _progress(f"{n} tokens", method, setup.dtype, cell.failed or f"peak {cell.peak_mb or 0:.0f} MB")
    with Worker(setup) as worker:
        for number, n in product(range(repeat), lengths):
            for method, cell in zip((OURS, OURS_FULL), cells[n], strict=True):
                if not cell.failed and sum(cell.seconds) < CELL_S:
                    _keep(cell, cut[n], worker.ask("run", method, cut[n], AT_LEAST_S))
                    done = cell.failed or f"{cell.seconds[-1]:.3f} s"
                    _progress(f"{n} tokens", method, setup.dtype, f"round {number + 1}: {done}")
    return cells


def _keep(cell: Cell, traces: list[Trace], answer: Run | Failure) -> None:
    if isinstance(answer, Failure):
        cell.failed = answer.reason
    else:
        cell.seconds += answer.seconds
        cell.keep(traces, answer.values)


def _keep_peak(cell: Cell, answer: float | Failure | None) -> None:
    if isinstance(answer, Failure):
        cell.failed = answer.reason
    else:
        cell.peak_mb = answer


def _must(answer: Any) -> Any:
    if isinstance(answer, Failure):
        raise ScoringError(f"the student cannot be measured: {answer.reason}")
    return answer


def _progress(what: str, method: str, dtype: str, done: str) -> None:
    print(f"{what:12} {method:24} {dtype:9} {done}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
