"""What dvc.lock says of a stage's command, of today's stages and of those of older revisions."""

import pytest
import yaml

from helpers.places import ROOT
from stepsift.lineage.lock import command_paths

STAGES = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]


@pytest.mark.parametrize(
    ("command", "paths"),
    [
        ("python -P stages/ingest.py data/sources data/ingest", ["data/sources", "data/ingest"]),
        ("python -P scripts/run_score.py a.parquet data/score", ["a.parquet", "data/score"]),
        ("python -P -m stepsift.container.launch score a.parquet data/score", ["a.parquet", "data/score"]),
        ("python -P stages/ingest.py 'my sources' out", ["my sources", "out"]),
    ],
)
def test_paths_follow_the_script_or_the_module_and_its_stage(command: str, paths: list[str]):
    assert command_paths(command) == paths


@pytest.mark.parametrize("name", STAGES)
def test_every_path_in_a_command_of_today_is_an_input_or_an_output(name: str):
    kinds = (STAGES[name].get(kind, []) for kind in ("deps", "outs", "plots", "metrics"))
    tracked = [next(iter(entry)) if isinstance(entry, dict) else entry for kind in kinds for entry in kind]
    paths = command_paths(STAGES[name]["cmd"])
    assert paths
    assert [p for p in paths if p not in tracked and not any(t.startswith(f"{p}/") for t in tracked)] == []
