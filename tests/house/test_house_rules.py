"""The four rules that keep the house clean (CONTRIBUTING.md). Exceptions stand here, each with its reason."""

import ast
import re
from collections import defaultdict
from pathlib import Path

from helpers.places import ROOT
from helpers.source_code import FILES, LIBRARY, STAGES, imported, name_of, run_by, strings, tree
from stepsift.core import tables


def _room(path: Path) -> str:
    return path.relative_to(LIBRARY).parts[0]


SHARED = {"core", "params", "metrics", "tracking", "verify"}
"""Folders that stages share."""
NOT_RUN = {"train/launched.py"}  # accelerate starts it, as the training in several processes


def test_a_stage_runs_all_that_lies_in_its_folder():
    homeless = {stage for stage in STAGES if not (LIBRARY / stage / "__init__.py").is_file()}
    assert homeless == set(), (
        f"stage {', '.join(sorted(homeless))} of dvc.yaml has no package of its name in src/stepsift/: make one, and "
        "let stages/NAME.py call it"
    )
    idle = {name_of(f) for s in STAGES for f in (LIBRARY / s).rglob("*.py") if f not in run_by(s)}
    assert idle - NOT_RUN == set(), (
        f"no stage runs {', '.join(sorted(idle - NOT_RUN))}, which lies in a stage's folder: move it to commands/ or "
        "to the folder of what uses it, or let the stage import it"
    )
    assert NOT_RUN - idle == set(), (
        f"{', '.join(sorted(NOT_RUN - idle))} is run by its stage now, or is gone: take it out of NOT_RUN here"
    )


def test_what_stages_run_lies_in_their_folders_or_in_shared_ones():
    own = SHARED | set(STAGES)
    run = {f for s in STAGES for f in run_by(s)}
    outside = {f for f in run if f.parent != LIBRARY and _room(f) not in own}
    importing = [
        f"{f.relative_to(ROOT)} imports {', '.join(sorted(name_of(i) for i in into))}"
        for f in sorted({ROOT / f"stages/{s}.py" for s in STAGES} | (run - outside))
        if (into := {i for i in imported(f) & outside if i.name != "__init__.py"})
    ]
    assert outside == set(), (
        f"{'; '.join(importing)}, of a room that is no stage's: what a stage runs imports from stages' rooms and "
        f"{', '.join(sorted(SHARED))} alone; move there what it needs, or pass it in"
    )
    unused = SHARED - {_room(f) for f in run}
    assert unused == set(), f"no stage runs code of {', '.join(sorted(unused))}: take it out of SHARED here"


ENTRY = {"commands/main.py"}  # the function that the command `stepsift` calls


def test_no_two_public_classes_have_one_name():
    places = defaultdict(set)
    for file in FILES:
        for node in tree(file).body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                places[node.name].add(name_of(file))
    twice = {name: sorted(files) for name, files in places.items() if len(files) > 1}
    assert twice == {}, f"a class's name stands once; rename one of each after what it is: {twice}"


def test_no_function_has_the_name_of_its_module():
    alike = {name_of(f) for f in FILES for n in tree(f).body if isinstance(n, ast.FunctionDef) and n.name == f.stem}
    assert alike - ENTRY == set(), (
        f"{', '.join(sorted(alike - ENTRY))}: a function named like its module hides which of them is meant; rename one"
    )


def test_the_file_of_a_table_is_named_in_tables_alone():
    files = [re.escape(table.file) for table in tables.ALL.values()]
    names = re.compile(rf"(?:.*/)?(?:{'|'.join(files)})")
    others = [f for f in FILES if f != LIBRARY / "core/tables.py"]
    naming = {f"{name_of(f)} ('{s}')" for f in others for s in strings(f) if names.fullmatch(s)}
    assert naming == set(), (
        f"{', '.join(sorted(naming))}: only core/tables.py names a table's file; write tables.TRACES.file in its place"
    )


SAFE = re.compile(
    r"""replace\(\s*["'](?:\||&|<|`)["']|html import escape|html\.escape|shlex\.quote|import quote\b|markupsafe"""
    r"""|isprintable\(|unicodedata\.(?:category|bidirectional)|\\x1b|\\u202e""",
    re.IGNORECASE,
)
"""Code that makes text safe for a place where it is shown, or looks for what is hidden in it."""
OTHERWISE = {
    "report/page.py",  # Jinja's own escaping, over what core.text made visible
    "select/filters/clean.py",  # words: letters, marks and numbers
    "ingest/fill.py",  # a name that a table cannot hold may be what is wrong with the row
    "ingest/rows.py",  # what a rejected row says is stored printable, and compared as text
    "verify/spelling.py",  # emoji around an answer are no part of it
    "segment/limits.py",  # a step does not end within what is drawn as one character
}


def test_text_is_made_safe_in_one_place():
    by_hand = {name_of(f): m[0] for f in FILES if (m := SAFE.search(f.read_text()))}
    others = {f"{name} ({by_hand[name]})" for name in by_hand.keys() - {"core/text.py"} - OTHERWISE}
    assert others == set(), (
        f"{', '.join(sorted(others))}: text is made safe in core/text.py alone, by a function for each medium "
        "(terminal_line, markdown_cell, html, shell_word, ..); call that one, or add one there"
    )
    assert by_hand.keys() >= OTHERWISE, (
        f"{', '.join(sorted(OTHERWISE - by_hand.keys()))} does nothing of the kind any more: take it out of "
        "OTHERWISE here"
    )
    assert LIBRARY / "core/text.py" in imported(LIBRARY / "report/page.py"), (
        "report/page.py does not import core/text.py: what the page shows is foreign text, made visible there first"
    )


YAML_BY_HAND = re.compile(r"\byaml\.(?:\w+_)?load(?:_all)?\(")


def test_yaml_is_read_in_one_place():
    by_hand = {name_of(f) for f in FILES if YAML_BY_HAND.search(f.read_text())}
    assert by_hand == set(), (
        f"{', '.join(sorted(by_hand))}: YAML is read by core/bounded_yaml.py alone, in bounded time and with errors of "
        "one kind; call load or loads of that"
    )
