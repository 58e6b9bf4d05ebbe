"""The few numbers by which two runs of the pipeline are compared: in `dvc metrics diff`, `dvc exp show` and MLflow."""

from pathlib import Path
from statistics import fmean
from typing import Any

from stepsift.core import disk

_STAGES = ("ingest", "segment", "score", "select", "train", "evaluate")
_DIGITS = 4


def summarise_metrics(folder: Path) -> dict[str, Any]:
    """Numbers from `<stage>.json` in `folder`, the counts of all stages, rounded to four decimals.

    `accuracy` (task -> selector or `untrained` -> share of questions, mean over seeds), `stderr` (task -> the largest
    standard error of a student's accuracy), `pool` (prompts, traces, rejected rows, share of decided traces that are
    correct, response tokens of scored traces, steps per trace, candidates that passed the filters), and for each
    selector `chosen` (traces), `tokens` (mean response of a chosen trace), `stability` (mean share of resamples that
    keep a choice) and `loss` (nats per token at the end of training, mean over seeds). What does not exist is left out.
    Raises TableError where a file is no valid JSON.
    """
    counts = {name: disk.read_json(folder / f"{name}.json") for name in _STAGES}
    selectors = counts["select"]["selectors"]
    return _rounded(
        {
            "accuracy": {task: _each(of, "accuracy") for task, of in counts["evaluate"].items()},
            "stderr": {task: max(_stderrs(of), default=None) for task, of in counts["evaluate"].items()},
            "pool": _pool(counts),
            "chosen": _each(selectors, "n_chosen"),
            "tokens": _each(selectors, "mean_tokens"),
            "stability": _each(selectors, "mean_stability"),
            "loss": {name: fmean(s["final_loss"] for s in seeds.values()) for name, seeds in counts["train"].items()},
        }
    )


def _pool(counts: dict[str, Any]) -> dict[str, Any]:
    verdicts = counts["ingest"]["verdicts"].values()
    correct = sum(v["correct"] for v in verdicts)
    decided = correct + sum(v["wrong"] for v in verdicts)
    return {
        "prompts": counts["ingest"]["prompts"],
        "traces": counts["ingest"]["total"]["kept"],
        "rejected": counts["ingest"]["total"]["rejected"],
        "correct": correct / decided if decided else None,
        "response_tokens": counts["score"]["response_tokens"],
        "steps_per_trace": counts["segment"]["steps_per_trace"],
        "candidates": counts["select"]["n_candidates"],
    }


def _each(parts: dict[str, Any], key: str) -> dict[str, Any]:
    return {name: part[key] for name, part in parts.items()}


def _stderrs(students: dict[str, Any]) -> list[float]:
    """Of the untrained student, and of every seed of the others."""
    parts = [part for of in students.values() for part in (of, *of.values()) if isinstance(part, dict)]
    return [part["stderr"] for part in parts if "stderr" in part]


def _rounded(values: dict[str, Any]) -> dict[str, Any]:
    rounded: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, dict):
            rounded[name] = _rounded(value)
        elif value is not None:
            rounded[name] = round(value, _DIGITS)
    return rounded
