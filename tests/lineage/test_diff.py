"""What changed between two revisions of the curated sets, and why."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers import lineage_project as project
from stepsift.core import tables
from stepsift.core.errors import CacheError, LineageError
from stepsift.lineage import render
from stepsift.lineage.diff import REASONS, compare
from stepsift.lineage.render import MOST_ROWS, html, markdown, terminal
from stepsift.lineage.snapshot import Snapshot, of_folder, of_revision

PARAMETERS = {
    "selectors": [],
    "exports": [],
    "bootstrap": 2000,
    "correct": "prefer",
    "filters": {"loops": True},
    "seed": 0,
}


def snapshot(
    name: str,
    traces: list[tuple[str, str, str, str, float | None]],
    chosen: list[str],
    dropped: dict[str, tuple[str, str, str]] | None = None,
    selector: dict[str, Any] | None = None,
    **parameters: Any,
) -> Snapshot:
    """`traces` are (trace, prompt, teacher, verdict, lalp); `dropped`: trace to (stage, reason, detail)."""
    about = {t[0]: t for t in traces}
    rows = [
        dict(zip(("trace_id", "prompt_id", "teacher", "verdict"), t, strict=False)) | {"source_line": 1} for t in traces
    ]
    schema = {c: t for c, t in tables.TRACES.schema.items() if c != "response"}
    scored = [{"trace_id": t[0], "prompt_id": t[1], "teacher": t[2], "lalp": t[4]} for t in traces if t[4] is not None]
    curated = [{"trace_id": c, "prompt_id": about[c][1], "teacher": about[c][2]} for c in chosen]
    drops = [
        {"trace_id": t, "stage": stage, "reason": reason, "detail": detail}
        for t, (stage, reason, detail) in (dropped or {}).items()
    ]
    return Snapshot(
        name=name,
        traces=pl.DataFrame(rows, schema=schema),
        rejected=pl.DataFrame(drops, schema={"stage": pl.String()} | tables.REJECTED.schema),
        scores=pl.DataFrame(scored, schema=tables.TRACE_SCORES.schema | {"lalp": pl.Float64()}),
        curated={"lalp": pl.DataFrame(curated, schema=tables.CURATED.schema)},
        selectors={"lalp": {"name": "lalp", "by": "lalp", "max_examples": None} | (selector or {})},
        parameters=PARAMETERS | parameters,
    )


A = ("a", "p", "anna", "correct", -1.0)
B = ("b", "p", "bob", "correct", -2.0)
OTHER = ("o", "q", "anna", "correct", -1.0)


def before() -> Snapshot:
    """Of anna's and bob's traces for p, anna's is the better."""
    return snapshot("old", [A, B, OTHER], ["a", "o"])


LOOP = {"a": ("select", "loop", "20 times")}
INCORRECT = {"a": ("select", "not_correct", "verdict correct")}

CASES: dict[str, tuple[Snapshot, tuple[str | None, str | None], str, str]] = {
    "new trace": (
        snapshot("new", [A, B, OTHER, ("c", "p", "carl", "correct", -0.5)], ["c", "o"]),
        ("a", "c"), "new trace", "c by carl",
    ),
    "trace removed": (
        snapshot("new", [B, OTHER], ["b", "o"]), ("a", "b"), "trace removed", "a by anna is in the pool no more",
    ),
    "new prompt": (
        snapshot("new", [A, B, OTHER, ("n", "new", "anna", "correct", -1.0)], ["a", "o", "n"]),
        (None, "n"), "new trace", "a new prompt",
    ),
    "prompt removed": (
        snapshot("new", [OTHER], ["o"]), ("a", None), "trace removed", "a by anna is in the pool no more",
    ),
    "verdict": (
        snapshot("new", [(*A[:3], "wrong", -1.0), B, OTHER], ["b", "o"], INCORRECT),
        ("a", "b"), "changed verdict", "a is wrong, was correct",
    ),
    "filter": (
        snapshot("new", [A, B, OTHER], ["b", "o"], LOOP, filters={"loops": False}),
        ("a", "b"), "changed filter", "a is dropped: loop (20 times)",
    ),
    "not correct for the setting": (
        snapshot("new", [A, B, OTHER], ["b", "o"], INCORRECT, correct="require"),
        ("a", "b"), "changed filter", "a is dropped: not_correct (verdict correct)",
    ),
    "not correct for the pool": (
        snapshot("new", [A, B, OTHER], ["b", "o"], INCORRECT),
        ("a", "b"), "changed pool", "a is dropped: not_correct (verdict correct)",
    ),
    "no score any more": (
        snapshot("new", [A, B, OTHER], ["b", "o"], {"a": ("select", "not_scored", "no step scores")}),
        ("a", "b"), "changed score", "a is dropped: not_scored (no step scores)",
    ),
    "score of what left": (
        snapshot("new", [(*A[:4], -2.5), B, OTHER], ["b", "o"]),
        ("a", "b"), "changed score", "lalp of a is -2.5, was -1.0",
    ),
    "score of what came": (
        snapshot("new", [A, (*B[:4], -0.1234567), OTHER], ["b", "o"]),
        ("a", "b"), "changed score", "lalp of b is -0.123457, was -2.0",
    ),
    "a score where there was none": (
        snapshot("new", [A, (*B[:4], None), OTHER], ["b", "o"]),
        ("a", "b"), "changed score", "lalp of b is none, was -2.0",
    ),
    "another metric": (
        snapshot("new", [A, B, OTHER], ["b", "o"], selector={"by": "random"}),
        ("a", "b"), "changed setting", "by lalp -> random",
    ),
    "a budget": (
        snapshot("new", [A, B, OTHER], ["a"], selector={"max_examples": 1}),
        ("o", None), "changed setting", "max_examples none -> 1",
    ),
    "another seed": (
        snapshot("new", [A, B, OTHER], ["b", "o"], seed=1),
        ("a", "b"), "changed setting", "select.seed 0 -> 1",
    ),
    "a copy that ingest dropped": (
        snapshot("new", [A, B, OTHER], ["b", "o"], {"a": ("ingest", "duplicate", "twice")}),
        ("a", "b"), "changed pool", "other traces or prompts decided",
    ),
    "settings that choose nothing": (
        snapshot("new", [A, B, OTHER], ["b", "o"], bootstrap=500, exports=["parquet"], selectors=["more"]),
        ("a", "b"), "changed pool", "other traces or prompts decided",
    ),
    "nothing of its own": (
        snapshot("new", [A, B, OTHER], ["b", "o"]), ("a", "b"), "changed pool", "other traces or prompts decided",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_why_a_choice_changed(case: str):
    after, (left, came), reason, detail = CASES[case]
    changes = compare(before(), after).selectors["lalp"].changes
    assert changes.height == 1
    row = changes.row(0, named=True)
    assert (row["before"], row["after"], row["reason"], row["detail"]) == (left, came, reason, detail)
    assert row["reason"] in REASONS


def test_a_trace_that_was_dropped_before():
    old = snapshot("old", [A, B, OTHER], ["b", "o"], LOOP)
    row = compare(old, before()).selectors["lalp"].changes.row(0, named=True)
    assert (row["before"], row["after"], row["reason"]) == ("b", "a", "changed filter")
    assert row["detail"] == "a was dropped: loop (20 times)"


def test_rows_of_other_selectors_drop_nothing():
    drops = {"a": ("select", "low_margin", "selector galp: margin 0")}
    row = (
        compare(before(), snapshot("new", [A, B, OTHER], ["b", "o"], drops))
        .selectors["lalp"]
        .changes.row(0, named=True)
    )
    assert row["reason"] == "changed pool"
    own = {"a": ("select", "low_margin", "selector lalp: margin 0")}
    row = (
        compare(before(), snapshot("new", [A, B, OTHER], ["b", "o"], own)).selectors["lalp"].changes.row(0, named=True)
    )
    assert (row["reason"], row["detail"]) == ("changed filter", "a is dropped: low_margin (selector lalp: margin 0)")


@pytest.mark.parametrize(
    ("by", "setting", "reason"),
    [
        ("random", {"seed": 1}, "changed setting"),
        ("aslec_casl", {"casl_fit": "pool"}, "changed setting"),
        ("lalp", {"seed": 1, "casl_fit": "pool"}, "changed score"),
        ("random", {"casl_fit": "pool"}, "changed score"),
    ],
)
def test_settings_that_give_every_trace_another_score(by: str, setting: dict, reason: str):
    def scored(name: str, score: float, chosen: str, **parameters: Any) -> Snapshot:
        made = snapshot(name, [(*A[:4], score), B], [chosen], selector={"by": by}, casl_fit="teacher", **parameters)
        return replace(made, scores=made.scores.rename({"lalp": by}))

    old, new = scored("old", -1.0, "a"), scored("new", -3.0, "b")
    new = replace(new, parameters=new.parameters | setting)
    assert compare(old, new).selectors["lalp"].changes["reason"].to_list() == [reason]


def test_several_traces_of_a_prompt():
    more = [(f"{t}", "p", "carl", "correct", -3.0) for t in ("c", "d", "e")]
    old, new = snapshot("old", [A, B, *more], ["a", "c", "d"]), snapshot("new", [A, B, *more], ["b", "c"])
    changes = compare(old, new).selectors["lalp"]
    pairs = changes.changes.select("before", "after", "teacher_before", "teacher_after").rows()
    assert pairs == [("a", "b", "anna", "bob"), ("d", None, "carl", None)]
    assert (changes.n_same, changes.n_prompts) == (1, 1)
    assert changes.teachers.rows() == [("anna", 1, 0), ("bob", 0, 1), ("carl", 2, 1)]


@settings(max_examples=40, deadline=None)
@given(st.lists(st.sampled_from("abcdefgh"), unique=True), st.lists(st.sampled_from("abcdefgh"), unique=True))
def test_every_trace_that_left_or_came_is_told_once(old: list[str], new: list[str]):
    traces = [(t, f"p{i // 3}", f"t{i % 2}", "correct", -float(i)) for i, t in enumerate("abcdefgh")]
    found = compare(snapshot("old", traces, old), snapshot("new", traces, new)).selectors["lalp"]
    assert sorted(found.changes["before"].drop_nulls()) == sorted(set(old) - set(new))
    assert sorted(found.changes["after"].drop_nulls()) == sorted(set(new) - set(old))
    assert found.n_same == len(set(old) & set(new))
    assert found.teachers["before"].sum() == len(old)
    assert found.teachers["after"].sum() == len(new)
    both = found.changes.drop_nulls(["before", "after"])
    prompt = {t[0]: t[1] for t in traces}
    assert all(prompt[r["before"]] == prompt[r["after"]] == r["prompt_id"] for r in both.rows(named=True))
    swapped = compare(snapshot("new", traces, new), snapshot("old", traces, old)).selectors["lalp"]
    names = ["before", "after"]
    assert swapped.changes.select(names).rows() == found.changes.select(names[::-1]).rows()


def test_in_the_terminal():
    after = CASES["new trace"][0]
    assert list(terminal(compare(before(), after))) == [
        "old -> new",
        "",
        "lalp: 1 of 2 prompts changed; 2 traces before, 2 after, 1 in both",
        "  why        changes",
        "  new trace  1",
        "  teacher  before  after  change",
        "  anna     2       1      -1",
        "  carl     0       1      +1",
        "  prompt  before  after   why",
        "  p       a anna  c carl  new trace: c by carl",
    ]


def test_as_markdown():
    after = snapshot("new", [A, ("b|`x`", *B[1:4], -0.5), OTHER], ["b|`x`"], selector={"max_examples": 1})
    assert list(markdown(compare(before(), after))) == [
        "## Curated sets: `old` -> `new`",
        "",
        "### `lalp`",
        "",
        "2 of 2 prompts changed; 2 traces before, 1 after, 0 in both; `max_examples` `None` -> `1`.",
        "",
        "| why | changes |",
        "| --- | --- |",
        "| `new trace` | 1 |",
        "| `changed setting` | 1 |",
        "",
        "| teacher | before | after | change |",
        "| --- | --- | --- | --- |",
        "| `anna` | 2 | 0 | -2 |",
        "| `bob` | 0 | 1 | +1 |",
        "",
        "| prompt | before | after | why |",
        "| --- | --- | --- | --- |",
        "| `p` | `a anna` | <code>b&#124;&#96;x&#96; bob</code> "
        "| <code>new trace&#58; b&#124;&#96;x&#96; by bob</code> |",
        "| `q` | `o anna` | - | `changed setting: max_examples none -> 1` |",
    ]


def test_as_html_every_name_is_text():
    name = "<script>b</script>\u202e"
    after = snapshot("new & old", [A, (name, *B[1:4], -0.5), OTHER], [name])
    text = "".join(html(compare(before(), after)))
    assert text.startswith("<p>old &rarr; new &amp; old</p><h3>lalp</h3><p>2 of 2 prompts changed; ")
    assert "<tr><td>p</td><td>a anna</td><td>&lt;script&gt;b&lt;/s bob</td>" in text
    assert "by bob</td></tr>" in text
    assert "<script" not in text
    assert "\u202e" not in text


@pytest.mark.parametrize("form", [terminal, markdown, html])
def test_the_first_twenty_are_listed_and_the_rest_is_counted(form: Callable):
    n = MOST_ROWS + 2
    traces = [(f"{t}{i:02}", f"p{i:02}", t, "correct", -1.0) for i in range(n) for t in "ab"]
    found = compare(
        snapshot("old", traces, [f"a{i:02}" for i in range(n)]), snapshot("new", traces, [f"b{i:02}" for i in range(n)])
    )
    text = "\n".join(form(found))
    assert "p19" in text
    assert "p20" not in text
    assert "and 2 more" in text
    assert f"{n} of {n} prompts changed" in text


def test_nothing_changed():
    assert list(terminal(compare(before(), before())))[2:] == [
        "lalp: 0 of 2 prompts changed; 2 traces before, 2 after, 2 in both",
    ]


def test_revisions_of_a_repository(repository: Path):
    traces = project.pool()
    traces[1]["lalp"] = -0.0625
    project.commit("bob is better", traces, selectors=[project.LALP, project.LALP | {"name": "more"}])
    found = compare(of_revision("HEAD~1"), of_revision("HEAD"))
    assert (found.only_before, found.only_after) == (("random",), ("more",))
    row = found.selectors["lalp"].changes.row(0, named=True)
    assert (row["before"], row["after"], row["reason"]) == ("aaaa0001", "bbbb0001", "changed score")
    text = list(terminal(found))
    assert text[:3] == ["HEAD~1 -> HEAD", "only in HEAD~1: random", "only in HEAD: more"]
    # The working folder, from which anna has gone.
    project.write(traces[1:3], selectors=[project.LALP])
    here = compare(of_revision("HEAD"), of_folder(project.LOCK), "lalp")
    assert here.after == "the working folder"
    assert here.only_before == ()
    assert here.selectors["lalp"].changes.select("before", "after", "reason").rows() == [
        ("bbbb0002", None, "trace removed")
    ]
    with pytest.raises(
        LineageError, match="no curated set 'random' in both HEAD and the working folder; both have lalp"
    ):
        compare(of_revision("HEAD"), of_folder(project.LOCK), "random")


def test_a_revision_of_another_version(repository: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(tables, "TRACE_SCORES", replace(tables.TRACE_SCORES, version=99))
    said = (
        "revision 'HEAD' cannot be compared: select/trace_scores.parquet holds table trace_scores version 1, needed "
        "is trace_scores version 99; to compare it, run this command with the version of stepsift that made it"
    )
    with pytest.raises(LineageError) as raised:
        of_revision("HEAD")
    assert str(raised.value) == said


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("<<<<<<< HEAD\nstages:\n=======\n>>>>>>> x\n", "holds the conflict marks of a merge"),
        ("schema: '2.0'\n", "is broken: it has no stages"),
    ],
)
def test_a_revision_whose_lock_is_broken(repository: Path, text: str, said: str):
    Path("dvc.lock").write_text(text)
    project.git_commit("broken")
    with pytest.raises(CacheError, match=f"dvc.lock of revision 'HEAD' {said}"):
        of_revision("HEAD")


def test_revisions_that_cannot_be_had(repository: Path):
    with pytest.raises(CacheError, match="git revision 'nowhere' cannot be read"):
        of_revision("nowhere")
    for name in ("", " "):
        with pytest.raises(CacheError, match="a git revision has a name"):
            of_revision(name)
    for name in ("HEAD:params.yaml", "HEAD^{tree}"):
        with pytest.raises(CacheError, match="cannot be read: it is no commit"):
            of_revision(name)
    with pytest.raises(CacheError, match=r"git revision 'x+…' cannot be read") as caught:
        of_revision("x" * 10_000)
    assert len(str(caught.value)) < 1_000
    for file in Path(".dvc/cache").rglob("*.dir"):
        file.unlink()
    with pytest.raises(CacheError, match=r"neither in DVC's cache nor in a remote .* run 'dvc fetch --all-commits'"):
        of_revision("HEAD")


def test_a_long_name_makes_no_other_line_of_a_table_long():
    head, long, last = render._aligned([["teacher", "before"], ["x" * 10_000, "1"], ["bob", "2"]])
    assert "x" * 10_000 in long
    assert len(head) < 80 and len(last) < 80
