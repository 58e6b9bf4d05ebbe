"""`make chaos`: `dvc repro` killed, out of disk, twice at once, at another time and cut off; the same bytes in the end.

    python -P tests/helpers/chaos.py [--kills 30] [--full-disks 5] [--auditions 3] [--seed 0] [--until STAGE] ..

Every scenario runs the real pipeline on the smallest pool that the tests have, in a folder of its own, with caches of
its own. After each disturbance the run is simply given again, and what it leaves is compared with an undisturbed one,
file by file. All that the disturbed runs said is printed, each line once, to be read; a traceback is a failure.

A full disk is played by RLIMIT_FSIZE: a write beyond that many bytes of a file fails, as it does on a full disk, with
another number. The clock needs libfaketime (Debian package `faketime`); without it that scenario is skipped, and said.
"""

import argparse
import hashlib
import os
import random
import re
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "src"), str(ROOT / "tests")]

from helpers import pipeline_repo  # noqa: E402 - the tests' own small pipeline

AUDITION = ("stepsift", "audition")
OUTPUTS = ("data", "metrics", "report", "auditions", "dvc.lock")
_CHANGING = re.compile(r"\d+(?:[.,:]\d+)*|[0-9a-f]{8,}|/\S+")
"""Numbers, ids and paths, by which lines that say the same differ."""


@dataclass
class Scenario:
    """What one kind of disturbance came to."""

    name: str
    disturbed: int = 0
    finished: int = 0
    places: Counter[str] = field(default_factory=Counter)
    differing: list[str] = field(default_factory=list)
    skipped: str = ""


@dataclass
class Chaos:
    """The harness: where the copies lie, what an undisturbed run left, and all that was said."""

    folder: Path
    draw: random.Random
    expected: dict[str, str] = field(default_factory=dict)
    seconds: float = 0.0
    lines: dict[str, tuple[str, str]] = field(default_factory=dict)
    tracebacks: int = 0
    repro: tuple[str, ...] = ("dvc", "repro")

    def fresh(self) -> Path:
        """A repository in which nothing was run yet."""
        repo = self.folder / "repo"
        shutil.rmtree(repo, ignore_errors=True)
        shutil.copytree(self.folder / "begun", repo, symlinks=True)
        return repo

    def start(self, repo: Path, command: tuple[str, ...] = (), **more: object) -> subprocess.Popen[str]:
        """A run in a session of its own, so that all of it can be killed."""
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        environment = os.environ | {"PATH": path, "PYTHONPATH": str(repo / "src")} | dict(more.pop("env", {}))  # type: ignore[call-overload]
        environment.pop("STEPSIFT_CACHE", None)
        log = (self.folder / "log").open("a")
        return subprocess.Popen(  # type: ignore[call-overload]
            *(command or self.repro,), cwd=repo, env=environment, text=True, stdout=log, stderr=subprocess.STDOUT,
            start_new_session=True, **more,
        )  # fmt: skip

    def read(self, scenario: str) -> str:
        """What was said since, kept for the end; the stage that was running when it ended."""
        log = self.folder / "log"
        text = log.read_text(errors="backslashreplace") if log.exists() else ""
        log.unlink(missing_ok=True)
        self.tracebacks += text.count("Traceback (most recent call last)")
        for line in filter(None, map(str.strip, re.split(r"[\n\r]", text))):
            self.lines.setdefault(_CHANGING.sub("#", line), (scenario, line))
        stages = re.findall(r"Running stage '(\w+)'", text)
        return stages[-1] if stages else "before the first stage"

    def finish(self, repo: Path, scenario: Scenario, command: tuple[str, ...] = ()) -> None:
        """Give the run again, undisturbed, and compare."""
        code = self.start(repo, command).wait()
        self.read(scenario.name)
        if code:
            scenario.differing.append(f"the last run ended with {code}")
        self.compare(repo, scenario)

    def compare(self, repo: Path, scenario: Scenario) -> None:
        """Note the files that differ from those of the undisturbed run."""
        scenario.finished += 1
        left = digests(repo)
        paths = [p for p in sorted({*left, *self.expected}) if not p.startswith("auditions")]
        scenario.differing += [p for p in paths if left.get(p) != self.expected.get(p)]


def digests(repo: Path) -> dict[str, str]:
    """Path to SHA-256 of every output."""
    files = [f for name in OUTPUTS for f in [repo / name, *(repo / name).rglob("*")] if f.is_file()]
    return {str(f.relative_to(repo)): hashlib.sha256(f.read_bytes()).hexdigest() for f in files}


def kills(chaos: Chaos, n: int, command: tuple[str, ...] = ()) -> Scenario:
    """Kill the run and all of its processes at random moments; begin anew whenever one comes to its end."""
    scenario = Scenario("kill " + " ".join(command or chaos.repro))
    repo = chaos.fresh() if not command else chaos.folder / "undisturbed"
    while scenario.disturbed < n:
        run = chaos.start(repo, command)
        # Half of the moments lie in the whole run, half near its beginning, where one that goes on has its work.
        longest = chaos.seconds * chaos.draw.choice([0.3, 1.0])
        try:
            run.wait(chaos.draw.uniform(0.5, longest))
        except subprocess.TimeoutExpired:
            os.killpg(run.pid, signal.SIGKILL)
            run.wait()
            scenario.disturbed += 1
            scenario.places[chaos.read(scenario.name)] += 1
            continue
        if run.returncode:
            scenario.differing.append(f"a run that was not killed ended with {run.returncode}")
        chaos.read(scenario.name)
        chaos.compare(repo, scenario)
        if not command:
            repo = chaos.fresh()
    chaos.finish(repo, scenario, command)
    return scenario


def full_disks(chaos: Chaos, n: int) -> Scenario:
    """Let no file grow beyond a random size; the run ends with a sentence, or gets by."""
    scenario = Scenario("full disk (RLIMIT_FSIZE)")
    repo = chaos.fresh()
    for _ in range(n):
        most = int(10 ** chaos.draw.uniform(3.5, 5.5))
        run = chaos.start(repo, preexec_fn=lambda most=most: resource.setrlimit(resource.RLIMIT_FSIZE, (most, most)))
        failed = run.wait() != 0
        scenario.disturbed += failed
        scenario.places[chaos.read(scenario.name)] += failed
        if not failed:  # nothing is left to be disturbed
            chaos.compare(repo, scenario)
            repo = chaos.fresh()
    chaos.finish(repo, scenario)
    return scenario


def two_at_once(chaos: Chaos) -> Scenario:
    """Two runs on one repository."""
    scenario = Scenario("two repros at once")
    repo = chaos.fresh()
    both = [chaos.start(repo) for _ in range(2)]
    scenario.disturbed = sum(run.wait() != 0 for run in both)
    scenario.places[chaos.read(scenario.name)] += 1
    chaos.finish(repo, scenario)
    return scenario


def clock_set_back(chaos: Chaos) -> Scenario:
    """Half a run today, the rest 400 days ago."""
    scenario = Scenario("clock set back")
    libraries = sorted(Path("/usr/lib").glob("**/faketime/libfaketime.so.1"))
    if not libraries:
        scenario.skipped = "libfaketime is not installed"
        return scenario
    repo = chaos.fresh()
    run = chaos.start(repo)
    try:
        run.wait(chaos.seconds / 2)
    except subprocess.TimeoutExpired:
        os.killpg(run.pid, signal.SIGKILL)
        run.wait()
    scenario.places[chaos.read(scenario.name)] += 1
    code = chaos.start(repo, env={"LD_PRELOAD": str(libraries[0]), "FAKETIME": "-400d"}).wait()
    scenario.disturbed = 1
    if code:
        scenario.differing.append(f"the run of 400 days ago ended with {code}")
    chaos.finish(repo, scenario)
    return scenario


def cut_off(chaos: Chaos) -> Scenario:
    """Neither DVC's remote nor the MLflow server answers."""
    scenario = Scenario("no remote, no MLflow server")
    repo = chaos.fresh()
    pipeline_repo.ok(repo, "dvc", "remote", "add", "-d", "gone", "/dev/null/is/no/folder")
    pipeline_repo.change(repo, "tracking", uri="http://127.0.0.1:9")
    scenario.disturbed = 1
    if code := chaos.start(repo).wait():
        scenario.differing.append(f"it ended with {code}")
    scenario.places[chaos.read(scenario.name)] += 1
    chaos.start(repo, ("dvc", "push")).wait()
    chaos.read(scenario.name)
    chaos.compare(repo, scenario)
    return scenario


def undisturbed(chaos: Chaos) -> None:
    """Run the pipeline once, and keep what it leaves."""
    (chaos.folder / "begun").mkdir()
    pipeline_repo.start(chaos.folder / "begun")
    small = {"selectors": ["lalp"], "teachers": [], "controls": ["random"], "seeds": [0], "budgets": ["examples"]}
    pipeline_repo.change(chaos.folder / "begun", "audition", **small)
    repo = Path(shutil.copytree(chaos.folder / "begun", chaos.folder / "undisturbed", symlinks=True))
    began = time.monotonic()
    if code := chaos.start(repo).wait():
        sys.exit(f"the undisturbed run ended with {code}:\n{(chaos.folder / 'log').read_text()}")
    chaos.seconds = time.monotonic() - began
    chaos.read("undisturbed")
    chaos.expected = digests(repo)


def scenarios(chaos: Chaos, arguments: argparse.Namespace) -> Iterator[Scenario]:
    """Those that were asked for, one after the other."""
    all_of_them: dict[str, Callable[[], Scenario]] = {
        "kills": lambda: kills(chaos, arguments.kills),
        "disk": lambda: full_disks(chaos, arguments.full_disks),
        "two": lambda: two_at_once(chaos),
        "clock": lambda: clock_set_back(chaos),
        "off": lambda: cut_off(chaos),
        "audition": lambda: kills(chaos, arguments.auditions, AUDITION),
    }
    yield from (run() for name, run in all_of_them.items() if not arguments.only or name in arguments.only)


def table(results: list[Scenario]) -> list[str]:
    """The results as Markdown."""
    lines = ["| disturbance | disturbed runs | where they were | ended undisturbed, compared | files that differ |"]
    lines.append("|---|---:|---|---:|---|")
    for r in results:
        where = ", ".join(f"{place} {n}" for place, n in r.places.most_common())
        differing = (r.skipped and f"skipped: {r.skipped}") or ", ".join(dict.fromkeys(r.differing)) or "none"
        lines.append(f"| {r.name} | {r.disturbed} | {where} | {r.finished} | {differing} |")
    return lines


def main() -> int:
    """Run the scenarios; 1 if one left other bytes, or a traceback was shown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=30, help="kills of dvc repro (default: 30)")
    parser.add_argument("--full-disks", type=int, default=5, help="runs that may write no large file (default: 5)")
    parser.add_argument("--auditions", type=int, default=3, help="kills of stepsift audition (default: 3)")
    parser.add_argument("--seed", type=int, default=0, help="of the moments (default: 0)")
    parser.add_argument("--only", nargs="*", metavar="NAME", help="kills, disk, two, clock, off, audition")
    parser.add_argument("--until", metavar="STAGE", help="run the pipeline up to this stage alone")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        chaos = Chaos(Path(folder), random.Random(arguments.seed))
        if arguments.until:
            chaos.repro = (*chaos.repro, arguments.until)
        undisturbed(chaos)
        print(f"an undisturbed run: {chaos.seconds:.0f} s, {len(chaos.expected)} files", flush=True)
        results = []
        for result in scenarios(chaos, arguments):
            results.append(result)
            print(table([result])[-1], flush=True)
    print("\nAll that was said, each line once, numbers and paths aside:\n")
    for scenario, line in chaos.lines.values():
        print(f"[{scenario}] {line[:400]}")
    print("\n" + "\n".join(table(results)) + f"\n\ntracebacks: {chaos.tracebacks}")
    return 1 if chaos.tracebacks or any(r.differing for r in results) else 0


if __name__ == "__main__":
    sys.exit(main())
