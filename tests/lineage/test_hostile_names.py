"""Names that somebody chose to do harm, of teachers, prompts, files, selectors and tasks, through what shows them."""

import json
import shlex
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import polars as pl
import pytest

from helpers import lineage_project as project
from helpers.export_rows import chosen_rows
from helpers.hostile_names import HIDDEN, NAMES, assert_inert_in_markdown, assert_inert_in_terminal
from helpers.once import SharedFolder
from stepsift import params
from stepsift.core import tables
from stepsift.core.text import shell_word
from stepsift.recurate.proposal import Proposal, markdown
from stepsift.select.card import card_text
from stepsift.select.manifest import Inputs, describe
from stepsift.tracking.values import numbers

Cli = Callable[..., tuple[object, list[str], list[str]]]


def pool() -> list[dict]:
    """A prompt per name, which is also its own; a trace by it, and one by anna, who is worse."""
    traces = []
    for i, name in enumerate(NAMES):
        traces.append(project.trace(f"aaaa{i:04d}", f"prompt {name}", name, -0.25, random=0.9))
        traces.append(project.trace(f"bbbb{i:04d}", f"prompt {name}", "anna", -0.5, random=0.1))
    return traces


@pytest.fixture(scope="module")
def hostile(shared_folder: SharedFolder) -> Path:
    """Two revisions: in the second the named teachers' traces are worse than anna's. Made once, only read."""

    def make(folder: Path) -> None:
        folder.mkdir()
        with pytest.MonkeyPatch.context() as monkeypatch:
            monkeypatch.chdir(folder)
            project.start()
            project.commit("first", pool())
            project.commit("second", [t | {"lalp": -1.0} if t["teacher"] != "anna" else t for t in pool()])

    return shared_folder.get("hostile names", make)


@pytest.fixture
def here(hostile: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    shutil.copytree(hostile, tmp_path / "repository", symlinks=True)
    monkeypatch.chdir(tmp_path / "repository")
    monkeypatch.setenv("DVC_SITE_CACHE_DIR", str(tmp_path / "site"))
    yield
    assert not (tmp_path / "repository/owned").exists()


@pytest.mark.slow
@pytest.mark.usefixtures("here")
def test_commands_that_show_names(run_cli: Cli):
    for i, name in enumerate(NAMES):
        code, out, err = run_cli("why", f"aaaa{i:04d}")
        assert code == 0, err
        assert_inert_in_terminal([*out, *err])
        assert any(name[:3] in line for line in out) or HIDDEN.search(name) or name[:2] in ("::", "##"), out
    code, out, err = run_cli("why", NAMES[0])
    assert code == 1
    assert_inert_in_terminal([*out, *err])
    for form in ((), ("--markdown",)):
        code, out, err = run_cli("diff", "HEAD~1", "HEAD", *form)
        assert code == 0, err
        assert "anna" in "\n".join(out)
        assert_inert_in_terminal([*out, *err])
        if form:
            assert_inert_in_markdown("\n".join(out))
    _, out, _ = run_cli("why", "aaaa0000", "--json")
    assert json.loads("\n".join(out))["trace"]["teacher"] == NAMES[0]
    assert_inert_in_terminal(out)


def ranked_and_apart(names: list[str]) -> pl.DataFrame:
    """Table teachers: each name is ranked once by lalp, and stands once, with a letter before it, among those apart."""
    shared = {"metric": "lalp", "domain": "all", "n_traces": 1, "share_kept": 1.0, "n_prompts": 1, "n_compared": 1}
    ranked = {"component": 1, "n_met": len(names) - 1, "mean": -1.0, "rank_low": 1, "rank_high": len(names)}
    rows = [shared | ranked | {"teacher": name, "rank": i} for i, name in enumerate(names, 1)]
    rows += [shared | {"teacher": f"x{name}", "component": 2, "n_met": len(names) - 1} for name in names]
    return pl.DataFrame(rows, schema=tables.TEACHERS.schema)


def test_the_card_of_a_set():
    chosen = chosen_rows(len(NAMES)).with_columns(
        teacher=pl.Series(NAMES), source=pl.Series(NAMES), licence=pl.Series(NAMES), domain=pl.Series(NAMES)
    )
    about = {"md5": "0" * 32, "bytes": 9, "rows": 1, "kept": 1, "rejected": 0, "licences": {NAMES[5]: 1}}
    inputs = Inputs(
        dict.fromkeys(NAMES, about), {NAMES[3]: "1" * 32}, {"path": NAMES[4], "student": "f", "numerics": {}}
    )
    selector = params.Selector(name="two", by="lalp")
    selection = SimpleNamespace(
        metrics={"n_traces": 1, "n_scored": 1, "n_candidates": 1, "rejected": {NAMES[3]: {NAMES[5]: 1}}},
        curated={"two": chosen},
        rejected=pl.DataFrame([("low_margin", f"selector two: {NAMES[7]}")], schema=["reason", "detail"], orient="row"),
        fits=SimpleNamespace(coefficients={}),
        teachers=ranked_and_apart(NAMES),
    )
    manifest = describe(selector, params.Select(selectors=(selector,)), inputs, selection, {})
    _, _, text = card_text(manifest, chosen).split("---\n", 2)
    assert "Not compared:" in text
    assert_inert_in_markdown(text)


@pytest.mark.parametrize("name", NAMES)
def test_a_proposal_to_curate_anew(name: str):
    text = markdown(
        Proposal(
            f"abc1234 {name}",
            "recurate/0123456789",
            changes=[(name, name, name)],
            commits=[name],
            files=[f"A\t{name}"],
            metrics={name: {name: {"old": 1, "new": 2, "diff": 1}}},
            notes=[name],
        )
    )
    assert_inert_in_markdown(text)


def test_names_of_metrics_in_mlflow():
    from mlflow.utils.validation import _validate_metric_name

    logged = dict(numbers({"teachers": {name: {name: 1.0} for name in NAMES}}))
    assert len(logged) == len(NAMES)
    for name in logged:
        _validate_metric_name(name)
        assert ".." not in name.split("/")


@pytest.mark.parametrize("name", NAMES)
def test_a_line_to_be_copied(name: str):
    word = shell_word(name)
    assert "\n" not in word
    assert word.startswith("$'") or shlex.split(word) == [name]
