"""What `stepsift remove` takes, and what it leaves, planned on files beside hand-made `.dvc` files."""

import hashlib
import subprocess
from pathlib import Path

import pytest

from stepsift.core.errors import SourceError
from stepsift.sources.remove import plan_removal

NAMES = ("math/a.jsonl", "math/in/b.jsonl", "math-2/a.jsonl", "maths.jsonl", "mathematics/math/c.jsonl")


pytestmark = pytest.mark.slow  # git is asked what it knows


@pytest.fixture
def sources(tmp_path: Path) -> Path:
    """A pool of added files in folders whose names begin alike, each with a rule."""
    folder = tmp_path / "sources"
    for name in NAMES:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
        md5 = hashlib.md5(name.encode(), usedforsecurity=False).hexdigest()
        path.with_name(f"{path.name}.dvc").write_text(f"outs:\n- md5: {md5}\n  path: {path.name}\n")
        path.with_name(f"{path.name}.rule.yaml").write_text(f"teacher: {path.parent.name} {path.stem}\n")
    for name in ("math", "math-2"):
        (folder / f"{name}.rule.yaml").write_text("licence: MIT\n")
    return folder


@pytest.mark.parametrize(
    ("what", "files", "rule_files"),
    [
        ("math", NAMES[:2], ["math.rule.yaml", "math/a.jsonl.rule.yaml", "math/in/b.jsonl.rule.yaml"]),
        ("math-2", NAMES[2:3], ["math-2.rule.yaml", "math-2/a.jsonl.rule.yaml"]),
        ("math/in", NAMES[1:2], ["math/in/b.jsonl.rule.yaml"]),
        ("maths", NAMES[3:4], ["maths.jsonl.rule.yaml"]),
        ("math-2 a", NAMES[2:3], ["math-2/a.jsonl.rule.yaml"]),
    ],
)
def test_neighbours_whose_names_begin_alike_stay(what: str, files: tuple, rule_files: list[str], sources: Path):
    plan = plan_removal(what, sources)
    assert [path.relative_to(sources).as_posix() for path in plan.tracked] == [*files]
    assert sorted(path.relative_to(sources).as_posix() for path in plan.rule_files) == rule_files
    plan.carry_out()
    left = {path.relative_to(sources).as_posix() for path in sources.rglob("*") if path.is_file()}
    assert {*NAMES} - left == {*files}
    assert not left & {*rule_files, *(f"{name}.dvc" for name in files)}


def test_a_name_of_several_is_refused_with_all_of_them(sources: Path):
    with pytest.raises(SourceError, match=r"^'a' names 2 files or folders \(math/a.jsonl, math-2/a.jsonl\) that"):
        plan_removal("a", sources)
    with pytest.raises(
        SourceError, match=r"^'z' names no file or folder that stepsift added; name one of: math/a.jsonl, "
    ):
        plan_removal("z", sources)


def test_where_nothing_was_added_it_is_said_so(tmp_path: Path):
    with pytest.raises(SourceError, match=r"^'a' names no file or folder that stepsift added; nothing in .* was added"):
        plan_removal("a", tmp_path)


def test_what_was_never_committed_needs_no_commit(sources: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(sources.parent)
    git = ("git", "-c", "user.name=a", "-c", "user.email=a@b")
    for command in (["init", "-q"], ["add", "sources/maths.jsonl.dvc"], ["commit", "-qm", "one"]):
        subprocess.run([*git, *command], check=True)
    here = Path("sources")
    assert plan_removal("maths", here).carry_out() == [
        "git add -A sources/maths.jsonl.dvc && git commit -m 'Remove maths.jsonl'",
        "dvc repro",
    ]
    assert plan_removal("math-2", here).carry_out() == ["dvc repro"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("outs: []\n", "is broken: it names no data"),
        ("outs:\n- path: [x]\n", "is broken: it names no data"),
        ("- [\n", "is broken: it names no data"),
        ("<<<<<<< HEAD\nouts:\n=======\nouts: 1\n>>>>>>> x\n", "holds the conflict marks of a merge"),
    ],
)
def test_a_broken_file_of_dvcs_is_one_sentence(text: str, said: str, sources: Path):
    (sources / "maths.jsonl.dvc").write_text(text)
    with pytest.raises(SourceError, match=f"maths.jsonl.dvc {said}; take the one that was committed"):
        plan_removal("maths", sources)
