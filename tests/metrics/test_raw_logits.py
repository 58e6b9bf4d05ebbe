"""Metrics of a few traces once more, by a few lines over raw logits; nothing of the engine or the metrics is used."""

import json
import math
import shutil
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest
import torch
from polars.testing import assert_frame_equal
from transformers import AutoModelForCausalLM, AutoTokenizer

from stepsift import params, segment
from stepsift.core import table_files, tables
from stepsift.metrics import over_frames, trace_scores, trace_sums
from stepsift.score import references, setup
from stepsift.score.pool import Pool, Prompts
from stepsift.score.run import score_to_tables
from stepsift.score.shipped import score_shipped
from stepsift.select import pool

WINDOW = 2
ROWS = [
    (
        "What is 3x + 2 = 14?",
        "Let x be it. Then 3x = 12.\n\nSo x = 4! Wait, let me check.\n3 * 4 = 12. The answer is 4.",
    ),
    ("What is 3x + 2 = 14?", "First, we add.\n\n\nThen we get 42. No? Yes.\n\nSo the final answer is 7. It is."),
    ("Add 12 and 30.", "The sum is 42."),
]
STUDENTS = pytest.mark.parametrize(("family", "tokenizer"), [("llama", "plain"), ("qwen3", "qwen2")])


def as_tables() -> tuple[pl.DataFrame, pl.DataFrame]:
    """Tables prompts and traces of ROWS."""
    asked = sorted({p for p, _ in ROWS})
    turns = [[{"role": "user", "content": p}] for p in asked]
    prompts = pl.DataFrame(
        {"prompt_id": [f"p{i}" for i in range(len(asked))], "prompt": turns, "answer_kind": ["none"] * len(asked)}
    )
    about = {"content_hash": "h", "teacher": "t", "verdict": "unchecked", "source": "s", "source_line": 1}
    rows = [
        about | {"trace_id": f"t{i}", "prompt_id": f"p{asked.index(p)}", "response": r} for i, (p, r) in enumerate(ROWS)
    ]
    missing = [pl.lit(None, pl.String).alias(c) for c in ("domain", "answer", "tests")]
    return prompts.with_columns(missing), pl.DataFrame(rows, schema=tables.TRACES.schema)


@pytest.fixture
def scored(student_folder, tmp_path: Path, monkeypatch) -> Callable[..., tuple[Path, pl.DataFrame, pl.DataFrame]]:
    """`scored(family, tokenizer)`: the student's folder, steps of each trace, and trace scores as the pipeline gives
    them."""
    monkeypatch.setattr(setup, "ceiling", lambda *_: 1e9)  # takes a measurement otherwise

    def run(family: str, tokenizer: str) -> tuple[Path, pl.DataFrame, pl.DataFrame]:
        student = student_folder(family, tokenizer)
        chosen = params.parse({"student": {"path": str(student)}, "score": {"window": WINDOW}})
        prompts, traces = as_tables()
        table_files.write(tables.PROMPTS, prompts, tmp_path / "prompts.parquet")
        table_files.write(tables.TRACES, traces, tmp_path / "traces.parquet")
        steps = segment.segment_table(traces, chosen.segment)
        table_files.write(tables.STEPS, steps, tmp_path / "steps.parquet")
        wanted = Prompts(tmp_path / "prompts.parquet", set(traces["prompt_id"]))
        with setup.load(chosen.student, chosen.score, tmp_path / "cache") as scoring:
            score_to_tables(scoring, Pool(wanted, tmp_path / "traces.parquet", tmp_path / "steps.parquet"), tmp_path)
        sums = trace_sums(table_files.read(tables.STEP_SCORES, tmp_path / "step_scores.parquet"))
        return student, steps, trace_scores(sums, traces, 0).join(traces.select("trace_id", "response"), on="trace_id")

    return run


def encoded(encode, response: str, ends: list[int]) -> tuple[list[int], list[int], torch.Tensor]:
    """Ids of the prompt of a response and of itself, and the step of each of the latter."""
    (prompt,) = {p for p, r in ROWS if r == response}
    if encode.chat_template:
        turns = [{"role": "user", "content": prompt}]
        text = encode.apply_chat_template(turns, add_generation_prompt=True, tokenize=False)
    else:
        text = prompt + "\n"
    context = encode(text, add_special_tokens=False)["input_ids"]
    ids = encode(response, add_special_tokens=False)["input_ids"]
    # ASCII: a token's last character is the last of all that is decoded up to it.
    last = [len(encode.decode(ids[: i + 1], clean_up_tokenization_spaces=False)) - 1 for i in range(len(ids))]
    return context, ids, torch.tensor([sum(end <= at for end in ends) for at in last])


def in_windows(model, context: list[int], ids: list[int], step: torch.Tensor) -> torch.Tensor:
    """`values` of each step after the prompt and the WINDOW steps before it."""
    windows = [
        values(
            model,
            context + [t for t, s in zip(ids, step, strict=True) if number - WINDOW <= s < number],
            [t for t, s in zip(ids, step, strict=True) if s == number],
        )
        for number in step.unique()
    ]
    return torch.cat(windows, dim=1)


@torch.no_grad()
def values(model, context: list[int], ids: list[int]) -> torch.Tensor:
    """[4, tokens]: log-probability, rank, entropy, Brier score of `ids` after `context`."""
    logits = model(torch.tensor([context + ids])).logits[0, len(context) - 1 : -1].double()
    logp = torch.log_softmax(logits, dim=-1)
    target = torch.tensor(ids)[:, None]
    own = logp.gather(1, target)[:, 0]
    rank = 1 + (logits > logits.gather(1, target)).sum(dim=1)
    brier = 1 - 2 * own.exp() + (logp.exp() ** 2).sum(dim=1)
    return torch.stack([own, rank.clamp(max=100), -(logp.exp() * logp).sum(dim=1), brier])


def expected(found: torch.Tensor, step: torch.Tensor, first: torch.Tensor, suffix: str) -> dict[str, float]:
    """Scores from values [4, tokens], the step of each token and which are among the first two of theirs."""
    logprob, rank, entropy, _ = found
    of_steps = [logprob[step == s].mean() for s in step.unique()]
    by_step, by_token = ("lalp", "lalp_token") if suffix else ("step_mean", "galp")
    scores = {
        by_step: sum(of_steps) / len(of_steps),
        by_token: logprob.mean(),
        f"sum_logprob{suffix}": logprob.sum(),
        f"rank{suffix}": rank.mean(),
        f"entropy{suffix}": entropy.mean(),
        f"rank_entropy{suffix}": rank.sum() / entropy.sum(),
        f"rsr{suffix}": rank.sum() / -logprob.sum(),
        f"aslec_drop{suffix}": logprob[~first].mean(),
        f"cll{suffix}": (logprob + entropy).mean(),
        f"hes{suffix}": entropy.topk(-(-len(entropy) // 200)).values.sum(),
        f"first_100{suffix}": logprob[:100].mean(),
    }
    return {name: float(value) for name, value in scores.items()}


@STUDENTS
def test_scores_are_those_of_raw_logits(scored, family, tokenizer):
    student, steps, scores = scored(family, tokenizer)
    model = AutoModelForCausalLM.from_pretrained(student).eval()
    encode = AutoTokenizer.from_pretrained(student)
    seen_steps = []
    for row in scores.iter_rows(named=True):
        ends = steps.filter(pl.col("trace_id") == row["trace_id"])["end"].to_list()
        context, ids, step = encoded(encode, row["response"], ends)
        ink = [bool(encode.decode([i]).strip()) for i in ids]
        first = torch.tensor(
            [ink[i] and sum(ink[j] for j in range(i) if step[j] == step[i]) < 2 for i in range(len(ids))]
        )
        full = values(model, context, ids)
        local = in_windows(model, context, ids, step)
        scores_here = expected(full, step, first, "") | expected(local, step, first, "_local")
        assert {name: row[name] for name in scores_here} == pytest.approx(scores_here, rel=2e-4)
        assert row["n_tokens"] == len(ids)
        assert row["branching"] == pytest.approx(row["response"].count("Wait") / len(ends))
        seen_steps.append(len(step.unique()))
        # Windows that did not cut anything would make one pass of both.
        if seen_steps[-1] > WINDOW + 1:
            assert abs(scores_here["galp"] - scores_here["lalp_token"]) > 1e-3
    assert max(seen_steps) >= 5
    assert min(seen_steps) == 1


def write_teacher(folder: Path, out: Path) -> None:
    """A model that learned half of each response of ROWS by heart: random ones find no step likely."""
    shutil.copytree(folder, out)
    model, encode = AutoModelForCausalLM.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    for _ in range(20):
        for _, response in ROWS:
            context, ids, _ = encoded(encode, response, [])
            ids = torch.tensor([context + ids[: len(ids) // 2]])
            model(ids, labels=ids).loss.backward()
            optimizer.step()
            optimizer.zero_grad()
    model.save_pretrained(out)


def test_metrics_of_two_models_are_those_of_raw_logits(student_folder, tmp_path: Path, monkeypatch):
    """Two families with two tokenizers, of which one has a chat template; the steps are all that they share."""
    monkeypatch.setattr(setup, "ceiling", lambda *_: 1e9)  # takes a measurement otherwise
    monkeypatch.chdir(tmp_path)
    folders = {"student": student_folder("llama", "plain"), "teacher": Path("data/references/teacher")}
    write_teacher(student_folder("qwen3", "qwen2"), folders["teacher"])
    chosen = params.parse(
        {
            "student": {"path": str(folders["student"])},
            "score": {"window": WINDOW, "references": [{"name": "teacher", "path": str(folders["teacher"])}]},
        }
    )
    prompts, traces = as_tables()
    # Short steps that cut words: some tokens lie across their ends, and some steps have none under one of the models.
    rows = [
        {"trace_id": t, "step": i + 1, "start": at, "end": min(at + 4, len(r)), "kind": "text", "capped": False}
        for t, r in traces.select("trace_id", "response").rows()
        for i, at in enumerate(range(0, len(r), 4))
    ]
    steps = pl.DataFrame(rows, schema=tables.STEPS.schema)
    paths = [Path(t.file) for t in (tables.PROMPTS, tables.TRACES, tables.STEPS)]
    table_files.write(tables.PROMPTS, prompts, paths[0])
    table_files.write(tables.TRACES, traces, paths[1])
    table_files.write(tables.STEPS, steps, paths[2])
    asked = Pool(Prompts(paths[0], set(traces["prompt_id"])), *paths[1:])
    with setup.load(chosen.student, chosen.score, Path("cache")) as scoring:
        score_to_tables(scoring, asked, Path())
    references.score_references(chosen.score, asked, Path("references"), Path("cache"), None)
    reference = pool.find_reference(Path(), None)
    read = pool.read(paths[0], paths[1], Path(tables.STEP_SCORES.file), reference=reference.step_scores)
    scores = trace_scores(over_frames(read.step_scores()), traces, 0).join(traces, on="trace_id")

    models = {name: AutoModelForCausalLM.from_pretrained(folder).eval() for name, folder in folders.items()}
    encoders = {name: AutoTokenizer.from_pretrained(folder) for name, folder in folders.items()}
    seen, rows = set(), []
    for row in scores.iter_rows(named=True):
        ends = steps.filter(pl.col("trace_id") == row["trace_id"])["end"].to_list()
        means = {}
        for name, model in models.items():
            context, ids, step = encoded(encoders[name], row["response"], ends)
            for scope, logprob in (
                ("full", values(model, context, ids)[0]),
                ("local", in_windows(model, context, ids, step)[0]),
            ):
                means[name, scope] = {int(n): float(logprob[step == n].mean()) for n in step.unique()}
                if (name, scope) == ("teacher", "full"):
                    tokens = [encoders[name].decode([i]) for i in ids]
                    rows.append({"trace_id": row["trace_id"], "tokens": tokens, "logprobs": logprob.tolist()})
        both = means["student", "full"].keys() & means["teacher", "full"].keys()
        gains = [means["student", "local"][n] - means["teacher", "local"][n] for n in both]
        likelier = [math.exp(means["teacher", "full"][n]) - math.exp(means["student", "full"][n]) for n in both]
        count = sum(difference > 0.1 for difference in likelier)
        assert row["reference_gain"] == pytest.approx(sum(gains) / len(both), rel=2e-4)
        assert (row["teacher_steps"], row["teacher_share"]) == (count, pytest.approx(count / len(both)))
        seen |= {("not shared", len(both) < len(ends)), ("likelier", 0 < count < len(both))}
    assert seen >= {("likelier", True), ("not shared", True)}
    # Shipped by a data set, the teacher's log-probabilities are read as if it had been run.
    Path("data/references/t.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    Path("shipped").mkdir()
    score_shipped(params.Reference(name="t", path="data/references/t.jsonl"), asked, Path("shipped"))
    columns = ["trace_id", "step", "n_tokens", "full_logprob"]
    read_in, computed = (
        table_files.read(tables.STEP_SCORES, folder / tables.STEP_SCORES.file).select(columns)
        for folder in (Path("shipped"), Path("references/teacher"))
    )
    assert_frame_equal(read_in, computed, rel_tol=2e-4)
