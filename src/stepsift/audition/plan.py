"""The plan: what will be trained, compared and how, written before anything is trained, and named by its hash.

Whoever reads a result can see that the comparison was not made up afterwards: the result names the hash, and any change
of the plan (an arm, a seed, a test) is another plan with another hash and another folder.
"""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stepsift import params
from stepsift.audition.arms import FIRST_HALF, HALF, Arm, NamedBudget, comparisons
from stepsift.audition.compare import POWER
from stepsift.core import disk
from stepsift.core.text import count
from stepsift.train import Examples

VERSION = 1
"""Raised whenever the meaning of a plan or of its statistics changes."""
PLAN = "plan.json"
_HASH_CHARS = 12


@dataclass(frozen=True)
class AuditionPlan:
    """The content of a plan, ready for JSON."""

    content: dict[str, Any]

    @property
    def digest(self) -> str:
        """SHA-256 of the plan as it is written; 64 hexadecimal digits."""
        return hashlib.sha256(self.text().encode()).hexdigest()

    @property
    def pairs(self) -> list[tuple[str, str]]:
        """The comparisons."""
        return [(one, other) for one, other in self.content["comparisons"]]

    @property
    def alpha(self) -> float:
        """Probability of a false alarm in a budget."""
        return float(self.content["statistics"]["alpha"])

    def text(self) -> str:
        """The file's text."""
        return json.dumps(self.content, indent=2, ensure_ascii=False) + "\n"

    def write(self, auditions: Path) -> Path:
        """Write the plan into its own folder below `auditions`, and return that folder."""
        folder = auditions / self.digest[:_HASH_CHARS]
        disk.write_text(self.text(), folder / PLAN)
        return folder


@dataclass(frozen=True)
class Grounds:
    """What an audition rests on: the student's fingerprint, tasks (name to digest), tables (name to md5), and the share
    of the prompts that a pilot takes."""

    student: str
    tasks: dict[str, str]
    inputs: dict[str, str]
    pilot: float | None = None


def make_plan(
    settings: params.Params, arms: list[Arm], sets: dict[str, Examples], budgets: list[NamedBudget], grounds: Grounds
) -> AuditionPlan:
    """The plan of an audition; `sets` hold each arm's examples."""
    audition = settings.audition
    pairs = comparisons(arms)
    unmasked = ["steps"] if settings.train.steps == "all" else []
    return AuditionPlan(
        {
            "version": VERSION,
            "pilot": grounds.pilot,
            "student": grounds.student,
            "inputs": grounds.inputs,
            "seeds": list(audition.seeds),
            "budgets": {
                b.name: b.budget.model_dump(exclude_none=True) | ({"share": 1 - FIRST_HALF.share} if b.halves else {})
                for b in budgets
            },
            "tasks": grounds.tasks,
            "arms": {a.name: _about(a, sets) for a in arms},
            "train": settings.train.model_dump(mode="json", exclude={"seeds", "budget", "epochs", *unmasked}),
            "evaluate": settings.evaluate.model_dump(
                mode="json", exclude={"tasks", "trusted_tasks", "rescore", "pass_at"}
            ),
            "comparisons": [list(pair) for pair in pairs],
            "statistics": {
                "accuracy": "mean over tasks of the mean over questions",
                "alpha": audition.alpha,
                "test": "t of the mean difference; runs and questions random, run variances moderated over all arms",
                "correction": f"Holm over the {count(len(pairs), 'comparison')} of a budget",
                "foresight": "Spearman's rho of teachers' scores with accuracies; percentile bootstrap",
                "resamples": audition.resamples,
                "seed": audition.seed,
                "power": POWER,
            },
        }
    )


def _about(arm: Arm, sets: dict[str, Examples]) -> dict[str, Any]:
    data, half = sets[arm.name], sets.get(arm.name + HALF)
    about = {
        "kind": arm.kind,
        "selector": arm.selector.model_dump(mode="json", exclude_defaults=True, exclude={"name"}),
        "examples": len(data.ids),
        "response_tokens": sum(data.lengths),
        "ids": data.digest,
    }
    if arm.steps is not None:
        about["steps"] = arm.steps.model_dump(mode="json")
    if arm.weights is not None:
        about["weights"] = arm.weights if isinstance(arm.weights, str) else arm.weights.model_dump(mode="json")
    if half is not None:
        about["first_half"] = {"response_tokens": sum(half.lengths), "ids": half.digest}
    return about
