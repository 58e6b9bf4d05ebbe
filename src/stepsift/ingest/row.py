"""A decoded row, read by our names for its fields.

A name is read from where a rule maps it, else from the columns that publishers use. No column is read as two things
unless a rule says so, and a value that cannot be what its column's name says is left alone.
"""

from collections.abc import Collection, Iterable, Mapping
from decimal import Decimal
from functools import lru_cache
from typing import Any

from stepsift import params
from stepsift.core.text import one_line
from stepsift.ingest import template
from stepsift.ingest.paths import column, parsed, turns, walk, without_commas
from stepsift.ingest.rows import RowError, as_text, is_missing, is_nan, kind_of

GUESSES: Mapping[str, tuple[str, ...]] = {
    "prompt_id": ("prompt_id",),
    "prompt": ("prompt", "question", "problem", "query", "instruction", "input"),
    "system": ("system", "system_prompt", "system_message"),
    "response": ("response", "attempt", "output", "completion", "generation", "llm_response", "solution"),
    "reasoning": ("reasoning_content", "reasoning", "thinking", "thinking_trajectories", "complex_cot"),
    "teacher": ("teacher", "model", "generator", "model_name", "teacher_model", "generation_model"),
    "answer": (
        *("gold_answer", "ground_truth", "expected_answer", "reference_answer"),
        *("correct_answer", "gold", "answer"),
    ),
    "answer_index": (),
    "answer_kind": ("answer_kind",),
    "domain": ("domain",),
    "licence": ("licence", "license"),
    "label": ("label", "correct", "is_correct"),
    "tests": ("tests",),
}
"""Field names that are tried, in order, where no rule maps one. `solution` is the last for a response: in s1K's and
OpenR1's rows it is a gold solution. `answer` is the last for a gold answer: beside a name that says whose it is, it may
be what the teacher answered. `final_answer` is not tried: it is a gold answer in some sets and what a teacher
answered in others. The case of letters makes no difference. A column that one name has taken is not tried for another.
"""

_ANY_GUESS = {name: " or ".join(guesses) for name, guesses in GUESSES.items()}

GENERATIONS = ("generations", "responses", "completions", "outputs")
"""Columns that hold several responses."""

LABEL_WORDS = {
    **dict.fromkeys(("yes", "true", "correct", "right", "pass", "passed", "1", "1.0"), True),
    **dict.fromkeys(("no", "false", "incorrect", "wrong", "fail", "failed", "0", "0.0"), False),
}
"""What sources write for a label instead of true and false, in lower case."""

_PLAIN_WORDS = ("system", "teacher", "domain", "licence")
"""Names under which a word that stands for nothing (`None`, `nan`) is nothing; for others their readers know."""

_SHOWN_NAMES, _NAME_CHARS = 10, 40
_ALSO_PLACES, _OPTIONS = ("correct_answer", "gold"), ("options", "choices")
_GOLD_CHARS = 60
_SHORT_WITHIN = ("\\boxed", "####")
"""What stands before the short answer of a whole solution, which is longer than _GOLD_CHARS."""
_WORD_CHARS = 24
"""A single word of more characters can be a thought: some scripts write no blanks."""


class _Names:
    """The names of a row's columns; most rows of a file have the same, so what is looked up in them is remembered."""

    def __init__(self, columns: tuple[str, ...]):
        self.spelled = {name.lower(): name for name in columns if isinstance(name, str) and not name.islower()}
        """Names in lower case to how the row spells them."""
        self._columns = frozenset(columns)
        self._present: dict[tuple[str, ...], tuple[tuple[str, str], ...]] = {}
        self.of_field = {name: self.present(guesses) for name, guesses in GUESSES.items()}
        """Our name to what `present` gives of its GUESSES."""

    def present(self, guesses: tuple[str, ...]) -> tuple[tuple[str, str], ...]:
        """(guess, the name as the row spells it) of those guesses that the row has."""
        known = self._present.get(guesses)
        if known is None:
            spelled = ((guess, guess if guess in self._columns else self.spelled.get(guess)) for guess in guesses)
            known = self._present[guesses] = tuple((guess, name) for guess, name in spelled if name is not None)
        return known


_names = lru_cache(maxsize=64)(_Names)


class Row:
    """One decoded row, read by our field names (params.FieldName)."""

    def __init__(self, data: Mapping[str, Any], rule: params.Rule | None = None, others: Collection[str] = ()):
        """`others` are columns that belong to somebody else, and are not guessed."""
        self.data = data
        self.rule = rule or params.Rule()
        self.fields: dict[str, tuple[str, ...]] = {name: _several(paths) for name, paths in self.rule.fields.items()}
        self.used: dict[str, str] = {}
        """Our names to the paths at which values were found."""
        self.read: set[str] = set()
        """Columns of which something was read."""
        self._claims = dict.fromkeys(others, "")
        if self.rule.prompt_template:
            self._claims |= dict.fromkeys(template.columns(self.rule.prompt_template), "prompt")
        self._claims |= {path: name for name, several in self.fields.items() for path in several}
        self._names = _names(tuple(data))

    def find(self, name: str, guesses: tuple[str, ...] | None = None) -> tuple[str, Any]:
        """(the path in the row, its value); the value is None where the row has no such field.

        `guesses` replaces the names of GUESSES; a mapped name replaces both.
        """
        if name == "prompt" and self.rule.prompt_template:
            text = template.render(self.rule.prompt_template, self.data)
            for path in template.columns(self.rule.prompt_template):
                self.note(name, path)
            self.used[name] = "prompt_template"
            return "prompt_template", text
        mapped = self.fields.get(name)
        if mapped is not None:
            return self._mapped(name, mapped)
        for guess, path in self._names.of_field[name] if guesses is None else self._names.present(guesses):
            value = self.data[path] if self._claims.get(path, name) == name else None
            if value is None or _is_nothing(name, value) or not _can_be(name, guess, value):
                continue
            if name == "answer" and guess != name and not self._is_gold(guess, value):
                continue
            self._claims[path] = name
            self.note(name, path)
            return path, _whole(name, path, value)
        return _ANY_GUESS[name] if guesses is None else " or ".join(guesses), None

    def _is_gold(self, guess: str, value: object) -> bool:
        """Whether a value under a name that says whose answer it is comes before `answer`.

        A number beside options may be the place of one, and a solution in words says less than a short answer.
        """
        if is_missing(value) or value == []:
            return False
        if guess in _ALSO_PLACES and not isinstance(value, str | list) and self.values(_OPTIONS):
            return False
        in_words = isinstance(value, str) and len(value) > _GOLD_CHARS and not any(m in value for m in _SHORT_WITHIN)
        return not (in_words and self.values(("answer",)))

    def _mapped(self, name: str, paths: tuple[str, ...]) -> tuple[str, Any]:
        for path in paths:
            value = walk(self.data, path)
            if value is not None and not _is_nothing(name, value):
                self._claims.setdefault(path, name)
                self.note(name, path)
                return path, _whole(name, path, value)
        return " or ".join(paths), None

    def free(self, name: str, columns: tuple[str, ...]) -> dict[str, Any]:
        """Of some columns those that no other name has taken, with their values."""
        return {c: self.data[s] for c, s in self._names.present(columns) if self._claims.get(s, name) == name}

    def values(self, columns: tuple[str, ...]) -> list[Any]:
        """The values of those guessed columns that the row has and that are not null, however they are spelled."""
        return [value for _, s in self._names.present(columns) if (value := self.data[s]) is not None]

    def has(self, *columns: str) -> bool:
        """Whether the row has all of some guessed columns, and none of them is null."""
        return len(self.values(columns)) == len(columns)

    def column(self, name: str) -> str:
        """A guessed column as the row spells it."""
        return name if name in self.data else self._names.spelled.get(name, name)

    def get(self, name: str) -> Any:
        """The value of a guessed column, however it is spelled."""
        return self.data.get(self.column(name))

    def note(self, name: str, path: str) -> None:
        """Remember that a name was read from a path."""
        self.used[name] = path
        self.read.add(column(self.data, path))

    def require(self, name: str, guesses: tuple[str, ...] | None = None) -> tuple[str, Any]:
        """As `find`, but raise RowError where the row has no such field or it is null."""
        where, value = self.find(name, guesses)
        if value is None:
            raise RowError("missing_field", f"{name}: field {where} is missing or null; the row has {self.names()}")
        return where, value

    def text(self, name: str) -> str | None:
        """An optional text field; None where it is missing, null or blank."""
        where, value = self.find(name)
        if value is None:
            return None
        if not isinstance(value, str):
            raise RowError("wrong_type", f"{name}: field '{where}' is {kind_of(value)}, it must be text")
        return value if value.strip() else None

    def scalar(self, name: str) -> str | None:
        """An optional field that may be text, a finite number or a UUID, as text; None where missing, null or blank."""
        where, value = self.find(name)
        return as_text(value, f"{name}: field '{where}'")

    def names(self) -> str:
        """The row's field names, for a message."""
        return some_names(map(str, self.data))


def some_names(names: Iterable[str]) -> str:
    """Names of columns for a message: the first, and of how many others."""
    every = list(names)
    more = len(every) - _SHOWN_NAMES
    shown = [one_line(name, _NAME_CHARS) for name in every[:_SHOWN_NAMES]]
    return ", ".join(shown) + (f" and {more} more" if more > 0 else "") or "none"


def _whole(name: str, path: str, value: Any) -> Any:
    """A conversation, or a list of generations, that is stored as JSON text, as the list that it is."""
    if name == "response" and path.lower() in GENERATIONS and isinstance(value, str):
        texts = parsed(value)
        if texts is None and without_commas(value):
            raise no_commas(path)
        return texts if isinstance(texts, list) else value
    return turns(value) if name in ("prompt", "response") else value


def _is_nothing(name: str, value: object) -> bool:
    return is_nan(value) or (name in _PLAIN_WORDS and is_missing(value))


def no_commas(path: str) -> RowError:
    """What is said of a list that numpy wrote as text."""
    return RowError(
        "wrong_type", f"field '{path}' is a list as numpy writes it, without commas: write the table as JSON or Parquet"
    )


def _several(paths: str | tuple[str, ...] | None) -> tuple[str, ...]:
    return (paths,) if isinstance(paths, str) else paths or ()


def _can_be(name: str, guess: str, value: object) -> bool:
    """Whether a value that nobody mapped can be what the name of its column says.

    Where it cannot in a column that has our own name for the field, the row is at fault and says so; but classes
    (`label: 3`) and several subjects (`domain: [..]`) stand in columns of our names too.
    """
    if name == "label" and not isinstance(value, list):
        known = isinstance(value, str) and value.strip().lower() in LABEL_WORDS
        return known or isinstance(value, bool) or (isinstance(value, int | float) and value in (0, 1))
    if name == "domain":
        return not isinstance(value, list)
    if guess != name and name == "system":
        return isinstance(value, str)
    if guess != name and name in ("teacher", "answer"):
        return isinstance(value, list) or (isinstance(value, str) and bool(value.strip())) or _is_number(name, value)
    return True


def is_thought(text: str) -> bool:
    """Whether a text can be reasoning: more than one word, or long enough for a script without blanks."""
    return len(text.split()) > 1 or len(text.strip()) > _WORD_CHARS


def _is_number(name: str, value: object) -> bool:
    return name == "answer" and isinstance(value, int | float | Decimal) and not isinstance(value, bool)
