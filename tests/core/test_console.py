"""How a command ends: its exit code, and what it says on standard error."""

import contextlib
import errno
import json
import logging
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from stepsift.core import console
from stepsift.core.errors import ParamsError, SourceError, StepsiftError, Stopped, StudentError


@pytest.fixture(autouse=True)
def loggers() -> Iterator[None]:
    """`run` sets loggers up, once a process; here they are put back."""
    ours, root = logging.getLogger("stepsift"), logging.getLogger()
    before = ours.level, root.level
    yield
    ours.setLevel(before[0])
    root.setLevel(before[1])


def ended(capsys: pytest.CaptureFixture[str], error: BaseException) -> tuple[object, str]:
    """Exit code and standard error of a command that raises."""

    def main() -> None:
        raise error

    with pytest.raises(SystemExit) as caught:
        console.run(main)
    out, err = capsys.readouterr()
    assert out == ""
    return caught.value.code, err


def test_what_goes_well_ends_well(capsys: pytest.CaptureFixture[str]):
    done: list[int] = []
    console.run(lambda: done.append(1))
    assert done == [1]
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("kind", [StepsiftError, SourceError, StudentError])
def test_an_error_of_ours_is_its_text_and_exit_1(capsys: pytest.CaptureFixture[str], kind: type[StepsiftError]):
    assert ended(capsys, kind("there is no student")) == (1, "error: there is no student\n")


def test_each_problem_is_a_line(capsys: pytest.CaptureFixture[str]):
    assert ended(capsys, ParamsError(["a is wrong", "b is wrong"])) == (1, "error: a is wrong\nerror: b is wrong\n")


def test_ctrl_c_is_130_without_a_traceback(capsys: pytest.CaptureFixture[str]):
    assert ended(capsys, KeyboardInterrupt()) == (130, "stopped\n")


@pytest.mark.parametrize("code", [0, 2])
def test_an_exit_of_the_command_is_its_own(capsys: pytest.CaptureFixture[str], code: int):
    assert ended(capsys, SystemExit(code)) == (code, "")


@pytest.mark.parametrize("error", [ValueError("a defect"), OSError(13, "Permission denied")])
def test_anything_else_is_a_defect_and_keeps_its_traceback(error: Exception):
    def main() -> None:
        raise error

    with pytest.raises(type(error)) as caught:
        console.run(main)
    assert caught.value is error


@pytest.mark.parametrize(
    ("number", "said"),
    [
        (errno.EACCES, "data/x may not be read or written by this user; change its owner or permissions"),
        (errno.EROFS, "data/x lies on a disk that is read-only; make it writable"),
        (errno.ENOENT, "data/x is not there; look at its name, let 'dvc repro' write"),
        (errno.EEXIST, "data/x is a file where a folder is needed; move it away"),
        (errno.EISDIR, "data/x is a folder where a file is needed; move it away"),
    ],
)
def test_what_the_system_says_of_a_file_is_a_sentence(capsys: pytest.CaptureFixture[str], number: int, said: str):
    for name in ("data/x", Path("data/x")):
        code, line = ended(capsys, OSError(number, "the system's words", name))
        assert (code, line.startswith(f"error: {said}"), line.count("\n")) == (1, True, 1)


def test_files_that_cannot_be_made_or_read_are_told_from_real_calls(capsys: pytest.CaptureFixture[str], tmp_path: Path):
    (tmp_path / "file").touch()
    tries = {
        (tmp_path / "none" / "x").read_bytes: "is not there",
        (tmp_path / "file" / "x").read_bytes: "is, or lies below, a file where a folder is needed",
        (tmp_path / "file").mkdir: "is a file where a folder is needed",
        tmp_path.read_bytes: "is a folder where a file is needed",
        (tmp_path / ("x" * 10_000)).read_bytes: "x… is too long for the name of a file or folder",
        (tmp_path / "loop").read_bytes: "is a link that leads back to itself",
    }
    (tmp_path / "loop").symlink_to("loop")
    for attempt, said in tries.items():
        with pytest.raises(SystemExit):
            console.run(attempt)  # type: ignore[arg-type]
        line = capsys.readouterr().err
        assert said in line and len(line) < 500


@pytest.mark.slow
def test_ctrl_c_during_imports_is_no_traceback(tmp_path: Path):
    script = "from stepsift.core import console\nraise KeyboardInterrupt"
    done = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (-signal.SIGINT, "stopped\n")
    script = "from stepsift.core import console\nraise ValueError('a defect')"
    done = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 1 and done.stderr.startswith("Traceback")
    assert done.stderr.endswith("\nValueError: a defect\n")
    script = "from stepsift.core import console\nraise ValueError('\\x1b[2J\\u202e\\n::error::owned')"
    done = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.stderr.endswith("\nValueError: ⟨U+001B⟩[2J⟨U+202E⟩\n⟨::⟩error::owned\n")


def test_a_full_disk_is_said_in_a_sentence(capsys: pytest.CaptureFixture[str]):
    code, said = ended(capsys, OSError(errno.ENOSPC, "No space left on device", "/data/out.parquet"))
    assert code == 1 and said.startswith(
        "error: nothing more can be written (/data/out.parquet): the disk is full, or a"
    )
    assert said.endswith("are not made again\n")


def _raised_from(cause: Exception) -> Exception:
    error = RuntimeError("the table could not be made")
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.EDQUOT, "Disk quota exceeded"),
        OSError(errno.EFBIG, "File too large"),
        ValueError("I/O error: No space left on device (os error 28)"),
        _raised_from(OSError(errno.ENOSPC, "No space left on device")),
    ],
)
def test_libraries_say_in_several_ways_that_a_disk_is_full(capsys: pytest.CaptureFixture[str], error: Exception):
    code, said = ended(capsys, error)
    assert code == 1 and said.startswith("error: nothing more can be written: the disk is full")


def test_a_database_that_may_not_grow_is_a_full_disk(capsys: pytest.CaptureFixture[str]):
    with contextlib.closing(sqlite3.connect(":memory:")) as database:
        database.execute("PRAGMA max_page_count = 2")
        with pytest.raises(sqlite3.OperationalError) as full:
            database.executescript("CREATE TABLE a (x); CREATE TABLE b (x);")
        with pytest.raises(sqlite3.OperationalError) as other:
            database.execute("SELECT * FROM nowhere")
    assert ended(capsys, full.value)[1].startswith("error: nothing more can be written: the disk is full")
    with pytest.raises(sqlite3.OperationalError):  # a defect of ours keeps its traceback
        ended(capsys, other.value)


def test_a_run_that_was_asked_to_end_says_what_it_kept(capsys: pytest.CaptureFixture[str]):
    assert ended(capsys, Stopped("stopped: 3 of 9 traces are done", 143)) == (143, "stopped: 3 of 9 traces are done\n")


def test_our_progress_is_shown_and_other_libraries_chat_is_not(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(logging.getLogger(), "handlers", [])  # without those of pytest

    def main() -> None:
        logging.getLogger("stepsift.stages.score").info("scored 3 traces")
        logging.getLogger("httpx").info("GET")
        logging.getLogger("httpx").warning("careful")

    console.run(main)
    assert capsys.readouterr() == ("", "scored 3 traces\ncareful\n")


def test_a_stage_says_what_it_will_do_and_what_it_did(caplog: pytest.LogCaptureFixture):
    caplog.set_level(logging.INFO, logger="stepsift")
    with console.announced("segment", "cuts", Path("data/segment")) as end:
        assert caplog.messages == ["segment: cuts"]
        end.did = "3 steps of 1 trace"
    assert caplog.messages[1:] == ["segment: 3 steps of 1 trace, in 0 s; see data/segment"]


def test_a_stage_that_fails_says_nothing_of_what_it_did(caplog: pytest.LogCaptureFixture):
    caplog.set_level(logging.INFO, logger="stepsift")
    with pytest.raises(SourceError), console.announced("ingest", "reads", Path("data/ingest")):
        raise SourceError("broken")
    assert caplog.messages == ["ingest: reads"]


@pytest.mark.parametrize(
    ("error", "caught", "problem"),
    [
        (SourceError("a is wrong\nb is wrong"), SystemExit, "a is wrong"),
        (OSError(errno.ENOENT, "", "data/x"), SystemExit, "data/x is not there"),
        (OSError(errno.EIO, "I/O error"), OSError, "a defect of stepsift: OSError: [Errno 5] I/O error; please report"),
        (ValueError("no"), ValueError, "a defect of stepsift: ValueError: no; please report it"),
        (Stopped("stopped after 3 traces", 143), SystemExit, "stopped after 3 traces"),
        (KeyboardInterrupt(), SystemExit, "stopped"),
    ],
)
def test_with_json_every_end_is_answered_once(
    error: BaseException,
    caught: type,
    problem: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
):
    monkeypatch.setattr(sys, "argv", ["stepsift", "check", "--json"])

    def main() -> None:
        raise error

    def answered() -> None:
        console.Voice("json").data({"plan": []})
        raise error

    with pytest.raises(caught):
        console.run(main)
    assert json.loads(capsys.readouterr().out)["problems"][0].startswith(problem)
    with pytest.raises(caught):
        console.run(answered)
    assert json.loads(capsys.readouterr().out) == {"plan": []}
    monkeypatch.setattr(sys, "argv", ["stepsift", "check"])
    with pytest.raises(caught):
        console.run(main)
    assert capsys.readouterr().out == ""


def test_a_name_begins_no_line_of_its_own(capsys: pytest.CaptureFixture[str]):
    console.Voice().lines(["teacher two\nok      sources  all is well\r\n::warning::x", "", "last"])
    assert capsys.readouterr().out.splitlines() == [
        "teacher two⟨U+000A⟩ok      sources  all is well⟨U+000A⟩::warning::x",
        "",
        "last",
    ]
