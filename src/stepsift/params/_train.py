"""The section `train`."""

from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from stepsift.params._section import Section, Seed, some_distinct


class Budget(Section):
    """How much a student is shown in training, repeats counted; exactly one of the two."""

    examples: Annotated[int, Field(ge=1)] | None = None
    """Examples."""
    tokens: Annotated[int, Field(ge=1)] | None = None
    """Response tokens in the loss, end tokens included."""

    @model_validator(mode="after")
    def _one(self) -> Self:
        if (self.examples is None) == (self.tokens is None):
            raise ValueError("give either examples or tokens")
        return self


class Train(Section):
    """Curated sets to trained students."""

    seeds: Annotated[tuple[Seed, ...], AfterValidator(some_distinct)] = (0,)
    """One student is trained for each selector and seed."""
    epochs: Annotated[float, Field(gt=0, le=1_000)] = 3
    """Passes over the curated set; without effect where there is a budget."""
    budget: Budget | None = None
    """What every student is shown, whatever the size of its set: a small set is passed over more often. Null: `epochs`
    passes. Equal examples and equal tokens give different comparisons: long traces are dear in the second."""
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
