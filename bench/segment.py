"""Speed of the splitter: MB/s for each unit on ordinary text, seconds on adversarial texts of growing size.

    python bench/segment.py [--megabytes 8] [--traces FOLDER]
    python bench/segment.py --workers 1 2 --pool 100 [--repeat 3]

Ordinary text is generated here; FOLDER may hold `*.jsonl.gz` files whose rows have a `response`. A line of the second
table shows linear time where its seconds double from column to column. With `--workers`, a table of traces of so many
megabytes is cut by each number of processes in turn, as the stage does it, and the bytes written are compared. CPU
seconds are those of all processes.
"""

import argparse
import gzip
import json
import random
import resource
import tempfile
import time
from pathlib import Path
from typing import Any, Literal, get_args

import polars as pl

from stepsift import params
from stepsift.core import disk, table_files, tables
from stepsift.segment import segment_tables, split

Unit = Literal["sentence", "line", "paragraph"]
SIZES_MB = (0.25, 0.5, 1, 2)
FRAGMENTS = (
    *(
        "a",
        " ",
        "\n",
        "\r\n",
        "a\n",
        "(",
        ".",
        ". ",
        ".)",
        "a.b.",
        "1. ",
        "A. ",
        "5! ",
        "。",
        "好。",
        "|",
        "|\n",
        "| a |\n",
    ),
    *("$", "$ ", "$$ ", "$x ", "\\", "\\(", "\\[", "\\[\\(", "\\begin{a}", "`", "`a", "```\n", "\n```x\n", "~~~\n"),
    *("<think>", "</think>", "<think>x</think>", "# \n", "- ", "- a\n", "e\u0301\u0301", "👩\u200d"),
)

SENTENCES = (
    "Okay, so I need to find how many apples Tom has left after {a} days.",
    "Each day he buys {a} more and gives {b} to his friends, e.g. Dr. Smith.",
    "Wait, that is not right. Let me check: {a} * {b} = {c}.",
    "Hmm... maybe $x = {a}.5$ and $y^2 + {b} = {c}$, so \\(x + y < {c}\\) holds?",
    "Therefore the total is {a} + {b}, which is less than {c}, as Fig. 2 shows.",
)
BLOCKS = (
    "{a} + {b} = {c}\n{c} * 2 = {a}",
    "- **First:** {a} apples\n- **Second:** {b} pears. Both are ripe.\n1. Add them\n2. Halve them",
    "\\[\n\\frac{{{a}}}{{{b}}} = \\sqrt{{{c}}} \\\\\n\\]",
    "```python\nx = {a}\ny = x + {b}\nprint(x, y)\n```",
    "| day | apples |\n|---|---|\n| {a} | {b} |\n| {b} | {c} |",
)


def ordinary(megabytes: float) -> list[str]:
    """Made-up traces of some thousand characters: thinking in prose, now and then a block, an answer."""
    draw = random.Random(0)

    def fill(template: str) -> str:
        return template.format(a=draw.randrange(1, 99), b=draw.randrange(1, 99), c=draw.randrange(1, 9_999))

    traces: list[str] = []
    written = 0.0
    while written < megabytes * 1e6:
        parts = ["<think>"]
        for _ in range(draw.randrange(4, 60)):
            prose = " ".join(fill(draw.choice(SENTENCES)) for _ in range(draw.randrange(1, 6)))
            parts.append(prose if draw.random() < 0.85 else fill(draw.choice(BLOCKS)))
        traces.append("\n\n".join([*parts, "</think>", fill("The answer is \\boxed{{{a}}}.")]))
        written += len(traces[-1].encode())
    return traces


def seconds(texts: list[str], unit: Unit) -> tuple[float, int]:
    """Seconds of this process for all texts, and their steps."""
    settings = params.Segment(unit=unit)
    start = time.process_time()
    steps = sum(len(split(text, settings).starts) for text in texts)
    return time.process_time() - start, steps


def show_speed(name: str, texts: list[str]) -> None:
    size = sum(len(text.encode()) for text in texts) / 1e6
    for unit in get_args(Unit):
        best, steps = min(seconds(texts, unit) for _ in range(3))
        characters = sum(map(len, texts)) / steps
        print(
            f"{name:24} {unit:10} {size:6.1f} MB {size / best:6.1f} MB/s {steps:8} steps {characters:6.1f} chars a step"
        )


def show_growth(fragment: str) -> None:
    times = [seconds([fragment * int(size * 1e6 / len(fragment.encode()))], "sentence")[0] for size in SIZES_MB]
    print(f"{fragment!r:24}" + "".join(f"{s:9.3f}" for s in times))


def show_workers(numbers: list[int], megabytes: float, repeat: int) -> None:
    """A line for each number of processes: the least seconds of all rounds, and how often as fast as the first."""
    base = ordinary(8)
    responses = base * max(1, round(megabytes / 8))
    seconds: dict[int, list[float]] = {n: [] for n in numbers}
    cpu: dict[int, list[float]] = {n: [] for n in numbers}
    written: dict[int, str] = {}
    with tempfile.TemporaryDirectory() as folder:
        pool, out = Path(folder) / "traces.parquet", Path(folder) / "steps.parquet"
        with table_files.Writer(tables.TRACES, pool) as writer:
            for start in range(0, len(responses), 1_000):
                part = responses[start : start + 1_000]
                ids = [f"t{start + i:08d}" for i in range(len(part))]
                row: dict[str, Any] = {name: [None] * len(part) for name in tables.TRACES.schema}
                known = dict.fromkeys(("trace_id", "content_hash", "prompt_id"), ids)
                known |= {name: ["x"] * len(part) for name in ("teacher", "source")}
                row |= known | {"response": part, "verdict": ["unchecked"] * len(part), "source_line": [1] * len(part)}
                writer.write(pl.DataFrame(row, schema=tables.TRACES.schema))
        for _ in range(repeat):
            for n in numbers:
                begin, cpu_begin = time.perf_counter(), _cpu_s()
                with table_files.Writer(tables.STEPS, out) as writer:
                    frames = table_files.scan(tables.TRACES, pool, ["trace_id", "response"])
                    for steps in segment_tables(frames, params.Segment(workers=n)):
                        writer.write(steps)
                seconds[n].append(time.perf_counter() - begin)
                cpu[n].append(_cpu_s() - cpu_begin)
                written[n] = disk.file_sha256(out)
    first = min(seconds[numbers[0]])
    print(f"{len(responses):,} traces, {sum(map(len, responses)) / 1e6:.0f} million characters")
    for n in numbers:
        same = "the same bytes" if written[n] == written[numbers[0]] else "OTHER BYTES"
        least = min(seconds[n])
        print(f"{n} workers: {least:.1f} s, {first / least:.2f} x as fast, {min(cpu[n]):.1f} CPU s, {same}")


def _cpu_s() -> float:
    """CPU seconds of this process and of those that have ended."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(u.ru_utime + u.ru_stime for u in used)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--megabytes", type=float, default=8, help="ordinary text to generate")
    parser.add_argument("--traces", type=Path, help="folder with *.jsonl.gz files of real traces")
    parser.add_argument("--workers", type=int, nargs="+", help="numbers of processes to compare")
    parser.add_argument("--pool", type=float, default=100, help="megabytes of responses, with --workers")
    parser.add_argument("--repeat", type=int, default=1, help="rounds, with --workers")
    arguments = parser.parse_args()
    if arguments.workers:
        show_workers(arguments.workers, arguments.pool, arguments.repeat)
        return
    show_speed("generated", ordinary(arguments.megabytes))
    for path in sorted(arguments.traces.glob("*.jsonl.gz")) if arguments.traces else []:
        with gzip.open(path, "rt", encoding="utf-8") as lines:
            show_speed(path.name, [json.loads(line)["response"] for line in lines])
    print("\nseconds for megabytes of   " + "".join(f"{size:9}" for size in SIZES_MB))
    for fragment in FRAGMENTS:
        show_growth(fragment)


if __name__ == "__main__":
    main()
