"""The shared folder's pools whose gold answers are spelled differently."""

import shutil

import pytest

from helpers.places import SHARED
from stepsift.ingest.run import ingest
from stepsift.params import Ingest

POOLS = SHARED / "cases" / "pools"


@pytest.mark.slow
@pytest.mark.skipif(not POOLS.is_dir(), reason="no folder shared/cases beside the repository")
def test_the_shared_pool_with_two_spellings_keeps_all_three_traces(tmp_path):
    (tmp_path / "sources").mkdir()
    for name in ("conflict_a.jsonl", "conflict_b.jsonl"):
        shutil.copy(POOLS / name, tmp_path / "sources")
    counts = ingest(tmp_path / "sources", tmp_path / "out", Ingest())
    assert (counts.total.kept, counts.gold_conflicts) == (3, 0)
    assert {teacher: n["correct"] for teacher, n in counts.verdicts.items()} == {"a": 1, "b": 1, "c": 1}
