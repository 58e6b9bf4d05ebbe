"""The few numbers by which pipelines are compared, worked out by hand."""

import json
from pathlib import Path

import pytest

from stepsift import tracking
from stepsift.core.errors import TableError

COUNTS = {
    "ingest": {
        "prompts": 3,
        "total": {"read": 9, "kept": 7, "rejected": 2, "reasons": {"empty": 2}},
        "verdicts": {
            "anna": {"correct": 2, "wrong": 1, "unchecked": 5, "timeout": 1, "unparsed": 0},
            "bob": {"correct": 0, "wrong": 0, "unchecked": 1, "timeout": 0, "unparsed": 0},
        },
    },
    "segment": {"steps": 22, "steps_per_trace": 22 / 7},
    "score": {"response_tokens": 640, "scored": 7},
    "select": {
        "n_candidates": 6,
        "selectors": {
            "lalp": {"n_chosen": 3, "mean_tokens": 50.123456, "mean_stability": 2 / 3},
            "random": {"n_chosen": 2, "mean_tokens": 80.0, "mean_stability": None},
        },
    },
    "train": {
        "lalp": {"seed-0": {"final_loss": 0.25, "updates": 9}, "seed-1": {"final_loss": 0.5, "updates": 9}},
        "random": {"seed-0": {"final_loss": 1.0, "updates": 9}},
    },
    "evaluate": {
        "chain": {
            "untrained": {"accuracy": 0.1, "n": 10, "stderr": 0.1},
            "lalp": {
                "accuracy": 0.3,
                "seeds": 2,
                "seeds_std": 0.9,
                "seed-0": {"accuracy": 0.2, "stderr": 0.12649},
                "seed-1": {"accuracy": 0.4, "stderr": 0.15492},
            },
        },
        "one": {"untrained": {"accuracy": 1.0, "n": 1}},
    },
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, content in COUNTS.items():
        (tmp_path / f"{name}.json").write_text(json.dumps(content))
    return tmp_path


def test_the_summary_by_hand(folder: Path) -> None:
    assert tracking.summarise_metrics(folder) == {
        # Students' accuracies; lalp's is the mean over its seeds.
        "accuracy": {"chain": {"untrained": 0.1, "lalp": 0.3}, "one": {"untrained": 1.0}},
        # The largest of .1, .12649 and .15492; a single question has none.
        "stderr": {"chain": 0.1549},
        "pool": {
            "prompts": 3,
            "traces": 7,
            "rejected": 2,
            "correct": 0.6667,  # 2 of 3 that were decided
            "response_tokens": 640,
            "steps_per_trace": 3.1429,
            "candidates": 6,
        },
        "chosen": {"lalp": 3, "random": 2},
        "tokens": {"lalp": 50.1235, "random": 80.0},
        "stability": {"lalp": 0.6667},  # random's choice has none
        "loss": {"lalp": 0.375, "random": 1.0},
    }


def test_a_pool_without_verdicts_has_no_share_of_correct_traces(folder: Path) -> None:
    counts = COUNTS["ingest"] | {"verdicts": {}}
    (folder / "ingest.json").write_text(json.dumps(counts))
    assert "correct" not in tracking.summarise_metrics(folder)["pool"]


def test_a_file_that_is_no_json_is_named(folder: Path) -> None:
    (folder / "train.json").write_text("{")
    with pytest.raises(TableError, match=r"train\.json is no valid JSON .*'dvc repro' writes it anew"):
        tracking.summarise_metrics(folder)
