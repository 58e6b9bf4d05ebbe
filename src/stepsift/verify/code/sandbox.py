"""Where answers run: a process without network, files of the user, or a way to outlive its time.

Two backends build the same thing out of Linux namespaces: bubblewrap, where it is installed, works and is not started
by real root (whose processes nothing would count), and `sandbox_init.py`. Both need a kernel that lets users make user
namespaces; many containers and some distributions do not. So a backend is believed only after `probe` has run a program
in it that tried what an answer must not do. Where none passes there is no sandbox, and no answer is run.
"""

import json
import os
import secrets
import selectors
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from stepsift.core.finding import Finding
from stepsift.verify.code.sandbox_probe import ATTEMPTS

HERE = Path(__file__).parent
BACKENDS = ("bubblewrap", "namespaces")
"""In the order in which they are tried."""
START_S = 20.0
"""Seconds beside its time that an answer may take for the sandbox to start on a busy machine."""
MEBIBYTE = 2**20
WORK_BYTES = 64 * MEBIBYTE
"""Size of the folder /tmp that a program has for itself; it lies in memory."""
REPLY_FACTOR = 8
"""Bytes of JSON that a byte of output may become, and some for the rest."""
ENVIRONMENT = {
    "PATH": "/usr/bin:/bin",
    "HOME": "/tmp",
    "LANG": "C.UTF-8",
    # Sets are printed in the same order on every run, and linear algebra keeps to one thread.
    "PYTHONHASHSEED": "0",
    "OPENBLAS_NUM_THREADS": "1",
    "OMP_NUM_THREADS": "1",
}
"""All that a program sees of an environment."""
_SYSTEM = ("/usr", "/lib", "/lib64", "/lib32", "/bin", "/etc/ld.so.cache")


@dataclass(frozen=True)
class Limits:
    """Limits of a program: each process by itself, but for `processes` and `output_bytes`."""

    cpu_s: int = 10
    memory_bytes: int = 1024 * MEBIBYTE
    """Address space."""
    processes: int = 8
    """Processes and threads at a time, those of the sandbox (two or three) counted."""
    file_bytes: int = 16 * MEBIBYTE
    files: int = 64
    """Open files."""
    output_bytes: int = 8 * MEBIBYTE
    """What all runs of an answer may print and return."""


@dataclass(frozen=True)
class Sandbox:
    """A backend that passed the probe; `reason` is set, and `command` empty, where there is none."""

    name: str
    """bubblewrap, namespaces or none."""
    command: tuple[str, ...]
    """What comes before the source of the runner."""
    reason: str = ""
    """Why there is none, in one sentence."""

    def run(self, job: dict[str, Any], seconds: float, limits: Limits) -> list[dict[str, str | None]] | str:
        """The runner's results for a job (sandbox_runner.py), or the reason in a word why there are none.

        A program that is still running START_S after its time is killed with everything that it started.
        """
        whole = {**job, "seconds": seconds, "limits": asdict(limits)}
        with tempfile.TemporaryFile() as stdin, tempfile.TemporaryFile() as stderr:
            stdin.write(json.dumps(whole).encode())
            stdin.seek(0)
            process = subprocess.Popen(
                self.command,
                stdin=stdin,
                stdout=subprocess.PIPE,
                stderr=stderr,
                env=ENVIRONMENT,
                cwd="/",
                start_new_session=True,
            )
            try:
                reply, late = _read(process, seconds + START_S, REPLY_FACTOR * limits.output_bytes)
            finally:
                # The first process of the namespace is in this group, and takes all others with it.
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
            if late:
                return "time"
            try:
                return [
                    {"reason": _word(r["reason"]), "output": str(r["output"]), "value": _word(r["value"])}
                    for r in json.loads(reply)
                ]
            except (ValueError, TypeError, KeyError, RecursionError):
                stderr.seek(0)
                said = stderr.read(2_000).decode("utf-8", "replace").strip()
                return " ".join(said.split()) or "the runner ended without a reply"


def find(backends: tuple[str, ...] = BACKENDS) -> Sandbox:
    """The first of some backends that passes the probe, else a Sandbox that says why none did."""
    if not sys.platform.startswith("linux"):
        return Sandbox("none", (), f"answers can only be isolated on Linux, and this is {sys.platform}")
    home = Path.home().resolve()
    if any(home.is_relative_to(path) for path in _binds()):
        return Sandbox(
            "none", (), f"the home folder {home} lies within the Python installation, which answers can read"
        )
    reasons = []
    for name in backends:
        command = _COMMANDS[name]()
        reason = command if isinstance(command, str) else probe(Sandbox(name, command))
        if not reason:
            return Sandbox(name, tuple(command))
        reasons.append(f"{name}: {reason}")
    return Sandbox("none", (), "; ".join(reasons))


def probe(sandbox: Sandbox) -> str:
    """Why a backend is not to be trusted, or "" where each of sandbox_probe.py's attempts failed in it."""
    with (
        tempfile.TemporaryDirectory(prefix="stepsift-probe-") as folder,
        socket.create_server(("127.0.0.1", 0)) as door,
    ):
        # Open to everyone, so that it is the sandbox that keeps them out.
        Path(folder).chmod(0o777)
        canary = Path(folder) / "canary"
        canary.write_text("canary")
        canary.chmod(0o666)
        job = {
            "mode": "stdin",
            "code": ATTEMPTS,
            "inputs": [json.dumps({"folder": folder, "port": door.getsockname()[1], "processes": Limits().processes})],
        }
        results = sandbox.run(job, 10.0, Limits())
    if isinstance(results, str):
        return "it does not start within its time" if results == "time" else results
    if not results:
        return "the probe gave no result"
    reason, done = results[0]["reason"], (results[0]["output"] or "").strip()
    if reason is not None:
        return f"the probe ended with '{reason}'"
    return "" if done == "none" else f"it does not prevent {done[:200]}"


def _word(value: object) -> str | None:
    return None if value is None else str(value)


def token() -> str:
    """A secret for one run."""
    return secrets.token_hex(16)


def _read(process: subprocess.Popen[bytes], seconds: float, most: int) -> tuple[bytes, bool]:
    """(what a process writes until its end, whether it took too long); no more than `most` bytes are kept."""
    assert process.stdout is not None
    end = time.monotonic() + seconds
    held = bytearray()
    with process.stdout, selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ)
        while len(held) <= most:
            if not selector.select(max(0.0, end - time.monotonic())):
                return bytes(held), True
            data = os.read(process.stdout.fileno(), 1 << 20)
            if not data:
                break
            held += data
    return bytes(held), False


def _runner() -> list[str]:
    """The interpreter with the runner's source: the file itself need not be seen from within."""
    return [sys.executable, "-s", "-P", "-B", "-X", "utf8", "-c", (HERE / "sandbox_runner.py").read_text()]


def _binds() -> list[str]:
    """Folders and files that Python needs; none of them lies within another."""
    wanted = {*_SYSTEM, sys.prefix, sys.base_prefix, str(Path(sys.executable).resolve().parents[1])}
    there = sorted(path for path in wanted if Path(path).exists())
    return [p for p in there if not any(p != q and Path(p).is_relative_to(q) for q in there)]


def _namespaces() -> tuple[str, ...] | str:
    root = os.geteuid() == 0
    plan = {"binds": _binds(), "work_bytes": WORK_BYTES, "root": root, "argv": _runner()}
    return (sys.executable, "-s", "-P", "-B", "-c", (HERE / "sandbox_init.py").read_text(), json.dumps(plan))


def _bubblewrap() -> tuple[str, ...] | str:
    program = shutil.which("bwrap")
    if program is None:
        return "it is not installed"
    if os.geteuid() == 0:
        return "it is not used by root, whose processes it cannot limit"
    options = ["--unshare-all", "--unshare-user", "--disable-userns", "--die-with-parent", "--as-pid-1"]
    options += ["--cap-drop", "ALL"]
    for path in _binds():
        # /lib on a system where it is /usr/lib.
        link = Path(path)
        options += ["--symlink", str(link.readlink()), path] if link.is_symlink() else ["--ro-bind", path, path]
    options += ["--dev", "/dev", "--size", str(WORK_BYTES), "--tmpfs", "/tmp", "--remount-ro", "/", "--chdir", "/tmp"]
    return (program, *options, "--", *_runner())


_COMMANDS: dict[str, Callable[[], tuple[str, ...] | str]] = {"bubblewrap": _bubblewrap, "namespaces": _namespaces}


def check_isolation() -> Finding:
    """For `stepsift check`: whether answers that are programs can be run here."""
    sandbox = find()
    if sandbox.command:
        return Finding([f"programs    answers of the kind code are run on their tests, isolated by {sandbox.name}"])
    return Finding([f"programs    answers of the kind code stay unchecked: no isolation ({sandbox.reason})"])
