"""Presets: how public sets are read, one YAML file each, recognised by the columns of their first rows."""

import re
from functools import cache
from importlib import resources
from itertools import islice
from typing import Annotated, Any

from pydantic import Field

from stepsift import params
from stepsift.core import bounded_yaml
from stepsift.core.errors import SourceError
from stepsift.ingest.columns import FileColumns, mapped_paths
from stepsift.ingest.files import find as files
from stepsift.ingest.paths import walk
from stepsift.params import Section

_SAMPLE_ROWS = 20
_RESPONSES = frozenset(("response", "responses", "completion", "completions", "generation", "generations", "output"))
"""Names of columns that can be nothing but responses."""


class RecognisedBy(Section):
    """What the rows of a set's files have."""

    columns: Annotated[tuple[str, ...], Field(min_length=1)]
    """Paths, each of which some of the first rows have."""
    only: bool = False
    """Whether a row has no other columns."""
    like: dict[str, str] = Field(default_factory=dict)
    """Path to a regular expression that is found in each of the first rows."""
    same: dict[str, str] = Field(default_factory=dict)
    """Path to another one, at which each of the first rows says the same."""
    named: str | None = None
    """A regular expression for words that the file's path or repository must hold, in any case of letters: others have
    these columns too, and without the name what they say would be read wrongly."""


class Preset(Section):
    """A public set."""

    repository: str
    """Where it lies on the hub."""
    licence: str
    """As its card says; rows with a licence of their own keep that."""
    teachers: tuple[str, ...]
    """Who wrote its traces."""
    recognised_by: RecognisedBy
    rule: params.Rule
    """How it is read."""
    if_unnamed: dict[str, Any] = Field(default_factory=dict)
    """Keys of the rule that are different where neither path nor repository names the set: where others have its
    columns, what is true of it alone would be wrong."""
    unread: tuple[str, ...] = ()
    """Columns that look like traces and are none, or are the same traces again."""
    lost: tuple[str, ...] = ()
    """What of the set does not come into the tables."""
    alike: tuple[str, ...] = ()
    """Sets of other teachers that are known to have rows that look the same."""
    quirks: tuple[str, ...] = ()
    """What a user should know."""


@cache
def presets() -> dict[str, Preset]:
    """All presets by name, those with more columns to be recognised by first."""
    folder = resources.files("stepsift.ingest") / "presets"
    loaded = {
        file.name.removesuffix(".yaml"): Preset.model_validate(bounded_yaml.loads(file.read_text(encoding="utf-8")))
        for file in folder.iterdir()
        if file.name.endswith(".yaml")
    }
    order = sorted(loaded, key=lambda name: (-_weight(loaded[name].recognised_by), name))
    return {name: loaded[name] for name in order}


def _weight(by: RecognisedBy) -> int:
    return 100 * bool(by.named) + len(by.columns) + len(by.like)


def with_preset(file: files.SourceFile, rule: params.Rule, settings: params.Ingest) -> tuple[params.Rule, str | None]:
    """The rule of a file completed from the preset that it names or whose columns the file has, and that preset's name.

    A rule that says how responses are read (layout, response, traces) describes its file itself: no preset is looked
    for. Raises SourceError where the rule names no known preset.
    """
    if rule.preset == "none" or rule.leave_out:
        return rule, None
    if rule.preset is not None:
        if rule.preset not in presets():
            known = ", ".join(sorted(presets()))
            raise SourceError(
                f"the rule of {file.name} names the preset '{rule.preset}', which is none; known are {known}"
            )
        return _completed(rule, presets()[rule.preset]), rule.preset
    if rule.layout != "auto" or rule.fields.get("response") or rule.traces or rule.prompt_template:
        return rule, None
    rows = [row for _, row in islice(files.rows(file, settings), _SAMPLE_ROWS) if isinstance(row, dict)]
    name = recognised(rows, _place(file.name, rule))
    return (_completed(rule, _preset(name, file.name, rule)), name) if name else (rule, None)


def recognised(rows: list[dict[str, Any]], place: str) -> str | None:
    """The preset whose set has rows like these, in a file of this path and repository.

    No preset fits rows with a column that is a response by its name and that the preset does not know: of its set they
    are none, and the response would be lost.
    """
    for name, preset in presets().items():
        if rows and _fits(preset.recognised_by, rows, place) and not _others_responses(preset, rows):
            return name
    return None


def _others_responses(preset: Preset, rows: list[dict[str, Any]]) -> bool:
    """Whether rows have responses in columns of which a preset that names columns for them knows nothing."""
    mapped = [path for paths in mapped_paths(preset.rule).values() for path in paths]
    if not (preset.rule.traces or preset.rule.fields.get("response")):
        return False
    known = {path.partition(".")[0] for path in (*mapped, *preset.recognised_by.columns, *preset.unread)}
    filled = {name for row in rows for name, value in row.items() if value not in (None, "", [])}
    return any(name.lower() in _RESPONSES for name in filled - known)


def _place(file: str, rule: params.Rule) -> str:
    """What may name a set: where a file was published, and its path."""
    return f"{rule.repository or ''} {file}"


def _preset(name: str, file: str, rule: params.Rule) -> Preset:
    """A preset as it is for a file."""
    preset = presets()[name]
    if _is_named(name, file, rule):
        return preset
    return preset.model_copy(update={"rule": preset.rule.model_copy(update=preset.if_unnamed)})


def _is_named(name: str, file: str, rule: params.Rule) -> bool:
    """Whether a file's rule, path or repository says that it is of a preset's set."""
    preset = presets()[name]
    words = _words(preset.repository.rpartition("/")[2])
    return bool(rule.preset or preset.recognised_by.named or f" {words} " in f" {_words(_place(file, rule))} ")


def teacher_of_set(name: str | None, file: str, rule: params.Rule) -> str | None:
    """Who wrote the rows of a preset's set that name nobody, where the file's own rule does not say."""
    return None if name is None or _names_teacher(rule) else _preset(name, file, rule).rule.teacher


def _names_teacher(rule: params.Rule) -> bool:
    return bool(rule.fields.get("teacher") or rule.teacher or rule.teacher_from != "auto")


def columns_of(name: str | None, file: str, rule: params.Rule) -> FileColumns:
    """What will be seen of a file's columns, which is read by this preset, if any, beside its own rule."""
    if name is None:
        return FileColumns()
    return FileColumns(name, quiet=presets()[name].unread, on_trust=_taken_on_trust(name, file, rule))


def _taken_on_trust(name: str, file: str, rule: params.Rule) -> str | None:
    """What a file owes to a preset that may be another set's: who wrote it, and its licence.

    None where its path or repository names the set, and where its own rule names preset or teacher.
    """
    if _is_named(name, file, rule) or rule.teacher or rule.fields.get("teacher"):
        return None
    preset = presets()[name]
    set_name, teacher = preset.repository.rpartition("/")[2], preset.rule.teacher
    if preset.if_unnamed:
        return (
            f"its columns are those of {set_name}: if it is that set, put 'preset: {name}' into its rule, which names "
            "its teacher and licence and takes its answers for gold answers, too"
        )
    licence = f"licence {preset.licence}"
    owes = f"teacher {teacher} and {licence} are those" if teacher else f"{licence} is that"
    return (
        f"{owes} of {set_name}, whose columns it has; so {'have' if preset.alike else 'may'} "
        f"{' and '.join(preset.alike) or 'others'}: if it is one of them, name its "
        f"{'teacher and ' if teacher else ''}licence in its rule, otherwise 'preset: {name}'"
    )


def _words(name: str) -> str:
    """A name in small letters, whatever its words are joined by."""
    return " ".join(re.findall(r"[a-z0-9]+", name.lower()))


def _fits(by: RecognisedBy, rows: list[dict[str, Any]], place: str) -> bool:
    if by.named and not re.search(rf"(?<![a-z])(?:{by.named})(?![a-z])", place, re.IGNORECASE):
        return False
    if not all(any(path in row or walk(row, path) is not None for row in rows) for path in by.columns):
        return False
    if by.only and not all(set(row) <= set(by.columns) for row in rows):
        return False
    if not all(walk(row, path) == walk(row, other) for path, other in by.same.items() for row in rows):
        return False
    return all(re.search(pattern, str(walk(row, path))) for path, pattern in by.like.items() for row in rows)


def _completed(rule: params.Rule, preset: Preset) -> params.Rule:
    """A rule with what only the preset says; who wrote the traces comes from one of them alone."""
    own = {name: getattr(rule, name) for name in rule.model_fields_set}
    base = {name: getattr(preset.rule, name) for name in preset.rule.model_fields_set}
    fields = dict(preset.rule.fields)
    # A teacher of the set's would come before those of rows (teacher_of_set).
    base.pop("teacher", None)
    if _names_teacher(rule):
        fields.pop("teacher", None)
    fields |= rule.fields
    # A layout and fields that no rule gave come with the settings.
    own = {name: value for name, value in own.items() if (name, value) != ("layout", "auto")}
    return params.Rule(**{"licence": preset.licence, **base, **own, "fields": fields})
