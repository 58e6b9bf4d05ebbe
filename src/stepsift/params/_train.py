"""The section `train`."""

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from stepsift.params._section import Section, Seed, some_distinct


class Train(Section):
    """Curated sets to trained students."""

    seeds: Annotated[tuple[Seed, ...], AfterValidator(some_distinct)] = (0,)
    """One student is trained for each selector and seed."""
    epochs: Annotated[float, Field(gt=0, le=1_000)] = 3
    """Passes over the curated set."""
    batch_size: Annotated[int, Field(ge=1, le=65_536)] = 8
    """Examples in one update."""
    learning_rate: Annotated[float, Field(gt=0, le=1)] = 1e-3
    """Peak of the schedule."""
    warmup_ratio: Annotated[float, Field(ge=0, lt=1)] = 0.05
    """Share of the updates in which the learning rate rises."""
    schedule: Literal["cosine", "linear", "constant_with_warmup"] = "cosine"
    """How the learning rate falls after the warm-up."""
    weight_decay: Annotated[float, Field(ge=0, le=10)] = 0.0
    """AdamW's weight decay."""
    dtype: Literal["float32", "bfloat16"] = "float32"
    """Precision in which the student is trained and saved."""
    max_tokens: Annotated[int, Field(ge=8)] | None = None
    """An example with more tokens is left out and counted, never cut; null: the student's own context."""
