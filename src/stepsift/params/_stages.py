"""The sections of params.yaml that are short, and those of the first stages."""

import datetime
import re
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, ValidationInfo, field_validator, model_validator

from stepsift.params._llm import Llm
from stepsift.params._rules import AnswerKind, FieldName, FileRule, Layout, Paths
from stepsift.params._section import Section, Seed, Text, distinct

OFFSETS_FOLDER = "data/offsets"
"""Where files of offsets lie: stage segment depends on all of it, for DVC cannot follow a key that may be empty."""

REFERENCES_FOLDER = "data/references"
"""Where references lie: stage score depends on all of it, for the same reason."""


class Ingest(Section):
    """Raw trace files to prompts, traces and rejected rows."""

    layout: Layout = "auto"
    """Layout of the rows of files that no rule names; `auto` decides from the field names of each row."""
    fields: dict[FieldName, Paths] = Field(default_factory=dict)
    """Our name to the path of its value, for files that no rule names."""
    files: tuple[FileRule, ...] = ()
    """Rules by pattern, tried in order: what a rule file beside a source leaves out is taken from them."""
    answer_kind: AnswerKind = "auto"
    """How gold answers are compared; `auto`: `choice` for a single letter A-J, else `math` if it reads as a number or
    a formula, else `exact`. `code`: programs are run on the prompt's tests, which nothing but this word asks for."""
    strip_suffixes: tuple[Text, ...] = ()
    """Texts cut from the end of a prompt before its identity is taken (instructions that differ by teacher)."""
    thinking: Literal["keep", "drop"] = "keep"
    """Keep reasoning as `<think>...</think>` before the answer, or drop it."""
    system: Literal["keep", "drop", "text"] = "keep"
    """System prompts: `keep` the one under which all traces of a prompt were written (where they differ, the prompt
    gets none), `drop` all, or put each as `text` before the user's first words: prompts that differ in it are then
    different prompts."""
    duplicates: Literal["drop", "keep"] = "drop"
    """What happens to a second trace with the same prompt, teacher and text: rejected, or kept under its own id."""
    gold_conflicts: Literal["unchecked", "first", "reject"] = "unchecked"
    """A prompt whose rows give gold answers that really differ, not in spelling alone: its traces stay unchecked, the
    first gold answer by file and row is taken, or its traces are rejected."""
    labels: Literal["compare", "fallback", "trust"] = "compare"
    """A source's own verdicts: only compared with ours, taken where ours is `unchecked`, or taken wherever there is
    one."""
    workers: Annotated[int, Field(ge=1, le=1_024)] | None = None
    """How many processes check answers side by side; null: one for each core. The output does not depend on it."""
    max_line_bytes: Annotated[int, Field(ge=1_024, le=2**31)] = 8 * 2**20
    """Longest row that is read, in bytes; a longer one is rejected."""
    max_depth: Annotated[int, Field(ge=4, le=500)] = 64
    """Deepest nesting of a JSON row that is read."""
    verify_timeout_s: Annotated[float, Field(gt=0, le=600)] = 5.0
    """Seconds a verifier may take for one answer."""


class Segment(Section):
    """Traces to steps."""

    unit: Literal["sentence", "line", "paragraph", "marker", "llm", "offsets"] = "sentence"
    """What a step is; `marker`: what lies between blank lines and sentences that open with a branch marker such as
    "Wait", "But" or "Alternatively" (eleven languages); `llm`: sentences that the language model of `segment.llm` puts
    into one group; `offsets`: what the file `segment.offsets` says."""
    llm: Llm | None = None
    """The language model of `unit: llm`: `url` and `model`, and how it is asked. With another unit only
    `stepsift splitters` uses it."""
    offsets: Text | None = None
    """With `unit: offsets`, a file of JSON lines or Parquet below `data/offsets/`: a row per trace with `trace_id` or
    `content_hash`, and `offsets`, a list of [start, end] in characters that covers the response."""
    max_step_chars: Annotated[int, Field(ge=16, le=100_000)] = 1_000
    """Longest step, in characters; a longer one is cut and marked `capped`."""
    min_step_chars: Annotated[int, Field(ge=1, le=1_000)] = 4
    """A piece with fewer characters that are not white space joins its neighbour."""
    workers: Annotated[int, Field(ge=1, le=1_024)] | None = None
    """How many processes cut traces side by side; null: one for each core. The output does not depend on it."""

    @field_validator("min_step_chars")
    @classmethod
    def _room_for_a_piece(cls, value: int, info: ValidationInfo) -> int:
        longest = info.data.get("max_step_chars")  # None where it is itself wrong
        if longest is not None and value >= longest:
            raise ValueError(f"must be below segment.max_step_chars, which is {longest}")
        return value

    @field_validator("offsets")
    @classmethod
    def _where_dvc_sees_it(cls, value: str | None) -> str | None:
        if value is not None and not re.fullmatch(rf"{OFFSETS_FOLDER}/[^/]+\.(?:jsonl|parquet)", value):
            raise ValueError(f"must be a .jsonl or .parquet file in {OFFSETS_FOLDER}/, where DVC sees it change")
        return value

    @model_validator(mode="after")
    def _offsets_with_their_unit(self) -> Self:
        if (self.unit == "offsets") != (self.offsets is not None):
            raise ValueError(
                f"unit is '{self.unit}' and offsets is {self.offsets or 'empty'}; unit: offsets goes with a file in "
                f"{OFFSETS_FOLDER}/, such as {OFFSETS_FOLDER}/steps.jsonl, and other units with none"
            )
        return self

    @model_validator(mode="after")
    def _a_model_for_its_unit(self) -> Self:
        if self.unit == "llm" and self.llm is None:
            raise ValueError("unit is 'llm' and llm is empty; name the model, such as llm: {url: .., model: ..}")
        return self

    @property
    def rules(self) -> Literal["sentence", "line", "paragraph", "marker"]:
        """The unit by which a text is cut of which neither a file nor a model said the steps."""
        if self.unit == "llm":
            return self.llm.fallback if self.llm is not None else "sentence"
        return "sentence" if self.unit == "offsets" else self.unit


class Report(Section):
    """The HTML page."""

    title: str = "stepsift"
    """Heading of the page."""
    prompts: Annotated[int, Field(ge=0, le=500)] = 60
    """Prompts in the trace explorer: those chosen most closely and most clearly, those that selectors disagree on, and
    some at random. Prompts beyond 5 MiB of their texts and scores are left out, and said."""


class Student(Section):
    """The model to be trained; it also scores."""

    path: Text = "demo/student"
    """A folder with a model (or one `.gguf` file) and its tokenizer, a `.gguf` file that holds both, or a `.hub.yaml`
    file that pins a model of a hub
    (keys `repo`, `revision` and, for a GGUF file there, `gguf_file`). Relative to the repository."""
    template: Literal["auto", "none"] = "auto"
    """`auto`: the tokenizer's chat template where it has one; `none`: prompt text and one newline."""
    template_kwargs: dict[str, Any] = Field(default_factory=dict)
    """Further arguments of the chat template (`enable_thinking: false`)."""
    template_date: str = "2025-01-01"
    """The date, YYYY-MM-DD, that templates which ask for today's are given."""
    thinking: Literal["auto", "keep", "drop"] = "auto"
    """What is scored and trained of a trace's reasoning: `keep` all, or `drop` it and keep the answer; `auto`: drop it
    where the template's generation prompt already closes the reasoning (`enable_thinking: false`), else keep it."""
    max_context_tokens: Annotated[int, Field(ge=8)] | None = None
    """Context that the student may use; null: what its configuration says."""
    placement: Literal["one", "spread", "cpu_offload"] = "one"
    """Where its weights lie when it scores and answers: on `one` device; `spread`: layers over several GPUs;
    `cpu_offload`: layers that a GPU has no room for in memory, brought there for each pass. `stepsift check` says what
    fits."""

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


class Reference(Student):
    """A second model under which the same steps are scored."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$")]
    """Its name, by which `select.reference` knows it; its scores lie in a folder of that name."""
    path: Text
    """As `student.path`, below `data/references/`, where DVC sees it change: a folder, a `.gguf` file, or a `.hub.yaml`
    file that pins a model of a hub. A `.jsonl` or `.parquet` file there holds log-probabilities that a data set ships,
    which are read in place of a pass: a row per trace with `tokens` (or `token_ids`) and `logprobs`."""
    tokenizer: Text | None = None
    """Of shipped `token_ids`: the folder of their tokenizer, below `data/references/` too."""

    @field_validator("path", "tokenizer")
    @classmethod
    def _where_dvc_looks(cls, value: str | None) -> str | None:
        if value is None:
            return None
        inside = value.removeprefix(f"{REFERENCES_FOLDER}/")
        if inside in ("", value) or ".." in inside.split("/"):
            raise ValueError(
                f"must lie below {REFERENCES_FOLDER}/, where DVC sees it change; put the folder or the .gguf file "
                "there, or a .hub.yaml file that pins a model of a hub"
            )
        return value


def _distinct_references(values: tuple[Reference, ...]) -> tuple[Reference, ...]:
    distinct(tuple(v.name for v in values))
    return values


class Score(Section):
    """Steps to log-probabilities under the student."""

    window: Annotated[int | float, Field(gt=0, le=10_000)] = 4
    """k: how many preceding steps a step sees; a fraction below 1 is the share of the preceding steps."""
    passes: tuple[Literal["local", "full"], ...] = ("local", "full")
    """`local`: windows (LALP); `full`: the whole context (GALP and others)."""
    dtype: Literal["float32", "bfloat16", "float16"] = "float32"
    """Precision of the student's weights and activations; log-sum-exp always accumulates in float32."""
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    """Where the student runs; `auto` takes CUDA where there is one. `mps`: an Apple GPU (never tried by us)."""
    batching: Literal["auto", "trace", "packed"] = "auto"
    """`trace`: a batch holds windows of one trace, so a trace scores to the same bytes in any pool; `packed`: of many,
    for devices that want large batches; `auto`: `trace` on a CPU, else `packed`."""
    batch_tokens: Annotated[int, Field(ge=64, le=1_000_000)] | None = None
    """Most tokens (padding counted) in one forward pass, unless a single window is longer; null: 512 on a CPU, 32,768
    on CUDA; `stepsift tune` measures."""
    products: Literal["auto", "native", "onednn"] = "auto"
    """Who multiplies float32 matrices on a CPU: torch's own library or oneDNN; `auto`: oneDNN where Intel did not make
    the processor; `stepsift tune` measures."""
    decoder: Literal["model", "own"] = "model"
    """Who computes a student's layers on a CPU: `model`, its own code in transformers; `own`, a decoder of ours with
    float32 sums and compiled pieces, for Llama, Qwen 2, Qwen 3 and Gemma 3 in float32 or bfloat16, where a C++
    compiler is (else as `model`). Scores of the two are kept apart; `stepsift tune` measures."""
    engine: Literal["local", "ray"] = "local"
    """`local`: this machine; `ray`: a Ray cluster (needs the extra `ray`)."""
    workers: Annotated[int, Field(ge=1, le=1_024)] | None = None
    """How many students work side by side, each in a process; null: one for each CUDA device; on a CPU one, or one for
    each core where a small student has much to do."""
    max_step_tokens: Annotated[int, Field(ge=16, le=100_000)] = 4_096
    """A trace with a longer step, in tokens, is rejected."""
    prompts: Annotated[int, Field(ge=1)] | None = None
    """Score only a seeded sample of this many prompts; null: all."""
    seed: Seed = 0
    """Seed of that sample."""
    references: Annotated[tuple[Reference, ...], AfterValidator(_distinct_references)] = ()
    """Other models (a teacher, a base) that score the same traces and steps, each in tables of its own: `name`, `path`,
    and where it is not used as usual the other keys of `student`. Metrics of two models (`reference_gain`,
    `teacher_steps`) compare the student with one of them (`select.reference`), step by step."""
    cache_check: Annotated[float, Field(ge=0, le=1)] | None = None
    """Share of the traces taken from the cache that are scored again and compared, at random; a difference stops the
    run. null: 0.01 where others may write to the cache's folder, else 0."""

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


class Tracking(Section):
    """MLflow."""

    enabled: bool = True
    """Whether stages write to MLflow."""
    uri: Text = "mlflow.db"
    """A SQLite file (relative to the repository) or the URL of a tracking server."""
    experiment: Text = "stepsift"
    """Name of the MLflow experiment."""
    model: Text | None = "stepsift-student"
    """Name in the model registry below which trained students are registered, by path and fingerprint; null: none."""
