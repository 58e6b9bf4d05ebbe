"""Sources to tables: what is kept, what is rejected and why, and that every row is accounted for."""

import gzip
import json
import os
import random
from collections.abc import Mapping, Sequence
from pathlib import Path

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from stepsift.core import table_files, tables
from stepsift.core.errors import SourceError
from stepsift.ingest.candidate import build_candidate, origin_of
from stepsift.ingest.files.find import SourceFile
from stepsift.ingest.record import Record
from stepsift.ingest.rows import REASONS, RowError
from stepsift.ingest.run import SAMPLE_TRACES, IngestCounts, ingest, survey
from stepsift.params import FileRule, Ingest, Rule

Sources = Mapping[str, Sequence[dict | bytes]]

TABLES = (tables.PROMPTS, tables.TRACES, tables.REJECTED)


@pytest.fixture
def shared_data() -> Path:
    """Real traces that lie beside the repository on some machines."""
    folder = Path(__file__).parents[3] / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("no folder ../shared/data with real traces beside the repository")
    return folder


def row(prompt="2 + 2?", response: object = "It is 4.", teacher="A", answer: str | None = "4", **more) -> dict:
    return {"prompt": prompt, "response": response, "teacher": teacher, "answer": answer, **more}


def write(folder: Path, files: Sources) -> Path:
    for name, rows in files.items():
        lines = [r if isinstance(r, bytes) else json.dumps(r).encode() for r in rows]
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"\n".join(lines))
    return folder


def run(tmp_path: Path, sources: Sources, **params):
    """(counts, prompts, traces, rejected) of sources with these files."""
    counts = ingest(write(tmp_path / "sources", sources), tmp_path / "out", Ingest(**params))
    assert [p.name for p in tmp_path.iterdir() if p.name.startswith(".")] == []
    check(counts)
    return counts, *(table_files.read(t, tmp_path / "out" / f"{t.name}.parquet") for t in TABLES)


def check(counts: IngestCounts) -> None:
    """read = kept + rejected, everywhere."""
    for tallies in ([counts.total], counts.by_file.values(), counts.by_teacher.values()):
        for tally in tallies:
            assert tally.read == tally.kept + tally.rejected
            assert tally.rejected == sum(tally.reasons.values())
            assert set(tally.reasons) <= set(REASONS)
        assert sum(t.read for t in tallies) == counts.total.read
        assert sum(t.kept for t in tallies) == counts.total.kept


def reasons(rejected: pl.DataFrame) -> list[tuple]:
    return rejected.select("source", "source_line", "reason").rows()


@pytest.mark.slow
def test_tables_by_hand(tmp_path):
    files = {
        "pool.jsonl": [
            row(correct=True, domain="math"),
            row(teacher="B", response="<think>hm</think>5", correct=True),
            row("Where?", "In Rome.", answer=None),
        ],
        "sub/Teacher-C.jsonl": [{"prompt": " 2  + 2? ", "response": "4"}],
    }
    counts, prompts, traces, rejected = run(tmp_path, files)
    assert rejected.is_empty()
    assert counts.prompts == 2
    by_text = {p["prompt"][0]["content"]: p for p in prompts.to_dicts()}
    assert (by_text["2 + 2?"]["answer"], by_text["2 + 2?"]["answer_kind"], by_text["2 + 2?"]["domain"]) == (
        "4",
        "math",
        "math",
    )
    assert by_text["Where?"]["answer_kind"] == "none"
    columns = ("teacher", "response", "verdict", "label", "source", "source_line")
    assert sorted(traces.select(columns).rows(), key=str) == [
        ("A", "In Rome.", "unchecked", None, "pool.jsonl", 3),
        ("A", "It is 4.", "correct", True, "pool.jsonl", 1),
        ("B", "<think>\nhm\n</think>\n\n5", "wrong", True, "pool.jsonl", 2),
        ("Teacher-C", "4", "correct", None, "sub/Teacher-C.jsonl", 1),
    ]
    assert counts.verdicts["A"] == {"correct": 1, "wrong": 0, "timeout": 0, "unparsed": 0, "unchecked": 1}
    labels = counts.labels
    assert (labels.agree, labels.disagree, labels.wrong_but_labelled_true) == (1, 1, 1)
    assert (counts.gold["math"].prompts, counts.gold["math"].share) == (1, 1.0)
    assert (counts.candidates.min, counts.candidates.median, counts.candidates.max) == (1, 2, 3)
    assert json.loads(json.dumps(counts.as_dict()))["total"]["kept"] == 4


@pytest.mark.slow
def test_one_row_for_each_reason(tmp_path):
    bad = {
        "broken_json": b'{"prompt": ',
        "not_utf8": b'{"prompt": "\xff"}',
        "nul_byte": json.dumps(row(response="a\0b")).encode(),
        "lone_surrogate": b'{"prompt": "p", "response": "a \\ud800 b"}',
        "too_deep": b"[" * 100_000,
        "huge_number": b'{"a": ' + b"1" * 5_000 + b"}",
        "not_an_object": b"[1]",
        "line_too_long": json.dumps(row(response="x" * 200_000)).encode(),
        "unknown_layout": b'{"a": 1}',
        "missing_field": b'{"messages": [{"role": "user", "content": "p"}]}',
        "empty_field": json.dumps(row(response=" ")).encode(),
        "wrong_type": json.dumps(row(response={"a": 1})).encode(),
        "wrong_value": json.dumps(row(answer_kind="poem")).encode(),
        "duplicate_trace": json.dumps(row()).encode(),
    }
    counts, _, traces, rejected = run(tmp_path, {"a.jsonl": [row(), *bad.values()]}, max_line_bytes=150_000)
    assert traces.height == 1
    assert reasons(rejected) == [("a.jsonl", i, reason) for i, reason in enumerate(bad, start=2)]
    assert counts.total.reasons == dict.fromkeys(sorted(bad), 1)
    assert all(len(d) <= 200 and d.isprintable() for d in rejected["detail"])
    by_reason = {r["reason"]: r for r in rejected.to_dicts()}
    assert by_reason["duplicate_trace"]["trace_id"] == traces["trace_id"][0]
    assert by_reason["duplicate_trace"]["detail"] == "same prompt, teacher and text as row 1 of a.jsonl"
    assert (by_reason["empty_field"]["teacher"], by_reason["broken_json"]["teacher"]) == ("A", None)


@pytest.mark.slow
@pytest.mark.parametrize("field", ["prompt", "teacher", "prompt_id", "answer", "domain", "tests", "reasoning"])
def test_no_text_may_hold_half_a_surrogate_pair(tmp_path, field):
    _, _, traces, rejected = run(tmp_path, {"a.jsonl": [row(), row(**{field: "a \ud800"})]})
    assert traces.height == 1
    assert reasons(rejected) == [("a.jsonl", 2, "lone_surrogate")]


def test_a_broken_gzip_keeps_what_came_before(tmp_path):
    rows = [row(f"{i} + {random.Random(i).random()}?", answer=None) for i in range(3_000)]
    data = gzip.compress("\n".join(map(json.dumps, rows)).encode())
    write(tmp_path / "sources", {"a.jsonl.gz": [data[: len(data) // 2]]})
    counts = ingest(tmp_path / "sources", tmp_path / "out", Ingest())
    check(counts)
    assert counts.total.kept > 500
    assert counts.total.reasons == {"corrupt_gzip": 1}


@pytest.mark.slow
def test_generations_count_one_by_one(tmp_path):
    generations = {"problem": "2 + 2?", "generations": ["4", 5, "It is 4.", "4"], "answer": "4", "model": "R1"}
    counts, _, traces, rejected = run(tmp_path, {"a.jsonl": [generations]})
    assert (counts.total.read, traces.height) == (4, 2)
    assert counts.total.reasons == {"duplicate_trace": 1, "wrong_type": 1}
    assert rejected["teacher"].to_list() == ["R1", "R1"]


@pytest.mark.slow
def test_one_of_several_gold_answers_is_enough(tmp_path):
    answers = ["4", "four", "IV"]
    said = {"A": r"\boxed{4}", "B": "Four", "C": "iv", "D": r"\boxed{5}", "E": "five"}
    rows = [row(teacher=teacher, response=text, answer=answers) for teacher, text in said.items()]
    counts, prompts, traces, _ = run(tmp_path, {"a.jsonl": rows})
    verdicts = dict(traces.select("teacher", "verdict").rows())
    assert [verdicts[teacher] for teacher in "ABC"] == ["correct"] * 3
    assert not {verdicts["D"], verdicts["E"]} & {"correct", "unchecked"}
    assert prompts["answer"].to_list() == ["4\n-- or --\nfour\n-- or --\nIV"]
    assert counts.gold["math"].share == 1.0


@pytest.mark.slow
def test_what_a_teacher_answered_is_no_gold_answer(tmp_path):
    """The conversation ends with the question, and a column called answer holds what the model `model` answered."""
    rows = [
        {
            "messages": [{"role": "user", "content": f"How many are {i} and {i}?"}],
            "reasoning": f"Twice {i} it is.",
            "answer": r"So it is \boxed{77}.",
            "model": "M",
        }
        for i in range(4)
    ]
    for number, settings_ in enumerate(
        [{}, {"files": [FileRule(match="**", fields={"prompt": "messages", "response": "answer"})]}]
    ):
        counts, _, traces, _ = run(tmp_path / str(number), {"a.jsonl": rows}, **settings_)
        assert counts.verdicts["M"]["unchecked"] == 4
        assert traces["response"][0].startswith("<think>\nTwice")


@pytest.mark.slow
def test_thinking_dropped(tmp_path):
    rows = [row(response="<think>hm</think>It is 4."), row(response="<think>hm"), row(response="<think>a</think>")]
    _, _, traces, rejected = run(tmp_path, {"a.jsonl": rows}, thinking="drop")
    assert traces["response"].to_list() == ["It is 4."]
    assert [r for *_, r in reasons(rejected)] == ["unfinished_thinking", "empty_field"]


CUT = "Okay, 2 and 2 are <b>four"


@pytest.mark.parametrize(
    ("response", "one_form"),
    [
        (CUT, f"<think>\n{CUT}"),
        ("Okay, 2 and 2.\n</think>\n\nIt is 4.", "<think>\nOkay, 2 and 2.\n</think>\n\nIt is 4."),
        ("[THINK]Four.[/THINK]It is 4.", "<think>\nFour.\n</think>\n\nIt is 4."),
        ("<think>\n\n</think>\n\nIt is 4.", "It is 4."),
        ("<think>Okay", "<think>\nOkay"),
    ],
)
def test_a_response_whose_prompt_opened_the_reasoning_was_cut_off_without_its_end(response, one_form):
    record = Record([{"role": "user", "content": "2 + 2?"}], response)
    file, rule = SourceFile(Path("a.jsonl"), "a.jsonl", ".jsonl"), Rule(prompt_opens_thinking=True)
    assert build_candidate(record, origin_of(file, rule, Ingest())).response == one_form
    if response == CUT:
        assert build_candidate(record, origin_of(file, Rule(), Ingest())).response == CUT
        with pytest.raises(RowError, match="unfinished_thinking"):
            build_candidate(record, origin_of(file, rule, Ingest(thinking="drop")))


@pytest.mark.slow
def test_duplicates_kept_under_their_own_ids(tmp_path):
    _, _, dropped, _ = run(tmp_path / "1", {"a.jsonl": [row(), row(), row()]})
    counts, _, kept, rejected = run(tmp_path / "2", {"a.jsonl": [row(), row(), row()]}, duplicates="keep")
    assert rejected.is_empty()
    assert kept["trace_id"].n_unique() == counts.total.kept == 3
    assert dropped["trace_id"][0] in kept["trace_id"].to_list()
    assert kept["content_hash"].n_unique() == 1


@pytest.mark.slow
def test_the_first_duplicate_by_source_and_line_stays(tmp_path):
    _, _, traces, _ = run(tmp_path, {"b.jsonl": [row(), row("other?")], "a.jsonl": [row("more?"), row()]})
    assert traces.filter(pl.col("source") == "a.jsonl")["source_line"].sort().to_list() == [1, 2]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("how", "kept", "verdicts", "answers"),
    [
        ("unchecked", 6, {"unchecked": 3, "correct": 3}, [None, "1 2"]),
        ("first", 6, {"correct": 6}, ["1 2", "4"]),
        ("reject", 3, {"correct": 3}, ["1 2"]),
    ],
)
def test_gold_answers_that_really_differ(tmp_path, caplog, how, kept, verdicts, answers):
    rows = [row(answer="4"), row(teacher="B", answer="5"), row(teacher="C", answer=None)]
    rows += [row("x?", "1 2", t, a) for t, a in (("A", "1  2"), ("B", "1 2"), ("C", None))]
    counts, prompts, traces, _ = run(tmp_path, {"a.jsonl": rows}, gold_conflicts=how)
    assert counts.total.reasons == ({} if how != "reject" else {"answer_conflict": 3})
    assert sorted(prompts["answer"].to_list(), key=str) == sorted(answers, key=str)
    assert traces.height == kept
    assert dict(traces["verdict"].value_counts().iter_rows()) == verdicts
    table = table_files.read(tables.GOLD_CONFLICTS, tmp_path / "out" / tables.GOLD_CONFLICTS.file)
    assert table.select("answer", "source", "source_line", "traces").rows() == [
        ("4", "a.jsonl", 1, 1),
        ("5", "a.jsonl", 2, 1),
    ]
    assert counts.gold_conflicts == 1
    assert "'4' in a.jsonl (row 1), '5' in a.jsonl (row 2)" in caplog.text


@pytest.mark.slow
def test_gold_answers_are_compared_by_the_verifier(tmp_path):
    golds = ["x=23", "23", "$23$", "23.0", "\\boxed{23}", None]
    rows = [row(response="#### 23", teacher=f"T{i}", answer=a) for i, a in enumerate(golds)]
    rows += [row("y?", "\\boxed{0.5}", f"T{i}", a) for i, a in enumerate(["\\frac{1}{2}", "0.5", "50\\%"])]
    counts, _, traces, _ = run(tmp_path, {"a.jsonl": rows})
    assert counts.gold_conflicts == 0
    assert set(traces["verdict"]) == {"correct"}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("how", "verdicts"),
    [
        ("compare", ["unchecked", "unchecked", "correct", "wrong"]),
        ("fallback", ["correct", "wrong", "correct", "wrong"]),
        ("trust", ["correct", "wrong", "wrong", "correct"]),
    ],
)
def test_labels_of_the_source_decide_where_params_say_so(tmp_path, how, verdicts):
    rows = [
        row("a?", "x", "A", None, correct="Yes"),
        row("b?", "x", "A", None, correct=0),
        row("c?", "It is 4.", "A", "4", correct="no"),
        row("d?", "It is 5.", "A", "4", correct=1.0),
    ]
    counts, _, traces, _ = run(tmp_path, {"a.jsonl": rows}, labels=how)
    assert traces.sort("source_line")["verdict"].to_list() == verdicts
    # What is compared stays our own verdict.
    assert (counts.labels.disagree, counts.labels.undecided) == (2, 2)


@pytest.mark.slow
def test_a_teacher_whose_answers_are_not_found_is_named(tmp_path, caplog):
    rows = [row(f"{i}?", f"It is {i + 50} and never {i} as some say.", "odd", str(i)) for i in range(10, 16)]
    rows += [row(f"{i}?", f"The answer is {i}.", "plain", str(i)) for i in range(10, 16)]
    rows += [row(f"{i}?", "The answer is 7.", "wrong", str(i)) for i in range(10, 16)]
    counts, *_ = run(tmp_path, {"a.jsonl": rows})
    odd = counts.answers["odd"]["a.jsonl"]
    assert (odd.checked, odd.wrong, odd.suspect) == (6, 6, 6)
    assert "row 1 of a.jsonl: 'It is 60 and never 10 as some say.'" in odd.example
    told = [r.getMessage() for r in caplog.records]
    assert [t.split(":")[0] for t in told] == ["teacher odd", "teacher wrong"]
    assert "6 of 6 compared answers (100.0%) were not found right" in told[0]
    warnings = survey(tmp_path / "sources", Ingest()).warnings
    assert [w.split(":")[0] for w in warnings if w.startswith("teacher")] == ["teacher odd", "teacher wrong"]


@pytest.mark.slow
def test_a_solution_in_words_as_gold_leaves_its_traces_unchecked(tmp_path, caplog):
    words = "Both sides of it are squared first. Then the terms are collected. All of them vanish."
    value = "Both sides of it are squared first. Then the terms are collected. So the number is 4."
    golds = {"a?": words, "b?": value, "c?": "4"}
    rows = [row(prompt, "The answer is 4.", teacher, gold) for prompt, gold in golds.items() for teacher in "AB"]
    counts, prompts, *_ = run(tmp_path, {"a.jsonl": rows, "b.jsonl": [row("a?", "No.", "C", words)]})
    assert dict(prompts.select("answer", "answer_kind").rows()) == {
        words: "none",
        value: "math",
        "4": "math",
    }
    assert [(t, v["correct"], v["unchecked"]) for t, v in counts.verdicts.items()] == [
        ("A", 2, 1),
        ("B", 2, 1),
        ("C", 0, 1),
    ]
    told = [r.getMessage() for r in caplog.records]
    assert len(told) == 2
    assert told[0].startswith("a.jsonl: the gold answer of 2 traces is a whole solution in words")
    assert told[1].startswith("b.jsonl: the gold answer of 1 trace is a whole solution in words")
    assert all(words in line and "Map fields.answer" in line for line in told)
    warnings = survey(tmp_path / "sources", Ingest()).warnings
    assert [w for w in warnings if "whole solution" in w] == told
    assert not any(w.startswith("teacher") for w in warnings)
    exact = ingest(tmp_path / "sources", tmp_path / "exact", Ingest(answer_kind="exact"))
    assert exact.verdicts["A"]["unchecked"] == 0


@pytest.mark.slow
def test_verdicts_ahead_are_those_of_later(tmp_path, monkeypatch):
    def of(name: str) -> dict[str, bytes]:
        rows = [row(f"{i % 40}?", f"It is {i % 7}.", f"T{i}", str(i % 5)) for i in range(200)]
        # Spelled differently, really different, of a given kind, and with tests: not what their rows say counts.
        rows += [row(f"{i % 40}?", f"It is {i % 5}", "s", f"{i % 5}.0") for i in range(40)]
        rows += [row("7?", "It is 2.", "d", "99"), row("k?", "It is 4.", "k", "4", answer_kind="exact")]
        rows += [row("t?", "It is 4.", "t", "4"), row("t?", "It is 4", "u", "4", tests="assert True")]
        run(tmp_path / name, {"a.jsonl": rows})
        return {p.name: p.read_bytes() for p in sorted((tmp_path / name / "out").iterdir())}

    outputs = [of("whole")]
    monkeypatch.setattr("stepsift.ingest.verifiers.PIECE_AHEAD", 3)
    outputs.append(of("pieces"))
    monkeypatch.setattr("stepsift.ingest.verifiers.VerdictsAhead.offer", lambda ahead, candidate: None)
    outputs.append(of("later"))
    assert outputs[0] == outputs[1] == outputs[2]


@pytest.mark.slow
def test_any_number_of_workers_gives_the_same_bytes(tmp_path):
    rows = [row(f"{i % 90}?", f"It is {i % 7}.", f"T{i}", str(i % 5)) for i in range(400)]
    outputs = []
    for workers in (1, 3):
        run(tmp_path / str(workers), {"a.jsonl": rows}, workers=workers)
        out = tmp_path / str(workers) / "out"
        outputs.append({p.name: p.read_bytes() for p in sorted(out.iterdir())})
    assert outputs[0] == outputs[1]


@pytest.mark.slow
@pytest.mark.parametrize("order", [1, -1])
def test_spellings_of_a_gold_answer_are_no_conflict(tmp_path, order):
    spellings = ["18.0", "$18", "18", "9+9\n#### 18"]
    rows = [row(teacher=f"T{i}", response="18", answer=a) for i, a in enumerate(spellings)]
    rows += [row("x?", teacher=t, answer=a) for t, a in (("A", "b"), ("B", "B"))]
    rows += [row("y?", teacher=t, answer=a) for t, a in (("A", "18"), ("B", "19"))]
    counts, prompts, traces, _ = run(tmp_path, {"a.jsonl": rows[::order]})
    assert counts.gold_conflicts == 1
    assert sorted(prompts["answer"].drop_nulls()) == ["18", "B"]
    assert traces.height == 8


@pytest.mark.slow
def test_an_id_of_different_texts_joins_nothing_and_loses_nothing(tmp_path):
    rows = [
        row(f"{p}?", teacher=t, prompt_id="1") for p, t in [("abc", "A"), ("xyz", "B"), (" abc", "C"), ("uvw", "D")]
    ]
    counts, prompts, traces, rejected = run(tmp_path, {"a.jsonl": rows})
    assert (rejected.height, counts.torn_ids, prompts.height) == (0, 1, 3)
    by_teacher = dict(traces.select("teacher", "prompt_id").rows())
    assert by_teacher["A"] == by_teacher["C"] != by_teacher["B"]
    assert "1" not in by_teacher.values()


@pytest.mark.slow
@pytest.mark.parametrize(("n", "prompts_of_ids"), [(100, 100), (101, 102)])
def test_an_id_of_many_different_texts_does_not_join_wordings_either(tmp_path, n, prompts_of_ids):
    rows = [row(f"{k:04}?", teacher="A", prompt_id="1") for k in range(n)]
    rows.append(row("Be brief: 0000?", teacher="B", prompt_id="1"))
    counts, prompts, _, rejected = run(tmp_path, {"a.jsonl": rows}, answer_kind="none")
    assert (rejected.height, counts.torn_ids, prompts.height) == (0, 1, prompts_of_ids)


@pytest.mark.slow
def test_ids_join_where_both_sides_have_them_else_texts_do(tmp_path):
    """A: two wordings under one id; B: no id; C: an id of its own kind; D: alone."""
    rows = [
        row("2 + 2?", teacher="A", prompt_id="m-7"),
        row("Be exact. 2 + 2?", teacher="A2", prompt_id="m-7"),
        row("2 + 2?", teacher="B"),
        row("2  + 2?", teacher="C", prompt_id="z-uuid"),
        row("3 + 3?", teacher="D", prompt_id="m-8"),
        row("4 + 4?", teacher="E"),
    ]
    counts, prompts, traces, _ = run(tmp_path, {"a.jsonl": rows})
    by_teacher = dict(traces.select("teacher", "prompt_id").rows())
    assert [by_teacher[t] for t in ("A", "A2", "B", "C", "D")] == ["m-7"] * 4 + ["m-8"]
    assert (prompts.height, counts.candidates.max) == (3, 4)
    assert traces["trace_id"].n_unique() == 6
    wording = prompts.filter(pl.col("prompt_id") == "m-7")["prompt"][0][0]["content"]
    assert wording == "2 + 2?"
    assert survey(tmp_path / "sources", Ingest()).sample[0].trace_id == traces["trace_id"][0]


@pytest.mark.slow
def test_chains_of_ids_and_texts_are_one_prompt(tmp_path):
    """a -id 1- b -text- c -id 2- d: whatever the order."""
    rows = [
        row("Take 5. What is left of it?", teacher="A", prompt_id="1"),
        row("Q: Take 5. What is left of it?", teacher="B", prompt_id="1"),
        row("Q: Take 5. What is left of it?", teacher="C", prompt_id="2"),
        row("Q: Take 5. What is left of it? Be brief.", teacher="D", prompt_id="2"),
    ]
    for order in (rows, rows[::-1]):
        _, prompts, *_ = run(tmp_path / order[0]["teacher"], {"a.jsonl": order})
        assert prompts["prompt_id"].to_list() == ["1"]


@pytest.mark.slow
def test_the_shortest_wording_stands_for_a_prompt(tmp_path):
    suffix = " Put your answer in \\boxed{}."
    rows = [row("2 + 2?" + suffix), row(teacher="B"), row("2 + 2?" + suffix, teacher="C")]
    _, prompts, traces, _ = run(tmp_path, {"a.jsonl": rows}, strip_suffixes=(suffix,))
    assert [m["content"] for m in prompts["prompt"][0]] == ["2 + 2?"]
    assert traces.height == 3


@pytest.mark.slow
def test_a_file_whose_name_is_not_utf8_is_a_source_as_any_other(tmp_path):
    counts, _, traces, _ = run(tmp_path, {os.fsdecode(b"caf\xe9.jsonl"): [row()]})
    assert list(counts.by_file) == ["caf\\xe9.jsonl"] and traces.height == 1
    sources = json.loads((tmp_path / "out/sources.json").read_text())
    assert sources["caf\\xe9.jsonl"]["bytes"] == len(json.dumps(row()))


@pytest.mark.slow
def test_rules_for_files(tmp_path):
    files = {
        "r1/a.jsonl": [row(teacher="ignored")],
        "b.jsonl": [{"q": "Where?", "a": "Rome", "gold": "rome"}],
    }
    rules = (
        FileRule(match="r1/*", teacher="R1", answer_kind="none", domain="math"),
        FileRule(match="b.*", fields={"prompt": "q", "response": "a", "answer": "gold"}, layout="fields"),
        FileRule(match="unused/**"),
    )
    counts, prompts, traces, _ = run(tmp_path, files, files=rules)
    assert sorted(traces.select("teacher", "verdict").rows()) == [("R1", "unchecked"), ("b", "correct")]
    assert sorted(prompts.select("answer_kind", "domain").rows(), key=str) == [("exact", None), ("none", "math")]
    assert counts.unused_rules == ["unused/**"]


@pytest.mark.slow
def test_tests_leave_a_prompt_unchecked(tmp_path):
    _, prompts, traces, _ = run(tmp_path, {"a.jsonl": [row(tests=["assert 1"], answer="x = 1")]})
    assert prompts["tests"].to_list() == ['["assert 1"]']
    assert traces["verdict"].to_list() == ["unchecked"]


@pytest.mark.slow  # its good rows' answers are verified by a process
@pytest.mark.parametrize(
    ("files", "word"),
    [
        (
            {"good.jsonl": [row()], "bad.jsonl": [b"{", b"{", b"[1]"]},
            r"bad.jsonl: every one of its 3 rows .*broken_json",
        ),
        ({"good.jsonl": [row()], "void.jsonl": []}, r"void.jsonl holds no row"),
        ({"a.parquet": [b"nonsense"]}, r"a.parquet: .*unreadable_parquet"),
        ({"notes.txt": [b"hello"]}, r"no trace file"),
    ],
)
def test_useless_sources(tmp_path, files, word):
    sources = write(tmp_path / "sources", files)
    with pytest.raises(SourceError, match=word) as plain:
        ingest(sources, tmp_path / "out", Ingest())
    assert "\n" not in str(plain.value)
    assert {p.name for p in tmp_path.iterdir()} == {"sources"}
    with pytest.raises(SourceError, match=word) as left:
        ingest(sources, tmp_path / "out", Ingest(), tmp_path / "left")
    if "rejected" not in str(plain.value):
        assert str(left.value) == str(plain.value)
        assert not (tmp_path / "left").exists()
        return
    sentence, where = str(left.value).split("\n")
    table = tmp_path / "left" / tables.REJECTED.file
    rows = table_files.read(tables.REJECTED, table)
    assert sentence == str(plain.value)
    assert where == f"the reason of every rejected row ({rows.height} in all) stands in {table}"
    assert set(rows["source"]) <= {"bad.jsonl", "a.parquet"}


@pytest.mark.slow
def test_survey(tmp_path):
    rows = [row(f"{i}?", f"It is {i}{t}", t, answer=str(i)) for i in range(40) for t in "ABC"]
    sources = write(
        tmp_path / "sources", {"a.jsonl": [*rows, b"{", row("0?", "new", "D", answer="9")], "README.md": []}
    )
    found = survey(sources, Ingest())
    assert found.problems == []
    assert (found.prompts, found.total.kept, found.candidates.median) == (40, 121, 3)
    assert any("gold answers that differ" in w for w in found.warnings)
    assert found.total.reasons == {"broken_json": 1}
    assert found.ignored_files == ["README.md"]
    ingest(sources, tmp_path / "out", Ingest())
    traces = table_files.read(tables.TRACES, tmp_path / "out" / "traces.parquet")
    assert found.response_chars == traces["response"].str.len_chars().sum()
    # A rejected candidate may have taken a place in the sample.
    assert SAMPLE_TRACES - 4 <= len(found.sample) <= SAMPLE_TRACES
    assert {(s.trace_id, s.response) for s in found.sample} <= set(traces.select("trace_id", "response").rows())
    assert found.sample[0].trace_id == traces["trace_id"][0]


@pytest.mark.slow
def test_survey_lists_problems(tmp_path):
    sources = write(tmp_path, {"a.jsonl": [row("a?"), row("b?")], "b.jsonl": [b"{"]})
    problems = survey(sources, Ingest(files=(FileRule(match="c.*"),))).problems
    assert len(problems) == 3
    assert all(any(word in p for p in problems) for word in ("b.jsonl: its only row", "'c.*'", "one candidate"))


def bytes_of(tmp_path: Path, files: Sources) -> dict[str, bytes]:
    run(tmp_path, files)
    return {t.name: (tmp_path / "out" / f"{t.name}.parquet").read_bytes() for t in TABLES}


@pytest.mark.slow
def test_twice_the_same_bytes(tmp_path):
    files = {
        "b.jsonl": [row(f"{i % 7}?", f"r{i % 11}", "AB"[i % 2], None) for i in range(60)],
        "a.jsonl": [row(), b"{"],
    }
    assert bytes_of(tmp_path / "1", files) == bytes_of(tmp_path / "2", dict(reversed(list(files.items()))))


@pytest.mark.slow
def test_shuffled_lines_give_the_same_prompts_and_traces(tmp_path):
    rows = [row(f"{i % 7}?  " + " " * (i % 3), f"r{i % 11}", "AB"[i % 2], str(i % 7)) for i in range(80)]
    rows += [row(f"{p}?", teacher=t, prompt_id="own") for p, t in [("a", "A"), ("b", "B"), ("a", "C")]]
    shuffled = random.Random(1).sample(rows, len(rows))
    _, prompts, traces, rejected = run(tmp_path / "1", {"a.jsonl": rows})
    _, prompts_2, traces_2, rejected_2 = run(tmp_path / "2", {"a.jsonl": shuffled})
    assert prompts.equals(prompts_2)
    assert traces.drop("source_line").equals(traces_2.drop("source_line"))
    assert rejected["reason"].value_counts(sort=True).equals(rejected_2["reason"].value_counts(sort=True))


JUNK = st.one_of(
    st.binary(max_size=40),
    st.sampled_from([b"", b"  ", b"{}", b"[1]", b"null", b'{"prompt": "p"}', b'{"messages": [], "a": {}}']),
    st.fixed_dictionaries(
        {
            "prompt": st.sampled_from(["p", "q ", "", 3, None]),
            "response": st.sampled_from(["4", "It is 5", "<think>a", "\ud800", [], ["a", ""]]),
            "teacher": st.sampled_from(["A", "B", None, 5, "\ud800"]),
            "answer": st.sampled_from(["4", "5", None, True, "\0"]),
            "prompt_id": st.sampled_from([None, "1", 2]),
        }
    ).map(lambda r: json.dumps(r).encode()),
).filter(lambda line: b"\n" not in line)


@pytest.mark.slow
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(lines=st.lists(JUNK, max_size=12))
def test_every_row_is_accounted_for(tmp_path_factory, lines):
    folder = tmp_path_factory.mktemp("junk")
    sources = write(folder / "sources", {"a.jsonl": [row("?!", answer=None), *lines]})
    counts = ingest(sources, folder / "out", Ingest(answer_kind="exact"))
    check(counts)
    whole = sum(1 for line in lines if line.strip(b" \t\r\n"))
    assert whole + 1 <= counts.total.read <= 2 * whole + 1
    kept = table_files.read(tables.TRACES, folder / "out" / "traces.parquet")
    assert kept.height == counts.total.kept
    assert set(kept["prompt_id"]) == set(
        table_files.read(tables.PROMPTS, folder / "out" / "prompts.parquet")["prompt_id"]
    )


@pytest.mark.slow
def test_real_traces(shared_data, tmp_path):
    """Every row is kept, gold answers pass their verifiers, and verdicts agree with labels made elsewhere.

    What is left of disagreement: sentences of several numbers (math), responses that go on to answer other questions
    or name a letter in other words than the publisher's pattern knows (science).
    """
    sources = tmp_path / "sources"
    sources.mkdir()
    for file in shared_data.glob("*.jsonl.gz"):
        (sources / file.name).symlink_to(file)
    counts = ingest(sources, tmp_path / "out", Ingest())
    check(counts)
    assert counts.total.rejected == 0
    assert counts.candidates.median >= 6
    assert {kind: gold.share for kind, gold in counts.gold.items()} == {"choice": 1, "exact": 1, "math": 1}
    agreement = {name.split(".")[0]: n.agree / (n.agree + n.disagree) for name, n in counts.labels_by_file.items()}
    assert agreement["math_long"] > 0.995
    assert agreement["math_short"] > 0.998
    assert agreement["code_short"] > 0.998
    assert agreement["science_short"] > 0.975
    assert sum(n["timeout"] for n in counts.verdicts.values()) == 0
