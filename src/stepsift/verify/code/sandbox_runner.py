"""Runs an answer on its tests as process 1 of the sandbox; of stepsift it imports only its neighbours.

stdin is four bytes of length, one JSON job of that length, and for `apart` the plan of the tests (sandbox_grader.py).
The job: `mode`, `code`, `inputs` (a list), `name` (of the function that `call` calls), `token`, `seconds`, `limits`.
stdout is the line STARTED and one JSON list, with an object for each input up to the first that failed: `reason` (null
where the program ended well), `output` (what it printed) and `value`.

Modes: `stdin`, the answer is a program that reads one input; `call`, a function of it is called, `value` is what it
returned, as JSON; `apart`, tests run in a process beside the answer's, `value` is how they ended; `together`, the one
input is the source of the tests, which run in the answer's process, `value` is the token.

Each input is run in a fork of its own under limits. When it ends, in whatever way, every other process of the
namespace is killed, so nothing that it left behind sees the next input.

What is not in the answer's process: expected results of `stdin` and `call`, and of `apart` the tests, which only the
grader reads, after it was forked. Of `together` both the tests and the token are, and a program that searches its
memory finds them.
"""

import atexit
import builtins
import contextlib
import ctypes
import errno
import json
import operator
import os
import resource
import selectors
import signal
import socket
import sys
import threading
import time
import types
from collections.abc import Callable
from typing import Any

from stepsift.verify.code import sandbox_grader, sandbox_wire

STARTED = "started"
REPORT_FD = 3
"""Where a fork reports, and where answer and grader of `apart` have their ends of a socket."""
CPU_GRACE_S = 5
"""CPU seconds from the signal that a program may catch to the one that it may not."""
RUNNER_CPU_S = 15
"""CPU seconds that this process has beside an answer's time."""
ENDING_S = 0.2
"""Seconds in which a process that has closed its files must have ended."""
PR_SET_DUMPABLE = 4
SYS_KEYCTL = {"x86_64": 250, "aarch64": 219}
KEYCTL_JOIN_SESSION_KEYRING = 1
PRELUDE = """
from typing import *
import bisect, collections, functools, heapq, itertools, math, re, string
from bisect import *
from collections import *
from functools import *
from heapq import *
from itertools import *
from math import *
"""
"""Answers of the form `class Solution` are written for judges that import these."""
_OUTSIDE = (errno.ENOENT, errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR)
_FULL = (errno.ENOSPC, errno.EFBIG, errno.EMFILE, errno.ENFILE, errno.EDQUOT)
_NETWORK = (errno.ENETUNREACH, errno.ENETDOWN, errno.EHOSTUNREACH, errno.ECONNREFUSED, errno.EADDRNOTAVAIL)


def reason_of(error: BaseException) -> str:
    """Why an answer failed, in a word."""
    if isinstance(error, AssertionError):
        return "wrong_answer"
    if isinstance(error, MemoryError):
        return "memory"
    if isinstance(error, SystemExit):
        return "exited"
    if isinstance(error, ModuleNotFoundError):
        return "missing_module"
    if isinstance(error, OSError):
        return reason_of_errno(error)
    return "processes" if "can't start new thread" in str(error) else "error"


def reason_of_errno(error: OSError) -> str:
    """Which limit or wall a failed system call met."""
    if isinstance(error, socket.gaierror) or error.errno in _NETWORK:
        return "network"
    if error.errno == errno.EAGAIN:
        return "processes"
    if error.errno == errno.ENOMEM:
        return "memory"
    if error.errno in _FULL:
        return "files"
    return "outside" if error.errno in _OUTSIDE else "error"


def limit(limits: dict[str, int], cpu_s: int) -> None:
    """Set the limits of this process and all that it starts."""
    most_of = {
        resource.RLIMIT_AS: limits["memory_bytes"],
        resource.RLIMIT_NPROC: limits["processes"],
        resource.RLIMIT_FSIZE: limits["file_bytes"],
        resource.RLIMIT_NOFILE: limits["files"],
        resource.RLIMIT_CORE: 0,
        resource.RLIMIT_MSGQUEUE: 0,
        resource.RLIMIT_MEMLOCK: 0,
    }
    for what, most in most_of.items():
        resource.setrlimit(what, (most, most))
    resource.setrlimit(resource.RLIMIT_CPU, (cpu_s, cpu_s + CPU_GRACE_S))


def close_off() -> None:
    """Keep this process, and what it forks, from being traced, and leave the keyring of who started it."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl")
    number = SYS_KEYCTL.get(os.uname().machine)
    if number is not None and libc.syscall(number, KEYCTL_JOIN_SESSION_KEYRING, None) < 0:
        error = ctypes.get_errno()
        # A kernel without keyrings has none to be read.
        if error != errno.ENOSYS:
            raise OSError(error, "keyctl")
    # Process 1 gets no signal of its namespace for which it has no handler, and Python has one for this.
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def load(code: str, name: str, first: str = "") -> dict[str, Any]:
    """Run the source of an answer as a module; return its names."""
    module = types.ModuleType(name)
    sys.modules[name] = module
    exec(first, module.__dict__)
    exec(compile(code, "answer.py", "exec"), module.__dict__)
    return module.__dict__


def play(job: dict[str, Any], tests: Any, given: Any) -> Any:
    """Run the answer on one input; return the value to report."""
    if job["mode"] == "stdin":
        try:
            load(job["code"], "__main__")
        except SystemExit as e:
            if e.code not in (None, 0):
                raise
        # What the interpreter does at its end, and answers rely on.
        for thread in threading.enumerate():
            if thread is not threading.current_thread() and not thread.daemon:
                thread.join()
        atexit._run_exitfuncs()
        return None
    if job["mode"] == "call":
        names = load(job["code"], "answer", PRELUDE)
        function = names.get(job["name"]) or getattr(names["Solution"](), job["name"])
        return json.dumps(function(*given), default=list)
    python, kept = builtins.__dict__, dict(builtins.__dict__)
    names = load(job["code"], "answer")
    # What the answer made of Python's own names must not judge it, whether it changed or hid them.
    python.update(kept)
    names = {name: value for name, value in names.items() if name not in kept or name in job["subjects"]}
    exec(tests, {**names, "__builtins__": builtins})
    return job["token"]


def serve(code: str) -> None:
    """Do what the grader asks of an answer; never returns."""
    pause = signal.pause

    def names(_: Any, *keys: str) -> list[Any]:
        module = load(code, "answer")
        return [[name in module, module.get(name)] for name in keys]

    operations: dict[str, Callable[..., Any]] = {
        "names": names,
        "call": lambda target, *arguments, **named: target(*arguments, **named),
        "get": getattr,
        "set": setattr,
        "len": len,
        "item": operator.getitem,
        "setitem": operator.setitem,
        "iter": iter,
        "next": next,
        "bool": bool,
        "str": str,
        "repr": repr,
    }
    peer = sandbox_wire.Peer(REPORT_FD, operations, True, reason_of)
    # What "names" is asked of.
    peer.hand_out(object())
    try:
        while True:
            peer.answer(peer.receive())
    except sandbox_wire.Broken:
        # The grader has ended; that this process goes on shows that it was not the answer that ended first.
        while True:
            pause()


def redirect(fds: dict[int, int]) -> None:
    """Put descriptors (new to old) in their places, and close all others."""
    held = {target: os.dup(source) for target, source in fds.items()}
    for target, source in held.items():
        # No program that an answer starts gets its end of the socket or the report.
        os.dup2(source, target, inheritable=target < REPORT_FD)
    os.closerange(max(fds) + 1, resource.getrlimit(resource.RLIMIT_NOFILE)[1])
    sys.stdin = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115
    sys.stdout = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
    sys.stderr = open(2, "w", encoding="utf-8", closefd=False)  # noqa: SIM115


def null() -> int:
    return os.open("/dev/null", os.O_RDWR)


def answer(job: dict[str, Any], stdin: int, stdout: int, end: int) -> None:
    """What the answer's fork does, where the tests run apart; never returns."""
    redirect({0: stdin, 1: stdout, 2: null(), REPORT_FD: end})
    signal.signal(signal.SIGINT, signal.default_int_handler)
    limit(job["limits"], job["limits"]["cpu_s"])
    serve(job["code"])


def grader(job: dict[str, Any], end: int, report: int) -> None:
    """What the grader's fork does; never returns."""
    with open(0, "rb", closefd=False) as file:
        plan = json.load(file)
    redirect({0: null(), 1: null(), 2: null(), REPORT_FD: end, REPORT_FD + 1: report})
    # Settings of libraries that the answer could write for it.
    os.environ["HOME"] = "/nowhere"
    limit(job["limits"], job["limits"]["cpu_s"])
    reason, value = sandbox_grader.grade(plan, REPORT_FD, reason_of)
    if reason == "exited":
        # A process closes its files a moment before it has ended, and how it ended is the better reason.
        time.sleep(ENDING_S)
    os.write(REPORT_FD + 1, json.dumps({"reason": reason, "value": value}).encode())
    os._exit(0)


def child(job: dict[str, Any], given: Any, stdin: int, stdout: int, report: int) -> None:
    """What the one fork of the other modes does; never returns."""
    write, leave, dumps, who, me = os.write, os._exit, json.dumps, os.getpid, os.getpid()
    redirect({0: stdin, 1: stdout, 2: null(), REPORT_FD: report})
    signal.signal(signal.SIGINT, signal.default_int_handler)
    outcome: dict[str, Any] = {"reason": None, "value": None}
    try:
        tests = compile(given, "tests.py", "exec") if job["mode"] == "together" else None
        limit(job["limits"], job["limits"]["cpu_s"])
        outcome["value"] = play(job, tests, given)
    except BaseException as e:
        outcome["reason"] = reason_of(e)
    try:
        sys.stdout.flush()
    except (OSError, ValueError, AttributeError):
        outcome["reason"] = outcome["reason"] or "output"
    # A process that the answer forked has nothing to report.
    data = dumps(outcome).encode() if who() == me else b""
    while data:
        data = data[write(REPORT_FD, data) :]
    leave(0)


class Fork:
    """A process that was forked here."""

    def __init__(self, act: Callable[..., None], *arguments: Any):
        self.pid = os.fork()
        if self.pid == 0:
            try:
                act(*arguments)
            finally:
                os._exit(1)
        self.pidfd = os.pidfd_open(self.pid)
        self.ended: tuple[int, float] | None = None
        """Status, and the CPU seconds that it took; None while it runs."""

    def look(self, options: int) -> bool:
        """Note that it ended, if it did; returns whether it is stopped."""
        pid, status, usage = os.wait4(self.pid, options | os.WUNTRACED) if self.ended is None else (0, 0, None)
        if usage is not None and pid and not os.WIFSTOPPED(status):
            self.ended = status, usage.ru_utime + usage.ru_stime
        return bool(pid) and os.WIFSTOPPED(status)

    def reason(self, cpu_s: int) -> str | None:
        """Why it ended, in a word; None where it ended well or was still running when all were killed."""
        if self.ended is None:
            return None
        status, seconds = self.ended
        if os.WIFSIGNALED(status):
            # Anyone can send these signals: it is the time that tells.
            limited = os.WTERMSIG(status) in (signal.SIGXCPU, signal.SIGKILL) and seconds > cpu_s - 0.5
            return "time" if limited else "crash"
        return "exited" if os.WEXITSTATUS(status) else None


def collect(forks: list[Fork], pipes: list[int], deadline: float, most: int) -> tuple[str | None, list[bytes]]:
    """(why they were stopped or None, what came out of each pipe), when the first of some forks has ended.

    Nothing of them, nor of what they started, lives afterwards.
    """
    held = [bytearray() for _ in pipes]
    reason = None
    with selectors.DefaultSelector() as selector:
        for fd in (*(fork.pidfd for fork in forks), *pipes):
            selector.register(fd, selectors.EVENT_READ)
        ended = False
        while reason is None and not ended:
            ready = {key.fd for key, _ in selector.select(max(0.0, deadline - time.monotonic()))}
            reason = None if ready else "time"
            ended = any(fork.pidfd in ready for fork in forks)
            reason = drain(pipes, ready, held, selector, most) or reason
    # The first is the one that reports: a stopped one was stopped by the answer.
    if forks[0].look(os.WNOHANG) and reason == "time":
        reason = "crash"
    for fork in forks[1:]:
        fork.look(os.WNOHANG)
    with contextlib.suppress(ProcessLookupError):
        os.kill(-1, signal.SIGKILL)
    reap()
    for fork in forks:
        os.close(fork.pidfd)
    if reason is None:
        for fd in pipes:
            os.set_blocking(fd, False)
        reason = drain(pipes, set(pipes), held, None, most)
    return reason, [bytes(part) for part in held]


def drain(
    pipes: list[int], ready: set[int], held: list[bytearray], selector: selectors.DefaultSelector | None, most: int
) -> str | None:
    """Read what the ready pipes hold; "output" where that is too much. Without a selector, read to their ends."""
    for fd, part in zip(pipes, held, strict=True):
        while fd in ready and sum(map(len, held)) <= most:
            try:
                data = os.read(fd, 65_536)
            except BlockingIOError:
                break
            part.extend(data)
            if not data and selector is not None:
                selector.unregister(fd)
            if not data or selector is not None:
                break
    return "output" if sum(map(len, held)) > most else None


def reap() -> None:
    """Take leave of all that was killed."""
    try:
        while True:
            os.waitpid(-1, 0)
    except ChildProcessError:
        return


def run(job: dict[str, Any], given: Any, deadline: float, most: int) -> dict[str, Any]:
    """Run the answer on one input in a fork, or for `apart` in one beside its grader's."""
    stdin = os.open("/tmp", os.O_TMPFILE | os.O_RDWR, 0o600)
    with open(stdin, "wb", closefd=False) as file:
        file.write(given.encode() if job["mode"] == "stdin" else b"")
    os.lseek(stdin, 0, os.SEEK_SET)
    (out, stdout), (told, report) = os.pipe(), os.pipe()
    ours = [stdin, stdout, report]
    if job["mode"] == "apart":
        ends = [end.detach() for end in socket.socketpair()]
        forks = [Fork(grader, job, ends[0], report), Fork(answer, job, stdin, stdout, ends[1])]
        ours += ends
    else:
        forks = [Fork(child, job, given, stdin, stdout, report)]
    for fd in ours:
        os.close(fd)
    reason, (printed, said) = collect(forks, [out, told], deadline, most)
    os.close(out)
    os.close(told)
    reason, value = concluded(reason, said, forks, job["limits"]["cpu_s"])
    return {"reason": reason, "output": printed.decode("utf-8", "replace"), "value": value}


def concluded(reason: str | None, said: bytes, forks: list[Fork], cpu_s: int) -> tuple[str | None, str | None]:
    """(reason, value) of a run, from why it was stopped, what was reported and how its processes ended."""
    ends = [fork.reason(cpu_s) for fork in forks]
    reason = reason or ends[0]
    if reason is not None:
        return reason, None
    if forks[0].ended is None:
        # The answer's process ended before the grader's.
        return next(filter(None, ends), "exited"), None
    try:
        report = json.loads(said) if said else {}
        told, value = report.get("reason"), report.get("value")
        if not isinstance(told, str | None) or not isinstance(value, str | None):
            raise ValueError("the answer itself wrote the report")
    except (ValueError, AttributeError, RecursionError):
        return "exited", None
    # The grader saw no more than that the answer was gone.
    return (next(filter(None, ends), told) if told == "exited" else told), value


def main() -> None:
    if os.getpid() != 1:
        # Outside of its own namespace, the kill(-1) above would take every process of the user with it.
        sys.exit("the runner of answers is process 1 of a sandbox and nothing else; it must not be run by hand")
    os.closerange(3, 4096)
    close_off()
    # The plan of the tests, behind the job, stays unread: this memory is the answer's too.
    size = int.from_bytes(os.read(0, 4), "big")
    text = b""
    while len(text) < size:
        text += os.read(0, size - len(text))
    job = json.loads(text)
    limit(job["limits"], int(job["seconds"]) + RUNNER_CPU_S)
    print(STARTED, flush=True)
    deadline = time.monotonic() + job["seconds"]
    left = job["limits"]["output_bytes"]
    results: list[dict[str, Any]] = []
    for given in job["inputs"]:
        results.append(run(job, given, deadline, left))
        left -= len(results[-1]["output"])
        if results[-1]["reason"] is not None:
            break
    json.dump(results, sys.stdout)
    sys.stdout.flush()


if __name__ == "__main__":
    main()
