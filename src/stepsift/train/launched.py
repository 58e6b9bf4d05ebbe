"""A process of a training that `accelerate launch` started; its one argument is the folder of the job."""

import json
import os
import sys
import threading
import time
from pathlib import Path

import psutil

from stepsift.core.errors import StepsiftError
from stepsift.train.launch import ERROR, LIVE, Job

_LOOK_S = 1.0


def main() -> None:
    """Do the job; a StepsiftError becomes the text of the file ERROR, and exit code 1."""
    folder = Path(sys.argv[1])
    job = Job.read(folder)
    threading.Thread(target=_end_with, args=(job.parent,), daemon=True).start()
    from stepsift.train.fit import fit_student

    with (folder / LIVE).open("a", encoding="utf-8") as live:

        def on_log(step: int, values: dict[str, float]) -> None:
            live.write(json.dumps({"step": step} | values) + "\n")
            live.flush()

        try:
            fit_student(job, on_log)
        except StepsiftError as e:
            (folder / ERROR).write_text(str(e), encoding="utf-8")
            sys.exit(1)


def _end_with(parent: int) -> None:
    """Nobody waits for what a killed parent started."""
    while psutil.pid_exists(parent):
        time.sleep(_LOOK_S)
    os._exit(1)


if __name__ == "__main__":
    main()
