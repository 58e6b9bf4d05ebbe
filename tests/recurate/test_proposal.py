"""What decides a run, what changed in it, and the text that a pull request gets."""

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stepsift.recurate.proposal import (
    MOST_CHARS,
    MOST_LINES,
    Proposal,
    identifier,
    input_changes,
    inputs,
    markdown,
    title,
)

LOCK: dict[str, Any] = {
    "schema": "2.0",
    "stages": {
        "ingest": {
            "cmd": "python ingest.py",
            "deps": [{"path": "data/sources", "md5": "0" * 32 + ".dir"}, {"path": "src/a.py", "md5": "1" * 32}],
            "params": {"params.yaml": {"ingest": {"layout": "auto", "files": []}}},
            "outs": [{"path": "data/ingest", "md5": "2" * 32 + ".dir"}],
        },
        "score": {
            "cmd": "python score.py",
            "deps": [{"path": "data/ingest/traces.parquet", "md5": "3" * 32}, {"path": "src/a.py", "md5": "1" * 32}],
            "params": {"params.yaml": {"score": {"window": 4}}},
            "outs": [{"path": "data/score", "md5": "4" * 32 + ".dir"}],
        },
    },
}


def changed(*path: Any, value: Any) -> dict[str, Any]:
    """LOCK with another value at a path."""
    lock = copy.deepcopy(LOCK)
    at: Any = lock
    for key in path[:-1]:
        at = at[key]
    at[path[-1]] = value
    return lock


def test_inputs_are_what_no_stage_makes():
    assert inputs(LOCK) == {
        "command of ingest": "python ingest.py",
        "command of score": "python score.py",
        "data/sources": "0" * 32 + ".dir",
        "src/a.py": "1" * 32,
        "params.yaml: ingest.layout": '"auto"',
        "params.yaml: ingest.files": "[]",
        "params.yaml: score.window": "4",
    }
    assert inputs({}) == {}


@pytest.mark.parametrize(
    ("path", "value", "same"),
    [
        (("stages", "score", "outs", 0, "md5"), "9" * 32, True),
        (("stages", "score", "deps", 0, "md5"), "9" * 32, True),
        (("stages", "score", "params", "params.yaml", "score", "window"), 5, False),
        (("stages", "ingest", "deps", 0, "md5"), "9" * 32, False),
        (("stages", "score", "cmd"), "python other.py", False),
    ],
)
def test_the_identifier_is_of_inputs_alone(path: tuple[Any, ...], value: Any, same: bool):
    assert (identifier(changed(*path, value=value)) == identifier(LOCK)) is same
    assert len(identifier(LOCK)) == 10


def test_changes_name_the_input_with_both_values():
    new = changed("stages", "ingest", "deps", 0, "md5", value="abcdef01" * 4 + ".dir")
    new["stages"]["score"]["params"]["params.yaml"]["score"] = {"window": 0.5, "dtype": "float32"}
    assert input_changes(LOCK, new) == [
        ("data/sources", "00000000", "abcdef01"),
        ("params.yaml: score.dtype", "", '"float32"'),
        ("params.yaml: score.window", "4", "0.5"),
    ]
    assert input_changes(LOCK, LOCK) == []


def test_the_text_has_every_part():
    text = markdown(
        Proposal(
            "abc1234 Add a teacher",
            "recurate/0123456789",
            changes=[("data/sources", "00000000", "abcdef01")],
            commits=["abc1234 Add a teacher, thanks @somebody"],
            files=["A\tdata/sources/new.jsonl.dvc"],
            sets="## Curated sets: a -> b",
            metrics={"metrics/train.json": {"loss": {"old": 2, "new": 3, "diff": 1}}},
            charts=[("accuracy", "https://example.org/a.png")],
            notes=["the caches could\nnot be filled"],
        )
    )
    assert "| `data/sources` | `00000000` | `abcdef01` |" in text
    assert "- `abc1234 Add a teacher, thanks @somebody`" in text
    assert "- `A data/sources/new.jsonl.dvc`" in text
    assert "\n## Curated sets: a -> b\n" in text
    head = "| file | metric | before | after | change |\n|---|---|---|---|---|\n"
    table = f"{head}| `metrics/train.json` | `loss` | 2 | 3 | 1 |"
    assert f"<details><summary>`dvc metrics diff`</summary>\n\n{table}\n\n</details>" in text
    assert "![accuracy](https://example.org/a.png)" in text
    assert "**Note**: `the caches could not be filled`" in text


def test_charts_are_pictures_or_what_git_shows_and_never_cut_off():
    rows = "\n".join(f"row {i}" for i in range(100_000))
    commits = [f"{i} {'long ' * 100}" for i in range(MOST_LINES)]
    charts = [("accuracy", "https://example.org/a.png"), ("ranking", "https://example.org/b.png")]
    text = markdown(Proposal("abc", "b", commits=commits, files=commits, sets=rows, metrics=many(), charts=charts))
    pictures = "## Charts\n\n![accuracy](https://example.org/a.png)\n\n![ranking](https://example.org/b.png)\n\n"
    assert pictures + "row 0\n" in text
    listed = markdown(Proposal("abc", "b", charts=[("accuracy", "origin/recurate-charts/0:accuracy.png")]))
    assert "## Charts\n\nPNG files, for `git show NAME > FILE.png`" in listed
    assert "\n- `origin/recurate-charts/0:accuracy.png`\n" in listed
    assert "![" not in listed


def many() -> dict[str, Any]:
    """More changed metrics than a text may hold."""
    return {"m": {f"n{i}": {"old": i, "new": i + 1, "diff": 1} for i in range(20_000)}}


def test_metrics_are_in_order_and_what_names_hold_does_nothing():
    changes = {
        "b": {"z": {"old": 1, "new": None}, "@x|y": {"old": None, "new": "#1"}},
        "a": {"m": {"old": 1, "new": 2.5}},
    }
    text = markdown(Proposal("abc", "b", metrics=changes))
    assert (
        "| `a` | `m` | 1 | 2.5 | - |\n| `b` | <code>&#64;x&#124;y</code> | - | `#1` | - |\n| `b` | `z` | 1 | - | - |"
        in text
    )


def test_parts_without_content_are_left_out():
    text = markdown(Proposal("abc", "b"))
    assert "Commits" not in text and "Charts" not in text and "Note" not in text
    assert "No metric changed." in text


def test_a_subject_of_any_length_leaves_room_for_all_else():
    long = "word " * 20_000
    text = markdown(Proposal(f"abc {long}", "b", commits=[long, "last"], files=[long], notes=[long], sets="row 1"))
    assert "- `last`" in text and "row 1" in text and "No metric changed." in text
    assert "Cut here" not in text
    assert title("abc Mend it") == "Re-curate abc Mend it"
    assert len(title(f"abc {long}")) <= 256
    assert title("abc \u202etwo\x1b") == "Re-curate abc ⟨U+202E⟩two⟨U+001B⟩"


def test_long_lists_are_counted_and_long_parts_cut_at_a_line():
    proposal = Proposal(
        "abc",
        "b",
        commits=[f"{i} commit" for i in range(MOST_LINES + 7)],
        sets="\n".join(f"row {i}" for i in range(100_000)),
        metrics=many(),
    )
    text = markdown(proposal)
    assert "- and 7 more" in text
    assert len(text) <= MOST_CHARS
    assert text.count("Cut here, ") == 2
    assert text.rstrip().endswith("</details>")
    rows = [line for line in text.splitlines() if line.startswith("row ")]
    assert rows == [f"row {i}" for i in range(len(rows))]


@given(st.text(), st.text())
def test_no_name_breaks_out_of_its_cell(name: str, value: str):
    text = markdown(Proposal("abc", "b", changes=[(name, value, value)]))
    [row] = [line for line in text.splitlines() if line.startswith("| ") and "input | before" not in line]
    assert row.count("|") == 4
