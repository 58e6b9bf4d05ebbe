"""Runs an answer on its tests as process 1 of the sandbox; a program that imports nothing of stepsift.

stdin is one JSON job: `mode` (asserts, stdin or call), `code`, `inputs` (a list; for asserts only the tests), `name`
(of the function that `call` calls), `token`, `seconds` and `limits`. stdout is one JSON list, with an object for each
input up to the first that failed: `reason` (null where the program ended well), `output` (what it printed) and `value`
(what the function returned, as JSON; for asserts the token).

Each input is run in a fork of its own under limits. When it ends, in whatever way, every other process of the
namespace is killed, so nothing that it left behind sees the next input.

What a program can forge: the token lies in its own process while it runs. Printing, exiting early and patching builtins
do not lead to it, but a program that searches the interpreter's frames or memory can find it, and one whose results
compare equal to everything needs no token. Of `stdin` and `call` the expected results are not in here at all.
"""

import atexit
import builtins
import errno
import json
import os
import resource
import selectors
import signal
import socket
import sys
import threading
import time
import types
from typing import Any

REPORT_FD = 3
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


def limit(limits: dict[str, int]) -> None:
    """Set the limits of this process and all that it starts."""
    wanted = {
        resource.RLIMIT_CPU: limits["cpu_s"],
        resource.RLIMIT_AS: limits["memory_bytes"],
        resource.RLIMIT_NPROC: limits["processes"],
        resource.RLIMIT_FSIZE: limits["file_bytes"],
        resource.RLIMIT_NOFILE: limits["files"],
        resource.RLIMIT_CORE: 0,
        resource.RLIMIT_MSGQUEUE: 0,
        resource.RLIMIT_MEMLOCK: 0,
    }
    for what, most in wanted.items():
        resource.setrlimit(what, (most, most))


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
    # What the answer made of Python's own names must not judge it.
    python.update(kept)
    exec(tests, {**names, "__builtins__": builtins})
    return job["token"]


def child(job: dict[str, Any], given: Any, stdin: int, stdout: int, report: int) -> None:
    """What the fork does; never returns."""
    write, leave, dumps, who, me = os.write, os._exit, json.dumps, os.getpid, os.getpid()
    null = os.open("/dev/null", os.O_WRONLY)
    fds = (os.dup(stdin), os.dup(stdout), null, os.dup(report))
    for target, source in enumerate(fds):
        os.dup2(source, target, inheritable=target != REPORT_FD)
    os.closerange(REPORT_FD + 1, 256)
    sys.stdin = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115
    sys.stdout = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
    sys.stderr = open(2, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
    answer: dict[str, Any] = {"reason": None, "value": None}
    try:
        try:
            tests = compile(given, "tests.py", "exec") if job["mode"] == "asserts" else None
        except (SyntaxError, ValueError):
            answer["reason"] = "bad_tests"
        else:
            limit(job["limits"])
            answer["value"] = play(job, tests, given)
    except BaseException as e:
        answer["reason"] = reason_of(e)
    try:
        sys.stdout.flush()
    except (OSError, ValueError, AttributeError):
        answer["reason"] = answer["reason"] or "output"
    # A process that the answer forked has nothing to report.
    data = dumps(answer).encode() if who() == me else b""
    while data:
        data = data[write(REPORT_FD, data) :]
    leave(0)


def collect(pid: int, pipes: list[int], deadline: float, most: int) -> tuple[str | None, list[bytes]]:
    """(why it was stopped or None, what came out of each pipe) of a fork, of which nothing lives afterwards."""
    held = [bytearray() for _ in pipes]
    reason = None
    pidfd = os.pidfd_open(pid)
    with selectors.DefaultSelector() as selector:
        selector.register(pidfd, selectors.EVENT_READ)
        for fd in pipes:
            selector.register(fd, selectors.EVENT_READ)
        ended = False
        while reason is None and not ended:
            ready = {key.fd for key, _ in selector.select(max(0.0, deadline - time.monotonic()))}
            reason = None if ready else "time"
            ended = pidfd in ready
            reason = drain(pipes, ready, held, selector, most) or reason
    os.kill(-1, signal.SIGKILL)
    status = os.waitpid(pid, 0)[1]
    reap()
    os.close(pidfd)
    if reason is None:
        for fd in pipes:
            os.set_blocking(fd, False)
        reason = drain(pipes, set(pipes), held, None, most)
    if reason is None and os.WIFSIGNALED(status):
        reason = "time" if os.WTERMSIG(status) in (signal.SIGXCPU, signal.SIGKILL) else "crash"
    elif reason is None and os.WEXITSTATUS(status):
        reason = "exited"
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
    """Run the answer on one input in a fork."""
    stdin = os.memfd_create("stdin")
    with open(stdin, "wb", closefd=False) as file:
        file.write(given.encode() if job["mode"] == "stdin" else b"")
    os.lseek(stdin, 0, os.SEEK_SET)
    (out, stdout), (told, report) = os.pipe(), os.pipe()
    pid = os.fork()
    if pid == 0:
        child(job, given, stdin, stdout, report)
    for fd in (stdin, stdout, report):
        os.close(fd)
    reason, (printed, said) = collect(pid, [out, told], deadline, most)
    os.close(out)
    os.close(told)
    try:
        answer = json.loads(said) if said and reason is None else {}
        reason, value = reason or answer.get("reason"), answer.get("value")
        if not isinstance(reason, str | None) or not isinstance(value, str | None):
            raise ValueError("the answer itself wrote the report")
    except (ValueError, AttributeError, RecursionError):
        reason, value = "exited", None
    return {"reason": reason, "output": printed.decode("utf-8", "replace"), "value": value}


def main() -> None:
    if os.getpid() != 1:
        # Outside of its own namespace, the kill(-1) above would take every process of the user with it.
        sys.exit("the runner of answers is process 1 of a sandbox and nothing else; it must not be run by hand")
    job = json.load(sys.stdin)
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
