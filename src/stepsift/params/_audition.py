"""The section `audition`: what is trained and compared by `stepsift audition`."""

from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Discriminator, Field, Tag, field_validator, model_validator

from stepsift.core.text import did_you_mean
from stepsift.params._section import Section, Seed, Text, distinct, some_distinct
from stepsift.params._select import Name, WeightsOrWord
from stepsift.params._train import Budget, StepsOrWord

Control = Literal["random", "stratified", "length_matched", "teacher_and_length_matched", "random_each_epoch"]
# With a tag for each form, what is wrong is said of the form that was meant.
_Budget = Annotated[
    Annotated[Literal["examples", "tokens", "prefix"], Tag("(word)")] | Annotated[Budget, Tag("(amount)")],
    Discriminator(lambda value: "(word)" if isinstance(value, str) else "(amount)"),
]


class AuditionArm(Section):
    """The best traces by a metric with masked steps or with weights; each brings a control of its own."""

    name: Name
    """The arm's name; its control is called NAME-random-steps or NAME-equal-weights."""
    by: Text
    """A metric with a direction."""
    per_prompt: Annotated[int, Field(ge=1, le=1_000)] = 1
    """Most traces of a prompt; more than one with weights."""
    steps: StepsOrWord = "all"
    """As `train.steps`, for this arm alone; the control drops as large a share of each trace's tokens at random."""
    weights: WeightsOrWord = "none"
    """As `select.weights`, for this arm alone; in the control a prompt's traces weigh the same."""

    @model_validator(mode="after")
    def _one_thing(self) -> Self:
        if (self.steps == "all") == (self.weights == "none"):
            raise ValueError(
                f"'{self.name}' needs either steps (other than all) or weights (other than none); a metric by itself "
                "stands in audition.selectors"
            )
        if self.steps != "all" and self.steps.drop == "random":
            raise ValueError(f"'{self.name}' drops steps at random, as the control of every arm with steps does")
        if self.weights != "none" and self.per_prompt == 1:
            raise ValueError(f"'{self.name}' has weights and one trace per prompt, which weighs 1; raise per_prompt")
        if self.weights == "lark" and self.by not in ("lark_g", "lark_g_local"):
            raise ValueError(f"'{self.name}' has the weights 'lark', which are those of by: lark_g")
        return self


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
    selector takes; `length_matched`: at random, with as many of each class of length as the first selector takes;
    `teacher_and_length_matched`: with as many of each class of length of each teacher; `random_each_epoch`: another
    trace of each prompt in every epoch, at random."""
    arms: tuple[AuditionArm, ...] = ()
    """Further arms: traces of which steps are masked, or that are weighted, each with its control."""
    seeds: Annotated[tuple[Seed, ...], AfterValidator(some_distinct)] = (0, 1, 2)
    """Seeds of training; with one alone, chance in training is not distinguishable from merit."""
    budgets: Annotated[tuple[_Budget, ...], AfterValidator(some_distinct)] = ("examples", "tokens")
    """What every student is shown, and thus what is equal; as `train.budget`. `examples` or `tokens` alone: as many as
    `train.epochs` passes over a random choice hold, to two digits. `prefix`: as many examples as `examples`, of each
    trace the first half of its tokens, cut at a step."""
    alpha: Annotated[float, Field(gt=0, lt=0.5)] = 0.05
    """Probability of one false alarm or more among all comparisons of a budget; intervals hold with 1 - alpha."""
    resamples: Annotated[int, Field(ge=100, le=100_000)] = 4_000
    """Resamples behind the intervals of rank correlations and regrets."""
    seed: Seed = 0
    """Seed of the resamples, and of a pilot's share of the prompts; draws are made with `select.seed`."""
    keep_students: bool = False
    """Whether trained students stay in the side cache; each takes as much of the disk as the student itself."""

    @model_validator(mode="after")
    def _names_apart(self) -> Self:
        of_arms = [f"{a.name}{end}" for a in self.arms for end in ("", "-random-steps", "-equal-weights")]
        distinct((*self.selectors, *self.controls, *of_arms))
        return self

    @field_validator("arms")
    @classmethod
    def _metrics_of_arms(cls, value: tuple[AuditionArm, ...]) -> tuple[AuditionArm, ...]:
        cls._metrics(tuple(arm.by for arm in value))
        return value

    @field_validator("selectors")
    @classmethod
    def _metrics(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        from stepsift.metrics import all_metrics

        known = [name for name, metric in all_metrics().items() if metric.better is not None]
        for name in value:
            if name not in known:
                raise ValueError(
                    f"'{name}' is no metric with a direction{did_you_mean(name, known)}; known are {', '.join(known)}"
                )
        return value
