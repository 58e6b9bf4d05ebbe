"""Does a student, asked again, give the answers that the table holds, and do these give the accuracies?"""

import json
import random
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import polars as pl

from stepsift import params, student
from stepsift.core import table_files, tables
from stepsift.core.errors import StepsiftError
from stepsift.core.text import count
from stepsift.lineage.check_result import CheckResult
from stepsift.lineage.rerun import DeclaredStage

_KEY = ["task", "question", "sample"]


def check_answers(
    folders: Mapping[str, Path], settings: params.Params, declared: DeclaredStage, seed: int | None
) -> CheckResult:
    """Have one trained student, drawn by `seed` (None: all, and the untrained one), answer all tasks again.

    Its answers, verdicts and grades must be those of table answers. Answers that were given with other versions of
    packages, or on another kind of device, are not compared, which is said. `folders` maps a stage to its output.
    """
    from stepsift.evaluate.run import Evaluation, answers_of, key_settings
    from stepsift.tasks import find_tasks

    old = table_files.read(tables.ANSWERS, folders["evaluate"] / tables.ANSWERS.file)
    names = sorted(set(old["model"]))
    drawn = names if seed is None else [random.Random(seed).choice([n for n in names if "/" in n] or names)]
    rest = f"the answers of {count(len(names) - len(drawn), 'student')}" if len(drawn) < len(names) else ""
    keys = json.loads((folders["evaluate"] / "keys.json").read_bytes())
    if differing := _differing(key_settings(settings.evaluate, settings.student), keys):
        what = f"the answers of {count(len(names), 'student')}, given with a different {', '.join(differing)}"
        return CheckResult("answers", "", taken=what)
    broken = []
    with tempfile.TemporaryDirectory() as scratch:
        try:
            untrained = student.find(settings.student)
            sources = find_tasks(settings.evaluate.tasks, Path(declared.paths()[1]), settings.evaluate.trusted_tasks)
            for name in drawn:
                source = untrained.at(folders["train"] / name) if "/" in name else untrained
                new = answers_of(Evaluation(source, settings.evaluate, Path(scratch) / "cache"), sources)
                broken += _differences(name, old.filter(pl.col("model") == name).drop("model"), new)
        except StepsiftError as e:
            return CheckResult("answers", "", (f"{', '.join(drawn)} cannot be evaluated again: {e}",))
    return CheckResult("answers", f"{', '.join(drawn)} asked again: the same answers and grades", tuple(broken), rest)


def _differing(ours: dict[str, Any], keys: list[dict[str, Any]]) -> list[str]:
    """Names of packages, or `device`, of which a key says something else than what is here."""
    here = {"device": ours["device"]} | ours["versions"]
    there = [{"device": entry["key"]["device"]} | entry["key"]["versions"] for entry in keys]
    return [name for name, value in here.items() if any(one.get(name) != value for one in there)]


def _differences(name: str, old: pl.DataFrame, new: pl.DataFrame) -> list[str]:
    """A sentence if two frames of one student's answers differ."""
    both = old.join(new, on=_KEY, how="full", coalesce=True, suffix="_new").sort(_KEY)
    compared = [c for c in old.columns if c not in _KEY]
    wrong = both.filter(~pl.all_horizontal(pl.col(c).eq_missing(pl.col(f"{c}_new")) for c in compared))
    if wrong.is_empty():
        return []
    first = wrong.row(0, named=True)
    place = f"from question {first['question']} of {first['task']} on"
    return [f"{name} gives {wrong.height} of {count(both.height, 'answer')} differently, {place}"]


def check_accuracies(folders: Mapping[str, Path], declared: DeclaredStage) -> CheckResult:
    """Compare accuracies, their chart and their metrics file with what table answers gives."""
    from stepsift.evaluate.pass_rates import ks_of, with_pass_at
    from stepsift.evaluate.run import UNTRAINED, Evaluated, Model, evaluations_of, trained_models

    answers = table_files.read(tables.ANSWERS, folders["evaluate"] / tables.ANSWERS.file)
    path = folders["evaluate"] / tables.EVALUATIONS.file
    untrained = Model(UNTRAINED, None, None, student.StudentFiles(Path()))
    there = table_files.read(tables.EVALUATIONS, path)
    evaluations = evaluations_of(answers, [untrained, *trained_models(folders["train"])])
    evaluations = table_files.validate(tables.EVALUATIONS, with_pass_at(evaluations, answers, ks_of(there)))
    evaluated = Evaluated(evaluations, answers, 0, 0)
    broken = []
    if not evaluations.equals(there):
        broken.append(f"{path} is not what {tables.ANSWERS.file} gives")
    expected = dict.fromkeys(declared.metrics, evaluated.metrics()) | dict.fromkeys(declared.charts, evaluated.chart())
    for name, content in expected.items():
        if json.loads(json.dumps(content)) != _content(Path(name)):
            broken.append(f"{name} is not what {tables.ANSWERS.file} gives")
    return CheckResult("accuracies", f"{count(answers.height, 'answer')}: the accuracies that they give", tuple(broken))


def _content(path: Path) -> Any:
    try:
        return json.loads(path.read_bytes())
    except (OSError, ValueError):
        return None
