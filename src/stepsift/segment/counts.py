"""What the splitter did, in numbers."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import polars as pl


@dataclass
class Counts:
    """Running counts over batches of the table steps."""

    traces: int = 0
    steps: int = 0
    characters: int = 0
    traces_with_capped_step: int = 0
    kinds: Counter[str] = field(default_factory=Counter)

    def add(self, steps: pl.DataFrame) -> None:
        """Count steps of further traces; all steps of a trace come together."""
        self.traces += steps["trace_id"].n_unique()
        self.steps += steps.height
        self.characters += int((steps["end"] - steps["start"]).sum())
        self.traces_with_capped_step += steps.filter(pl.col("capped"))["trace_id"].n_unique()
        self.kinds.update(dict(steps["kind"].value_counts().rows()))

    def metrics(self) -> dict[str, Any]:
        """The counts and their ratios as what JSON can hold; lengths in characters."""
        return {
            "traces": self.traces,
            "steps": self.steps,
            "steps_per_trace": self.steps / self.traces if self.traces else None,
            "characters_per_step": self.characters / self.steps if self.steps else None,
            "traces_with_capped_step": self.traces_with_capped_step,
            "kinds": dict(sorted(self.kinds.items())),
        }
