"""Stages that are killed between two changes of the disk leave, run again, the bytes of a run that never was."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from helpers import pipeline_repo
from helpers.places import ROOT

pytestmark = pytest.mark.system

KILLS = 35


def test_thirty_kills_over_all_stages_change_no_byte(finished: Path):
    """The harness imports what stages need once and forks, so a kill costs what its stage had done until then."""
    script = ROOT / "tests/helpers/stage_kills.py"
    done = subprocess.run(
        [sys.executable, "-P", str(script), str(finished), str(KILLS)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr + done.stdout
    result = json.loads(done.stdout.splitlines()[-1])
    assert list(result) == pipeline_repo.STAGES
    for stage, came_of_it in result.items():
        assert came_of_it["code"] == 0 and came_of_it["differing"] == [], (stage, came_of_it)
    assert sum(len(came_of_it["killed_at"]) for came_of_it in result.values()) >= 30, result
    log = (finished.parent / "log").read_text()
    assert "Traceback" not in log, log
    # DVC finds what its lock file says.
    assert "Data and pipelines are up to date." in pipeline_repo.output(finished, "dvc", "status")
