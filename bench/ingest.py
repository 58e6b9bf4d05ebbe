"""Speed and peak memory of ingest: rows/s, and MB at 1x and 10x the rows, for each file format.

    python bench/ingest.py [--rows 5000] [--chars 4000]
    python bench/ingest.py --real FOLDER [--rows 30000]

Rows are made here: prompts with a mathematical gold answer, four teachers, responses of `--chars` characters that no
two share. Each run is a process of its own, because peak memory never goes down within one. Memory is flat where the
two columns agree; "base" is what the imports alone take. Reading alone is `survey`. With --real, rows of the
`*.jsonl.gz` files of a folder are taken, over again with teachers of other names until there are enough, and ingest
runs with 1 and with 2 workers.
"""

import argparse
import gzip
import json
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from stepsift import params
from stepsift.ingest.run import ingest, survey

TEACHERS = 4
WORDS = ("Then", "we", "add", "12", "to", "both", "sides,", "so", "that", "\\frac{3x}{4}", "=", "15", "and", "x.\n")


def rows(count: int, chars: int) -> Iterator[dict[str, str | int]]:
    rng = random.Random(0)
    for i in range(count):
        prompt, teacher = divmod(i, TEACHERS)
        words = " ".join(rng.choices(WORDS, k=chars // 5))
        yield {
            "prompt_id": prompt,
            "prompt": f"What is {prompt} + 1? " + " ".join(rng.choices(WORDS, k=40)),
            "response": f"<think>{words[:chars]}</think>The answer is {prompt + (teacher < 3)}.",
            "teacher": f"teacher-{teacher}",
            "answer": str(prompt + 1),
        }


def write(path: Path, count: int, chars: int) -> None:
    made = rows(count, chars)
    if path.suffix == ".parquet":
        first = pa.Table.from_pylist(list(islice(made, 1_000)))
        with pq.ParquetWriter(path, first.schema) as writer:
            writer.write_table(first)
            while batch := list(islice(made, 1_000)):
                writer.write_table(pa.Table.from_pylist(batch, first.schema))
    elif path.suffix == ".json":
        with path.open("w") as f:
            f.write("[")
            f.writelines(json.dumps(row) if i == 0 else ",\n" + json.dumps(row) for i, row in enumerate(made))
            f.write("]")
    else:
        with gzip.open(path, "wt", compresslevel=1) if path.suffix == ".gz" else path.open("w") as f:
            f.writelines(json.dumps(row) + "\n" for row in made)


def peak_mb() -> float:
    """The most memory that this program has had, in 2^20 bytes.

    Linux hands a process's `ru_maxrss` on to the programs that it starts, so its own figure is read where there is one.
    """
    status = Path("/proc/self/status")
    if status.exists():
        fields = (line.partition(":") for line in status.read_text(encoding="ascii").splitlines())
        return next(int(value.split()[0]) for name, _, value in fields if name == "VmHWM") / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def write_real(path: Path, count: int, folder: Path) -> None:
    lines: list[str] = []
    for file in sorted(folder.glob("*.jsonl.gz")):
        with gzip.open(file, "rt", encoding="utf-8") as pool:
            lines += pool
    with path.open("w", encoding="utf-8") as f:
        for i in range(count):
            turn, place = divmod(i, len(lines))
            row = json.loads(lines[place])
            f.write(json.dumps(row | {"teacher": f"{row['teacher']}-{turn}"}) + "\n")


def real(folder: Path, count: int) -> None:
    with tempfile.TemporaryDirectory() as temporary:
        sources = Path(temporary, "sources")
        sources.mkdir()
        write_real(sources / "pool.jsonl", count, folder)
        for workers in ("1", "2"):
            command = [sys.executable, __file__, "--child", workers, str(sources), str(Path(temporary, workers))]
            found = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
            speed = f"{found['s']:7.1f} s {found['read'] / found['s']:8.0f} rows/s"
            print(f"{workers} worker(s) {found['read']:8d} rows {speed}", flush=True)


def child(what: str, sources: Path, out: Path) -> None:
    base, start = peak_mb(), time.perf_counter()
    if what == "survey":
        read = survey(sources, params.Ingest()).total.read
    else:
        workers = int(what) if what.isdigit() else None
        read = ingest(sources, out, params.Ingest(workers=workers)).total.read
    print(json.dumps({"read": read, "s": time.perf_counter() - start, "base_mb": base, "peak_mb": peak_mb()}))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=5_000)
    parser.add_argument("--real", type=Path, metavar="FOLDER", help="a folder of real traces, *.jsonl.gz")
    parser.add_argument("--chars", type=int, default=4_000)
    parser.add_argument("--child", nargs=3, metavar=("WHAT", "SOURCES", "OUT"), help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.child:
        child(args.child[0], Path(args.child[1]), Path(args.child[2]))
        return
    if args.real:
        real(args.real, args.rows)
        return
    print(f"{'what':8} {'format':10} {'rows':>8} {'MB':>7} {'s':>7} {'rows/s':>8} {'base MB':>8} {'peak MB':>8}")
    for what, suffix in (("survey", "jsonl"), *(("ingest", s) for s in ("jsonl", "jsonl.gz", "json", "parquet"))):
        for count in (args.rows, 10 * args.rows):
            with tempfile.TemporaryDirectory() as folder:
                sources = Path(folder, "sources")
                sources.mkdir()
                file = sources / f"pool.{suffix}"
                write(file, count, args.chars)
                size = file.stat().st_size / 1e6
                command = [sys.executable, __file__, "--child", what, str(sources), str(Path(folder, "out"))]
                found = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
            speed = f"{found['read']:8d} {size:7.1f} {found['s']:7.1f} {found['read'] / found['s']:8.0f}"
            print(f"{what:8} {suffix:10} {speed} {found['base_mb']:8.0f} {found['peak_mb']:8.0f}", flush=True)


if __name__ == "__main__":
    main()
