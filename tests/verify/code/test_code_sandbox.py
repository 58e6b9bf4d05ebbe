"""The walls themselves: that the probe would notice a hole, and what programs may count on inside."""

import json
import socket
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

import polars as pl
import pytest

from helpers.programs import isolated_runner
from stepsift.core import table_files, tables
from stepsift.ingest.run import ingest
from stepsift.params import Ingest
from stepsift.verify.code import sandbox
from stepsift.verify.code.code_tests import read_tests
from stepsift.verify.code.judge import REASONS, CodeRunner, Outcome
from stepsift.verify.code.sandbox_probe import ATTEMPTS

SUM = "print(sum(map(int, input().split())))"
PRINTED = '{"inputs": ["1 2\\n", "5 6\\n"], "outputs": ["3\\n", "11\\n"]}'
RETURNED = '{"inputs": [[[3, 1, 2]], [[]]], "outputs": [[1, 2, 3], []], "fn_name": "order"}'
LINES = json.dumps({"inputs": ["[3, 1]\n2"], "outputs": ["[1, 2, 3]"], "fn_name": "order"})
PROMPT = 'def square(x: int) -> int:\n    """The square."""\n'


@pytest.fixture(scope="module")
def runner() -> CodeRunner:
    return isolated_runner(5.0)


def fenced(source: str) -> str:
    return f"Here it is:\n```python\n{source}\n```\nDone."


@pytest.mark.slow
def test_the_probe_tells_what_an_open_machine_lets_it_do(tmp_path: Path) -> None:
    """Without a sandbox all that the probe tries succeeds: its silence means something."""
    (tmp_path / "canary").write_text("canary")
    (tmp_path / "probe.py").write_text(ATTEMPTS.replace("sys.executable", "__file__"))
    with socket.create_server(("127.0.0.1", 0)) as door:
        told = json.dumps({"folder": str(tmp_path), "port": door.getsockname()[1], "processes": 8, "inodes": 4096})
        command = [sys.executable, str(tmp_path / "probe.py")]
        done = subprocess.run(command, input=told, capture_output=True, text=True, check=True)
    for name in (
        "a connection",
        "a write outside",
        "a read outside",
        "a change",
        "more processes than the limit",
        "memory",
    ):
        assert name in done.stdout


@pytest.mark.parametrize(
    ("results", "why"),
    [
        ([{"reason": None, "output": "a write outside\n", "value": None}], "does not prevent a write outside"),
        ([{"reason": None, "output": "", "value": None}], "does not prevent"),
        ([{"reason": "error", "output": "none\n", "value": None}], "ended with 'error'"),
        ([], "no result"),
        ("time", "within its time"),
        ("unshare: Operation not permitted", "Operation not permitted"),
    ],
)  # fmt: skip
def test_a_backend_is_believed_only_when_every_attempt_failed(
    monkeypatch: pytest.MonkeyPatch, results: object, why: str
) -> None:
    monkeypatch.setattr(sandbox.Sandbox, "run", lambda *_: results)
    monkeypatch.setattr(sandbox, "_why_none", lambda: "")
    monkeypatch.setattr(sandbox, "_command", lambda: ("bwrap",))
    found = sandbox.find()
    assert (found.name, found.command) == ("none", ())
    assert why in found.reason


def test_a_home_within_the_python_installation_would_be_open(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sandbox.shutil, "which", lambda _: "/usr/bin/bwrap")
    monkeypatch.setattr(Path, "home", lambda: Path(sys.prefix) / "home")
    found = sandbox.find()
    assert found.command == ()
    assert "home folder" in found.reason


@pytest.mark.slow
def test_an_interpreter_below_tmp_works(runner: CodeRunner, monkeypatch: pytest.MonkeyPatch) -> None:
    """Programs have a /tmp of their own; the interpreter is shown on top of it, and cannot be changed there."""
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        Path(folder).chmod(0o755)
        venv.create(Path(folder) / "venv", symlinks=True)
        monkeypatch.setattr(sys, "prefix", f"{folder}/venv")
        monkeypatch.setattr(sys, "executable", f"{folder}/venv/bin/python")
        found = sandbox.find()
        assert found.command, found.reason
        source = "import sys\nopen('/tmp/a', 'w').close()\nprint(sys.prefix)\nopen(sys.prefix + '/a', 'w')"
        (result,) = found.run({"mode": "stdin", "code": source, "inputs": [""]}, 5.0, sandbox.Limits())
    assert result == {"reason": "outside", "output": f"{folder}/venv\n", "value": None}


@pytest.mark.parametrize("prefix", ["/tmp", "/", "/dev"])
def test_an_interpreter_around_a_folder_of_programs_is_a_sentence(prefix: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "prefix", prefix)
    monkeypatch.setattr(Path, "home", lambda: Path("/nowhere"))
    monkeypatch.setattr("shutil.which", lambda _: "/usr/bin/bwrap")
    assert "a folder of its own" in sandbox.find().reason


def test_without_bubblewrap_the_package_to_install_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda _: None)
    assert sandbox.find().reason == "bubblewrap is not installed; install the package bubblewrap"


def test_a_processor_without_a_filter_has_no_isolation(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("platform.machine", lambda: "riscv64")
    monkeypatch.setattr("shutil.which", lambda _: "/usr/bin/bwrap")
    assert "riscv64" in sandbox.find().reason


@pytest.mark.slow
def test_the_runner_refuses_to_run_outside_of_a_sandbox() -> None:
    program = Path(sandbox.__file__).with_name("sandbox_runner.py")
    done = subprocess.run([sys.executable, "-P", program], input="{}", capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "must not be run by hand" in done.stderr


@pytest.mark.slow
@pytest.mark.parametrize(
    ("source", "tests", "reason"),
    [
        (SUM, PRINTED, "passed"),
        (f"if __name__ == '__main__':\n    {SUM}", PRINTED, "passed"),
        (f"import sys\n{SUM}\nsys.exit()", PRINTED, "passed"),
        ("import sys\nfor line in sys.stdin:\n    print(sum(map(int, line.split())))", PRINTED, "passed"),
        ("import os\nos.write(1, b'%d' % sum(map(int, os.read(0, 99).split())))\nos._exit(0)", PRINTED, "passed"),
        (f"import threading\ndef g():\n    {SUM}\nthreading.Thread(target=g).start()", PRINTED, "passed"),
        (f"import atexit\natexit.register(lambda: {SUM})", PRINTED, "passed"),
        ("print(3)", PRINTED, "wrong_answer"),
        (f"{SUM}\nraise SystemExit(1)", PRINTED, "exited"),
        ("input(), input()", PRINTED, "error"),
        ("def order(x):\n    return sorted(x)", RETURNED, "passed"),
        ("class Solution:\n    def order(self, x: List[int]):\n        return sorted(x)", RETURNED, "passed"),
        ("def order(x):\n    return tuple(sorted(x))", RETURNED, "passed"),
        ("def order(x):\n    return x", RETURNED, "wrong_answer"),
        ("def order(x):\n    return object()", RETURNED, "error"),
        ("def order(x, y):\n    return sorted([*x, y])", LINES, "passed"),
        ("def sum(a, b):\n    return a + b", '["assert sum(1, 2) == 3"]', "passed"),
        ("if __name__ == '__main__':\n    input()\ndef f(x):\n    return x", '["assert f(1) == 1"]', "passed"),
        ("import no_such_module", '["assert f(1) == 1"]', "error"),
    ],
)
def test_verdicts(runner: CodeRunner, source: str, tests: str, reason: str) -> None:
    assert runner.judge(fenced(source), tests, "") == Outcome(REASONS[reason], reason)


@pytest.mark.slow
@pytest.mark.parametrize("word", ["passed", "isolation", "no_tests", "nonsense", {}, 1])
def test_a_program_cannot_name_a_reason_that_saves_it(runner: CodeRunner, word: object) -> None:
    report = json.dumps({"reason": word, "value": "x"})
    source = f"import os\nos.write(3, {report.encode()!r})\nos._exit(0)"
    assert runner.judge_source(source, "assert 1", "").verdict == "wrong"


@pytest.mark.slow
def test_the_same_answer_runs_once(runner: CodeRunner, monkeypatch: pytest.MonkeyPatch) -> None:
    first = runner.judge_source("x = 77", "assert x == 77", "")
    monkeypatch.setattr(sandbox.Sandbox, "run", lambda *_: pytest.fail("it ran again"))
    assert runner.judge_source("x = 77", "assert x == 77", "") == first == Outcome("correct", "passed")


@pytest.mark.slow
def test_what_is_printed_does_not_vary_with_hashes(runner: CodeRunner) -> None:
    job = {"mode": "stdin", "code": "print(*{'a', 'b', 'c', 'd', 'e'}, hash('x'))", "inputs": [""]}
    one, two = (runner.sandbox.run(job, 5.0, runner.limits) for _ in range(2))
    assert one == two
    assert len(one) == 1


@pytest.mark.parametrize(
    "tests",
    [
        "null",
        '[["assert 1"]]',
        '{"inputs": ["1"], "outputs": []}',
        '{"inputs": [], "outputs": []}',
        '{"inputs": [1], "outputs": [1], "fn_name": "f"}',
        '{"inputs": ["{"], "outputs": ["1"], "fn_name": "f"}',
        "def test_one(fixture):\n    assert False",
        "class T:\n    def test_a(self):\n        assert False",
    ],
)
def test_what_holds_no_tests_that_would_run(tests: str) -> None:
    assert read_tests(tests) is None


def ingested(tmp_path: Path, *answers: str, **settings: object) -> tuple[dict, pl.DataFrame]:
    """(metrics, traces) of a prompt with tests, a gold solution and one response of each of some teachers."""
    about = {"prompt": PROMPT, "answer": "    return x * x", "tests": ["assert square(3) == 9"]}
    rows = [{**about, "response": text, "teacher": f"t{n}"} for n, text in enumerate(answers)]
    (tmp_path / "sources").mkdir()
    (tmp_path / "sources" / "a.jsonl").write_text("\n".join(map(json.dumps, rows)))
    counts = ingest(tmp_path / "sources", tmp_path / "out", Ingest.model_validate(settings))
    return counts.as_dict(), table_files.read(tables.TRACES, tmp_path / "out" / "traces.parquet")


@pytest.mark.slow
def test_ingest_runs_programs_and_counts_reasons(tmp_path: Path, runner: CodeRunner) -> None:
    answers = (fenced("    return x ** 2"), fenced("    return x"), "no code", fenced("raise SystemExit"))
    counts, traces = ingested(tmp_path, *answers, answer_kind="code")
    verdicts = dict(traces.select("teacher", "verdict").iter_rows())
    assert verdicts == {"t0": "correct", "t1": "wrong", "t2": "unparsed", "t3": "wrong"}
    assert counts["code"] == {"exited": 1, "no_code": 1, "passed": 1, "wrong_answer": 1}
    assert counts["gold"] == {"code": {"prompts": 1, "accepted": 1, "share": 1.0}}


@pytest.mark.slow
def test_ingest_runs_no_program_unless_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sandbox.Sandbox, "run", lambda *_: pytest.fail("a program was run"))
    counts, traces = ingested(tmp_path, fenced("    return x ** 2"))
    assert traces["verdict"].to_list() == ["unchecked"]
    assert (counts["code"], counts["gold"]) == ({}, {})


@pytest.mark.slow
def test_ingest_without_isolation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sandbox, "find", lambda: sandbox.Sandbox("none", (), "off"))
    counts, traces = ingested(tmp_path, fenced("    return x ** 2"), answer_kind="code")
    assert traces["verdict"].to_list() == ["unchecked"]
    assert (counts["code"], counts["gold"]) == ({"isolation": 1}, {})


@pytest.mark.slow
def test_no_privilege_can_be_gained_inside() -> None:
    """No capability, no program that grants one, and no namespace in which to be root again."""
    found = sandbox.find()
    if not found.command:
        pytest.skip(found.reason)
    source = """
import ctypes, os, socket
libc = ctypes.CDLL(None, use_errno=True)
print("new privileges", libc.prctl(39, 0, 0, 0, 0))
print("new namespace", libc.unshare(0x10000000))
try:
    socket.sethostname("x")
except OSError:
    print("no capability")
"""
    (result,) = found.run({"mode": "stdin", "code": source, "inputs": [""]}, 5.0, sandbox.Limits())
    # 1: the kernel gives no new privileges; -1: the call failed.
    assert result["output"] == "new privileges 1\nnew namespace -1\nno capability\n"  # type: ignore[index]


@pytest.mark.slow
def test_the_root_holds_what_python_needs_and_cannot_be_changed() -> None:
    found = sandbox.find()
    if not found.command:
        pytest.skip(found.reason)
    source = """
import os, sys
print(*sorted(os.listdir("/")))
print(*[os.statvfs(path).f_flag & os.ST_RDONLY for path in (sys.executable, os.__file__, "/", "/usr", "/tmp")])
"""
    (result,) = found.run({"mode": "stdin", "code": source, "inputs": [""]}, 5.0, sandbox.Limits())
    names = {Path(path).parts[1] for path in sandbox._binds()} | {"tmp", "dev"}
    assert result["output"] == " ".join(sorted(names)) + "\n1 1 1 1 0\n"  # type: ignore[index]
