"""The section `evaluate`."""

from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from stepsift.params._section import Section, Seed, Text, distinct, some_distinct


class Evaluate(Section):
    """Students to accuracies."""

    tasks: Annotated[tuple[Text, ...], AfterValidator(some_distinct)] = ("chain",)
    """Local tasks of the tasks folder or lm-evaluation-harness tasks, by name."""
    trusted_tasks: tuple[Text, ...] = ()
    """Local tasks in the harness's own format, by name, that somebody has read: their templates and functions are code.
    Tasks with `verify` and `data` need none."""
    limit: Annotated[int, Field(ge=1)] | None = None
    """Only the first so many questions of each task; null: all."""
    batch_size: Annotated[int, Field(ge=1, le=4_096)] = 64
    """Questions answered at once."""
    max_new_tokens: Annotated[int, Field(ge=1, le=1_000_000)] = 512
    """Longest answer, in tokens, where the task sets none."""
    dtype: Literal["float32", "bfloat16"] = "float32"
    """Precision in which all students, the untrained one too, answer."""
    samples: Annotated[int, Field(ge=1, le=1_000)] = 1
    """Answers to each question whose answer is generated; more than one needs a temperature."""
    pass_at: Annotated[tuple[Annotated[int, Field(ge=1, le=1_000)], ...], AfterValidator(distinct)] = ()
    """Numbers k for which pass@k is estimated: the probability that at least one of k answers is right; at most
    `samples`."""
    temperature: Annotated[float, Field(gt=0, le=10)] | None = None
    """Answers are drawn with this temperature; null: as the task says, and greedily where it says nothing."""
    top_p: Annotated[float, Field(gt=0, le=1)] = 1.0
    """Draw among the most probable tokens that hold this probability; only with a temperature."""
    engine: Literal["hf", "vllm"] = "hf"
    """What runs the students: transformers, or vLLM, which is installed apart and needs a GPU."""
    verify_timeout_s: Annotated[float, Field(gt=0, le=600)] = 5.0
    """Seconds a verifier may take for one answer, in local tasks that name one."""
    rescore: Annotated[tuple[Text, ...], AfterValidator(distinct)] = ()
    """Selectors whose trained student (the one with the lowest seed) scores its curated traces again: the report then
    shows which steps it learned. None by default; each costs a scoring pass over its curated set."""
    seed: Seed = 0
    """Seed of few-shot examples and sampling."""

    @model_validator(mode="after")
    def _enough_samples(self) -> Self:
        if self.pass_at and max(self.pass_at) > self.samples:
            raise ValueError(
                f"pass_at has {max(self.pass_at)}, which needs as many samples, and samples is {self.samples}; raise it"
            )
        return self

    @model_validator(mode="after")
    def _drawn(self) -> Self:
        if self.temperature is None and self.samples > 1:
            raise ValueError(f"samples is {self.samples}, but greedy answers are all the same; give a temperature")
        if self.temperature is None and self.top_p < 1:
            raise ValueError(f"top_p is {self.top_p:g}, which says nothing of greedy answers; give a temperature")
        return self
