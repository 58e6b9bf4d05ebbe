"""Programs that attack: each ends as a verdict with its reason. .ci/run runs this as root and as an ordinary user.

Where there is no sandbox the tests are skipped with the reason that the probe gave.
"""

import os
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from helpers.programs import isolated_runner
from stepsift.verify.code import sandbox
from stepsift.verify.code.judge import CodeRunner, Outcome

pytestmark = pytest.mark.slow

TESTS = '["assert f(2) == 4"]'
GOOD = "def f(x):\n    return 2 * x\n"


@pytest.fixture(scope="module")
def runner() -> CodeRunner:
    return isolated_runner(5.0)


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder in which everyone may read and write, so that it is the sandbox that forbids it."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o777)
        yield Path(folder)


def judge(runner: CodeRunner, source: str, tests: str = TESTS) -> str:
    """The reason of a program's outcome."""
    return runner.judge_source(source, tests, "").reason


def printed(runner: CodeRunner, source: str) -> str:
    """What a program prints, who runs within the sandbox."""
    results = runner.sandbox.run({"mode": "stdin", "code": source, "inputs": [""]}, 5.0, runner.limits)
    assert isinstance(results, list), results
    assert results[0]["reason"] is None, results
    return results[0]["output"].strip()


def test_every_machine_says_what_it_has() -> None:
    found = sandbox.find()
    assert bool(found.command) == (found.name != "none") == (found.reason == "")


def test_a_right_and_a_wrong_program(runner: CodeRunner) -> None:
    assert runner.judge_source(GOOD, TESTS, "") == Outcome("correct", "passed")
    assert runner.judge_source("def f(x):\n    return 5\n", TESTS, "") == Outcome("wrong", "wrong_answer")


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("import os\nwhile True:\n    os.fork()", "processes"),
        (
            "import threading, time\nwhile True:\n    threading.Thread(target=time.sleep, args=(9,)).start()",
            "processes",
        ),
        ("data = bytearray(10 * 2**30)", "memory"),
        ("data = []\nwhile True:\n    data.append(bytearray(2**24))", "memory"),
        ("open('/etc/passwd', 'a').write('x')", "outside"),
        ("open('/usr/written', 'w').write('x')", "outside"),
        ("open('/written', 'w').write('x')", "outside"),
        ("import socket\nsocket.create_connection(('192.0.2.1', 80), timeout=1)", "network"),
        ("import socket\nsocket.getaddrinfo('example.org', 80)", "network"),
        ("import urllib.request\nurllib.request.urlopen('http://192.0.2.1/', timeout=1)", "error"),
        ("while True:\n    print('x' * 10**6)", "output"),
        ("import os\nwhile True:\n    os.write(3, b'x' * 10**6)", "output"),
        ("f = open('/tmp/a', 'wb')\nwhile True:\n    f.write(b'x' * 10**6)", "files"),
        ("open('/tmp/a', 'wb').write(bytes(20 * 2**20))", "files"),
        ("for i in range(99):\n    open(f'/tmp/{i}', 'wb').write(b'x' * 10**7)", "files"),
        ("held = [open('/dev/null') for i in range(1000)]", "files"),
        ("import os, signal\nos.kill(os.getpid(), signal.SIGSEGV)", "crash"),
        ("f = lambda x: f(x)", "error"),
    ],
)
def test_hostile_programs(runner: CodeRunner, source: str, reason: str) -> None:
    assert runner.judge_source(source, TESTS, "") == Outcome("wrong", reason)


@pytest.mark.parametrize(
    "source",
    [
        "while True:\n    pass",
        "import time\ntime.sleep(1000)",
        "import signal\nsignal.pthread_sigmask(signal.SIG_BLOCK, range(1, 65))\nwhile True:\n    pass",
        "import sys\nwhile True:\n    sys.stderr.write('x' * 10**6)",
        "import os, time\nif os.fork() == 0:\n    os.setsid()\ntime.sleep(1000)",
    ],
)
def test_what_never_ends_is_a_timeout(runner: CodeRunner, source: str) -> None:
    impatient = CodeRunner(0.5)
    start = time.monotonic()
    assert impatient.judge_source(source, TESTS, "") == Outcome("timeout", "time")
    # At its own time, and not at the end of what a sandbox may take to start.
    assert time.monotonic() - start < sandbox.START_S


@pytest.mark.parametrize(
    "source",
    [
        "import os\nos.kill(-1, 9)",
        "import os\nos.kill(1, 9)\nos._exit(0)",
    ],
)
def test_what_may_end_in_two_ways(runner: CodeRunner, source: str) -> None:
    assert runner.judge_source(source, TESTS, "").verdict in ("wrong", "timeout")
    assert runner.judge_source(f"{GOOD}# after {source!r}", TESTS, "").verdict == "correct"


def test_the_home_of_the_user_is_not_there(runner: CodeRunner) -> None:
    """Where the interpreter lies below it, the folders that lead there are seen, and nothing beside them."""
    home = Path.home().resolve()
    source = f"import os\nprint(*os.listdir({str(home)!r}) if os.path.isdir({str(home)!r}) else (), sep='\\n')"
    leading = {Path(path).relative_to(home).parts[0] for path in sandbox._binds() if Path(path).is_relative_to(home)}
    assert set(printed(runner, source).split("\n")) - {""} <= leading
    assert judge(runner, f"open({str(home / '.profile')!r}).read()") == "outside"
    # Nothing but the way to an interpreter that lies there.
    seen = printed(runner, "import os\nprint(os.path.expanduser('~'), *os.listdir('/tmp'))").split()
    below = {Path(path).parts[2] for path in sandbox._binds() if Path(path).is_relative_to("/tmp")}
    assert seen[:1] == ["/tmp"] and set(seen[1:]) == below


def test_files_outside_are_neither_read_nor_written(runner: CodeRunner, open_folder: Path) -> None:
    secret = open_folder / "secret"
    secret.write_text("secret")
    secret.chmod(0o666)
    assert judge(runner, f"open({str(secret)!r}).read()") == "outside"
    assert judge(runner, f"open({str(open_folder / 'written')!r}, 'w').write('x')") == "outside"
    assert judge(runner, f"import shutil\nshutil.rmtree({str(open_folder)!r})") == "outside"
    assert [path.name for path in open_folder.iterdir()] == ["secret"]
    assert secret.read_text() == "secret"


def test_nothing_of_the_old_root_is_there(runner: CodeRunner) -> None:
    wanted = {Path(path).parts[1] for path in sandbox._binds()} | {"dev", "tmp"}
    assert set(printed(runner, "import os\nprint(*os.listdir('/'))").split()) == wanted


def test_what_is_shared_is_shared_read_only(runner: CodeRunner, monkeypatch: pytest.MonkeyPatch) -> None:
    """Even what its owner may write to, as a Python installation in a user's own folder."""
    # Not below /tmp, where the program has a folder of its own.
    with tempfile.TemporaryDirectory(dir="/var/tmp") as folder:
        Path(folder).chmod(0o777)
        library = Path(folder) / "library"
        library.write_text("x = 1")
        library.chmod(0o666)
        monkeypatch.setattr(sandbox, "_SYSTEM", (*sandbox._SYSTEM, folder))
        wider = CodeRunner(5.0)
        assert printed(wider, f"print(open({str(library)!r}).read())") == "x = 1"
        assert judge(wider, f"open({str(library)!r}, 'a')") == "outside"
        assert judge(wider, f"open({folder + '/new'!r}, 'w')") == "outside"


def test_no_further_namespaces_are_made(runner: CodeRunner) -> None:
    """In one of its own a program would be root again and could mount."""
    assert printed(runner, "import ctypes\nprint(ctypes.CDLL(None).unshare(0x10000000))") == "-1"


@pytest.mark.parametrize("way", ["os.symlink(SECRET, 'a')", "os.link(SECRET, 'a')", "os.symlink('../..', 'a')"])
def test_links_lead_nowhere(runner: CodeRunner, open_folder: Path, way: str) -> None:
    secret = open_folder / "secret"
    secret.write_text("secret")
    code = f"import os\nSECRET = {str(secret)!r}\n{way}\nopen('a' if os.path.isfile('a') else 'a' + SECRET).read()"
    assert judge(runner, code) == "outside"


def test_a_listening_port_of_this_machine_is_not_reached(runner: CodeRunner) -> None:
    with socket.create_server(("127.0.0.1", 0)) as door:
        port = door.getsockname()[1]
        assert judge(runner, f"import socket\nsocket.create_connection(('127.0.0.1', {port}), timeout=1)") == "network"
        door.settimeout(0.1)
        with pytest.raises(TimeoutError):
            door.accept()


def test_abstract_sockets_of_this_machine_are_not_reached(runner: CodeRunner) -> None:
    name = f"\0stepsift-{os.getpid()}"
    with socket.socket(socket.AF_UNIX) as door:
        door.bind(name)
        door.listen()
        assert judge(runner, f"import socket\nsocket.socket(socket.AF_UNIX).connect({name!r})") == "network"


def test_nothing_of_the_environment_is_seen(runner: CodeRunner, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET_TOKEN", "secret")
    # bubblewrap sets PWD; Python sets LC_CTYPE.
    names = set(printed(runner, "import os\nprint(*os.environ)").split())
    assert names - {"PWD", "LC_CTYPE"} == set(sandbox.ENVIRONMENT)


def test_nothing_of_other_processes_is_seen(runner: CodeRunner) -> None:
    assert printed(runner, "import os\nprint(os.path.exists('/proc/1'), os.getuid() != 0)") == "False True"


def test_open_files_of_this_process_are_not_inherited(runner: CodeRunner, open_folder: Path) -> None:
    source = """
import os
for fd in range(4, 64):
    try:
        os.fstat(fd)
        print(fd)
    except OSError:
        pass
"""
    with (open_folder / "held").open("w") as held:
        os.set_inheritable(held.fileno(), True)
        assert printed(runner, source) == ""


@pytest.mark.parametrize(
    ("source", "reasons"),
    [
        ("import sys\nsys.exit(0)", "exited"),
        ("import os\nos._exit(0)", "exited"),
        ("raise SystemExit", "exited"),
        ("quit()", "exited"),
        ("print('correct')\nprint('passed')\nimport os\nos._exit(0)", "exited"),
        ('import os\nos.write(3, b\'{"reason": null, "value": "0"}\')\nos._exit(0)', "exited output"),
        ('import os\nos.write(3, b\'{"reason": null, "value": null}\')\nos._exit(0)', "exited output"),
        ('import os\nos.write(1, b\'[{"reason": null, "value": "0", "output": ""}]\')\nos._exit(0)', "exited"),
        ("import os\nif os.fork():\n    os._exit(0)\ndef f(x):\n    return 4", "exited"),
        ("import builtins\nbuiltins.AssertionError = KeyboardInterrupt\ndef f(x):\n    return 5", "wrong_answer"),
        ("import builtins\nbuiltins.exec = lambda *a: None\ndef f(x):\n    return 5", "wrong_answer"),
        ("import builtins\nbuiltins.compile = lambda *a: 'pass'\ndef f(x):\n    return 5", "wrong_answer"),
        ("import os\nos._exit = None\nos.write = lambda *a: 0\ndef f(x):\n    return 5", "wrong_answer"),
        ("import atexit, os\natexit.register(os._exit, 0)\ndef f(x):\n    return 5", "wrong_answer"),
        ("import sys\nsys.settrace(None)\ndef f(x):\n    raise SystemExit(0)", "exited"),
        ("def f(x):\n    import os\n    os._exit(0)", "exited"),
        ("__debug__2 = 0\nf = lambda x: 5", "wrong_answer"),
    ],
)
def test_a_verdict_is_not_forged(runner: CodeRunner, source: str, reasons: str) -> None:
    """Of an answer that writes rubbish and ends, either is seen first."""
    found = runner.judge_source(source, TESTS, "")
    assert found.verdict == "wrong"
    assert found.reason in reasons.split()


def test_expected_outputs_are_not_in_the_sandbox(runner: CodeRunner, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the runner is told holds no expected output, so no search of its memory can find one."""
    said: list[bytes] = []
    start = subprocess.Popen

    def spy(*args, stdin, **more):  # type: ignore[no-untyped-def]
        said.append(os.pread(stdin.fileno(), 10**6, 0))
        return start(*args, stdin=stdin, **more)

    monkeypatch.setattr(subprocess, "Popen", spy)
    for tests in (
        '{"inputs": ["1 2"], "outputs": ["unlikely"]}',
        '{"inputs": [[1]], "outputs": ["unlikely"], "fn_name": "f"}',
    ):
        assert judge(runner, GOOD, tests) == "wrong_answer"
    assert len(said) == 2
    assert all(b"1" in text and b"unlikely" not in text for text in said)


def test_what_a_program_leaves_behind_is_killed(runner: CodeRunner) -> None:
    """A daemon that outlives the first input would change what the second one sees."""
    source = (
        "import os, time\n"
        "print(os.path.exists('/tmp/seen'))\n"
        "if input() == '1' and os.fork() == 0:\n"
        "    os.setsid()\n"
        "    if os.fork() == 0:\n"
        "        time.sleep(0.5)\n"
        "        open('/tmp/seen', 'w').close()\n"
        "    os._exit(0)\n"
        "time.sleep(0.7 if os.path.exists('/tmp/first') else 0)\n"
        "open('/tmp/first', 'w').close()\n"
        "print(os.path.exists('/tmp/seen'))\n"
    )
    tests = '{"inputs": ["1", "2"], "outputs": ["False\\nFalse", "False\\nFalse"]}'
    assert judge(runner, source, tests) == "passed"


def test_no_process_lives_after_the_verdict(runner: CodeRunner, monkeypatch: pytest.MonkeyPatch) -> None:
    mark = f"{os.getpid()}-{time.monotonic_ns()}"
    monkeypatch.setitem(sandbox.ENVIRONMENT, "STEPSIFT_MARK", mark)
    source = (
        "import os, time\nfor _ in range(3):\n    if os.fork() == 0:\n        os.setsid()\n        time.sleep(100)\n"
    )
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(judge, runner, f"{source}time.sleep(1)\n{GOOD}")
        while not marked(mark) and not running.done():
            time.sleep(0.01)
        assert not running.done()
        assert running.result() == "passed"
    assert marked(mark) == []


def marked(mark: str) -> list[str]:
    """Ids of the processes with a mark in their environment."""
    found = []
    for folder in Path("/proc").iterdir():
        try:
            if folder.name.isdigit() and f"STEPSIFT_MARK={mark}".encode() in (folder / "environ").read_bytes():
                found.append(folder.name)
        except OSError:
            continue
    return found
