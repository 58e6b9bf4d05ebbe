"""The commands: what they print, and how they end."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from helpers import lineage_project as project
from stepsift.lineage import verify
from stepsift.lineage.check_result import CheckResult

Cli = Callable[..., tuple[object, list[str], list[str]]]


@pytest.fixture(autouse=True)
def _here(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All tests look at the copied repository; its student is no model."""
    monkeypatch.setattr(verify, "check_scores", lambda *given: CheckResult("scores", f"{given[2:]}"))


def test_why(run_cli: Cli):
    code, out, err = run_cli("why", "aaaa0001")
    assert (code, err) == (0, [])
    assert out[0] == "trace aaaa0001 by anna, for prompt sum-of-numbers: chosen by lalp; not by random"
    code, out, _ = run_cli("why", "aaaa0001", "--json", "--selector", "lalp")
    assert [s["selector"] for s in json.loads("\n".join(out))["trace"]["selectors"]] == ["lalp"]
    code, out, err = run_cli("why", "aaaa0009")
    assert (code, out) == (1, [])
    assert err[0].startswith("error: no trace and no prompt is called 'aaaa0009' (nearest: ")


def test_verify(run_cli: Cli):
    code, out, err = run_cli("verify", "--sample", "3", "--seed", "5")
    assert (code, err) == (0, [])
    assert "ok      scores            (3, 5)" in out
    assert all(line.startswith(("ok ", "taken ")) for line in out)
    Path("data/sources/a.jsonl").write_text("{}\n")
    code, out, err = run_cli("verify", "--fast")
    assert code == 1
    assert not any("run again" in line or "scores" in line for line in out)
    assert [line.split()[:2] for line in out if line.startswith("broken")] == [
        ["broken", "sources"],
        ["broken", "stages"],
    ]
    assert err == [
        "error: 2 broken links, the first is 'sources'; 'dvc checkout' brings outputs back, 'dvc repro' makes what "
        "is out of date"
    ]
    code, _, err = run_cli("verify", "--sample", "0")
    assert code == 2


def test_diff(run_cli: Cli):
    traces = project.pool()
    traces[1]["lalp"] = -0.0625
    project.write(traces)
    code, out, err = run_cli("diff", "HEAD")
    assert (code, err) == (0, [])
    assert out[0] == "HEAD -> the working folder"
    assert any("changed score: lalp of bbbb0001 is -0.0625, was -0.5" in line for line in out)
    code, out, err = run_cli("diff", "HEAD", "HEAD", "--markdown", "--selector", "lalp")
    assert out[:3] == ["## Curated sets: `HEAD` -> `HEAD`", "", "### `lalp`"]
    code, out, err = run_cli("diff", "nowhere")
    assert (code, out) == (1, [])
    assert err[0].startswith("error: git revision 'nowhere' cannot be read")


PAGE = "<html><p>old</p><!-- changes --><p>ask</p><!-- /changes --><p>rest</p></html>"


def test_report_says_what_changed_since_the_last_commit(run_cli: Cli):
    page = Path("report/index.html")
    page.parent.mkdir(exist_ok=True)
    page.write_text(PAGE)
    traces = project.pool()
    traces[1]["lalp"] = -0.0625
    project.write(traces)
    code, out, err = run_cli("report")
    assert (code, err) == (0, [])
    assert out == ["report/since.html: the report, with what changed since the last commit"]
    html = Path("report/since.html").read_text()
    assert html.startswith("<html><p>old</p><!-- changes --><p>HEAD &rarr; the working folder</p>")
    assert "changed score: lalp of bbbb0001 is -0.0625, was -0.5" in html
    assert html.endswith("<!-- /changes --><p>rest</p></html>")
    assert "<p>ask</p>" not in html
    assert page.read_text() == PAGE


def test_report_without_a_page_a_place_or_a_revision(run_cli: Cli):
    code, _, err = run_cli("report")
    assert (code, err) == (1, ["error: there is no page report/index.html; run 'dvc repro'"])
    Path("report").mkdir(exist_ok=True)
    Path("report/index.html").write_text("<html></html>")
    code, _, err = run_cli("report")
    assert (code, err) == (
        1,
        ["error: report/index.html is no page of this version's report stage; run 'dvc repro'"],
    )
    Path("report/index.html").write_text(PAGE)
    code, _, err = run_cli("report", "--since", "nowhere")
    assert code == 1
    assert err[0].startswith("error: git revision 'nowhere' cannot be read")


def test_a_first_run_has_nothing_to_compare_with(run_cli: Cli):
    Path("report").mkdir(exist_ok=True)
    Path("report/index.html").write_text(PAGE)
    project.run("git", "rm", "--cached", "-q", "dvc.lock")
    project.run("git", "commit", "-q", "-m", "no run yet")
    code, _, err = run_cli("report")
    assert (code, err) == (0, [])
    assert "Nothing to compare with: " in Path("report/since.html").read_text()


MARKED = "schema: '2.0'\nstages:\n<<<<<<< HEAD\n  ingest: {}\n=======\n  ingest: {x: 1}\n>>>>>>> other\n"


@pytest.mark.parametrize("command", [("why", "aaaa0001"), ("verify", "--fast"), ("report",)])
@pytest.mark.parametrize(
    ("text", "says"),
    [
        (MARKED, "dvc.lock of the working folder holds the conflict marks of a merge; take the one that was committed"),
        ("stages: 3\n", "dvc.lock of the working folder is broken: its stages are no mapping; take the one"),
        ("", "dvc.lock of the working folder is broken: it has no stages; take the one that was committed"),
    ],
)
def test_a_lock_file_that_cannot_be_read_is_one_sentence(command, text: str, says: str, run_cli: Cli):
    Path("dvc.lock").write_text(text)
    code, out, err = run_cli(*command)
    assert (code, out, len(err)) == (1, [], 1)
    assert err[0].startswith(f"error: {says}")
    assert "git checkout HEAD -- dvc.lock" in err[0]


@pytest.mark.parametrize("stage", ["select", "ingest"])
def test_before_a_stage_ran_its_name_is_said(stage: str, run_cli: Cli):
    lock = yaml.safe_load(Path("dvc.lock").read_text())
    names = list(lock["stages"])
    lock["stages"] = {name: lock["stages"][name] for name in names[: names.index(stage)]}
    Path("dvc.lock").write_text(yaml.safe_dump(lock))
    code, out, err = run_cli("why", "aaaa0001")
    assert (code, out) == (1, [])
    assert err == ["error: dvc.lock of the working folder has no stage 'select', so it was not run; run 'dvc repro'"]
