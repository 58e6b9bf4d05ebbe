"""The section `select`: filters, selectors and what is said of a choice."""

import math
from typing import TYPE_CHECKING, Annotated, Literal, Self

from pydantic import AfterValidator, Discriminator, Field, Tag, ValidationInfo, field_validator, model_validator

from stepsift.core.text import did_you_mean
from stepsift.params._section import Section, Seed, Text, some_distinct

if TYPE_CHECKING:
    from stepsift.metrics import Metric


def _distinct_names(values: tuple["Selector", ...]) -> tuple["Selector", ...]:
    some_distinct(tuple(v.name for v in values))
    return values


def _named(*names: str) -> tuple["Selector", ...]:
    return tuple(Selector(name=n, by=n) for n in names)


def compares_two_models(metric: str) -> bool:
    """Whether a metric has no score without a model of `score.references`."""
    from stepsift.metrics import all_metrics

    return all_metrics()[metric].of_two_models


def needed_pass(metric: str) -> Literal["local", "full"] | None:
    """The pass of scoring without which a metric has no score; None for one that needs none."""
    from stepsift.metrics import all_metrics

    return all_metrics()[metric].needs


class Worst(Section):
    """The worst traces of the pool by a metric."""

    by: Text
    """A metric with a direction, or `random` as a control; none that is fitted to the candidates."""
    share: Annotated[float, Field(gt=0, lt=1)] = 0.2
    """Share of the traces with a score that is dropped, rounded down: those with the lowest score, or with the highest
    where low is better."""

    @field_validator("by")
    @classmethod
    def _decided_by_one_trace(cls, value: str) -> str:
        from stepsift.metrics import all_metrics, selectable

        known = [name for name in selectable() if all_metrics()[name].fit is None]
        if value not in known:
            why = ", it is fitted to the candidates" if value in selectable() else did_you_mean(value, known)
            raise ValueError(f"'{value}' cannot be filtered by{why}; known are {', '.join(known)}")
        return value


class Filters(Section):
    """What keeps a trace out of the running whatever its score; null, or false for a switch, turns a filter off."""

    min_tokens: Annotated[int, Field(ge=1)] | None = None
    """Fewest tokens of a response, counted by the student's tokenizer."""
    max_tokens: Annotated[int, Field(ge=1)] | None = None
    """Most tokens of a response."""
    unfinished_thinking: bool = True
    """Drops responses whose `<think>` is not closed, or whose reasoning nothing follows."""
    loops: bool = True
    """Drops responses that repeat themselves without end."""
    languages: Annotated[tuple[Text, ...], AfterValidator(some_distinct)] | None = None
    """Languages that are kept, as two-letter codes (`[en, zh]`)."""
    near_duplicates: Annotated[float, Field(gt=0, le=1)] | None = 0.9
    """From this Jaccard similarity on (of five-word shingles, estimated by MinHash) one of two traces is dropped."""
    decontaminate: Annotated[int, Field(ge=4, le=100)] | None = 13
    """Words in a row which, shared with an evaluation question, drop a prompt or a trace; a prompt that is an
    evaluation question up to case, white space and punctuation is dropped too."""
    worst: Worst | None = None
    """Drops the worst traces by a metric, over all prompts, of those that the other filters keep (`{by: hes}`: the
    lowest 20 %)."""

    @field_validator("max_tokens")
    @classmethod
    def _room_between(cls, value: int | None, info: ValidationInfo) -> int | None:
        least = info.data.get("min_tokens")
        if value is not None and least is not None and value < least:
            raise ValueError(f"must be at least select.filters.min_tokens, which is {least}")
        return value


Share = Annotated[float, Field(gt=0, le=1)]


class Quotas(Section):
    """Shares of the chosen traces that teachers and domains must have; what they leave goes to whatever is best."""

    teacher: dict[Text, Share] = Field(default_factory=dict)
    """Teacher to share."""
    domain: dict[Text, Share] = Field(default_factory=dict)
    """Domain to share; `none` for prompts without one."""

    @field_validator("teacher", "domain")
    @classmethod
    def _at_most_all(cls, value: dict[str, float]) -> dict[str, float]:
        total = math.fsum(value.values())
        if total > 1 + 1e-9:
            raise ValueError(f"shares add up to {total:g}, allowed is 1 at most; lower some of them")
        return value


Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$")]
EACH_EPOCH = "random_each_epoch"
"""As a selector's name alone: every pass over the set shows another trace of each prompt, drawn at random."""
_MOST_PER_PROMPT = 1_000


class Selector(Section):
    """One way to choose traces; its curated set lies in a folder of its name."""

    name: Name
    """Name of the curated set."""
    by: Text
    """A metric with a direction, or `random`, `longest` or `shortest`."""
    per_prompt: Annotated[int, Field(ge=1, le=_MOST_PER_PROMPT)] = 1
    """Most traces of a prompt."""
    each_epoch: bool = False
    """Every pass over the set shows one trace of each prompt, another one each time, in the order of `by`, and from the
    start again after the last; with `per_prompt` above 1."""
    teacher: Text | None = None
    """Only traces of this teacher; `best`: of the one that ranks first by `by` over all domains."""
    mix_of: Text | None = None
    """Another selector, on whose prompts as many traces of each teacher are chosen as there."""
    lengths_of: Text | None = None
    """Another selector, on whose prompts as many traces of each class of length are chosen as there; with `mix_of` (the
    same one) as many of each class of length of each teacher."""
    quotas: Quotas = Quotas()
    """Shares of teachers and domains."""
    max_examples: Annotated[int, Field(ge=1)] | None = None
    """Most traces in all; prompts come in a seeded order, the same for every selector."""
    max_tokens: Annotated[int, Field(ge=1)] | None = None
    """Most tokens of responses in all, counted by the student's tokenizer; prompts come in the same order."""
    min_margin: Annotated[float, Field(ge=0)] | None = None
    """A choice whose lead over the runner-up is smaller is dropped, in the metric's unit."""
    min_stability: Annotated[float, Field(ge=0, le=1)] | None = None
    """A choice that wins under a smaller share of perturbations is dropped."""

    @property
    def metric(self) -> "Metric":
        """The metric of `by`."""
        from stepsift.metrics import all_metrics

        return all_metrics()[self.by]

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        matched = [f for f in ("mix_of", "lengths_of") if getattr(self, f) is not None]
        if len(matched) == 2 and self.mix_of != self.lengths_of:
            raise ValueError(
                f"'{self.name}' has mix_of '{self.mix_of}' and lengths_of '{self.lengths_of}'; both must name the same "
                "selector"
            )
        if matched and self.per_prompt != 1:
            raise ValueError(
                f"'{self.name}' takes as many traces of a prompt as '{self.mix_of or self.lengths_of}'; "
                "per_prompt has no place beside it"
            )
        if matched and (self.teacher or self.quotas != Quotas() or self.max_examples or self.max_tokens):
            raise ValueError(
                f"'{self.name}' takes its prompts and numbers from {matched[0]}; teacher, quotas, max_examples and "
                "max_tokens have no place beside it"
            )
        if (matched or self.quotas != Quotas()) and (self.min_margin is not None or self.min_stability is not None):
            raise ValueError(f"'{self.name}' must fill numbers, so min_margin and min_stability have no place in it")
        if self.quotas != Quotas() and self.max_tokens is not None:
            raise ValueError(
                f"'{self.name}' has quotas and max_tokens; quotas are shares of examples: give max_examples instead"
            )
        numbers = matched or self.quotas != Quotas() or self.max_examples or self.max_tokens
        if self.each_epoch and (self.per_prompt == 1 or numbers):
            raise ValueError(
                f"'{self.name}' shows another trace of each prompt every epoch (each_epoch), for which it needs a "
                "per_prompt above 1 and no mix_of, lengths_of, quotas, max_examples or max_tokens"
            )
        if self.name.endswith((".parquet", ".json")):
            raise ValueError(f"'{self.name}' must not be named like a table that lies beside its folder")
        return self


def random_each_epoch() -> Selector:
    """All traces of each prompt, of which every pass shows another, in an order drawn at random."""
    return Selector(name=EACH_EPOCH, by="random", per_prompt=_MOST_PER_PROMPT, each_epoch=True)


def by_name(name: str) -> Selector | dict[str, str]:
    """The selector that a name alone stands for."""
    if name == EACH_EPOCH:
        return random_each_epoch()
    return {"name": name, "by": name}


Export = Literal["messages", "prompt_completion", "sharegpt", "llamafactory", "parquet"]


class Weights(Section):
    """Weights of a prompt's chosen traces by a metric: exp(score / temperature), divided by their sum."""

    by: Text
    """A metric with a direction; where low is better its sign is turned."""
    temperature: Annotated[float, Field(gt=0, le=1_000_000)] = 1.0
    """In the metric's unit: the higher, the more equal the weights."""
    per: Literal["prompt"] = "prompt"
    """Whose weights sum to one."""

    @field_validator("by")
    @classmethod
    def _with_direction(cls, value: str) -> str:
        from stepsift.metrics import all_metrics

        known = [name for name, metric in all_metrics().items() if metric.better is not None]
        if value not in known:
            raise ValueError(f"'{value}' gives no weights{did_you_mean(value, known)}; known are {', '.join(known)}")
        return value


WeightsOrWord = Annotated[
    Annotated[Literal["none", "lark"], Tag("(word)")] | Annotated[Weights, Tag("(keys)")],
    Discriminator(lambda value: "(word)" if isinstance(value, str) else "(keys)"),
]


class Select(Section):
    """Scores to a teacher ranking and one curated set for each selector."""

    selectors: Annotated[tuple[Selector, ...], AfterValidator(_distinct_names)] = _named(
        "lalp", "step_mean", "galp", "random"
    )
    """Ways to choose, one curated set each. A name alone (`lalp`) is a selector `by` it: the best trace of each prompt;
    `stepsift metrics` lists them. `random_each_epoch`: all traces of each prompt, of which every pass shows another."""
    correct: Literal["require", "prefer", "ignore"] = "prefer"
    """`require`: candidates are correct traces; `prefer`: of prompts that have one, else all; `ignore`: all."""
    filters: Filters = Filters()
    """What else keeps a trace out."""
    stability: Literal["jackknife", "full"] = "jackknife"
    """How choices are perturbed. `jackknife`: blocks of steps are left out; `full`: also windows of k - 1 and k + 1
    steps and another unit of steps, each of which needs a scoring pass."""
    stability_prompts: Annotated[int, Field(ge=1)] | None = None
    """`stability: full` on a seeded sample of this many prompts; null: all."""
    weights: WeightsOrWord = "none"
    """How much each of a prompt's chosen traces weighs in the loss, summing to one per prompt: `none`: all the same,
    and no column; by a metric, for every selector; or `lark`: for selectors by `lark_g` as its authors weigh them
    (`per_prompt: 3` there), for others all the same."""
    reference: Text | None = None
    """Name of the model of `score.references` with which metrics of two models (`reference_gain`, `teacher_steps`,
    `teacher_share`) compare the student; null: the first."""
    casl_fit: Literal["teacher", "pool"] = "teacher"
    """Whether `aslec_casl` is fitted for each teacher by itself or for all traces at once."""
    exports: Annotated[tuple[Export, ...], AfterValidator(some_distinct)] = ("messages",)
    """Files that are written of each curated set; `messages` is what the train stage reads and always written."""
    seed: Seed = 0
    """Seed of draws, orders of prompts and the bootstrap."""
    bootstrap: Annotated[int, Field(ge=100, le=100_000)] = 2_000
    """Resamples of prompts behind the intervals of the teacher ranking."""
    workers: Annotated[int, Field(ge=1, le=1_024)] | None = None
    """How many processes read the texts for the filters side by side; null: one for each core. The output does not
    depend on it."""

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the selectors."""
        return tuple(s.name for s in self.selectors)

    @field_validator("selectors", mode="before")
    @classmethod
    def _names_alone(cls, value: object) -> object:
        if isinstance(value, list | tuple):
            return [by_name(v) if isinstance(v, str) else v for v in value]
        return value

    @field_validator("selectors")
    @classmethod
    def _known_selectors(cls, value: tuple[Selector, ...]) -> tuple[Selector, ...]:
        from stepsift.metrics import all_metrics, selectable

        known = selectable()
        names = [s.name for s in value]
        for i, selector in enumerate(value):
            if selector.by not in known:
                why = ", it ranks nothing" if selector.by in all_metrics() else did_you_mean(selector.by, known)
                raise ValueError(f"'{selector.by}' is not a selector{why}; known are {', '.join(known)}")
            metric = selector.metric
            if selector.teacher == "best" and not (metric.better and metric.ranks_teachers):
                raise ValueError(
                    f"'{selector.name}' asks for the best teacher by {selector.by}, which ranks no teachers"
                )
            for key in ("mix_of", "lengths_of"):
                other = getattr(selector, key)
                if other is not None and other not in names[:i]:
                    raise ValueError(
                        f"{key} of '{selector.name}' is '{other}', which must be a selector named before it "
                        f"({', '.join(names[:i]) or 'there is none'})"
                    )
        return value

    @model_validator(mode="after")
    def _lark_has_its_selector(self) -> Self:
        if self.weights == "lark" and not any(s.by in ("lark_g", "lark_g_local") for s in self.selectors):
            raise ValueError(
                "weights is 'lark', and no selector is by lark_g; add one, such as "
                "{name: lark, by: lark_g, per_prompt: 3}"
            )
        return self
