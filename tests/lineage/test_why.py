"""Where a trace comes from, what was made of it, and when it came and went."""

import json
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest

from helpers import lineage_project as project
from stepsift.core import table_files, tables
from stepsift.core.errors import LineageError
from stepsift.lineage import story as stories
from stepsift.lineage.lock import read
from stepsift.lineage.why import explain
from stepsift.lineage.why_lines import _line, lines_of


def story(text: str, **options: str) -> dict[str, list[str]]:
    """Lines by their first word; the first of all is under 'title'."""
    first, *rest = lines_of(explain(text, project.LOCK, **options))
    lines: dict[str, list[str]] = {"title": [first]}
    for line in rest:
        label, _, said = line.partition(" ")
        lines.setdefault(label, []).append(said.strip())
    return lines


@pytest.fixture(autouse=True)
def _here(repository: Path) -> None:
    """All tests look at the copied repository."""


def test_a_chosen_trace():
    lines = story("aaaa0001")
    md5 = json.loads(Path("data/ingest/sources.json").read_text())["a.jsonl"]["md5"]
    assert lines["title"] == ["trace aaaa0001 by anna, for prompt sum-of-numbers: chosen by lalp; not by random"]
    assert lines["source"] == [f"a.jsonl, line 1, licence MIT, MD5 of the file {md5}"]
    assert lines["prompt"] == ["What is sum-of-numbers ?"]
    assert lines["verdict"] == ["correct (the source's own label: true), the answer is 7"]
    assert lines["length"] == ["1 step, 2 tokens"]
    assert lines["scores"] == ["lalp -0.25, random 0.9"]
    assert lines["lalp"] == [
        "chosen: best lalp of 2 candidates; lalp -0.25; runner-up bbbb0001 by bob with -0.5, margin 0.25, stability 75%"
    ]
    assert lines["random"] == [
        "not chosen: behind by random; random 0.9; chosen was bbbb0001 by bob with 0.95, 0.05 apart"
    ]
    assert "dropped" not in lines
    commit, date = project.run("git", "log", "--format=%H %cs").split()
    assert lines["history"] == [f"entered lalp in {commit[:9]} ({date}, first)"]
    assert '"correct": "prefer"' in lines["decided"][0]
    assert lines["decided"][0].endswith("student student, fingerprint f1n9e8p7r6i5")


def test_a_line_of_a_file_may_be_named_by_its_path():
    assert story("data/sources/a.jsonl:1")["title"] == story("a.jsonl:1")["title"] == story("aaaa0001")["title"]
    with pytest.raises(LineageError, match=r"is called 'data/sources/none\.jsonl:1'"):
        story("data/sources/none.jsonl:1")


def test_where_its_file_was_published():
    assert "published" not in story("aaaa0001")
    path = Path("data/ingest/sources.json")
    sources = json.loads(path.read_text())
    sources["a.jsonl"] |= {"repository": "org/set", "revision": "1234"}
    path.write_text(json.dumps(sources))
    assert story("aaaa0001")["published"] == ["org/set at revision 1234"]


def test_a_trace_that_a_filter_dropped():
    lines = story("cccc0001")
    assert lines["title"] == ["trace cccc0001 by carl, for prompt sum-of-numbers: not chosen"]
    assert lines["dropped"] == ["select: loop (one line 20 times over)"]
    assert lines["lalp"] == [
        "not chosen: no candidate: select dropped it as loop (one line 20 times over); lalp -0.125; chosen was "
        "aaaa0001 by anna with -0.25, 0.125 apart"
    ]
    assert lines["history"] == ["in no curated set of any revision that can be read here"]


def test_a_trace_without_scores():
    traces = project.pool()
    traces[1]["lalp"] = None
    project.write(traces)
    lines = story("bbbb0001")
    assert "length" not in lines
    assert lines["lalp"][0].startswith("not chosen: no candidate: select dropped it as not_scored (")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"lalp": -0.25}, "as good by lalp as the one that was chosen, which comes first by content hash"),
        ({"lalp": -0.5}, "behind by lalp"),
    ],
)
def test_why_a_candidate_lost(change: dict, said: str):
    traces = project.pool()
    traces[1] |= change
    project.write(traces)
    assert story("bbbb0001")["lalp"][0].startswith(f"not chosen: {said}; ")


@pytest.mark.parametrize(("better", "last"), [("high", "aaaa0001"), ("low", "dddd0001")])
def test_of_several_chosen_the_last_is_the_measure(better: str, last: str, monkeypatch: pytest.MonkeyPatch):
    traces = [*project.pool(), project.trace("dddd0001", "sum-of-numbers", "dora", -0.125)]
    project.write(traces, [project.LALP | {"per_prompt": 2}])
    metric = replace(stories.all_metrics()["lalp"], better=better)
    monkeypatch.setattr(stories, "all_metrics", lambda: {"lalp": metric})
    # dddd0001 has -0.125 and aaaa0001 -0.25.
    assert f"; chosen was {last} by " in story("bbbb0001")["lalp"][0]


def test_what_training_left_out_was_chosen_all_the_same():
    row = {"source": "lalp/train.jsonl", "trace_id": "aaaa0001", "reason": "too_long", "detail": "9 tokens"}
    rows = [row | {"source_line": seed} for seed in (1, 2)]
    path = Path("data/train/rejected.parquet")
    table_files.write(tables.REJECTED, pl.DataFrame(rows, schema=tables.REJECTED.schema), path)
    folders = read(project.LOCK).folders() | {"train": path.parent}
    prompt = stories.of_prompt("sum-of-numbers", folders, stories.manifests(folders["select"]))
    trace = prompt.traces[0]
    assert trace.dropped == (stories.Dropped("train", "too_long", "9 tokens"),)
    assert [(v.chosen, v.reason) for v in trace.selectors] == [
        (True, "best lalp of 2 candidates"),
        (False, "behind by random"),
    ]


@pytest.mark.parametrize("settings", [{"mix_of": "random"}, {"quotas": {"teacher": {"anna": 0.5}, "domain": {}}}])
def test_no_hash_decides_where_numbers_are_filled(settings: dict):
    traces = project.pool()
    traces[1] |= {"lalp": -0.25}
    project.write(traces, [project.LALP | settings])
    said = story("bbbb0001")["lalp"][0]
    assert said.startswith("not chosen: as good by lalp as what was chosen (best lalp of 2 candidates); ")


def test_a_better_trace_that_a_mixture_left_out():
    traces = project.pool()
    project.write(traces, [project.LALP | {"teacher": "bob"}])
    # As a mixture would: no teacher is asked for, and the worse trace is in the set.
    path = Path("data/select/lalp/manifest.json")
    manifest = json.loads(path.read_text())
    manifest["selector"]["teacher"] = None
    path.write_text(json.dumps(manifest))
    said = story("aaaa0001")["lalp"][0]
    assert said.startswith("not chosen: better by lalp than what was chosen (best lalp of 1 candidates); ")


def test_another_teacher_only():
    project.write(project.pool(), [project.LALP | {"teacher": "bob"}])
    assert story("aaaa0001")["lalp"][0].startswith("not chosen: it takes only traces of bob; ")


def test_a_prompt_of_which_nothing_was_taken():
    project.write(project.pool(), [project.LALP | {"teacher": "carl", "max_examples": 5}])
    path = Path("data/select/lalp/manifest.json")
    path.write_text(path.read_text().replace('"carl"', "null"))
    assert story("aaaa0001")["lalp"] == ["not chosen: it took no trace of this prompt (max_examples 5); lalp -0.25"]


def test_a_choice_that_was_too_unsure_for_one_selector_only():
    traces = project.pool()
    traces[0] |= {"dropped": "low_margin", "detail": "selector lalp: margin 0.25, min_margin is 1"}
    project.write(traces)
    lines = story("aaaa0001")
    assert lines["lalp"][0].startswith("not chosen: low_margin: margin 0.25, min_margin is 1; ")
    assert lines["random"][0].startswith("not chosen: behind by random; ")


def test_a_prompt_tells_of_all_its_traces():
    lines = story("sum-of-numbers")
    assert lines["title"] == ["prompt sum-of-numbers, domain arithmetic, 3 traces"]
    assert [line.split(" ")[0] for line in lines["trace"]] == ["aaaa0001", "bbbb0001", "cccc0001"]
    assert (
        lines["trace"][1] == "bbbb0001 by bob, wrong, a.jsonl, line 2, licence unknown: chosen by random; not by lalp"
    )
    commit, date = project.run("git", "log", "--format=%H %cs").split()
    assert lines["history"] == [
        f"entered lalp aaaa0001 in {commit[:9]} ({date}, first)",
        f"entered random bbbb0001 in {commit[:9]} ({date}, first)",
    ]


def test_one_selector_alone():
    lines = story("aaaa0001", selector="random")
    assert lines["title"][0].endswith(": not chosen")
    assert "lalp" not in lines
    assert lines["history"] == ["in no curated set of any revision that can be read here"]
    with pytest.raises(LineageError, match="there is no curated set 'galp'; there are lalp, random"):
        explain("aaaa0001", project.LOCK, "galp")


def test_a_row_by_its_source_and_line():
    assert story("a.jsonl:1")["title"][0].startswith("trace aaaa0001 by anna")
    assert list(lines_of(explain("a.jsonl:99", project.LOCK))) == [
        "a.jsonl, line 99: not a trace",
        "dropped     ingest: broken_json (line ends too early)",
    ]
    with pytest.raises(LineageError, match=r"no trace and no prompt is called 'a\.jsonl:97'"):
        explain("a.jsonl:97", project.LOCK)


@pytest.mark.parametrize("digits", [16, 25, 5000])
def test_a_line_beyond_any_file(digits: int):
    text = "a.jsonl:" + "9" * digits
    with pytest.raises(LineageError, match=f"no trace and no prompt is called '{text}'"):
        explain(text, project.LOCK)


def test_a_trace_that_ingest_rejected():
    assert list(lines_of(explain("eeee0001", project.LOCK))) == [
        "a.jsonl, line 98: not a trace",
        "dropped     ingest: conflicting_answer (7 or 8)",
    ]


def test_copies_that_ingest_dropped_do_not_make_a_trace_dropped():
    traces = project.pool()
    traces[1] |= {"copy": 5}
    project.write(traces)
    lines = story("bbbb0001")
    assert lines["copies"] == ["b.jsonl:5, dropped as duplicates"]
    assert "dropped" not in lines
    assert lines["lalp"][0].startswith("not chosen: behind by lalp; ")
    assert list(lines_of(explain("b.jsonl:5", project.LOCK))) == [
        "b.jsonl, line 5: not a trace",
        "dropped     ingest: duplicate ()",
    ]


def test_prefixes_of_six_characters():
    traces = project.pool()
    traces[0]["trace_id"] = "abcdef01"
    traces[3]["trace_id"] = "abcdef02"
    project.write(traces)
    assert story("sum-of")["title"][0].startswith("prompt sum-of-numbers")
    assert story("abcdef01")["title"][0].startswith("trace abcdef01")
    with pytest.raises(LineageError, match="'abcdef' begins 2 ids, such as trace abcdef01, trace abcdef02; give more"):
        explain("abcdef", project.LOCK)
    with pytest.raises(LineageError, match="no trace and no prompt is called 'sum-o'"):
        explain("sum-o", project.LOCK)


def test_the_nearest_ids_are_named():
    with pytest.raises(LineageError, match=r"called 'sun-of-numbers' \(nearest: sum-of-numbers\); give an id"):
        explain("sun-of-numbers", project.LOCK)
    with pytest.raises(LineageError, match=r"called 'aaaa0003' \(nearest: aaaa0002, aaaa0001\)"):
        explain("aaaa0003", project.LOCK)
    with pytest.raises(LineageError, match="called 'zzzzzzzz'; give an id"):
        explain("zzzzzzzz", project.LOCK)


def test_the_same_as_json():
    content = json.loads(json.dumps(explain("aaaa0001", project.LOCK).as_json()))
    assert content["trace"]["origin"]["line"] == 1
    assert content["trace"]["selectors"][0]["other"] == "bbbb0001"
    assert content["trace"]["scores"] == {"lalp": -0.25, "random": 0.9}
    assert "traces" not in content["prompt"]
    assert content["history"]["events"][0]["moment"]["subject"] == "first"
    whole = explain("sum-of-numbers", project.LOCK).as_json()
    assert whole["trace"] is None
    assert [t["trace_id"] for t in whole["prompt"]["traces"]] == ["aaaa0001", "bbbb0001", "cccc0001"]


def test_without_a_pipeline_that_ran():
    project.LOCK.unlink()
    with pytest.raises(LineageError, match=r"there is no dvc\.lock, so the pipeline was not run here; run 'dvc repro'"):
        explain("aaaa0001", project.LOCK)


def test_control_characters_of_a_source_reach_no_terminal():
    assert _line("prompt", "a\x1b[31mb\x07 数学 🙂") == "prompt      a⟨U+001B⟩[31mb⟨U+0007⟩ 数学 🙂"
