"""The commands: what they print, and how they end."""

import json
from collections.abc import Callable
from pathlib import Path

import lineage_project as project
import pytest

from stepsift.lineage import verify
from stepsift.lineage.link import Link

Cli = Callable[..., tuple[object, list[str], list[str]]]


@pytest.fixture(autouse=True)
def _here(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All tests look at the copied repository; its student is no model."""
    monkeypatch.setattr(verify, "check_scores", lambda *given: Link("scores", f"{given[2:]}"))


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
    assert all(line.startswith("ok ") for line in out)
    Path("data/sources/a.jsonl").write_text("{}\n")
    code, out, err = run_cli("verify", "--fast")
    assert code == 1
    assert not any("run again" in line or "scores" in line for line in out)
    assert [line.split()[:2] for line in out if line.startswith("broken")] == [
        ["broken", "sources"],
        ["broken", "stages"],
    ]
    assert err == [
        "error: 2 links are broken, the first is 'sources'; 'dvc checkout' brings outputs back, 'dvc repro' makes what "
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
    assert out[:3] == ["## Curated sets: `HEAD` -> `HEAD`", "", "### lalp"]
    code, out, err = run_cli("diff", "nowhere")
    assert (code, out) == (1, [])
    assert err[0].startswith("error: git revision 'nowhere' cannot be read")
