"""Every stage of a finished pipeline killed at chosen places, then run again: which outputs differ from before?

    python -P tests/helpers/stage_kills.py REPO KILLS [DISKS]

REPO is a repository in which `dvc repro` has ended; its outputs are what is expected. Each stage is run with its side
caches empty and killed KILLS times in all, each time right before it changes something on the disk: a file is opened
for writing, gets its name, or is removed. These places are counted, so half-written outputs and caches are met on a
fast machine and on a slow one alike; `make chaos` kills at random moments, DVC included. DISKS times in all no file may
grow beyond a random size (RLIMIT_FSIZE), as on a disk that is full; a stage then ends with a sentence, or gets by.

A stage runs in a fork of this process, which imports whatever the stage imported when it first ran, so that starting
costs no time again. Prints one JSON object: stage to the places it was killed at, the number of places that it has,
how many full disks ended it, and the outputs that differ, with what else was left beside them.
"""

import contextlib
import gc
import hashlib
import importlib
import json
import os
import random
import resource
import runpy
import shlex
import shutil
import signal
import subprocess
import sys
import traceback
from pathlib import Path
from typing import Any

import yaml

Stage = tuple[list[str], list[str]]
"""A script with its arguments, and the outputs that it makes."""
WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT
CHANGES = ("os.rename", "os.remove", "os.rmdir", "os.mkdir", "os.link", "os.symlink", "os.truncate")


def watch(folder: Path, fatal: int, counter: Path) -> None:
    """Count the changes below `folder` in this process; be killed right before change number `fatal`.

    The number of changes so far stands in the file `counter`, as its length.
    """
    own = os.getpid()
    made = os.open(counter, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        is_change = event in CHANGES or (event == "open" and bool(arguments[2] & WRITES))
        if not is_change or os.getpid() != own:
            return
        with contextlib.suppress(TypeError):  # a file descriptor has no path
            if not Path(os.fsdecode(arguments[0])).absolute().is_relative_to(folder):
                return
        if os.write(made, b".") and os.fstat(made).st_size == fatal:
            os.kill(own, signal.SIGKILL)

    sys.addaudithook(hook)


def run(repo: Path, command: list[str], fatal: int = 0, most_bytes: int | None = None) -> tuple[int, int]:
    """Run a stage in a fork; its exit code (negative: a signal), and how many changes it made."""
    counter = repo.parent / "changes"
    # The limit of a file's size is not the log's.
    with (repo.parent / "log").open("ab") as log:
        writer = subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=log)
    assert writer.stdin is not None
    pid = os.fork()
    if pid == 0:
        os.dup2(writer.stdin.fileno(), 1)
        os.dup2(writer.stdin.fileno(), 2)
        os.setsid()
        os.chdir(repo)
        sys.argv = command
        watch(repo, fatal, counter)
        if most_bytes is not None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (most_bytes, most_bytes))
        code = 1
        try:
            runpy.run_path(command[0], run_name="__main__")
            code = 0
        except SystemExit as e:
            code = e.code if isinstance(e.code, int) else int(e.code is not None)
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            if not fatal and most_bytes is None:
                (repo.parent / "modules").write_text("\n".join(sys.modules))
            os._exit(code)
    _, status = os.waitpid(pid, 0)
    writer.stdin.close()
    writer.wait()
    return os.waitstatus_to_exitcode(status), counter.stat().st_size


def import_all(modules: list[str]) -> None:
    """Import modules, as far as that is possible by their names; forks then look for no garbage among them."""
    for module in modules:
        if module not in sys.modules and module != "__main__":
            with contextlib.suppress(Exception):
                importlib.import_module(module)
    gc.freeze()


def remove(path: Path) -> None:
    """Away with a file or a folder, as DVC does with a stage's outputs before it runs."""
    shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)


def digests(repo: Path, outputs: list[str]) -> dict[str, str]:
    """Path to SHA-256 of every file of these outputs, and of the hidden ones beside them: what a killed run left."""
    paths = [repo / name for name in outputs]
    files = [f for p in paths for f in (p, *p.rglob("*"), *p.parent.glob(".*")) if f.is_file()]
    return {str(f.relative_to(repo)): hashlib.sha256(f.read_bytes()).hexdigest() for f in files}


def stages(repo: Path) -> dict[str, Stage]:
    """Each stage's script with its arguments, and its outputs."""
    result = {}
    for name, stage in yaml.safe_load((repo / "dvc.yaml").read_text())["stages"].items():
        words = shlex.split(stage["cmd"])
        arguments = words[words.index(name) + 1 :] if name in words else words[3:]
        lists = (stage.get(kind, []) for kind in ("outs", "plots", "metrics"))
        outputs = [next(iter(o)) if isinstance(o, dict) else o for kind in lists for o in kind]
        result[name] = ([f"stages/{name}.py", *arguments], outputs)
    return result


def disturb(repo: Path, stage: Stage, kills: int, disks: int, draw: random.Random) -> dict[str, Any]:
    """What came of one stage (see the top of this file)."""
    command, outputs = stage
    cache = Path(os.environ["STEPSIFT_CACHE"])
    expected = digests(repo, outputs)
    remove(cache)
    code, changes = run(repo, command)
    import_all((repo.parent / "modules").read_text().splitlines())
    killed_at: list[int] = []
    remove(cache)
    cache_is_empty = True
    while code == 0 and len(killed_at) < kills:
        # A place in each part of the run, as many parts as kills; nothing is repaired between two of them, unless what
        # the caches hold has left so little to do that it came to its end.
        fatal = 1 + (2 * len(killed_at) + draw.randrange(2)) * changes // (2 * kills)
        for output in outputs:
            remove(repo / output)
        ended, made = run(repo, command, fatal)
        if ended == -signal.SIGKILL:
            killed_at.append(fatal)
        else:
            # The run that was counted may have changed more than any after it does.
            changes = made if cache_is_empty else changes
            remove(cache)
            code = ended
        cache_is_empty = ended != -signal.SIGKILL
    for output in outputs:
        remove(repo / output)
    full = 0
    for _ in range(disks):
        remove(cache)
        full += run(repo, command, most_bytes=int(10 ** draw.uniform(2, 5)))[0] != 0
    code = code or run(repo, command)[0]
    left = digests(repo, outputs)
    differing = sorted(f for f in {*left, *expected} if left.get(f) != expected.get(f))
    return {"changes": changes, "killed_at": killed_at, "full": full, "code": code, "differing": differing}


def main() -> None:
    """Disturb and compare all stages; print what came of it."""
    repo = Path(sys.argv[1]).resolve()
    os.environ["STEPSIFT_CACHE"] = str(repo / "kills-cache")
    draw, all_stages = random.Random(0), stages(repo)
    kills, disks = (-(-int(n) // len(all_stages)) for n in (*sys.argv[2:], "0")[:2])
    result = {name: disturb(repo, stage, kills, disks, draw) for name, stage in all_stages.items()}
    print(json.dumps(result))


if __name__ == "__main__":
    main()
