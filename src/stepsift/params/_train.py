"""The section `train`."""

from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Discriminator, Field, Tag, model_validator

from stepsift.params._section import Section, Seed, Text, some_distinct


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


class Lora(Section):
    """Low-rank adapters in place of full fine-tuning (Hu et al. 2021); the saved student has them merged in."""

    rank: Annotated[int, Field(ge=1, le=4096)] = 16
    """Rank of the matrices that are added."""
    alpha: Annotated[float, Field(gt=0)] = 32
    """Their product is scaled by alpha / rank."""
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Share of an adapter's inputs that are set to 0 in training."""
    targets: Literal["all-linear"] | Annotated[tuple[Text, ...], AfterValidator(some_distinct)] = "all-linear"
    """Modules that get an adapter: all linear ones but the head, or a list of the ends of their names."""


class EarlyStop(Section):
    """Stop when a held-out part of the curated set no longer gets more probable, and keep the best weights."""

    share: Annotated[float, Field(gt=0, le=0.5)] = 0.05
    """Share of the prompts that are held out: the same ones for every selector and seed, as far as sets have them."""
    every: Annotated[int, Field(ge=1)] = 50
    """Updates between two looks."""
    patience: Annotated[int, Field(ge=1)] = 3
    """Looks without a lower loss after which training stops."""


class DroppedSteps(Section):
    """Steps of each trace that are left out of the loss; what follows them still sees them."""

    drop: Literal["lowest", "highest", "random", "last"]
    """Which steps go first: those with the lowest or the highest mean log-probability per token, any at random (the
    control), or those at the end, so that a trace is cut at a step and its end is not learned."""
    share: Annotated[float, Field(gt=0, lt=1)] = 0.2
    """Share of a trace's tokens that goes: as many whole steps, in that order, as come nearest to it; one stays."""
    by: Literal["local", "full"] | None = None
    """Whose log-probabilities, for `lowest` and `highest` alone: `local`, those in windows (null is the same), or
    `full`, those in the whole context."""

    spare_last: bool = False
    """A trace's last step, which as a rule holds the answer, always stays."""

    @model_validator(mode="after")
    def _last_is_not_spared_where_it_goes_first(self) -> Self:
        if self.spare_last and self.drop == "last":
            raise ValueError(
                "drop is 'last' and spare_last is true, which contradict each other; leave out one of them"
            )
        return self

    @model_validator(mode="after")
    def _by_has_a_use(self) -> Self:
        if self.by is not None and not self.needs:
            raise ValueError(f"drop is '{self.drop}', for which no score counts; leave out by, which is '{self.by}'")
        return self

    @property
    def needs(self) -> Literal["local", "full"] | None:
        """The pass whose scores decide; None where none does."""
        return (self.by or "local") if self.drop in ("lowest", "highest") else None


StepsOrWord = Annotated[
    Annotated[Literal["all"], Tag("(word)")] | Annotated[DroppedSteps, Tag("(keys)")],
    Discriminator(lambda value: "(word)" if isinstance(value, str) else "(keys)"),
]


class Train(Section):
    """Curated sets to trained students."""

    seeds: Annotated[tuple[Seed, ...], AfterValidator(some_distinct)] = (0,)
    """One student is trained for each selector and seed."""
    epochs: Annotated[float, Field(gt=0, le=1_000)] = 3
    """Passes over the curated set; without effect where there is a budget."""
    budget: Budget | None = None
    """What every student is shown, whatever the size of its set: a small set is passed over more often. Null: `epochs`
    passes. Equal examples and equal tokens give different comparisons: long traces are expensive in the second."""
    steps: StepsOrWord = "all"
    """Steps that are in the loss: `all`, or all but those that the keys name, by the scores of stage select."""
    batch_size: Annotated[int, Field(ge=1, le=65_536)] = 8
    """Examples in one update, on all devices together."""
    micro_batch: Annotated[int, Field(ge=1)] | None = None
    """Examples that a device takes at once, which decides memory; gradients of an update are added up. Null: the whole
    update, or each process's part of it."""
    packing: bool = False
    """Lay the examples of a micro batch end to end without padding; positions begin anew and no example sees another.
    Order and budget stay what they are: nothing is sorted into bins."""
    gradient_checkpointing: bool = False
    """Compute activations anew in the backward pass: less memory, about a third more time, the same gradients."""
    learning_rate: Annotated[float, Field(gt=0, le=1)] = 1e-3
    """Peak of the schedule."""
    warmup_ratio: Annotated[float, Field(ge=0, lt=1)] = 0.05
    """Share of the updates in which the learning rate rises."""
    schedule: Literal["cosine", "linear", "constant_with_warmup"] = "cosine"
    """How the learning rate falls after the warm-up."""
    weight_decay: Annotated[float, Field(ge=0, le=10)] = 0.0
    """AdamW's weight decay."""
    dtype: Literal["float32", "mixed", "bfloat16"] = "float32"
    """Precision: of weights and products (float32, bfloat16), or weights in float32 and products in bfloat16 (mixed).
    The student is saved in the precision of its weights."""
    lora: Lora | None = None
    """Train adapters alone; null: all weights."""
    early_stop: EarlyStop | None = None
    """Null: train to the end. With a budget, at most the budget is shown."""
    checkpoint_every: Annotated[int, Field(ge=1)] | None = None
    """Updates between two checkpoints, from which a killed training goes on; null: none. It moves no weight."""
    launch: Text | None = None
    """Configuration of `accelerate launch` (a YAML file), for several processes or GPUs; null: this process alone."""
    max_tokens: Annotated[int, Field(ge=8)] | None = None
    """An example with more tokens is left out and counted, never cut; null: the student's own context."""

    @model_validator(mode="after")
    def _divides(self) -> Self:
        # With a launch the number of processes decides: that is said where training starts.
        if self.launch is None and self.micro_batch and self.batch_size % self.micro_batch:
            raise ValueError(f"micro_batch is {self.micro_batch}, which does not divide batch_size, {self.batch_size}")
        return self
