"""Where answers run: a process without network, files of the user, or a way to outlive its time.

bubblewrap builds it, twice, one within the other. The outer one shows the interpreter, mounts two small file systems
that bound files and inodes, and becomes an unprivileged user: root turns into user 65534, so that the kernel counts the
processes of an answer, and gives up all capabilities. The inner one, which is the same for everyone, has namespaces of
its own, no capabilities and a filter of system calls. It needs a kernel that lets users make user namespaces; many
containers and some distributions do not. So it is believed only after `probe` has run a program in it that tried what
an answer must not do. Where that fails there is no sandbox, and no answer is run.
"""

import functools
import json
import logging
import marshal
import os
import platform
import selectors
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from stepsift.core.finding import Finding
from stepsift.core.text import terminal_line
from stepsift.verify.code.sandbox_filter import MACHINES, filter_program
from stepsift.verify.code.sandbox_probe import ATTEMPTS

log = logging.getLogger(__name__)

HERE = Path(__file__).parent
PROGRAMS = ("sandbox_wire", "sandbox_grader", "sandbox_runner")
"""What runs within; of stepsift each imports only those before it, and the last is the one that is started."""
PACKAGE_NAME = __package__
FRAME = 4
"""Bytes of length before each part of the runner's standard input."""
INSIDE = "/stepsift"
"""A folder that the outer bubblewrap has for itself."""
STARTED = b"started\n"
"""The first line of the runner: what goes wrong after it is the answer's doing."""
PACKAGE = "bubblewrap"
"""The package to install, of this name on all distributions."""
START_S = 20.0
"""Seconds beside its time that an answer may take for the sandbox to start on a busy machine."""
MEBIBYTE = 2**20
WORK_BYTES, WORK_INODES = 64 * MEBIBYTE, 4096
"""Size of the folder /tmp that a program has for itself, and how many files it may hold; it lies in memory."""
SHARED_BYTES, SHARED_INODES = 16 * MEBIBYTE, 256
"""The same for /dev/shm."""
REPLY_FACTOR = 8
"""Bytes of JSON that a byte of output may become, and some for the rest."""
MESSAGE_BYTES = 2_000
"""How much of what the sandbox writes to standard error is kept."""
NOBODY = "65534"
ENVIRONMENT = {
    "PATH": "/usr/bin:/bin:/usr/sbin:/sbin",
    "HOME": "/tmp",
    "LANG": "C.UTF-8",
    # Sets are printed in the same order on every run, and linear algebra keeps to one thread.
    "PYTHONHASHSEED": "0",
    "OPENBLAS_NUM_THREADS": "1",
    "OMP_NUM_THREADS": "1",
}
"""All that a program sees of an environment."""
_SYSTEM = ("/usr", "/lib", "/lib64", "/lib32", "/bin", "/sbin", "/etc/ld.so.cache")
_DEVICES = ("/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom")
_FILTER_FD = "{filter}"
"""Stands in a command for the descriptor of the filter."""


@dataclass(frozen=True)
class Limits:
    """Limits of a program: each process by itself, but for `processes` and `output_bytes`."""

    cpu_s: int = 10
    memory_bytes: int = 1024 * MEBIBYTE
    """Address space."""
    processes: int = 10
    """Processes and threads at a time, those of the sandbox (the runner and the grader of tests) counted."""
    file_bytes: int = 16 * MEBIBYTE
    files: int = 64
    """Open files."""
    output_bytes: int = 8 * MEBIBYTE
    """What all runs of an answer may print and return."""


@dataclass(frozen=True)
class Sandbox:
    """The sandbox that passed the probe; `reason` is set, and `command` empty, where there is none."""

    name: str
    """bubblewrap or none."""
    command: tuple[str, ...]
    """The whole command, but for the descriptor of the filter."""
    reason: str = ""
    """Why there is none, in one sentence."""

    def run(
        self, job: dict[str, Any], seconds: float, limits: Limits, plan: dict[str, Any] | None = None
    ) -> list[dict[str, str | None]] | str:
        """The runner's results for a job (sandbox_runner.py), or why it did not start; "time" where it took too long.

        `plan`: what only the grader of tests reads. A program that is still running START_S after its time is killed
        with everything that it started.
        """
        text = json.dumps({**job, "seconds": seconds, "limits": asdict(limits)}).encode()
        with tempfile.TemporaryFile() as stdin, tempfile.TemporaryFile() as filters:
            stdin.write(b"".join(map(_framed, (*_programs(), text))) + json.dumps(plan).encode())
            filters.write(filter_program(platform.machine()))
            for file in (stdin, filters):
                file.flush()
                file.seek(0)
            process = subprocess.Popen(
                [str(filters.fileno()) if word == _FILTER_FD else word for word in self.command],
                stdin=stdin,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                pass_fds=[filters.fileno()],
                env=ENVIRONMENT,
                cwd="/",
                start_new_session=True,
            )
            try:
                reply, message, late = _read(process, seconds + START_S, REPLY_FACTOR * limits.output_bytes)
            finally:
                # The first process of the namespace is in this group, and takes all others with it.
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        if not reply.startswith(STARTED):
            return terminal_line(message.strip()) or (
                "it did not start within its time" if late else "it ended without a word"
            )
        if late:
            return "time"
        try:
            return [
                {"reason": _word(r["reason"]), "output": str(r["output"]), "value": _word(r["value"])}
                for r in json.loads(reply[len(STARTED) :])
            ]
        except (ValueError, TypeError, KeyError, RecursionError):
            # It had started: whatever ended it came from within.
            log.warning(
                "the runner of an answer ended early, and the answer is wrong: %s", terminal_line(message.strip())
            )
            return [{"reason": "crash", "output": "", "value": None}]


def find() -> Sandbox:
    """The sandbox, if it passes the probe, else a Sandbox that says why there is none."""
    reason = _why_none()
    if reason:
        return Sandbox("none", (), reason)
    sandbox = Sandbox(PACKAGE, _command())
    reason = probe(sandbox)
    return Sandbox("none", (), f"{PACKAGE} cannot isolate them on this machine: {reason}") if reason else sandbox


def _why_none() -> str:
    """Why nothing needs to be tried, in one sentence; "" where it is worth a try."""
    if not sys.platform.startswith("linux"):
        return f"answers can only be isolated on Linux, and this is {sys.platform}"
    if shutil.which("bwrap") is None:
        return f"{PACKAGE} is not installed; install the package {PACKAGE}"
    if platform.machine() not in MACHINES:
        return f"there are filters of system calls for {', '.join(MACHINES)}, and this is {platform.machine()}"
    home = Path.home().resolve()
    for path in map(Path, _binds()):
        if any(Path(own).is_relative_to(path) for own in ("/tmp", "/dev", INSIDE)):
            return (
                f"the Python installation {path} holds a folder that answers have for themselves (/tmp, /dev or "
                f"{INSIDE}); install Python or the virtual environment in a folder of its own"
            )
        if home.is_relative_to(path):
            return f"the home folder {home} lies within the Python installation, which answers can read"
    return ""


def probe(sandbox: Sandbox) -> str:
    """Why a sandbox is not to be trusted, or "" where each of sandbox_probe.py's attempts failed in it."""
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
            "inputs": [
                json.dumps(
                    {
                        "folder": folder,
                        "port": door.getsockname()[1],
                        "processes": Limits().processes,
                        "inodes": WORK_INODES,
                    }
                )
            ],
        }
        results = sandbox.run(job, 10.0, Limits())
    if isinstance(results, str):
        return "it does not start within its time" if results == "time" else results
    if not results:
        return "the probe gave no result"
    reason, done = results[0]["reason"], (results[0]["output"] or "").strip()
    if reason is not None:
        return f"the probe ended with '{reason}'"
    return "" if done == "none" else f"it does not prevent {terminal_line(done[:200])}"


def _word(value: object) -> str | None:
    return None if value is None else str(value)


def _read(process: subprocess.Popen[bytes], seconds: float, most: int) -> tuple[bytes, str, bool]:
    """(what a process writes until its end, what to standard error, whether it took too long).

    No more than `most` and MESSAGE_BYTES are kept.
    """
    assert process.stdout is not None and process.stderr is not None
    end = time.monotonic() + seconds
    reply, message = bytearray(), bytearray()
    with process.stdout, process.stderr, selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ, reply)
        selector.register(process.stderr, selectors.EVENT_READ, message)
        while len(reply) <= most and selector.get_map():
            ready = selector.select(max(0.0, end - time.monotonic()))
            for key, _ in ready:
                data = os.read(key.fd, 1 << 20)
                if not data:
                    selector.unregister(key.fileobj)
                key.data.extend(data if key.data is reply else data[: MESSAGE_BYTES - len(message)])
            if not ready:
                return bytes(reply), message.decode("utf-8", "replace"), True
    return bytes(reply), message.decode("utf-8", "replace"), False


def _binds() -> list[str]:
    """Folders and files that Python needs; none of them lies within another."""
    places = {*_SYSTEM, sys.prefix, sys.base_prefix, str(Path(sys.executable).resolve().parents[1])}
    # A virtual environment may be a link to one.
    places |= {str(Path(path).resolve()) for path in (sys.prefix, sys.base_prefix)}
    there = sorted(path for path in places if Path(path).exists())
    return [p for p in there if not any(p != q and Path(p).is_relative_to(q) for q in there)]


def _shown(paths: list[str]) -> list[str]:
    """Options that show some paths, read-only; bubblewrap would close folders above them that are closed outside."""
    options: list[str] = []
    for path in paths:
        for above in reversed(Path(path).parents[:-1]):
            options += ["--dir", str(above)]
        # /lib on a system where it is /usr/lib.
        link = Path(path)
        options += ["--symlink", str(link.readlink()), path] if link.is_symlink() else ["--ro-bind", path, path]
    return options


def _command() -> tuple[str, ...]:
    """Both bubblewraps and the runner."""
    bwrap = str(shutil.which("bwrap"))
    root = os.geteuid() == 0
    shared = _shown(_binds())
    outer = [bwrap, "--die-with-parent", *([] if root else ["--unshare-user", "--cap-add", "CAP_SYS_ADMIN"])]
    outer += [*shared, "--dir", "/tmp", "--dev-bind", "/dev", "/dev", "--bind", "/proc", "/proc"]
    outer += ["--dir", f"{INSIDE}/work", "--dir", f"{INSIDE}/shared", "--"]
    drop = ["setpriv", "--inh-caps=-all", "--ambient-caps=-all"]
    if root:
        drop += ["--bounding-set=-all", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"]
    return (*outer, "sh", "-c", _mounts(), "sh", *drop, *_inner(bwrap, shared), "--", *_runner())


def _mounts() -> str:
    """A line of shell that mounts what bounds files and inodes, for which bubblewrap has no option."""
    sizes = (("work", WORK_BYTES, WORK_INODES), ("shared", SHARED_BYTES, SHARED_INODES))
    lines = [
        f"mount -t tmpfs -o nosuid,nodev,mode=1777,size={size},nr_inodes={inodes} {name} {INSIDE}/{name}"
        for name, size, inodes in sizes
    ]
    return " && ".join([*lines, 'exec "$@"'])


def _inner(bwrap: str, shared: list[str]) -> list[str]:
    """The bubblewrap in which answers run, up to the command."""
    options = [bwrap, "--unshare-all", "--unshare-user", "--die-with-parent", "--as-pid-1", "--cap-drop", "ALL"]
    options += ["--uid", NOBODY, "--gid", NOBODY, "--seccomp", _FILTER_FD]
    if _knows(bwrap, "--disable-userns"):
        # The filter forbids new namespaces as well; versions before 0.8 have only that.
        options.append("--disable-userns")
    # An interpreter below /tmp is shown on top of the program's own folder.
    options += ["--bind", f"{INSIDE}/work", "/tmp", *shared]
    for device in _DEVICES:
        options += ["--dev-bind", device, device]
    return [*options, "--bind", f"{INSIDE}/shared", "/dev/shm", "--remount-ro", "/", "--chdir", "/tmp"]


@functools.cache
def _knows(bwrap: str, option: str) -> bool:
    done = subprocess.run([bwrap, "--help"], capture_output=True, text=True, check=False)
    return option in done.stdout + done.stderr


def _framed(part: bytes) -> bytes:
    return len(part).to_bytes(FRAME, "big") + part


@functools.cache
def _programs() -> tuple[bytes, ...]:
    """PROGRAMS, compiled once: that takes longer than to run them."""
    sources = {name: (HERE / f"{name}.py").read_text() for name in PROGRAMS}
    return tuple(marshal.dumps(compile(text, f"{name}.py", "exec")) for name, text in sources.items())


def _runner() -> list[str]:
    """The interpreter, with what reads PROGRAMS; nothing is imported from where the answer may write."""
    start = f"""
import marshal, os, sys, types
def module(name):
    sys.modules[name] = types.ModuleType(name)
    return sys.modules[name]
for name in ("stepsift", "stepsift.verify", {PACKAGE_NAME!r}):
    package = module(name)
for name in {PROGRAMS!r}:
    program = module({PACKAGE_NAME!r} + "." + name)
    setattr(package, name, program)
    exec(marshal.loads(os.read(0, int.from_bytes(os.read(0, {FRAME}), "big"))), program.__dict__)
program.main()
"""
    return [sys.executable, "-s", "-P", "-B", "-X", "utf8", "-c", start]


def check_isolation() -> Finding:
    """For `stepsift check`: whether answers that are programs can be run here."""
    sandbox = find()
    if sandbox.command:
        return Finding([f"programs    answers of the kind code are run on their tests, isolated by {sandbox.name}"])
    return Finding([f"programs    answers of the kind code stay unchecked: no isolation ({sandbox.reason})"])
