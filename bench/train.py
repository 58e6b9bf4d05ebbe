"""CPU time and memory of training beside the same training without what this project adds to it.

    python bench/train.py [--student FOLDER] [--examples 30] [--dtype mixed] [--prompt 80] [--response 120]

Examples are made-up token ids. Each way trains in a process of its own, on one thread: "plain" leaves freed memory to
the C library (see `core/memory.py`) and the head to TRL, "memory kept" only the head (see `train/head.py`); "shipped"
is what the project does. Seconds are the process's CPU time from the first update to the last, in the program and in
the system; the first ten examples are trained on before the clock starts. It says which ways end with the same weights.
"""

import argparse
import inspect
import json
import random
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

import polars as pl

from ingest import peak_mb
from stepsift import params, student
from stepsift.core import disk, tables
from stepsift.train.examples import Examples
from stepsift.train.launch import Job
from tables import ROOT

WAYS = ("plain", "memory kept", "shipped")
UNTIMED_EXAMPLES = 10
BATCH_SIZE = 2


def train(way: str, path: str, sizes: list[int], dtype: str, out: Path) -> dict[str, float | str]:
    """Train once; CPU seconds of the program and of the system, peak memory and the weights' SHA-256."""
    import torch

    from stepsift.train import head
    from stepsift.train.fit import fit_student

    torch.set_num_threads(1)
    n_examples, n_prompt, n_response = sizes
    source = student.find(params.Student(path=path))
    draw = random.Random(0)
    most = len(source.load_renderer().tokenizer)
    ids = [
        ([draw.randrange(most) for _ in range(n_prompt)], [draw.randrange(most) for _ in range(n_response)])
        for _ in range(UNTIMED_EXAMPLES + n_examples)
    ]
    settings = params.Train.model_validate({"seeds": [0], "batch_size": BATCH_SIZE, "dtype": dtype, "epochs": 1})
    job = Job(source, settings, Examples(ids, pl.DataFrame(schema=tables.REJECTED.schema)), 0, out)
    used: list[tuple[float, float]] = []

    def on_log(*_: object) -> None:
        now = resource.getrusage(resource.RUSAGE_SELF)
        used.append((now.ru_utime, now.ru_stime))

    fit = inspect.unwrap(fit_student) if way == "plain" else fit_student
    if way != "shipped":
        head.fits = lambda model: False
    fit(job, on_log)
    begin, end = used[UNTIMED_EXAMPLES // BATCH_SIZE - 1], used[-1]
    sha = disk.file_sha256(out / "model.safetensors")
    return {"user": end[0] - begin[0], "system": end[1] - begin[1], "peak": peak_mb(), "weights": sha}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--student", default=str(ROOT / "demo/student"))
    parser.add_argument("--examples", type=int, default=30)
    parser.add_argument("--prompt", type=int, default=80, help="tokens of a prompt")
    parser.add_argument("--response", type=int, default=120, help="tokens of a response")
    parser.add_argument("--dtype", default="mixed")
    parser.add_argument("--child", choices=WAYS, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.child:
        with tempfile.TemporaryDirectory() as out:
            sizes = [args.examples, args.prompt, args.response]
            print(json.dumps(train(args.child, args.student, sizes, args.dtype, Path(out))))
        return
    size = f"{args.examples} examples of {args.prompt} + {args.response} tokens"
    print(f"{Path(args.student).name}: {size}, {args.dtype}")
    print("| way | program, CPU s | system, CPU s | ms a token | peak MB | weights |")
    print("| --- | --- | --- | --- | --- | --- |")
    first = None
    for way in WAYS:
        command = [sys.executable, __file__, *sys.argv[1:], "--child", way]
        said = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, stderr=subprocess.DEVNULL)
        seen = json.loads(said.stdout.splitlines()[-1])
        first = first or seen["weights"]
        each = 1e3 * (seen["user"] + seen["system"]) / args.examples / (args.prompt + args.response)
        print(
            f"| {way} | {seen['user']:.1f} | {seen['system']:.1f} | {each:.2f} | {seen['peak']:.0f} | "
            f"{'the same' if seen['weights'] == first else 'other digits'} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
