"""The section `audition`: what is trained and compared by `stepsift audition`."""

from typing import Annotated, Literal

from pydantic import AfterValidator, Discriminator, Field, Tag, field_validator

from stepsift.params._section import Section, Seed, Text, distinct, nearest, some_distinct
from stepsift.params._train import Budget

Control = Literal["random", "stratified", "length_matched"]
# With a tag for each form, what is wrong is said of the form that was meant.
_Budget = Annotated[
    Annotated[Literal["examples", "tokens"], Tag("(word)")] | Annotated[Budget, Tag("(amount)")],
    Discriminator(lambda value: "(word)" if isinstance(value, str) else "(amount)"),
]


class Audition(Section):
    """Selectors, teachers and controls, each of which trains a student for every seed and budget."""

    selectors: Annotated[tuple[Text, ...], AfterValidator(some_distinct)] = (
        *("lalp", "step_mean", "galp", "sum_logprob", "rsr", "aslec_drop", "entropy"),
    )
    """Metrics by which the best trace of each prompt is chosen; the controls are made for the first one."""
    teachers: Annotated[tuple[Text, ...], AfterValidator(distinct)] | None = None
    """Teachers on whose traces alone a student is trained; null: all. With none ([]) no ranking of them is tested."""
    controls: Annotated[tuple[Control, ...], AfterValidator(distinct)] = (*("random", "stratified", "length_matched"),)
    """`random`: a trace of each prompt at random; `stratified`: at random, with as many of each teacher as the first
    selector takes; `length_matched`: at random, with as many of each class of length as the first selector takes."""
    seeds: Annotated[tuple[Seed, ...], AfterValidator(some_distinct)] = (0, 1, 2)
    """Seeds of training; with one alone, chance in training is not distinguishable from merit."""
    budgets: Annotated[tuple[_Budget, ...], AfterValidator(some_distinct)] = ("examples", "tokens")
    """What every student is shown, and thus what is equal; as `train.budget`. `examples` or `tokens` alone: as many as
    `train.epochs` passes over a random choice hold, to two digits."""
    alpha: Annotated[float, Field(gt=0, lt=0.5)] = 0.05
    """Probability of one false alarm or more among all comparisons of a budget; intervals hold with 1 - alpha."""
    resamples: Annotated[int, Field(ge=100, le=100_000)] = 4_000
    """Resamples behind the intervals of rank correlations and regrets."""
    seed: Seed = 0
    """Seed of the resamples, and of a pilot's share of the prompts; lots are drawn by `select.seed`."""
    keep_students: bool = False
    """Whether trained students stay in the side cache; each takes as much of the disk as the student itself."""

    @field_validator("selectors")
    @classmethod
    def _metrics(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        from stepsift.metrics import all_metrics

        known = [name for name, metric in all_metrics().items() if metric.better is not None]
        for name in value:
            if name not in known:
                raise ValueError(
                    f"'{name}' is no metric with a direction{nearest(name, known)}; known are {', '.join(known)}"
                )
        return value
