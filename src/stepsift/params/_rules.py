"""How source files are read: the rules of params.yaml, of rule files beside the sources, and of presets."""

import re
import string
from typing import Annotated, Literal

from pydantic import Field, PlainSerializer, PlainValidator, field_validator, model_validator

from stepsift.params._section import Section, Text, distinct

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
    "answer_index",
    "answer_kind",
    "domain",
    "label",
    "tests",
    "licence",
]
Path = Text
"""Where a value stands in a row: a column, and behind dots keys of objects, places in lists from 0 (`turns.0.content`,
-1 for the last), or `*` for all of a list. Text that holds JSON is walked into (`verification_info.ground_truth`)."""


def _paths(value: object) -> object:
    """A path, several, or null, in one sentence where it is none of them: a union has a sentence for each type."""
    several = value if isinstance(value, list | tuple) else [value]
    for path in several:
        if path is not None and not isinstance(path, str):
            hint = "; put it in quotes" if isinstance(path, int | float) and path is value else ""
            raise ValueError(f"must be text{hint}")
        if path == "" or (path is None and path is not value):
            raise ValueError("must not be empty")
    if value in ([], ()):
        raise ValueError("must not be empty")
    return tuple(several) if isinstance(value, list) else value


def _written(value: str | tuple[str, ...] | None) -> str | list[str] | None:
    return list(value) if isinstance(value, tuple) else value


Paths = Annotated[str | tuple[str, ...] | None, PlainValidator(_paths), PlainSerializer(_written, when_used="json")]
"""A path, several of which the first that a row has is taken, or null for a name that is not to be guessed."""


_OTHER_ROWS = re.compile(
    r'(?<!"Column":)(?<!"String":)"'
    r'(?:Agg|Over|Len|Explode|Quantile|Shift|NullCount|Any|All|Rank|Cum\w*|SubPlan|Slice|Sort\w*)"'
)
"""What Polars calls the parts of an expression that look beyond one row; columns and texts may be called so."""


class TraceColumns(Section):
    """Where one teacher's trace stands in a row that holds the traces of several."""

    teacher: Text | None = None
    """The teacher's name."""
    teacher_field: Path | None = None
    """Where the row names the teacher, instead of `teacher`: sets of preferences have other models in every row."""
    response: Path
    """The response; a list holds several. A row where it is null has no trace of this teacher."""
    reasoning: Path | None = None
    """Reasoning beside the response."""
    label: Path | None = None
    """Whether the source calls the response correct: true, false, 1, 0, or a word such as yes, no, pass, fail."""

    @model_validator(mode="after")
    def _one_name(self) -> "TraceColumns":
        if (self.teacher is None) == (self.teacher_field is None):
            raise ValueError("must have one of teacher (a name) and teacher_field (the column that has the name)")
        return self

    @property
    def whose(self) -> str:
        """The teacher's name, or the column that has it, for messages."""
        return self.teacher or str(self.teacher_field)


class Rule(Section):
    """How the rows of a source are read: the keys of a rule file, `NAME.rule.yaml` beside the file or folder NAME.

    What a rule leaves out is recognised (docs/SETS.md), else guessed from the names of columns.
    """

    preset: Text | None = None
    """A public set whose preset is used, by name (docs/SETS.md), or `none`; null: recognised from the columns."""
    layout: Layout = "auto"
    """Layout of the rows; `auto` decides from the field names of each row."""
    fields: dict[FieldName, Paths] = Field(default_factory=dict)
    """Our name to where its value stands: a path (`meta.model`, `messages.0.info.answer`), several of which the first
    that a row has is taken, or null for a name that is not to be guessed."""
    traces: tuple[TraceColumns, ...] = ()
    """Several teachers in columns of one row, instead of `response` and `teacher`."""
    prompt_template: Text | None = None
    """A prompt made of several columns: `{question}` is replaced by the value at that path, a list of options becomes
    lines `A. ..`; `{context?}` may be missing, and then its line is left out."""
    strip_prefixes: tuple[Text, ...] = ()
    """Texts cut from the beginning of a prompt before its identity is taken."""
    strip_suffixes: tuple[Text, ...] = ()
    """Texts cut from the end of a prompt before its identity is taken; beside those of `ingest.strip_suffixes`."""
    strip_boxed: bool = False
    """Leave sentences at the ends of a prompt that hold an empty `\\boxed{}` out of its identity."""
    where: Text | None = None
    """Rows that are read: an expression in Polars' SQL over columns (`category = 'math' AND score >= 0.5`)."""
    leave_out: bool = False
    """Do not read these files at all."""
    teacher: Text | None = None
    """Teacher of every row of these files; overrides field and file name."""
    teacher_from: Literal["auto", "file", "folder"] = "auto"
    """Which name is the teacher's where no field is: the file's, its folder's, or (`auto`) the file's, and for shards
    (`train-00000-of-00042`) and names that say nothing (`train`, `data`) the first folder above that says something."""
    prompt_opens_thinking: bool = False
    """The teachers' prompts opened the reasoning: a response without the marker that ends it was cut off within it."""
    domain: Text | None = None
    """Domain of rows that name none."""
    licence: Text | None = None
    """Licence of rows that name none, as an SPDX identifier (`MIT`, `Apache-2.0`) or a name; null: not known."""
    answer_kind: AnswerKind | None = None
    """Overrides `ingest.answer_kind` for these files."""
    repository: Text | None = None
    """Where the files were published, `OWNER/NAME` of a hub or an address; kept for lineage and the data set card."""
    revision: Text | None = None
    """The published version of it: a commit, a tag or a date."""

    @field_validator("traces")
    @classmethod
    def _columns_once(cls, value: tuple[TraceColumns, ...]) -> tuple[TraceColumns, ...]:
        distinct(tuple(columns.response for columns in value))
        return value

    @field_validator("prompt_template")
    @classmethod
    def _template(cls, value: str | None) -> str | None:
        if value is None:
            return None
        try:
            parts = list(string.Formatter().parse(value))
        except ValueError as e:
            raise ValueError(f"is no template ({e}); write columns as {{question}}, a brace as {{{{") from None
        names = [name for _, name, _, _ in parts if name is not None]
        if not names or not all(name.strip("? ") for name in names):
            raise ValueError("must name columns in braces, as in '{question}\\n{options}'")
        if any(form or conversion for _, _, form, conversion in parts):
            raise ValueError("a column in braces takes no format (':') and no conversion ('!')")
        return value

    @field_validator("where")
    @classmethod
    def _expression(cls, value: str | None) -> str | None:
        if value is None:
            return None
        import polars as pl

        try:
            expression = pl.sql_expr(value)
        except pl.exceptions.PolarsError as e:
            raise ValueError(f"Polars cannot read it as an expression of SQL: {' '.join(str(e).split())}") from None
        names = expression.meta.root_names()
        if not names or any(name.startswith("_POLARS") for name in names):
            raise ValueError("must compare columns of a row, as in \"category = 'math'\", without SELECT")
        if _OTHER_ROWS.search(expression.meta.serialize(format="json")):
            raise ValueError("must decide every row by itself, without looking at others (max, count, OVER)")
        return value


class FileRule(Rule):
    """A rule of params.yaml: how the files whose path matches `match` are read; the first rule that matches wins."""

    match: Text
    """Glob over the path below the sources folder, e.g. `openr1/*.jsonl.gz`."""
