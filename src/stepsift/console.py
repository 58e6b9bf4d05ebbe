"""How a command talks: what it prints, where, and how it ends when something is wrong."""

import contextlib
import errno
import json
import logging
import os
import signal
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from stepsift.errors import StepsiftError, Stopped

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Voice:
    """How a command answers on standard output: in lines to read, in JSON, or not at all."""

    form: Literal["lines", "json", "quiet"] = "lines"

    def lines(self, lines: Iterable[str]) -> None:
        """Lines to read, each as soon as it is known."""
        for line in lines:
            if self.form == "lines":
                sys.stdout.write(f"{line}\n")
                sys.stdout.flush()

    def data(self, value: Any) -> None:
        """The same for programs; said once."""
        if self.form == "json":
            sys.stdout.write(json.dumps(value, indent=2, ensure_ascii=False, default=str) + "\n")


@dataclass
class Told:
    """What a stage has to say at its end: `did` is what it did, with its counts."""

    did: str = "done"


@contextlib.contextmanager
def told(stage: str, intent: str, out: Path) -> Iterator[Told]:
    """A line of what a stage will do, and, where it comes to its end, one of what it did, how long it took and where
    that lies."""
    log.info("%s: %s", stage, intent)
    begin = time.monotonic()
    end = Told()
    yield end
    log.info("%s: %s, in %s; see %s", stage, end.did, duration(time.monotonic() - begin), out)


def duration(seconds: float) -> str:
    """Seconds for people: '40 s', '12 min', '3 h 20 min'."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"


def run(main: Callable[[], None]) -> None:
    """Run a command: log lines to standard error, a StepsiftError as its text alone with exit code 1."""
    logging.basicConfig(level=logging.WARNING, format="%(message)s", stream=sys.stderr)
    logging.getLogger("stepsift").setLevel(logging.INFO)
    # Where nobody else minds it: what `with` and `finally` are for happens, and the run's end is tracked.
    with contextlib.suppress(ValueError):  # not the main thread
        signal.signal(signal.SIGTERM, _end)
    try:
        main()
    except StepsiftError as e:
        for sentence in str(e).splitlines():
            sys.stderr.write(f"error: {sentence}\n")
        raise SystemExit(1) from None
    except BrokenPipeError:
        # Who read it has enough. Python would complain once more when it closes the stream.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SystemExit(1) from None
    except OSError as e:
        if e.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        place = f" ({e.filename})" if e.filename else ""
        sys.stderr.write(
            f"error: the disk is full{place}; free space and run it again: scores, students and evaluations that were "
            "finished are in the caches and are not made again\n"
        )
        raise SystemExit(1) from None
    except Stopped as e:
        sys.stderr.write(f"{e}\n")
        raise SystemExit(e.exit_code) from None
    except KeyboardInterrupt:
        sys.stderr.write("stopped\n")
        raise SystemExit(130) from None


def _end(number: int, _: object) -> None:
    raise Stopped("stopped", 128 + number)
