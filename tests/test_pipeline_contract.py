"""dvc.yaml says what the code does: imports are dependencies, params exist, paths in commands are tracked."""

import ast
import shlex
from functools import cache
from pathlib import Path

import pytest
import yaml

from helpers.source_code import imported_names, tree
from stepsift import params
from stepsift.params._stages import OFFSETS_FOLDER

ROOT = Path(__file__).resolve().parent.parent
STAGES = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]

# params/ asks the metrics package which names `select.selectors` may hold and which pass each needs, inside the
# validators: a typo then fails in the first stage and not after hours of scoring. Neither can change an output, so no
# stage but select depends on the formulas.
NAMES_ONLY = {(name, "metrics") for name in ("_audition.py", "_select.py")}


@cache
def _modules(path: Path) -> frozenset[Path]:
    """First-party files that a file imports, at its top or inside functions; what it imports for types never runs."""
    found = set()
    code = tree(path)
    of_types = [n for n in ast.walk(code) if isinstance(n, ast.If) and ast.unparse(n.test) == "TYPE_CHECKING"]
    idle = {id(node) for block in of_types for part in block.body for node in ast.walk(part)}
    for node in ast.walk(code):
        if id(node) in idle:
            continue
        names = []
        if isinstance(node, ast.Import):
            names = [a.name for a in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = [node.module, *(f"{node.module}.{a.name}" for a in node.names)]
        for name in names:
            if name.split(".")[0] != "stepsift":
                continue
            base = ROOT / "src" / Path(*name.split("."))
            found |= {p for p in (base.with_suffix(".py"), base / "__init__.py") if p.is_file()}
    return frozenset(p for p in found if (path.name, p.relative_to(ROOT / "src/stepsift").parts[0]) not in NAMES_ONLY)


@cache
def _closure(script: Path) -> frozenset[Path]:
    """Everything first-party that runs when a stage does; a package counts whole once one of its files is imported."""
    todo, seen = [script], {script}
    while todo:
        for path in _modules(todo.pop()):
            inside = path.parent.rglob("*.py") if path.parent != ROOT / "src/stepsift" else [path]
            for p in inside:
                if p not in seen:
                    seen.add(p)
                    todo.append(p)
    return frozenset(seen)


def _paths(entries: list) -> list[str]:
    return [next(iter(e)) if isinstance(e, dict) else e for e in entries]


def test_stages_depend_on_the_folders_whose_files_a_key_may_name():
    """DVC cannot follow a key that may be empty or a list: such files lie in a folder that is always there."""
    for stage, folder in (("segment", OFFSETS_FOLDER), ("score", params.REFERENCES_FOLDER)):
        assert folder in STAGES[stage]["deps"]
        assert (ROOT / folder / "README.md").is_file()


@pytest.mark.parametrize("name", STAGES)
def test_every_import_of_a_stage_is_a_dependency(name: str):
    deps = [ROOT / d for d in STAGES[name]["deps"] if "$" not in d]
    for path in _closure(ROOT / "stages" / f"{name}.py"):
        assert any(path == d or d in path.parents for d in deps), (
            f"stage {name} imports {path.relative_to(ROOT)}, which its deps in dvc.yaml do not name: DVC would not see "
            "a change of it; add it there, or import less"
        )


@pytest.mark.parametrize("name", STAGES)
def test_no_code_is_a_dependency_without_being_imported(name: str):
    used = _closure(ROOT / "stages" / f"{name}.py") | {ROOT / "src/stepsift/__init__.py"}
    for dep in (ROOT / d for d in STAGES[name]["deps"] if d.startswith(("src/", "stages/"))):
        assert any(path == dep or dep in path.parents for path in used), (
            f"stage {name} names {dep} in dvc.yaml and does not import it: every change would run it again; "
            "remove it there"
        )


@pytest.mark.parametrize("name", STAGES)
def test_every_params_key_exists_in_the_model(name: str):
    for key in STAGES[name]["params"]:
        section, _, field = key.partition(".")
        sections = params.Params.model_fields
        assert section in sections, f"stage {name} names params {key} in dvc.yaml; sections are {', '.join(sections)}"
        fields = sections[section].annotation.model_fields
        assert not field or field in fields, (
            f"stage {name} names params {key} in dvc.yaml; keys are {', '.join(fields)}"
        )


@pytest.mark.parametrize("name", STAGES)
def test_every_path_in_a_command_is_tracked(name: str):
    stage = STAGES[name]
    tracked = [path for kind in ("deps", "outs", "plots", "metrics") for path in _paths(stage.get(kind, []))]
    interpreter, safe_path, *arguments = shlex.split(stage["cmd"])
    if arguments[:2] == ["-m", "stepsift.container.launch"]:
        # It becomes stages/NAME.py, here or in a container.
        assert arguments[2] == name, f"the command of stage {name} in dvc.yaml launches stage {arguments[2]}"
        arguments = [f"stages/{name}.py", *arguments[3:]]
    assert (interpreter, safe_path) == ("python", "-P"), (
        f"the command of stage {name} in dvc.yaml must begin with 'python -P': without -P the folder of the script is "
        "searched first, and select.py would hide the standard library's module"
    )
    for path in arguments:
        assert path in tracked or any(t.startswith(f"{path}/") for t in tracked), (
            f"the command of stage {name} in dvc.yaml names {path}, which is in none of its deps, outs, metrics and "
            "plots: DVC would not see it; add it to one of them"
        )


def test_scoring_and_deciding_stay_apart():
    for package in ("metrics", "select"):
        for path in (ROOT / "src/stepsift" / package).rglob("*.py"):
            assert not any(name.split(".")[0] == "torch" for name in imported_names(path)), (
                f"{path.relative_to(ROOT)} imports torch: metrics/ and select/ compute on tables; what needs the model "
                "is a column of step_scores, made in score/"
            )
    for path in (ROOT / "src/stepsift/score").rglob("*.py"):
        code = tree(path)
        loaded = {
            ast.unparse(n) for n in ast.walk(code) if isinstance(n, ast.Subscript) and "teacher" in ast.unparse(n)
        }
        assert not loaded, (
            f"{path.relative_to(ROOT)} reads {', '.join(sorted(loaded))}: score/ never learns which teacher wrote a "
            "trace; do this in select/, which joins scores and teachers"
        )


LIBRARY = ("segment", "score", "metrics", "select", "verify", "report")
"""Packages that compute, and know neither the terminal nor what keeps track of runs."""
OF_THE_PIPELINE = {
    "dvc",
    "mlflow",
    "stepsift.tracking",
    "stepsift.lineage.revision",
    "stepsift.lineage",
    "stepsift.recurate",
}


@cache
def _imported(path: Path) -> frozenset[str]:
    """Dotted names that a file imports, and what these names lie in."""
    dotted = [name.split(".") for name in imported_names(path)]
    return frozenset(".".join(parts[:n]) for parts in dotted for n in range(1, len(parts) + 1))


@pytest.mark.parametrize("package", LIBRARY)
def test_what_computes_knows_no_pipeline(package: str):
    files = list((ROOT / "src/stepsift" / package).rglob("*.py"))
    assert files
    for path in files:
        names = sorted(_imported(path) & OF_THE_PIPELINE)
        assert not names, (
            f"{path.relative_to(ROOT)} imports {', '.join(names)}: what computes runs without DVC, git and MLflow; let "
            "the stage or the command pass in what it needs"
        )


def test_only_commands_and_stages_know_the_terminal():
    source = ROOT / "src/stepsift"
    knowing = {str(p.relative_to(source)) for p in source.rglob("*.py") if "stepsift.core.console" in _imported(p)}
    allowed = {"container/image.py", "container/inside.py", "container/launch.py"}
    others = {path for path in knowing if not path.startswith("commands/")}
    assert others == allowed, (
        f"{', '.join(sorted(others ^ allowed))}: core/console.py is for commands and stages; raise an error of "
        "core/errors.py, or log, and let these print"
    )


def test_params_file_of_the_repository_is_valid():
    params.load(ROOT / "params.yaml")
