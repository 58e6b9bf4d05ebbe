"""The whole of params.yaml: read, checked, and what DVC has to see of it."""

import math
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
from stepsift.params._select import Select, compares_two_models, needed_pass
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
    def _passes_of_metrics_and_steps(self) -> Self:
        missing = [needed for needed in ("local", "full") if needed not in self.score.passes]
        for needed in missing:
            for key, metrics in self._metrics_by_key().items():
                if without := [m for m in metrics if needed_pass(m) == needed]:
                    raise ValueError(
                        f"score.passes lacks '{needed}', without which {', '.join(without)} of {key} have no score; "
                        "add it there, or leave them out here"
                    )
            dropped = {"train.steps": self.train.steps}
            dropped |= {f"steps of '{arm.name}' in audition.arms": arm.steps for arm in self.audition.arms}
            for key, steps in dropped.items():
                if steps != "all" and steps.needs == needed:
                    raise ValueError(
                        f"score.passes lacks '{needed}', by which {key} drops the {steps.drop} steps; add it there, "
                        f"or name the other pass in {key}"
                    )
        return self

    def _metrics_by_key(self) -> dict[str, list[str]]:
        """Key to the metrics that it names; audition.selectors only where it is written, since few hold auditions."""
        selectors, worst = self.select.selectors, self.select.filters.worst
        weights = {"select.weights.by": self.select.weights}
        weights |= {f"weights.by of '{arm.name}' in audition.arms": arm.weights for arm in self.audition.arms}
        return {
            "select.selectors": [*dict.fromkeys(s.by for s in selectors)],
            "select.filters.worst.by": [worst.by] if worst else [],
            "audition.selectors": [
                *(self.audition.selectors if "selectors" in self.audition.model_fields_set else ()),
            ],
            "audition.arms": [*dict.fromkeys(arm.by for arm in self.audition.arms)],
            **{key: [by.by] for key, by in weights.items() if not isinstance(by, str)},
        }

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
        for key, metrics in self._metrics_by_key().items():
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
            default = _as_yaml(getattr(getattr(Params(), section), name)) if name else "{}"
            sentences.append(f"{path} lacks '{key}', which DVC has to see; write it out, the default is {default}")
    return sentences


def _as_yaml(value: object) -> str:
    """A value of a key in one line of YAML; what a model of it says beside its defaults."""
    if isinstance(value, tuple):
        value = [v.model_dump(mode="json", exclude_defaults=True) if isinstance(v, Section) else v for v in value]
    return yaml.safe_dump(value, default_flow_style=True, sort_keys=False, width=math.inf).removesuffix("...\n").strip()


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
