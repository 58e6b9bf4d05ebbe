"""How a command talks: what it prints, where, and how it ends when something is wrong."""

import contextlib
import errno
import gc
import logging
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterable, Iterator
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, NoReturn

from stepsift.core import disk
from stepsift.core.errors import StepsiftError, Stopped
from stepsift.core.pace import duration
from stepsift.core.text import json_text, named_error_line, terminal_line, terminal_text

log = logging.getLogger(__name__)

_DISK_FULL = (
    "nothing more can be written{place}: the disk is full, or a quota or a limit of a file's size is reached; free "
    "space and run it again: scores, students and evaluations that were finished are in the caches and are not made "
    "again"
)
_OF_FILES = {
    errno.EACCES: "{path} may not be read or written by this user; change its owner or permissions, or name another",
    errno.EPERM: "{path} may not be changed by this user; change its owner or permissions, or name another",
    errno.EROFS: "{path} lies on a disk that is read-only; make it writable, or name another place",
    errno.ENOENT: "{path} is not there; look at its name, let 'dvc repro' write what a stage writes, or install it if "
    "it is a program",
    errno.EEXIST: "{path} is a file where a folder is needed; move it away, or name another",
    errno.ENOTDIR: "{path} is, or lies below, a file where a folder is needed; move it away, or name another",
    errno.EISDIR: "{path} is a folder where a file is needed; move it away, or name another",
    errno.ENAMETOOLONG: "{path:.80}… is too long for the name of a file or folder; give a shorter one",
    errno.ELOOP: "{path} is a link that leads back to itself; remove it, or name another",
}
"""What is wrong with a file or folder, and what to do, by number of the system's error."""


def _on_uncaught(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """Say of Ctrl-C, and of a Stopped, what `run` says of them; of all else Python's lines, with inert names."""
    if issubclass(kind, KeyboardInterrupt):
        sys.stderr.write(f"{str(error) or 'stopped'}\n")
    else:
        sys.stderr.write(terminal_text("".join(traceback.format_exception(kind, error, trace))))


# Modules that a command imports before it calls `run` take seconds, too.
sys.excepthook = _on_uncaught
# At Python's 700, an eighth of a short stage's CPU time went into looking for garbage among what it had imported.
gc.set_threshold(10_000)


@dataclass(frozen=True)
class Voice:
    """How a command answers on standard output: in lines to read, in JSON, or not at all."""

    form: Literal["lines", "json", "quiet"] = "lines"

    def lines(self, lines: Iterable[str]) -> None:
        """Lines to read, each as soon as it is known; a line feed in one is part of a name, and begins no other."""
        for line in lines:
            if self.form == "lines":
                sys.stdout.write(f"{terminal_line(line)}\n")
                sys.stdout.flush()

    def data(self, value: Any) -> None:
        """The same for programs; said once."""
        if self.form == "json":
            _answer(value)


_answered = ContextVar("answered", default=False)
"""Whether this command has answered in JSON."""


def _answer(value: Any) -> None:
    _answered.set(True)
    sys.stdout.write(json_text(value) + "\n")
    sys.stdout.flush()


def answer_problems(sentences: list[str]) -> None:
    """In JSON, where the command line asks for it and nothing was answered yet: what is wrong, as `problems`."""
    if "--json" in sys.argv[1:] and not _answered.get():
        _answer({"problems": sentences})


@dataclass
class Announcement:
    """What a stage has to say at its end: `did` is what it did, with its counts."""

    did: str = "done"


class _SafeFormatter(logging.Formatter):
    """Log lines in which names of teachers and files, and texts of other libraries, are inert."""

    def format(self, record: logging.LogRecord) -> str:
        return terminal_text(super().format(record))


@contextlib.contextmanager
def announced(stage: str, intent: str, out: Path) -> Iterator[Announcement]:
    """A line of what a stage will do, and, where it comes to its end, one of what it did, how long it took and where
    that lies."""
    log.info("%s: %s", stage, intent)
    begin = time.monotonic()
    end = Announcement()
    yield end
    log.info("%s: %s, in %s; see %s", stage, end.did, duration(time.monotonic() - begin), out)


def run(main: Callable[[], None]) -> None:
    """Run a command: log lines to standard error, what is wrong as its text alone with exit code 1.

    What is wrong is a StepsiftError, or what the system says of a file. With --json it is answered on standard output,
    too, and so is everything else that ends a command.
    """
    _answered.set(False)
    handler = logging.StreamHandler()
    handler.setFormatter(_SafeFormatter("%(message)s"))
    logging.basicConfig(level=logging.WARNING, handlers=[handler])
    logging.getLogger("stepsift").setLevel(logging.INFO)
    # Where nobody else minds it: what `with` and `finally` are for happens, and the run's end is tracked.
    with contextlib.suppress(ValueError):  # not the main thread
        signal.signal(signal.SIGTERM, _end)
    try:
        main()
    except StepsiftError as e:
        _fail(str(e).split("\n"))
    except BrokenPipeError:
        # Who read it has enough. Python would complain once more when it closes the stream.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SystemExit(1) from None
    except Stopped as e:
        answer_problems([str(e)])
        sys.stderr.write(f"{e}\n")
        raise SystemExit(e.exit_code) from None
    except KeyboardInterrupt:
        answer_problems(["stopped"])
        sys.stderr.write("stopped\n")
        raise SystemExit(130) from None
    except Exception as e:  # a full disk shows as any library's error; all else is a defect of ours
        if (sentence := _sentence(e)) is not None:
            _fail([sentence])
        # Whoever reads JSON is told too, and the traceback stays.
        answer_problems([_defect(e)])
        raise


def _fail(sentences: list[str]) -> NoReturn:
    for sentence in sentences:
        sys.stderr.write(f"error: {terminal_line(sentence)}\n")
    answer_problems(sentences)
    raise SystemExit(1) from None


def _defect(e: Exception) -> str:
    return f"a defect of stepsift: {named_error_line(e)}; please report it, with what standard error says"


def _end(number: int, _: object) -> None:
    raise Stopped("stopped", 128 + number)


def _sentence(e: Exception) -> str | None:
    """What to say of an error of the system; None for one that a user cannot mend."""
    if disk.is_full(e):
        name = getattr(e, "filename", None)
        return _DISK_FULL.format(place=f" ({name})" if name else "")
    if isinstance(e, OSError) and e.errno in _OF_FILES and isinstance(e.filename, str | os.PathLike):
        return _OF_FILES[e.errno].format(path=os.fspath(e.filename))
    return None
