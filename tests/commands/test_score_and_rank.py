"""`stepsift score` and `stepsift rank`: numbers by hand and as the pipeline gives them, lines, and what is refused."""

import gzip
import json
import logging
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from helpers.places import SHARED
from stepsift import params, segment, student
from stepsift import scratch as work
from stepsift import select as curate
from stepsift.commands import arguments
from stepsift.commands import ranking_lines as lines
from stepsift.commands import selfcheck as naive
from stepsift.commands.estimate import seconds_left
from stepsift.commands.ranking_sample import choose
from stepsift.commands.score import SCORED_STEPS, score_file
from stepsift.core import console, table_files, tables
from stepsift.core.errors import ParamsError, ScoringError, SelectionError, SourceError, StudentError
from stepsift.ingest.run import ingest
from stepsift.metrics import all_metrics, trace_scores, trace_sums
from stepsift.score import setup
from stepsift.score.plan import sample_prompts
from stepsift.score.pool import Pool, Prompts
from stepsift.score.run import score_to_tables
from stepsift.scratch import passes_of
from stepsift.select import questions

PROMPTS = ["What is 3x + 2 = 14?", "Add 12 and 30.", "Divide 42 by 6.", "The sum of the first ten?"]
WRITTEN = {
    "anna": "Let x be the number. Then 3x = 12, so {}.\n\nThe answer is 4.",
    "bob": "First, {}. We get 42. Wait, that is not right! Let me check: 7 * 6 = 42. Yes!",
    "carl": "It is 55, {}. So.",
}
Row = dict[str, Any]


BASIS = "measured    by scores alone; what training on them gives is for 'stepsift audition' to say"


def rows(teachers: tuple[str, ...] = ("anna", "bob", "carl"), prompts: list[str] = PROMPTS) -> list[Row]:
    return [
        {"prompt": p, "completion": WRITTEN[t].format(f"{i} + {i}"), "teacher": t}
        for i, p in enumerate(prompts)
        for t in teachers
    ]


def as_chat(row: Row) -> Row:
    turns = [{"role": "user", "content": row["prompt"]}, {"role": "assistant", "content": row["completion"]}]
    return {"messages": turns, "teacher": row["teacher"]}


def write(path: Path, content: list[Row]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in content))
    return path


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty working folder with a cache of its own; nothing may remain in the folder for temporary files."""
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    monkeypatch.setenv("STEPSIFT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(console.logging, "basicConfig", lambda **_: None)
    monkeypatch.setattr(setup, "ceiling", lambda *_: 1e9)  # takes a measurement otherwise
    monkeypatch.chdir(tmp_path)
    ours = logging.getLogger("stepsift")
    level = ours.level
    yield tmp_path
    ours.setLevel(level)
    assert list((tmp_path / "temporary").glob("stepsift*")) == []


@pytest.fixture
def settings(student_folder) -> Callable[..., params.Params]:
    """`settings(score={..})`: parameters with a tiny student."""

    def with_student(**sections: Row) -> params.Params:
        return params.parse({"student": {"path": str(student_folder("llama"))}, **sections})

    return with_student


def through_stages(sources: Path, out: Path, settings: params.Params) -> tuple[pl.DataFrame, ...]:
    """Tables prompts, traces, steps and step_scores as the pipeline makes them, with a cache of its own."""
    ingest(sources, out, settings.ingest)
    prompts, traces = (table_files.read(t, out / f"{t.name}.parquet") for t in (tables.PROMPTS, tables.TRACES))
    steps = segment.segment_table(traces, settings.segment)
    table_files.write(tables.STEPS, steps, out / "steps.parquet")
    wanted = sample_prompts(prompts["prompt_id"], settings.score.prompts, settings.score.seed)
    pool = Pool(Prompts(out / "prompts.parquet", wanted), out / "traces.parquet", out / "steps.parquet")
    with setup.load(settings.student, settings.score, out / "cache") as scoring:
        score_to_tables(scoring, pool, out)
    return prompts, traces, steps, table_files.read(tables.STEP_SCORES, out / "step_scores.parquet")


# score: what it writes


@pytest.mark.parametrize("how", ["--rules", "beside"])
def test_a_rule_says_how_the_file_is_read(how: str, place: Path, student_folder, run_cli):
    file = place / "a.jsonl"
    file.write_text(json.dumps({"q": "What is 1 + 1?", "text": "It is 2. So 2.", "by": "ann"}) + "\n")
    rule = (place / "r.yaml") if how == "--rules" else (place / "a.jsonl.rule.yaml")
    rule.write_text("fields: {prompt: q, response: text, teacher: by}\nanswer_kind: code\n")
    options = ("--rules", rule) if how == "--rules" else ()
    out = place / "o.parquet"
    code, _, err = run_cli("score", file, *options, "--student", student_folder("llama"), "--out", out)
    assert code == 0, err
    assert table_files.read(tables.TRACE_SCORES, out)["teacher"].to_list() == ["ann"]
    rule.write_text("fields: {prompt: q, respones: text}\n")
    code, _, err = run_cli("score", file, *options, "--student", student_folder("llama"), "--out", out)
    assert (code, len(err)) == (1, 1)
    assert err[0].startswith(f"error: {rule}: unknown key 'fields.respones', did you mean 'response'?")


def test_scores_are_means_of_plain_forward_passes(place: Path, settings):
    (row,) = rows(("bob",), PROMPTS[:1])
    chosen = settings(score={"window": 2})
    score_file(write(place / "a.jsonl", [row]), place / "o.parquet", chosen, ["lalp", "galp"], place / "c")
    found = table_files.read(tables.TRACE_SCORES, place / "o.parquet").row(0, named=True)
    files = student.locate(chosen.student)
    model = student.load_model(files, "float32", "cpu")
    renderer = student.load_renderer(files, chosen.student)
    rendered = renderer.render([{"role": "user", "content": row["prompt"]}], row["completion"])
    ends = segment.split(row["completion"], chosen.segment).ends
    # A token belongs to the step that holds its last character.
    step = [sum(end <= last for end in ends) for last in rendered.last_char]
    ids = rendered.prompt_ids, rendered.response_ids
    local = naive.local_logprobs(model, *ids, step, 2)
    of_steps = [np.mean([v for v, s in zip(local, step, strict=True) if s == i]) for i in range(len(ends))]
    assert found["lalp"] == pytest.approx(np.mean(of_steps), abs=1e-4)
    assert found["galp"] == pytest.approx(np.mean(naive.full_logprobs(model, *ids)), abs=1e-4)
    assert (found["n_steps"], found["n_tokens"], found["teacher"]) == (len(ends), len(ids[1]), "bob")
    assert len(ends) > 4  # more than a window, or any window would do


def test_both_files_are_what_the_pipeline_gives(place: Path, settings):
    write(place / "sources/a.jsonl", rows())
    chosen = settings(segment={"unit": "line"}, score={"window": 1}, select={"seed": 5})
    _, traces, steps, step_scores = through_stages(place / "sources", place / "stages", chosen)
    score_file(place / "sources/a.jsonl", place / "o.parquet", chosen, ["galp", "lalp", "random"], place / "other")
    of_traces = table_files.read(tables.TRACE_SCORES, place / "o.parquet")
    assert of_traces.columns == [*tables.TRACE_SCORES.schema, "galp", "lalp", "random"]
    assert of_traces.equals(trace_scores(trace_sums(step_scores), traces, 5).select(of_traces.columns))
    assert of_traces.height == 12
    of_steps = table_files.read(SCORED_STEPS, place / "o.steps.parquet")
    assert of_steps.select(step_scores.columns).equals(step_scores)
    assert of_steps.select("trace_id", "step", "start", "end").equals(steps.select("trace_id", "step", "start", "end"))
    assert of_steps.columns[:7] == ["trace_id", "prompt_id", "teacher", "step", "start", "end", "n_tokens"]
    named = traces.select("trace_id", "prompt_id", "teacher")
    assert of_steps.select(named.columns).unique().sort("trace_id").equals(named)


def test_every_layout_of_the_same_traces_gives_the_same_bytes(place: Path, settings):
    files = [write(place / "ROWS.JSONL", rows()), write(place / ".hidden.jsonl", rows()[::-1])]
    write(place / "turns.jsonl", [as_chat(row) for row in rows()])
    (place / "turns.jsonl.gz").write_bytes(gzip.compress((place / "turns.jsonl").read_bytes()))
    pl.DataFrame(rows()).write_parquet(place / "table.parquet")
    files += [place / "turns.jsonl.gz", place / "table.parquet"]
    written = set()
    for file in files:
        score_file(file, place / "o.parquet", settings(), ["lalp"], place / "cache")
        written.add(((place / "o.parquet").read_bytes(), (place / "o.steps.parquet").read_bytes()))
    assert len(written) == 1


@pytest.mark.parametrize(
    ("metrics", "made"),
    [(["lalp"], "local"), (["galp", "step_mean"], "full"), (["length"], "local"), (["random"], "local")],
)
def test_only_passes_that_the_metrics_need_are_made(metrics: list[str], made: str, place: Path, settings):
    file = write(place / "a.jsonl", rows(("anna",)))
    score_file(file, place / "o.parquet", settings(), metrics, place / "cache")
    steps = table_files.read(SCORED_STEPS, place / "o.steps.parquet")
    assert {p for p in tables.PASSES if steps[f"{p}_logprob"].null_count() == 0} == {made}
    assert {p for p in tables.PASSES if steps[f"{p}_logprob"].null_count() == steps.height} == {*tables.PASSES} - {made}
    traces = table_files.read(tables.TRACE_SCORES, place / "o.parquet")
    assert traces.columns == [*tables.TRACE_SCORES.schema, *metrics]
    assert traces.select(metrics).null_count().sum_horizontal().item() == 0


def test_answers_are_not_verified(place: Path, settings, monkeypatch: pytest.MonkeyPatch):
    def ask_all(_: object, jobs: list[object]) -> list[object]:
        assert not jobs, "an answer was verified"
        return []

    monkeypatch.setattr("stepsift.verify.process.JudgeProcess.ask_all", ask_all)
    monkeypatch.setattr("stepsift.verify.code.judge.CodeRunner.judge", lambda *_: pytest.fail("a program was run"))
    file = write(place / "a.jsonl", [row | {"answer": "4"} for row in rows(("anna",))])
    score_file(file, place / "o.parquet", settings(), ["lalp"], place / "cache")
    assert table_files.read(tables.TRACE_SCORES, place / "o.parquet").height == 4


def test_a_sample_of_prompts_is_that_of_the_pipeline(place: Path, settings, run_cli, student_folder):
    file = write(place / "sources/a.jsonl", rows())
    *_, step_scores = through_stages(place / "sources", place / "stages", settings(score={"prompts": 2}))
    how = ("--student", student_folder("llama"), "--out", "o.parquet", "--prompts", 2)
    code, out, _ = run_cli("score", file, *how)
    assert code == 0
    assert out[:3] == [
        "read        12 rows, 12 traces of 4 prompts",
        "sampled     2 of 4 prompts (seed 0)",
        "scored      6 traces by 3 teachers",
    ]
    assert table_files.read(SCORED_STEPS, place / "o.steps.parquet").select(step_scores.columns).equals(step_scores)
    assert run_cli("score", file, *how)[1][2] == "scored      6 traces by 3 teachers, 6 of them from the cache"


# score: what it says


def test_score_on_the_command_line(place: Path, run_cli, student_folder):
    file = write(place / "pool.jsonl", rows())
    given = ("--student", student_folder("llama"), "--out", "o.parquet", "--metrics", "lalp")
    code, out, _ = run_cli("score", file, *given)
    assert code == 0
    assert out[:2] == ["read        12 rows, 12 traces of 4 prompts", "scored      12 traces by 3 teachers"]
    assert (
        out[2] == "lalp        higher is better; mean and 95 % interval on the 4 prompts that all ranked teachers have"
    )
    means = table_files.read(tables.TRACE_SCORES, place / "o.parquet").group_by("teacher").agg(pl.col("lalp").mean())
    ranked = [(name, f"{mean:.4f}") for name, mean in means.sort("lalp", descending=True).iter_rows()]
    assert [tuple(line.split()[1:3]) for line in out[3:6]] == ranked
    assert [line.split()[0] for line in out[3:6]] == ["1", "2", "3"]
    assert out[6].startswith("            the order no longer changed after ")
    assert all(f"{above} is above {below} with" in out[7 + i] for i, (above, below) in enumerate(_pairs(ranked)))
    n_steps = table_files.read(SCORED_STEPS, place / "o.steps.parquet").height
    assert out[9] == BASIS
    # anna's and bob's traces have at most five steps; carl's have one, and nothing comes before it.
    assert out[10].startswith(
        "window      4: a step sees 100% of the response before it; 100% of steps see all of it. A"
    )
    assert out[11] == "            anna 100%, bob 100%, carl -"
    assert out[12:] == ["written     o.parquet (12 traces)", f"            o.steps.parquet ({n_steps} steps)"]
    # As params.yaml: a window of 1, paragraphs, bfloat16, no template.
    before = table_files.read(tables.TRACE_SCORES, place / "o.parquet")
    for options in (("--window", 1), ("--unit", "paragraph"), ("--dtype", "bfloat16")):
        assert run_cli("score", file, *given, *options)[0] == 0
        after = table_files.read(tables.TRACE_SCORES, place / "o.parquet")
        assert after["trace_id"].equals(before["trace_id"])
        assert not after["lalp"].equals(before["lalp"]), options


def _pairs(ranked: list[tuple[str, str]]) -> Iterator[tuple[str, str]]:
    yield from zip([name for name, _ in ranked], [name for name, _ in ranked[1:]], strict=False)


def test_the_template_is_left_out_on_request(place: Path, settings, student_folder, run_cli):
    file = write(place / "a.jsonl", rows(("anna",)))
    given = ("score", file, "--student", student_folder("llama", "llama3"), "--out", "o.parquet")
    lalp = []
    for template in ("auto", "none"):
        assert run_cli(*given, "--template", template)[0] == 0
        lalp.append(table_files.read(tables.TRACE_SCORES, place / "o.parquet")["lalp"])
    assert not lalp[0].equals(lalp[1])


def test_rejected_rows_and_what_has_no_full_pass_are_said(place: Path, settings):
    long = {"prompt": "p", "completion": "Yes. " * 400, "teacher": "anna"}
    endless = {"prompt": "p", "completion": "x" * 900, "teacher": "bob"}
    file = write(place / "a.jsonl", [*rows(("anna",)), long, endless])
    with file.open("a") as f:
        f.write("{\n[]\n[1]\n")
    out = score_file(file, place / "o.parquet", settings(), ["lalp", "galp"], place / "cache").lines
    assert out[:6] == [
        "read        9 rows, 6 traces of 5 prompts",
        "rejected    2 as not_an_object, the first is a.jsonl row 8: the row is a list, it must be an object with "
        "named fields",
        out[2],
        out[3],
        "scored      5 traces by 1 teacher",
        "            no full pass for 1 trace: longer than the student's context",
    ]
    assert out[2].startswith("rejected    1 as broken_json, the first is a.jsonl row 7: ")
    assert out[3].startswith("rejected    1 as window_too_long, the first is a.jsonl row 6: prompt ")
    scores = table_files.read(tables.TRACE_SCORES, place / "o.parquet")
    assert (scores.height, scores["galp"].null_count(), scores["lalp"].null_count()) == (5, 1, 0)


# score: what it refuses


@pytest.mark.parametrize(
    ("file", "out", "said"),
    [
        ("none.jsonl", "o.parquet", "there is no file none.jsonl; name a file of traces (*.jsonl, *.ndjson,"),
        ("folder", "o.parquet", "folder is no file; name a file of traces"),
        ("a.xls", "o.parquet", "a.xls is of a kind that is not read; rename or convert it to one of *.jsonl,"),
        ("empty.jsonl", "o.parquet", "source file empty.jsonl holds no row"),
        ("broken.jsonl", "o.parquet", "source file broken.jsonl: its only row was rejected as broken_json; row 1: "),
        ("a.jsonl", "o.csv", "--out is 'o.csv', whose name does not end in .parquet"),
        ("a.jsonl", "new/o.parquet", "--out is 'new/o.parquet', and there is no folder new; make it (mkdir -p new)"),
        ("a.jsonl", "/proc/o.parquet", "--out is '/proc/o.parquet', and "),
        ("a.jsonl", "f.parquet", "--out is 'f.parquet', but f.parquet is a folder"),
        ("a.jsonl", "g.parquet", "--out is 'g.parquet', but g.steps.parquet is a folder"),
        ("a.parquet", "a.parquet", "--out is 'a.parquet', which would overwrite a.parquet"),
        ("a.parquet", "folder/../a.parquet", "--out is 'folder/../a.parquet', which would overwrite a.parquet"),
        ("a.parquet", "link.parquet", "--out is 'link.parquet', which would overwrite a.parquet"),
        ("b.steps.parquet", "b.parquet", "--out is 'b.parquet', which would overwrite b.steps.parquet"),
    ],
)
def test_files_that_will_not_do_are_one_sentence(
    file: str, out: str, said: str, place: Path, run_cli, student_folder, monkeypatch: pytest.MonkeyPatch
):
    for name in ("a.jsonl", "a.xls", "a.parquet", "b.steps.parquet"):
        write(place / name, rows())
    (place / "empty.jsonl").touch()
    (place / "broken.jsonl").write_text("{\n")
    for name in ("folder", "f.parquet", "g.steps.parquet"):
        (place / name).mkdir()
    (place / "link.parquet").symlink_to("a.parquet")
    before = {p: p.read_bytes() for p in place.iterdir() if p.is_file()}
    monkeypatch.setattr(setup, "load", lambda *_: pytest.fail("the student was loaded"))
    code, printed, err = run_cli("score", file, "--student", student_folder("llama"), "--out", out)
    assert (code, printed, len(err)) == (1, [], 1)
    assert err[0].startswith(f"error: {said}")
    assert {p: p.read_bytes() for p in place.iterdir() if p.is_file()} == before


def test_a_folder_that_takes_no_file_is_refused(place: Path, settings, monkeypatch: pytest.MonkeyPatch):
    file = write(place / "a.jsonl", rows())
    monkeypatch.setattr("os.access", lambda *_: False)
    with pytest.raises(SourceError, match=r"nothing can be written into \.; choose another folder"):
        score_file(file, Path("o.parquet"), settings(), ["lalp"], place / "cache")


@pytest.mark.parametrize(
    ("option", "said"),
    [
        (("--metrics", "lapl,galp"), "--metrics is 'lapl,galp': 'lapl' is no metric, did you mean lalp"),
        (("--metrics", ""), "--metrics is '': '' is no metric; known are aslec_casl, "),
        (("--window", "1.5"), "stepsift score: 'score.window' is 1.5: a number of steps is whole"),
        (("--student", "nowhere"), "student.path is 'nowhere', where there is nothing"),
    ],
)
def test_options_that_will_not_do_are_one_sentence(option, said: str, place: Path, run_cli, student_folder):
    file = write(place / "a.jsonl", rows())
    code, out, err = run_cli("score", file, "--student", student_folder("llama"), "--out", "o.parquet", *option)
    assert (code, out, len(err)) == (1, [], 1)
    assert err[0].startswith(f"error: {said}")


@pytest.mark.parametrize("option", [("--prompts", "0"), ("--unit", "word"), ("--window", "many"), ("--dtype", "int8")])
def test_a_wrong_call_is_exit_2(option: tuple[str, str], run_cli):
    code, out, err = run_cli("score", "a.jsonl", "--student", "s", "--out", "o.parquet", *option)
    assert (code, out) == (2, [])
    assert f"argument {option[0]}: " in err[-1]


def test_a_wrong_file_loads_nothing_heavy(place: Path, student_folder):
    (place / "broken.jsonl").write_text("{\n")
    call = ["stepsift", "score", "broken.jsonl", "--student", str(student_folder("llama")), "--out", "o.parquet"]
    code = (
        f"import sys; from stepsift.commands import main as cli; sys.argv = {call!r}\n"
        "try: cli.main()\nfinally: print([m for m in ('torch', 'transformers', 'mlflow') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (1, "[]\n")


def test_nothing_is_written_where_no_trace_can_be_scored(place: Path, settings):
    file = write(place / "a.jsonl", [{"prompt": "p", "completion": "x" * 900, "teacher": "bob"}])
    with pytest.raises(ScoringError, match=r"not one of 1 trace could be scored \(1 window_too_long\)"):
        score_file(file, place / "o.parquet", settings(), ["lalp"], place / "cache")
    assert list(place.glob("*.parquet")) == []


def test_a_metric_that_cannot_be_fitted_is_an_error_where_it_was_asked_for(place: Path, settings):
    file = write(place / "a.jsonl", rows(("anna",), PROMPTS[:2]))
    with pytest.raises(SelectionError, match="aslec_casl cannot be fitted for anna: in its 2 traces"):
        score_file(file, place / "o.parquet", settings(), ["galp", "aslec_casl"], place / "cache")
    score_file(file, place / "o.parquet", settings(), ["galp"], place / "cache")


# rank


def project(place: Path, student_path: Path, content: list[Row], **sections: str) -> None:
    write(place / "data/sources/pool.jsonl", content)
    written = {"student": f"{{path: {student_path}}}"} | sections
    (place / "params.yaml").write_text("".join(f"{name}: {text}\n" for name, text in written.items()))


def test_rank_of_all_prompts_is_the_ranking_of_the_pipeline(place: Path, settings, run_cli, student_folder):
    # anna is wrong where bob is right: select.correct prefers the correct, so that prompt compares nobody.
    graded = [row | {"answer": "77"} for row in rows(("anna", "bob"))]
    graded[1]["completion"] = "I see. It is \\boxed{77}"
    graded[0]["completion"] = "I see. It is \\boxed{5}"
    alone = rows(("carl",), PROMPTS[:1])
    project(place, student_folder("llama"), graded + alone)
    code, out, err = run_cli("rank", "--prompts", 50, "--metrics", "lalp,galp")
    assert code == 0, err
    prompts, traces, _, step_scores = through_stages(place / "data/sources", place / "stages", settings())
    chosen = params.Select(selectors=("lalp",), filters=params.Filters(near_duplicates=None, decontaminate=None))
    pool = curate.ScoredPool(
        prompts=prompts,
        traces=traces.drop("response"),
        responses=lambda: iter([traces.select("trace_id", "response")]),
        step_scores=lambda: iter([step_scores]),
    )
    teachers = curate.select(pool, chosen, questions.collect({})).teachers.filter(pl.col("domain") == "all")
    assert teachers.filter(metric="lalp", teacher="anna")["n_compared"].item() == 3
    assert out[:4] == [
        "sources     9 rows, 9 traces of 4 prompts",
        "candidates  7 traces (select.correct: prefer)",
        "sampled     3 of 3 prompts with a candidate of each of the 2 teachers (seed 0): 6 traces",
        "lalp        higher is better; mean and 95 % interval on the 3 prompts that all ranked teachers have",
    ]
    for metric, at in (("lalp", 4), ("galp", 9)):
        ranked = teachers.filter(pl.col("metric") == metric, pl.col("rank").is_not_null()).sort("rank")
        expected = [[f"{r['mean']:.4f}", f"[{r['ci_low']:.4f},", f"{r['ci_high']:.4f}]"] for r in ranked.to_dicts()]
        assert [line.split()[1] for line in out[at : at + 2]] == ranked["teacher"].to_list()
        assert [line.split(", rank")[0].split(", 75%")[0].split()[2:] for line in out[at : at + 2]] == expected
        assert f"is above {ranked['teacher'][1]} with probability" in out[at + 3]
    assert out[13] == BASIS
    assert out[14].startswith("window      4: a step sees 100% of the response before it;")
    assert out[16].startswith("whole pool  3 traces more would take about ")
    assert out[16].endswith(" at this speed (score.passes: local and full)")


def test_a_sample_is_found_in_the_cache_by_a_later_run(place: Path, settings, run_cli, student_folder):
    project(place, student_folder("llama"), rows(), score="{seed: 3}", select="{correct: ignore}")
    before = run_cli("rank", "--prompts", 2)
    assert before[0] == 0
    assert before[1][2].endswith("2 of 4 prompts with a candidate of each of the 3 teachers (seed 3): 6 traces")
    again = run_cli("rank", "--prompts", 2)
    assert again[1][:-1] == before[1][:-1]
    assert again[1][-1] == "whole pool  6 traces more; the sample came from the cache, so that no speed was measured"
    whole = run_cli("rank", "--prompts", 4)[1]
    assert whole[-1] == "whole pool  all of it was sampled"
    # The pipeline needs the full pass as well; the local one it finds.
    chosen = params.load()
    local = chosen.score.model_copy(update={"passes": ("local",)})
    ingest(place / "data/sources", place / "stages", chosen.ingest)
    traces = table_files.read(tables.TRACES, place / "stages/traces.parquet")
    table_files.write(tables.STEPS, segment.segment_table(traces, chosen.segment), place / "stages/steps.parquet")
    pool = Pool(
        Prompts(place / "stages/prompts.parquet", set(traces["prompt_id"])),
        place / "stages/traces.parquet",
        place / "stages/steps.parquet",
    )
    with setup.load(chosen.student, local, place / "cache") as scoring:
        score_to_tables(scoring, pool, place / "stages")
    assert scoring.progress.from_cache == 12


def of_teachers(**prompts: range) -> list[Row]:
    """Rows of teachers that answered the prompts of these numbers."""
    return [
        {"prompt": f"Add {i} and 3.", "completion": f"{'So ' * len(name)}it is {i + 3}.", "teacher": name}
        for name, of_teacher in prompts.items()
        for i in of_teacher
    ]


def test_teachers_that_met_nobody_are_incomparable(place: Path, run_cli, student_folder):
    project(place, student_folder("llama"), of_teachers(anna=range(20), ben=range(20), carl=range(50, 62)))
    code, out, err = run_cli("rank")
    assert code == 0, err
    assert out[2:5] == [
        "sampled     20 of 20 prompts with a candidate of each of the 2 teachers (seed 0): 40 traces",
        "left out    carl is incomparable: no other teacher was on any of its 12 prompts",
        "lalp        higher is better; mean and 95 % interval on the 20 prompts that all ranked teachers have",
    ]
    assert sorted(line.split()[1] for line in out[5:7]) == ["anna", "ben"]
    # A file alone is scored as a whole, so that carl has scores and no rank.
    write(place / "pool.jsonl", of_teachers(anna=range(20), ben=range(20), carl=range(50, 62)))
    code, out, _ = run_cli("score", "pool.jsonl", "--student", student_folder("llama"), "--out", "o.parquet")
    assert out.count("               carl not ranked: no other teacher was on any of its 12 prompts") == 2


@pytest.mark.skipif(not SHARED.is_dir(), reason="needs the shared folder with small cases")
def test_the_shared_pool_of_teachers_that_never_met(place: Path, run_cli, student_folder):
    given = SHARED / "cases/pools/disjoint.jsonl"
    code, out, err = run_cli("score", given, "--student", student_folder("llama"), "--out", "o.parquet")
    assert code == 0, err
    assert "               carl not ranked: no other teacher was on any of its 12 prompts" in out
    assert any(line.startswith("             1 ") for line in out) and not any("3 carl" in line for line in out)


def test_a_chain_of_teachers_is_ranked_and_what_rests_on_little_is_said(place: Path, run_cli, student_folder):
    project(place, student_folder("llama"), of_teachers(a=range(12), bb=range(24), ccc=range(12, 24)))
    code, out, err = run_cli("rank")
    assert code == 0, err
    assert out[2] == (
        "sampled     24 of 24 prompts with candidates of at least two of the 3 teachers (seed 0): 48 traces"
    )
    assert out[3].endswith("by the 24 prompts on which at least two of them met")
    assert sorted(line.split()[1] for line in out[4:7]) == ["a", "bb", "ccc"]
    assert [line.split("met others on ")[1] for line in sorted(out[4:7], key=lambda x: x.split()[1])] == [
        *("12 prompts", "24 prompts", "12 prompts")
    ]
    pairs = [line for line in out if "with probability" in line]
    assert len(pairs) == 2 and all("with fewer than 20 nothing is certain" in line for line in pairs)
    assert not any("more than .99" in line for line in pairs)


def test_the_seed_and_the_folder_are_options(place: Path, run_cli, student_folder):
    project(place, student_folder("llama"), rows(), select="{correct: ignore}")
    (place / "data/sources").rename(place / "pool")
    assert run_cli("rank")[2] == [
        "error: there is no folder data/sources; put trace files (*.jsonl, *.ndjson, *.json, *.csv, *.tsv, *.parquet, "
        "*.arrow, text also as .gz, .zst) below it"
    ]
    out = run_cli("rank", "--sources", "pool", "--prompts", 1, "--seed", 7)[1]
    assert "(seed 7): 3 traces" in out[2]
    assert out[4].endswith("(no interval: it rests on 1 prompt), rank 1 to 3")
    assert not any("above" in line for line in out)


def test_rank_says_why_it_cannot(place: Path, run_cli, student_folder, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(setup, "load", lambda *_: pytest.fail("the student was loaded"))
    assert run_cli("rank")[2] == ["error: there is no params.yaml; run stepsift in the repository's root folder"]
    project(place, student_folder("llama"), rows(("anna",)))
    assert run_cli("rank")[2] == [
        "error: there is nothing to rank: only anna has candidates (prompts: anna 4); add traces of another teacher "
        "for the same prompts"
    ]
    code, out, err = run_cli("rank", "--metrics", "length")
    assert (code, out, len(err)) == (1, [], 1)
    assert err[0].startswith("error: --metrics is 'length': 'length' ranks no teachers; known are aslec_casl, ")
    project(place, place / "nowhere", rows())
    assert run_cli("rank")[2][0].startswith("error: student.path is ")


# rank: which prompts


def candidates(prompts_of: dict[str, str]) -> pl.DataFrame:
    """Candidates of teachers on prompts that are single letters."""
    found = [(f"{t}-{p}", p, t) for t, prompts in prompts_of.items() for p in prompts]
    return pl.DataFrame(found, schema=["trace_id", "prompt_id", "teacher"], orient="row")


def test_prompts_that_all_share_come_first_and_then_whoever_has_fewest():
    pool = candidates({"anna": "abcdefgh", "bob": "cdefghij", "carl": "efgh", "dora": "efg"})
    sample = choose(pool, 100, 0)
    assert (sample.teachers, sample.left_out) == (["anna", "bob", "carl", "dora"], {})
    # c to h have two teachers or more; e, f and g all of them, and h all but dora.
    assert (sample.n_comparing, sample.n_common, sample.n_prompts) == (6, 3, 6)
    assert sample.sentence(0) == "6 of 6 prompts with candidates of at least two of the 4 teachers (seed 0): 19 traces"
    three = choose(pool, 3, 0)
    assert set(three.traces["prompt_id"]) == set("efg")
    assert three.sentence(7) == "3 of 3 prompts with a candidate of each of the 4 teachers (seed 7): 12 traces"
    # Level at three each, anna is the first to get one more, then carl, whose only other is h.
    assert "h" in set(choose(pool, 5, 0).traces["prompt_id"]) - set(choose(pool, 4, 0).traces["prompt_id"])
    # Two traces of one teacher are no comparison.
    twice = pl.concat([candidates({"anna": "abc", "bob": "bc"}), candidates({"anna": "a"})])
    assert choose(twice, 100, 0).n_comparing == 2


def test_a_sample_of_a_chain_connects_it_first():
    pool = candidates({"anna": "abcdefghij", "bob": "abcdefghijk", "carl": "kl", "dora": "l"})
    for seed in range(5):
        assert set(choose(pool, 3, seed).traces["prompt_id"]) > {"k", "l"}
        assert choose(pool, 3, seed).teachers == ["anna", "bob", "carl", "dora"]


def test_who_is_left_out_and_why():
    pool = candidates({"anna": "abc", "bob": "bc", "carl": "x", "dora": "yz", "emil": "z"})
    assert choose(pool, 9, 0).left_out == {
        "carl": "no other teacher was on its only prompt",
        "dora": "its 2 prompts connect it with emil alone",
        "emil": "its only prompt connects it with dora alone",
    }


def test_what_cannot_be_compared_is_said():
    with pytest.raises(SelectionError, match=r"nothing to rank: only anna has candidates \(prompts: anna 4\)"):
        choose(candidates({"anna": "abcd"}), 9, 0)
    with pytest.raises(
        SelectionError, match=r"no two teachers have a candidate for the same prompt \(prompts: anna 2, bob 1\)"
    ):
        choose(candidates({"anna": "ab", "bob": "c"}), 9, 0)


@pytest.mark.parametrize("teachers", [{"anna": "abcd"}, {"anna": "ab", "bob": "c"}])
def test_to_ignore_verdicts_is_proposed_only_if_one_dropped_a_trace(teachers: dict[str, str]):
    with pytest.raises(SelectionError, match=r"(\)|compared); set select.correct to ignore, (or )?add traces of"):
        choose(candidates(teachers), 9, 0, n_dropped=1)
    with pytest.raises(SelectionError, match=r"(\)|compared); add traces of") as kept:
        choose(candidates(teachers), 9, 0)
    assert "select.correct" not in str(kept.value)


@given(
    st.dictionaries(st.sampled_from(["anna", "bob", "carl"]), st.text("abcdefghij", min_size=2), min_size=2),
    st.integers(1, 12),
    st.integers(0, 3),
    st.randoms(),
)
def test_a_sample_compares_and_grows(prompts_of: dict[str, str], n: int, seed: int, order):
    pool = candidates({t: "".join(sorted(set(p))) for t, p in prompts_of.items()})
    try:
        sample = choose(pool, n, seed)
    except SelectionError:
        return
    by_prompt = sample.traces.group_by("prompt_id").agg(pl.col("teacher").n_unique())["teacher"]
    assert by_prompt.min() >= 2 and len(by_prompt) == sample.n_prompts == min(n, sample.n_comparing)
    common = set.intersection(*(set(prompts_of[t]) for t in sample.teachers))
    assert sample.n_common == len(common)
    if n <= len(common):
        assert set(sample.traces["prompt_id"]) == sample_prompts(common, n, seed)
    mixed = list(range(pool.height))
    order.shuffle(mixed)
    assert set(choose(pool[mixed], n, seed).traces["trace_id"]) == set(sample.traces["trace_id"])
    assert set(sample.traces["trace_id"]) <= set(choose(pool, n + 1, seed).traces["trace_id"])
    if n >= len(sample.teachers):
        assert set(sample.traces["teacher"]) == set(sample.teachers)


def test_the_cost_of_the_rest_is_that_of_the_sample_where_both_are_the_same(
    place: Path, settings, monkeypatch: pytest.MonkeyPatch
):
    write(place / "sources/a.jsonl", rows())
    chosen = settings()
    found = work.read(place / "sources", place / "work", chosen.ingest)
    both, local = ["lalp", "galp"], ["lalp"]
    scored = work.score(found, found.traces, chosen, both, place / "cache")
    assert seconds_left(found, scored, found.traces, chosen) == pytest.approx(scored.seconds)
    # What the sample did without is counted all the same, and what the cache had is no speed.
    alone = work.score(found, found.traces, chosen, local, place / "elsewhere")
    share = alone.flops / scored.flops
    assert 0.1 < share < 0.9
    assert seconds_left(found, alone, found.traces, chosen) == pytest.approx(alone.seconds / share)
    half = found.traces.filter(pl.col("teacher") == "bob")
    part = work.score(found, half, chosen, both, place / "third")
    assert seconds_left(found, scored, half, chosen) == pytest.approx(scored.seconds * part.flops / scored.flops)
    rest = work.score(found, found.traces, chosen, both, place / "third")
    assert (part.from_cache, rest.from_cache) == (0, 4)
    assert part.flops + rest.flops == pytest.approx(scored.flops)
    assert seconds_left(found, rest, half, chosen) == pytest.approx(rest.seconds * part.flops / rest.flops)
    cached = work.score(found, found.traces, chosen, both, place / "cache")
    assert seconds_left(found, cached, found.traces, chosen) is None
    # All of bob's are about alike, so that two of them stand for four.
    whole = seconds_left(found, scored, half, chosen)
    monkeypatch.setattr("stepsift.commands.estimate.PLANNED_TRACES", 2)
    assert seconds_left(found, scored, half, chosen) == pytest.approx(whole, rel=0.2)


# names and lines


def test_names_of_metrics():
    assert arguments.metric_names("galp, lalp,galp") == ["galp", "lalp"]
    of_one = [name for name, metric in all_metrics().items() if not metric.of_two_models]
    assert arguments.metric_names(",".join(of_one)) == of_one
    with pytest.raises(ParamsError, match=r"'teacher_steps' compares the student with a second model, which the"):
        arguments.metric_names("lalp,teacher_steps")
    with pytest.raises(
        ParamsError, match=r"'lalp_tok' is no metric, did you mean lalp_token or lalp.*; known are aslec_casl,"
    ):
        arguments.metric_names("lalp,lalp_tok")
    for name in ("random", "length", "lark_g", "shortest"):
        with pytest.raises(ParamsError, match=f"'{name}' ranks no teachers; known are aslec_casl"):
            arguments.metric_names(name, ranking=True)
    assert [passes_of(n) for n in (["lalp"], ["galp"], ["galp", "lalp"], ["length"])] == [
        ("local",),
        ("full",),
        ("local", "full"),
        ("local",),
    ]


def ranking(metric: str, *of: tuple[str, int, int, float | None, float | None, int | None, float | None], **more):
    """Table teachers of one metric: name, n_prompts, n_compared, mean, half of the interval, rank, p_above_next; `more`
    are whole columns."""
    names = ("teacher", "n_prompts", "n_compared", "mean", "half", "rank", "p_above_next")
    ranked = pl.col("rank").is_not_null()
    frame = pl.DataFrame(of, schema=names, orient="row").with_columns(
        *(pl.lit(value).alias(name) for name, value in {"metric": metric, "domain": "all", "share_kept": 1.0}.items()),
        n_traces="n_prompts",
        n_met="n_compared",
        component=pl.when(pl.col("mean").is_not_null()).then(1).otherwise(2),
        ci_low=pl.col("mean") - pl.col("half"),
        ci_high=pl.col("mean") + pl.col("half"),
        rank_low="rank",
        rank_high="rank",
        n_with_next=pl.when(ranked).then("n_compared"),
        worth_next=pl.when(ranked).then("n_compared"),
        settled_after=pl.when(ranked).then(7),
    )
    frame = frame.with_columns(pl.Series(name, values) for name, values in more.items())
    return frame.select(pl.col(c).cast(t) for c, t in tables.TEACHERS.schema.items())


def test_a_ranking_in_lines():
    teachers = ranking(
        "lalp",
        ("anna", 40, 30, -1.5, 0.25, 2, 0.97),
        ("bob", 35, 30, -1.0, 0.5, 1, 0.61),
        ("carla", 30, 30, -2.0, 0.125, 3, 0.9951),
        ("dora", 1, 30, None, None, None, None),
        ("emil", 30, 30, -3.0, 0.125, 4, None),
        n_traces=[40, 35, 120, 1, 30],
        n_met=[30, 30, 30, 0, 30],
        share_kept=[1.0, 1.0, 0.25, 1.0, 1.0],
        rank_low=[1, 1, 3, None, 4],
        rank_high=[2, 2, 3, None, 4],
    )
    other = teachers.with_columns(domain=pl.lit("maths"), mean=pl.lit(-9.0))
    assert lines.lines_by_metric(pl.concat([teachers, other]), "lalp") == [
        "lalp        higher is better; mean and 95 % interval on the 30 prompts that all ranked teachers have",
        "             1 bob      -1.0000 [-1.5000, -0.5000], rank 1 to 2",
        "             2 anna     -1.5000 [-1.7500, -1.2500], rank 1 to 2",
        "             3 carla    -2.0000 [-2.1250, -1.8750], 25% of 120 traces kept",
        "             4 emil     -3.0000 [-3.1250, -2.8750]",
        "               dora  not ranked: no other teacher was on its only prompt",
        "            the order no longer changed after 7 prompts (median of 20 orders)",
        "            bob and anna are not distinguishable: bob is above anna with probability .61",
        "            anna is above carla with probability .97",
        "            carla is above emil with probability more than .99",
    ]


def test_a_long_name_makes_no_other_line_long():
    teachers = ranking("lalp", ("x" * 10_000, 30, 30, -1.0, 0.5, 1, 0.99), ("bob", 30, 30, -2.0, 0.5, 2, None))
    first, second = lines.lines_by_metric(teachers, "lalp")[1:3]
    assert "x" * 10_000 in first and second.startswith("             2 bob ") and len(second) < 120


def test_a_ranking_where_not_everybody_answered_everything():
    teachers = ranking(
        "lalp",
        ("anna", 60, 90, -1.5, 0.25, 1, 0.95),
        ("bob", 90, 90, -2.0, 0.5, 2, 0.99),
        ("carla", 30, 90, -3.0, 0.125, 3, None),
        ("dora", 4, 90, None, None, None, None),
        ("emil", 6, 90, None, None, None, None),
        n_met=[60, 90, 30, 2, 2],
        n_with_next=[0, 30, None, None, None],
        worth_next=[15.2, 31.0, None, None, None],
    )
    assert lines.lines_by_metric(teachers, "lalp") == [
        "lalp        higher is better; mean, had all answered all, and 95 % interval, by the 90 prompts on which at "
        "least two of them met",
        "             1 anna     -1.5000 [-1.7500, -1.2500], met others on 60 prompts",
        "             2 bob      -2.0000 [-2.5000, -1.5000], met others on 90 prompts",
        "             3 carla    -3.0000 [-3.1250, -2.8750], met others on 30 prompts",
        "               dora  not ranked: its 4 prompts connect it with emil alone",
        "               emil  not ranked: its 6 prompts connect it with dora alone",
        "            the order no longer changed after 7 prompts (median of 20 orders)",
        "            anna and bob are not distinguishable: anna is above bob with probability .95 (they met on 0 "
        "prompts; through others it is worth 15: with fewer than 20 nothing is certain)",
        "            bob is above carla with probability .99 (they met on 30 prompts; through others it is worth 31)",
    ]


def test_a_name_with_a_line_feed_makes_no_line_of_its_own():
    teachers = ranking("lalp", ("a\n 1 b", 25, 25, -1.0, 0.5, 1, 0.5), ("c", 25, 25, -2.0, 0.5, 2, None))
    said = lines.lines_by_metric(teachers, "lalp")
    assert said[1].startswith("             1 a⟨U+000A⟩ 1 b")
    assert not any("\n" in line for line in said)


def test_rankings_that_compare_nothing():
    one = ranking(
        *("lalp", ("anna", 1, 1, -1.0, None, 1, None), ("bob", 1, 1, -2.0, None, 2, None)),
        **{"rank_low": [1, 1], "rank_high": [2, 2], "settled_after": [1, 1]},
    )
    assert lines.lines_by_metric(one, "lalp") == [
        "lalp        higher is better; mean and 95 % interval on the 1 prompt that all ranked teachers have",
        "             1 anna    -1.0000 (no interval: it rests on 1 prompt), rank 1 to 2",
        "             2 bob     -2.0000 (no interval: it rests on 1 prompt), rank 1 to 2",
        "            the order no longer changed after 1 prompt (median of 20 orders)",
    ]
    alone = ranking("lalp", ("anna", 1, 0, -1.0, None, 1, None), rank_low=[1], rank_high=[1], settled_after=[1])
    assert not [line for line in lines.lines_by_metric(alone, "lalp") if "order" in line]
    apart = ranking("lalp", ("anna", 2, 0, None, None, None, None), ("bob", 3, 0, None, None, None, None))
    assert lines.lines_by_metric(apart, "lalp") == [
        "lalp        no two teachers have a score on the same prompt, so nothing can be compared (prompts: anna 2, "
        "bob 3)"
    ]
    assert lines.lines_by_metric(one, "galp") == [
        "galp        no trace has a score: the full pass was not possible for any"
    ]
    for name in ("random", "lark_g", "longest"):
        assert lines.lines_by_metric(one, name) == [f"{name:11} it ranks no teachers"]
    length = ranking("length", ("anna", 2, 2, 9.0, 1.0, None, None), ("bob", 2, 2, 11.0, 1.0, None, None))
    assert lines.lines_by_metric(length, "length") == [
        "length      no direction, so no ranks; mean and 95 % interval on the 2 prompts that all ranked teachers have",
        "             - anna     9.0000 [8.0000, 10.0000]",
        "             - bob     11.0000 [10.0000, 12.0000]",
    ]


@pytest.mark.parametrize(
    ("p", "n_met", "worth", "said"),
    [
        (0.5, 30, 30, "a and b are not distinguishable: a is above b with probability .50"),
        (0.949, 30, 30, "a and b are not distinguishable: a is above b with probability .95"),
        (0.95, 30, 30, "a is above b with probability .95"),
        (0.994, 30, 30, "a is above b with probability .99"),
        (0.995, 30, 30, "a is above b with probability more than .99"),
        (1.0, 20, 20, "a is above b with probability more than .99"),
        (
            *(0.95, 3, 3),
            "a and b are not distinguishable: a is above b with probability .95 (they met on 3 prompts: with fewer "
            "than 20 nothing is certain)",
        ),
        (
            *(0.6, 1, 40.4),
            "a and b are not distinguishable: a is above b with probability .60 (they met on 1 prompt; through others "
            "it is worth 40)",
        ),
    ],
)
def test_probabilities_in_words(p: float, n_met: int, worth: float, said: str):
    assert lines.comparison("a", "b", p, n_met, worth) == said


def test_a_student_that_is_not_there_comes_before_the_file_is_read(place: Path, monkeypatch: pytest.MonkeyPatch):
    file = write(place / "a.jsonl", rows())
    monkeypatch.setattr(work, "read", lambda *_: pytest.fail("the file was read"))
    with pytest.raises(StudentError, match="nowhere"):
        score_file(file, place / "o.parquet", params.parse({"student": {"path": "nowhere"}}), ["lalp"], place / "cache")
