"""`params.yaml`, typed: one frozen model for each section.

Every setting lives here and nowhere else (no environment variable: DVC could not see it). An unknown key is refused
with the nearest valid name, a value outside its limits with the limits, before anything heavy is loaded.
"""

import datetime
import difflib
import math
from pathlib import Path
from typing import Annotated, Any, Literal, Self, get_args

import yaml
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

from stepsift.errors import ParamsError

Layout = Literal["auto", "chat", "sharegpt", "prompt_completion", "alpaca", "generations", "fields"]
AnswerKind = Literal["auto", "math", "choice", "exact", "code", "none"]
FieldName = Literal[
    "prompt_id",
    "prompt",
    "system",
    "response",
    "reasoning",
    "teacher",
    "answer",
    "answer_kind",
    "domain",
    "label",
    "tests",
    "licence",
]

Seed = Annotated[int, Field(ge=0, le=2**32 - 1)]
Text = Annotated[str, Field(min_length=1)]


def _some_distinct(values: tuple[Any, ...]) -> tuple[Any, ...]:
    # Not `min_length`: pydantic counts what it could read, and would call [-1] empty.
    if not values:
        raise ValueError("must not be empty")
    twice = [v for v in values if values.count(v) > 1]
    if twice:
        raise ValueError(f"'{twice[0]}' stands more than once; name each once")
    return values


def _distinct_names(values: tuple["Selector", ...]) -> tuple["Selector", ...]:
    _some_distinct(tuple(v.name for v in values))
    return values


def _named(*names: str) -> tuple["Selector", ...]:
    return tuple(Selector(name=n, by=n) for n in names)


class Section(BaseModel):
    """A section of params.yaml: frozen, unknown keys refused, a docstring with its unit under each field."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, use_attribute_docstrings=True)

    @field_validator("*", mode="before")
    @classmethod
    def _number_not_bool(cls, value: object, info: ValidationInfo) -> object:
        # pydantic reads true as 1.
        if isinstance(value, bool) and _is_numeric(cls.model_fields[str(info.field_name)].annotation):
            raise ValueError("must be a number")
        return value


def _is_numeric(annotation: object) -> bool:
    return annotation in (int, float) or any(_is_numeric(part) for part in get_args(annotation))


class FileRule(Section):
    """How to read the files whose path below the sources folder matches `match`; the first rule that matches wins."""

    match: Text
    """Glob over the path below the sources folder, e.g. `openr1/*.jsonl.gz`."""
    layout: Layout = "auto"
    """Layout of the rows; `auto` decides from the field names of each row."""
    fields: dict[FieldName, Text] = {}
    """Our name to the file's field name; a dot walks into nested objects (`meta.model`)."""
    teacher: Text | None = None
    """Teacher of every row of these files; overrides field and file name."""
    domain: Text | None = None
    """Domain of rows that name none."""
    licence: Text | None = None
    """Licence of rows that name none, as an SPDX identifier (`MIT`, `Apache-2.0`) or a name; null: not known."""
    answer_kind: AnswerKind | None = None
    """Overrides `ingest.answer_kind` for these files."""


class Ingest(Section):
    """Raw trace files to prompts, traces and rejected rows."""

    layout: Layout = "auto"
    """Layout of the rows of files that no rule names; `auto` decides from the field names of each row."""
    fields: dict[FieldName, Text] = {}
    """Our name to the file's field name, for files that no rule names."""
    files: tuple[FileRule, ...] = ()
    """Rules for single files or folders, tried in order."""
    answer_kind: AnswerKind = "auto"
    """How gold answers are compared; `auto`: `choice` for a single letter A-J, else `math` if it reads as a number or
    a formula, else `exact`. `code`: programs are run on the prompt's tests, which nothing but this word asks for."""
    strip_suffixes: tuple[Text, ...] = ()
    """Texts cut from the end of a prompt before its identity is taken (instructions that differ by teacher)."""
    thinking: Literal["keep", "drop"] = "keep"
    """Keep reasoning as `<think>...</think>` before the answer, or drop it."""
    duplicates: Literal["drop", "keep"] = "drop"
    """What happens to a second trace with the same prompt, teacher and text: rejected, or kept under its own id."""
    max_line_bytes: Annotated[int, Field(ge=1_024, le=2**31)] = 8 * 2**20
    """Longest row that is read, in bytes; a longer one is rejected."""
    max_depth: Annotated[int, Field(ge=4, le=500)] = 64
    """Deepest nesting of a JSON row that is read."""
    verify_timeout_s: Annotated[float, Field(gt=0, le=600)] = 5.0
    """Seconds a verifier may take for one answer."""


class Segment(Section):
    """Traces to steps."""

    unit: Literal["sentence", "line", "paragraph"] = "sentence"
    """What a step is."""
    max_step_chars: Annotated[int, Field(ge=16, le=100_000)] = 1_000
    """Longest step, in characters; a longer one is cut and marked `capped`."""
    min_step_chars: Annotated[int, Field(ge=1, le=1_000)] = 4
    """A piece with fewer characters that are not white space joins its neighbour."""

    @field_validator("min_step_chars")
    @classmethod
    def _room_for_a_piece(cls, value: int, info: ValidationInfo) -> int:
        longest = info.data.get("max_step_chars")  # None where it is itself wrong
        if longest is not None and value >= longest:
            raise ValueError(f"must be below segment.max_step_chars, which is {longest}")
        return value


class Score(Section):
    """Steps to log-probabilities under the student."""

    window: Annotated[int | float, Field(gt=0, le=10_000)] = 4
    """k: how many preceding steps a step sees; a fraction below 1 is the share of the preceding steps."""
    passes: tuple[Literal["local", "full"], ...] = ("local", "full")
    """`local`: windows (LALP); `full`: the whole context (GALP and others)."""
    dtype: Literal["float32", "bfloat16", "float16"] = "float32"
    """Precision of the student's weights and activations; log-sum-exp always accumulates in float32."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where the student runs; `auto` takes CUDA where there is one."""
    batching: Literal["auto", "trace", "packed"] = "auto"
    """`trace`: a batch holds windows of one trace, so a trace scores to the same bytes in any pool; `packed`: of many,
    for devices that want large batches; `auto`: `trace` on a CPU, else `packed`."""
    batch_tokens: Annotated[int, Field(ge=64, le=1_000_000)] | None = None
    """Most tokens (padding counted) in one forward pass, unless a single window is longer; null: 512 on a CPU, 32,768
    on CUDA; `stepsift tune` measures."""
    products: Literal["auto", "native", "onednn"] = "auto"
    """Who multiplies float32 matrices on a CPU: torch's own library or oneDNN; `auto`: oneDNN where Intel did not make
    the processor; `stepsift tune` measures."""
    engine: Literal["local", "ray"] = "local"
    """`local`: this machine; `ray`: a Ray cluster (needs the extra `ray`)."""
    workers: Annotated[int, Field(ge=1, le=1_024)] | None = None
    """How many students work side by side, each in a process; null: one for each CUDA device, one on a CPU."""
    max_step_tokens: Annotated[int, Field(ge=16, le=100_000)] = 4_096
    """A trace with a longer step, in tokens, is rejected."""
    prompts: Annotated[int, Field(ge=1)] | None = None
    """Score only a seeded sample of this many prompts; null: all."""
    seed: Seed = 0
    """Seed of that sample."""

    @field_validator("window")
    @classmethod
    def _steps_or_fraction(cls, value: int | float) -> int | float:
        if value >= 1 and value != int(value):
            raise ValueError("a number of steps is whole (1, 2, ...); a fraction of the preceding steps is below 1")
        return int(value) if value >= 1 else value

    @field_validator("passes")
    @classmethod
    def _some_pass(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if not value or len(set(value)) != len(value):
            raise ValueError("name 'local', 'full' or both, each once")
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
    languages: Annotated[tuple[Text, ...], AfterValidator(_some_distinct)] | None = None
    """Languages that are kept, as two-letter codes (`[en, zh]`)."""
    near_duplicates: Annotated[float, Field(gt=0, le=1)] | None = 0.9
    """From this Jaccard similarity on (of five-word shingles, estimated by MinHash) one of two traces is dropped."""
    decontaminate: Annotated[int, Field(ge=4, le=100)] | None = 13
    """Words in a row which, shared with an evaluation question, drop a prompt or a trace; a prompt that is an
    evaluation question up to case, white space and punctuation is dropped too."""

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

    teacher: dict[Text, Share] = {}
    """Teacher to share."""
    domain: dict[Text, Share] = {}
    """Domain to share; `none` for prompts without one."""

    @field_validator("teacher", "domain")
    @classmethod
    def _at_most_all(cls, value: dict[str, float]) -> dict[str, float]:
        total = math.fsum(value.values())
        if total > 1 + 1e-9:
            raise ValueError(f"shares add up to {total:g}, more than 1")
        return value


class Selector(Section):
    """One way to choose traces; its curated set lies in a folder of its name."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$")]
    """Name of the curated set."""
    by: Text
    """A metric with a direction, or `random`, `longest` or `shortest`."""
    per_prompt: Annotated[int, Field(ge=1, le=1_000)] = 1
    """Most traces of a prompt."""
    teacher: Text | None = None
    """Only traces of this teacher; `best`: of the one that ranks first by `by` over all domains."""
    mix_of: Text | None = None
    """Another selector, on whose prompts as many traces of each teacher are chosen as there."""
    lengths_of: Text | None = None
    """Another selector, on whose prompts as many traces of each class of length are chosen as there."""
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

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        matched = [f for f in ("mix_of", "lengths_of") if getattr(self, f) is not None]
        if len(matched) == 2:
            raise ValueError(f"'{self.name}' has both mix_of and lengths_of; give one of them")
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
        if self.name.endswith((".parquet", ".json")):
            raise ValueError(f"'{self.name}' must not be named like a table that lies beside its folder")
        return self


Export = Literal["messages", "prompt_completion", "sharegpt", "llamafactory", "parquet"]


class Select(Section):
    """Scores to a teacher ranking and one curated set for each selector."""

    selectors: Annotated[tuple[Selector, ...], AfterValidator(_distinct_names)] = _named(
        "lalp", "step_mean", "galp", "random"
    )
    """Ways to choose, one curated set each. A name alone (`lalp`) is a selector `by` it: the best trace of each prompt;
    `stepsift metrics` lists them."""
    correct: Literal["require", "prefer", "ignore"] = "prefer"
    """`require`: candidates are correct traces; `prefer`: of prompts that have one, else all; `ignore`: all."""
    filters: Filters = Filters()
    """What else keeps a trace out."""
    stability: Literal["jackknife", "full"] = "jackknife"
    """How choices are perturbed. `jackknife`: blocks of steps are left out; `full`: also windows of k - 1 and k + 1
    steps and another unit of steps, each of which needs a scoring pass."""
    stability_prompts: Annotated[int, Field(ge=1)] | None = None
    """`stability: full` on a seeded sample of this many prompts; null: all."""
    casl_fit: Literal["teacher", "pool"] = "teacher"
    """Whether `aslec_casl` is fitted for each teacher by itself or for all traces at once."""
    exports: Annotated[tuple[Export, ...], AfterValidator(_some_distinct)] = ("messages",)
    """Files that are written of each curated set; `messages` is what the train stage reads and always written."""
    seed: Seed = 0
    """Seed of draws, orders of prompts and the bootstrap."""
    bootstrap: Annotated[int, Field(ge=100, le=100_000)] = 2_000
    """Resamples of prompts behind the intervals of the teacher ranking."""

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the selectors."""
        return tuple(s.name for s in self.selectors)

    @field_validator("selectors", mode="before")
    @classmethod
    def _names_alone(cls, value: object) -> object:
        if isinstance(value, list | tuple):
            return [{"name": v, "by": v} if isinstance(v, str) else v for v in value]
        return value

    @field_validator("selectors")
    @classmethod
    def _known_selectors(cls, value: tuple[Selector, ...]) -> tuple[Selector, ...]:
        from stepsift.metrics import all_metrics, selectable

        known = selectable()
        names = [s.name for s in value]
        for i, selector in enumerate(value):
            if selector.by not in known:
                why = ", it ranks nothing" if selector.by in all_metrics() else _nearest(selector.by, known)
                raise ValueError(f"'{selector.by}' is not a selector{why}; known are {', '.join(known)}")
            metric = all_metrics()[selector.by]
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


class Train(Section):
    """Curated sets to trained students."""

    seeds: Annotated[tuple[Seed, ...], AfterValidator(_some_distinct)] = (0,)
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


class Evaluate(Section):
    """Students to accuracies."""

    tasks: Annotated[tuple[Text, ...], AfterValidator(_some_distinct)] = ("chain",)
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


class Report(Section):
    """The HTML page."""

    title: str = "stepsift"
    """Heading of the page."""


class Student(Section):
    """The model to be trained; it also scores."""

    path: Text = "demo/student"
    """A folder with a model (or one `.gguf` file) and its tokenizer, a `.gguf` file that holds both, or a `.hub.yaml`
    file that pins a model of a hub
    (keys `repo`, `revision` and, for a GGUF file there, `gguf_file`). Relative to the repository."""
    template: Literal["auto", "none"] = "auto"
    """`auto`: the tokenizer's chat template where it has one; `none`: prompt text and one newline."""
    template_kwargs: dict[str, Any] = {}
    """Further arguments of the chat template (`enable_thinking: false`)."""
    template_date: str = "2025-01-01"
    """The date, YYYY-MM-DD, that templates which ask for today's are given."""
    max_context_tokens: Annotated[int, Field(ge=8)] | None = None
    """Context that the student may use; null: what its configuration says."""

    @field_validator("template_date", mode="before")
    @classmethod
    def _a_date(cls, value: object) -> str:
        # YAML reads a date without quotes as a date.
        try:
            date = datetime.date.fromisoformat(str(value)).isoformat()
        except ValueError:
            date = ""
        if date != str(value):
            raise ValueError("must be a date such as 2025-01-31")
        return date


class Tracking(Section):
    """MLflow."""

    enabled: bool = True
    """Whether stages write to MLflow."""
    uri: Text = "mlflow.db"
    """A SQLite file (relative to the repository) or the URL of a tracking server."""
    experiment: Text = "stepsift"
    """Name of the MLflow experiment."""


class Params(Section):
    """The whole of params.yaml."""

    student: Student = Student()
    ingest: Ingest = Ingest()
    segment: Segment = Segment()
    score: Score = Score()
    select: Select = Select()
    train: Train = Train()
    evaluate: Evaluate = Evaluate()
    report: Report = Report()
    tracking: Tracking = Tracking()

    @model_validator(mode="after")
    def _passes_of_selectors(self) -> Self:
        from stepsift.metrics import all_metrics

        for needed in ("local", "full"):
            names = [s.name for s in self.select.selectors if all_metrics()[s.by].needs == needed]
            if names and needed not in self.score.passes:
                raise ValueError(
                    f"score.passes lacks '{needed}', without which {', '.join(names)} of select.selectors have no "
                    "score; add it there, or leave them out here"
                )
        return self


TRACKED_BY_DVC = (
    *(s for s in Params.model_fields if s != "tracking"),
    "student.path",
    *(f"select.{key}" for key in ("selectors", "seed", "stability", "stability_prompts")),
    "evaluate.tasks",
)
"""Keys that dvc.yaml names, and that the file itself must therefore hold: DVC knows nothing of our defaults."""


def missing_for_dvc(path: Path = Path("params.yaml")) -> list[str]:
    """One sentence for each key that DVC needs and a valid file lacks."""
    raw = yaml.safe_load(path.read_text(encoding="utf-8"))
    sentences = []
    for key in TRACKED_BY_DVC:
        section, _, name = key.partition(".")
        if section not in raw or (name and name not in (raw[section] or {})):
            default = getattr(Params(), section)
            shown = getattr(default, name) if name else "{}"
            sentences.append(f"{path} lacks '{key}', which DVC has to see; write it out, the default is {shown}")
    return sentences


class _Loader(yaml.SafeLoader):
    """Refuses a key that stands twice: YAML would take the last one in silence, and DVC none."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
        for key, _ in node.value:
            if keys.count(key.value) > 1:
                raise yaml.MarkedYAMLError(
                    problem=f"key '{key.value}' stands more than once", problem_mark=key.start_mark
                )
        return super().construct_mapping(node, deep)


def load(path: Path = Path("params.yaml")) -> Params:
    """Read and check all of params.yaml; raise ParamsError with one sentence for each problem."""
    try:
        raw = yaml.load(path.read_text(encoding="utf-8"), _Loader)  # a SafeLoader
    except FileNotFoundError:
        raise ParamsError([f"there is no {path}; run stepsift in the repository's root folder"]) from None
    except OSError as e:
        raise ParamsError([f"{path} cannot be read: {e.strerror}"]) from None
    # ValueError: bytes that are not UTF-8, or a date such as 2025-13-01.
    except (yaml.YAMLError, ValueError, RecursionError) as e:
        raise ParamsError([f"{path} is not valid YAML: {_yaml_trouble(e)}"]) from None
    return parse(raw, str(path))


def _yaml_trouble(error: Exception) -> str:
    if isinstance(error, yaml.MarkedYAMLError) and error.problem and error.problem_mark:
        return f"line {error.problem_mark.line + 1}, column {error.problem_mark.column + 1}: {error.problem}"
    return " ".join(str(error).split())


def parse(raw: object, name: str = "params.yaml") -> Params:
    """Check parameters that were already read; raise ParamsError with one sentence for each problem."""
    if not isinstance(raw, dict):
        raise ParamsError([f"{name} is {_shown(raw)}: must hold sections ({', '.join(Params.model_fields)})"])
    try:
        return Params.model_validate(raw)
    except ValidationError as e:
        # A value that fits none of several types is one problem, not one for each type.
        problems = {_path(problem["loc"]): problem for problem in e.errors()}
        raise ParamsError([f"{name}: {_sentence(path, problem)}" for path, problem in problems.items()]) from None


def _path(where: tuple[int | str, ...]) -> str:
    return ".".join(str(p) for p in where if p not in ("int", "float", "constrained-int", "constrained-float"))


_MESSAGES = {
    "model_type": "must hold keys and their values",
    "dict_type": "must hold keys and their values",
    "tuple_type": "must be a list",
    "string_type": "must be text",
    "string_too_short": "must not be empty",
    "string_pattern_mismatch": "must begin with a letter or a digit and hold only those, '.', '_' and '-', at most 100",
    "int_type": "must be a whole number",
    "int_parsing": "must be a whole number",
    "int_from_float": "must be a whole number",
    "float_type": "must be a number",
    "float_parsing": "must be a number",
    "finite_number": "must be a finite number",
    "bool_type": "must be true or false",
    "bool_parsing": "must be true or false",
    "literal_error": "must be {expected}",
    "greater_than": "must be above {gt}",
    "greater_than_equal": "must be at least {ge}",
    "less_than": "must be below {lt}",
    "less_than_equal": "must be at most {le}",
    "value_error": "{error}",
}
"""pydantic's types of errors in our words; the braces are filled from its context."""


def _sentence(path: str, problem: Any) -> str:
    """One sentence for one pydantic error: where, what was wrong, what is allowed."""
    where, kind = problem["loc"], problem["type"]
    if kind in ("extra_forbidden", "invalid_key"):
        return _unknown_key(path, where, _keys_at(where[:-1]))
    if where[-1:] == ("[key]",):
        path, where = path.removesuffix(".[key]"), where[:-1]
        if "fields" in where:
            return _unknown_key(path, where, list(get_args(FieldName)))
        return f"'{path}' is a key that is not text; put it in quotes"
    if kind == "missing":
        return f"key '{path}' is missing"
    value, context = problem["input"], problem.get("ctx", {})
    # pydantic keeps the limits of a float as floats: "above 0.0".
    limits = {k: int(v) if isinstance(v, float) and v.is_integer() else v for k, v in context.items()}
    message = _MESSAGES[kind].format(**limits) if kind in _MESSAGES else problem["msg"]
    if kind == "model_type" and value is None and len(where) == 1:
        message += ", or {} for all defaults"
    elif kind == "tuple_type" and isinstance(value, str | int | float):
        message += f", as in [{_shown(value)}]"
    elif kind == "string_type" and isinstance(value, int | float | datetime.date):
        message += "; put it in quotes"
    return f"'{path}' is {_shown(value)}: {message}" if path else message


def _unknown_key(path: str, where: tuple[int | str, ...], known: list[str]) -> str:
    place = f" in '{_path(where[:-1])}'" if len(where) > 1 else ""
    return f"unknown key '{path}'{_nearest(str(where[-1]), known)}; known{place} are {', '.join(known)}"


def _shown(value: object) -> str:
    """A value as its YAML has it, cut where it is long."""
    if value is None:
        return "empty"
    shown = str(value).lower() if isinstance(value, bool) else repr(value)
    if isinstance(value, datetime.date):
        shown = str(value)
    return shown if len(shown) <= 80 else shown[:77] + "..."


def _keys_at(where: tuple[int | str, ...]) -> list[str]:
    """The valid keys of the model to which a location leads."""
    model: type[BaseModel] = Params
    for part in where:
        if isinstance(part, int):
            continue
        annotation = model.model_fields[part].annotation
        inner = [annotation, *getattr(annotation, "__args__", ())]
        model = next(m for m in inner if isinstance(m, type) and issubclass(m, BaseModel))
    return list(model.model_fields)


def _nearest(name: str, known: list[str]) -> str:
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    return f", did you mean '{near[0]}'?" if near else ""
