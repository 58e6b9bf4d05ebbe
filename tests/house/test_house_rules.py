"""The three rules that keep the house clean (CONTRIBUTING.md). Exceptions stand here, each with its reason."""

import ast
import re
from collections import defaultdict

from helpers.source_code import FILES, LIBRARY, STAGES, imported, name_of, run_by, strings, tree
from stepsift.core import tables

SHARED = {"core", "params", "metrics", "tracking", "verify"}
"""Folders that stages share."""
NOT_RUN = {"train/launched.py"}  # accelerate starts it, as the training in several processes


def test_a_stage_runs_all_that_lies_in_its_folder():
    assert all((LIBRARY / stage / "__init__.py").is_file() for stage in STAGES)
    idle = {name_of(f) for s in STAGES for f in (LIBRARY / s).rglob("*.py") if f not in run_by(s)}
    assert idle == NOT_RUN, (
        f"no stage runs {', '.join(sorted(idle ^ NOT_RUN))}, which lies in a stage's folder: move it to commands/ or "
        "to the folder of what uses it"
    )


def test_what_stages_run_lies_in_their_folders_or_in_shared_ones():
    folders = {f.relative_to(LIBRARY).parts[0] for s in STAGES for f in run_by(s) if f.parent != LIBRARY}
    assert folders == SHARED | set(STAGES), (
        f"a stage runs code of {', '.join(sorted(folders ^ (SHARED | set(STAGES))))}: what stages run lies in their "
        "own folders or in a shared one"
    )


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
    assert alike == ENTRY, (
        f"{', '.join(sorted(alike ^ ENTRY))}: a function named like its module hides which of them is meant; rename one"
    )


def test_the_file_of_a_table_is_named_in_tables_alone():
    files = [re.escape(table.file) for table in vars(tables).values() if isinstance(table, tables.Table)]
    names = re.compile(rf"(?:.*/)?(?:{'|'.join(files)})")
    others = [f for f in FILES if f != LIBRARY / "core/tables.py"]
    naming = {name_of(f) for f in others for s in strings(f) if names.fullmatch(s)}
    assert naming == set(), (
        f"{', '.join(sorted(naming))}: write tables.NAME.file for a table's file, as core/tables.py names it"
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
    others = {name_of(f) for f in FILES if SAFE.search(f.read_text())} - {"core/text.py"} - OTHERWISE
    assert others == set(), (
        f"{', '.join(sorted(others))}: text is made safe by the function of core/text.py for its medium"
    )
    assert LIBRARY / "core/text.py" in imported(LIBRARY / "report/page.py")
