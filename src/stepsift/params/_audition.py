"""The section `audition`: what is trained and compared by `stepsift audition`."""

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, field_validator

from stepsift.params._section import Section, Seed, Text, nearest, some_distinct
from stepsift.params._train import Budget

Control = Literal["random", "stratified", "length_matched"]


class Audition(Section):
    """Selectors, teachers and controls, each of which trains a student for every seed and budget."""

    selectors: Annotated[tuple[Text, ...], AfterValidator(some_distinct)] = (
        *("lalp", "step_mean", "galp", "sum_logprob", "rsr", "aslec_drop", "entropy"),
    )
    """Metrics by which the best trace of each prompt is chosen; the controls are made for the first one."""
    teachers: Literal["all"] | Annotated[tuple[Text, ...], AfterValidator(some_distinct)] | None = "all"
    """Teachers on whose traces alone a student is trained; null: none, and then no ranking of teachers is tested."""
    controls: Annotated[tuple[Control, ...], AfterValidator(lambda v: v and some_distinct(v))] = (
        *("random", "stratified", "length_matched"),
    )
    """`random`: a trace of each prompt by lot; `stratified`: by lot, but as many of each teacher as the first selector
    takes; `length_matched`: by lot, but as many of each class of length as the first selector takes."""
    seeds: Annotated[tuple[Seed, ...], AfterValidator(some_distinct)] = (0, 1, 2)
    """Seeds of training; with one alone, chance in training cannot be told from merit."""
    budgets: Annotated[
        tuple[Literal["examples", "tokens"] | Budget, ...], Field(min_length=1), AfterValidator(some_distinct)
    ] = ("examples", "tokens")
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
                    f"'{name}' is no metric with a direction{nearest(name, known)}; {', '.join(known)} are"
                )
        return value
