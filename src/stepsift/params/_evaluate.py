"""The section `evaluate`."""

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from stepsift.params._section import Section, Seed, Text, some_distinct


class Evaluate(Section):
    """Students to accuracies."""

    tasks: Annotated[tuple[Text, ...], AfterValidator(some_distinct)] = ("chain",)
    """Local tasks of the tasks folder or lm-evaluation-harness tasks, by name."""
    limit: Annotated[int, Field(ge=1)] | None = None
    """Only the first so many questions of each task; null: all."""
    batch_size: Annotated[int, Field(ge=1, le=4_096)] = 64
    """Questions answered at once."""
    max_new_tokens: Annotated[int, Field(ge=1, le=1_000_000)] = 512
    """Longest answer, in tokens, where the task sets none."""
    dtype: Literal["float32", "bfloat16"] = "float32"
    """Precision in which all students, the untrained one too, answer."""
    seed: Seed = 0
    """Seed of few-shot examples and sampling."""
