"""Do the curated sets, trained on again, give the students that are there?"""

import json
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from stepsift import params, student
from stepsift.core.errors import StepsiftError
from stepsift.core.text import count
from stepsift.lineage.check_result import CheckResult
from stepsift.lineage.rerun import first_difference


def check_students(folders: Mapping[str, Path], settings: params.Params, train_again: bool) -> CheckResult:
    """With `train_again`, train every student anew with an empty cache and compare the folders byte by byte.

    The same seed gives the same weights on one kind of machine with the same versions; if what is recorded in
    `keys.json` differs from here, that is said and the weights are not compared. `folders` maps a stage to its output.
    """
    there = folders["train"]
    n_students = len(list(there.glob("*/seed-*")))
    if not train_again:
        return CheckResult("students", "", taken=f"the weights of {count(n_students, 'student')} (--full trains them)")
    from stepsift.train import Training, train_all

    with tempfile.TemporaryDirectory() as scratch:
        made = Path(scratch) / "train"
        try:
            training = Training(student.find(settings.student), settings.train, Path(scratch) / "cache")
            train_all(training, folders["select"], settings.select.names, made)
        except StepsiftError as e:
            return CheckResult("students", "", (f"no student can be trained again: {e}",))
        if differing := _other_machine(made / "keys.json", there / "keys.json"):
            taken = f"the weights of {count(n_students, 'student')}, trained with a different {', '.join(differing)}"
            return CheckResult("students", "", taken=taken)
        difference = first_difference(made, there)
    checked = f"{count(n_students, 'student')} trained again: the same bytes"
    return CheckResult("students", checked, (difference,) if difference else ())


def _other_machine(now: Path, before: Path) -> list[str]:
    """What the keys of students say of the machine, if that differs: device and versions of packages."""
    one, other = (_machines(path) for path in (now, before))
    return [name for name in sorted({*one, *other}) if one.get(name) != other.get(name)]


def _machines(path: Path) -> dict[str, Any]:
    try:
        keys = json.loads(path.read_bytes())
        return {k: v for parts in keys.values() for k, v in ({"device": parts["device"]} | parts["versions"]).items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}
