"""The whole of params.yaml: read, checked, and what DVC has to see of it."""

from pathlib import Path
from typing import Any, Self, TypeVar

import yaml
from pydantic import ValidationError, model_validator

from stepsift.core import bounded_yaml, disk
from stepsift.core.errors import ParamsError
from stepsift.core.text import did_you_mean, error_line, has_conflict_marks
from stepsift.params._audition import Audition
from stepsift.params._evaluate import Evaluate
from stepsift.params._rules import Rule
from stepsift.params._section import Section
from stepsift.params._select import Select, compares_two_models
from stepsift.params._sentences import key_path, sentence, shown
from stepsift.params._stages import REFERENCES_FOLDER, Ingest, Report, Score, Segment, Student, Tracking
from stepsift.params._train import Train


class Params(Section):
    """The whole of params.yaml."""

    student: Student = Student()
    ingest: Ingest = Ingest()
    segment: Segment = Segment()
    score: Score = Score()
    select: Select = Select()
    train: Train = Train()
    evaluate: Evaluate = Evaluate()
    audition: Audition = Audition()
    report: Report = Report()
    tracking: Tracking = Tracking()

    @model_validator(mode="after")
    def _passes_of_selectors(self) -> Self:
        for needed in ("local", "full"):
            names = [s.name for s in self.select.selectors if s.metric.needs == needed]
            if names and needed not in self.score.passes:
                raise ValueError(
                    f"score.passes lacks '{needed}', without which {', '.join(names)} of select.selectors have no "
                    "score; add it there, or leave them out here"
                )
            steps = self.train.steps
            if steps != "all" and steps.needs == needed and needed not in self.score.passes:
                raise ValueError(
                    f"score.passes lacks '{needed}', by which train.steps drops the {steps.drop} steps; add it there, "
                    "or name the other pass in train.steps"
                )
        return self

    @model_validator(mode="after")
    def _rescored_are_selectors(self) -> Self:
        names = list(self.select.names)
        for name in self.evaluate.rescore:
            if name not in names:
                near = did_you_mean(name, names)
                raise ValueError(
                    f"evaluate.rescore names '{name}', which is no selector{near}; there are {', '.join(names)}"
                )
        return self

    @model_validator(mode="after")
    def _references_of_metrics(self) -> Self:
        names = [r.name for r in self.score.references]
        by_key = {
            "select.selectors": [s.by for s in self.select.selectors],
            "select.filters.worst.by": [self.select.filters.worst.by] if self.select.filters.worst else [],
            "select.weights.by": [] if isinstance(self.select.weights, str) else [self.select.weights.by],
            "audition.selectors": list(self.audition.selectors),
        }
        for key, metrics in by_key.items():
            of_two = [m for m in metrics if compares_two_models(m)]
            if of_two and not names:
                raise ValueError(
                    f"{key} names {', '.join(of_two)}, which compares the student with a second model, and "
                    f"score.references names none; set it to [{{name: teacher, path: {REFERENCES_FOLDER}/teacher}}], "
                    "or leave the metric out"
                )
        chosen = self.select.reference
        if chosen is not None and chosen not in names:
            raise ValueError(
                f"select.reference is '{chosen}', which score.references does not name "
                f"({', '.join(names) or 'it is empty'}); add it there, or leave select.reference out for the first"
            )
        return self


TRACKED_BY_DVC = (
    *(s for s in Params.model_fields if s not in ("audition", "tracking")),
    "student.path",
    *(f"select.{key}" for key in ("selectors", "seed", "stability", "stability_prompts")),
    "train.steps",
    "evaluate.tasks",
)
"""Keys that dvc.yaml names, and that the file itself must therefore hold: DVC knows nothing of our defaults."""


def missing_for_dvc(path: Path = Path("params.yaml")) -> list[str]:
    """One sentence for each key that DVC needs and a valid file lacks."""
    raw = bounded_yaml.load(path)
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
        first: dict[str, yaml.Node] = {}
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and first.setdefault(key.value, key) is not key:
                mark = first[key.value].start_mark
                raise yaml.MarkedYAMLError(problem=f"key '{key.value}' stands more than once", problem_mark=mark)
        return super().construct_mapping(node, deep)


def load(path: Path = Path("params.yaml")) -> Params:
    """Read and check all of params.yaml; raise ParamsError with one sentence for each problem."""
    if not path.exists():
        raise ParamsError([f"there is no {path}; run stepsift in the repository's root folder"])
    return parse(_read(path), str(path))


def load_rule(path: Path) -> Rule:
    """Read and check a rule file; raise ParamsError with one sentence for each problem, which names file and key."""
    return rule(_read(path), str(path))


def _read(path: Path) -> object:
    """What a YAML file holds; raises ParamsError where it cannot be read."""
    text = ""
    try:
        text = disk.read_regular(path, bounded_yaml.MOST_BYTES).decode("utf-8")
        return bounded_yaml.loads(text, _Loader)
    except OSError as e:
        raise ParamsError([f"{path} cannot be read: {e.strerror}"]) from None
    except (yaml.YAMLError, UnicodeDecodeError) as e:
        if has_conflict_marks(text):
            raise ParamsError(
                [f"{path} holds the conflict marks of a merge; keep one side of each, and save it"]
            ) from None
        raise ParamsError([f"{path} is not valid YAML: {_yaml_trouble(e)}"]) from None


def _yaml_trouble(error: Exception) -> str:
    if isinstance(error, yaml.MarkedYAMLError) and error.problem and error.problem_mark:
        return f"line {error.problem_mark.line + 1}, column {error.problem_mark.column + 1}: {error.problem}"
    return error_line(error)


def parse(raw: object, name: str = "params.yaml") -> Params:
    """Check parameters that were already read; raise ParamsError with one sentence for each problem."""
    if not isinstance(raw, dict):
        raise ParamsError([f"{name} is {shown(raw)}: must hold sections ({', '.join(Params.model_fields)})"])
    return _checked(Params, raw, name)


def rule(raw: object, name: str) -> Rule:
    """Check a rule that was already read from `name`; raise ParamsError as `load_rule` does."""
    if not isinstance(raw, dict):
        raise ParamsError([f"{name} is {shown(raw)}: must hold keys and values ({', '.join(Rule.model_fields)})"])
    return _checked(Rule, raw, name)


_Model = TypeVar("_Model", bound=Section)


def _checked(model: type[_Model], raw: dict[Any, Any], name: str) -> _Model:
    try:
        return model.model_validate(raw)
    except ValidationError as e:
        # A value that fits none of several types is one problem, not one for each type.
        problems = {key_path(problem["loc"]): problem for problem in e.errors()}
        raise ParamsError([f"{name}: {sentence(path, problem, model)}" for path, problem in problems.items()]) from None
