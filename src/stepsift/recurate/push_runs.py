"""`dvc push --run-cache`, and the objects of metrics that it leaves out; `dvc repro --pull` then finds whole runs.

    python -m stepsift.recurate.push_runs

DVC (3.67) pushes the list of runs and what dvc.lock names. Metrics that git holds (`cache: false`) lie in the cache of
the machine that made them and are never pushed, and a run of which one output is missing is no run: another machine
would run the stage. What older runs left, and dvc.lock names no more, is not pushed either.
"""

import subprocess
import sys
from pathlib import Path

from stepsift.core.text import error_line
from stepsift.lineage.lock import stages_of


def main() -> int:
    """Push; the exit code."""
    if code := subprocess.run([sys.executable, "-m", "dvc", "push", "--run-cache"], check=False).returncode:
        return code
    from dvc.exceptions import DvcException
    from dvc.repo import Repo

    with Repo() as repo:
        stages = stages_of(Path(repo.root_dir) / "dvc.lock").values()
        made = {out["md5"] for stage in stages for out in stage.get("outs", []) if "md5" in out}
        try:
            for odb, objects in repo.stage_cache.get_used_objs(_runs(Path(repo.stage_cache.cache_dir))).items():
                ours = {o for o in objects if o.value in made and repo.cache.local.exists(o.value)}
                repo.cloud.push(ours, odb=odb)
        except DvcException as e:
            sys.stderr.write(f"error: the metrics of runs were not pushed: {error_line(e)}\n")
            return 1
    return 0


def _runs(folder: Path) -> list[tuple[str, str]]:
    """(key, value) of each run that DVC's cache lists."""
    return sorted((p.parent.name, p.name) for p in folder.glob("*/*/*") if p.is_file() and not p.name.endswith(".tmp"))


if __name__ == "__main__":
    sys.exit(main())
