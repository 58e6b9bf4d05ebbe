"""A pool of traces to step scores and rejected rows."""

import copy
import dataclasses
import hashlib
import itertools
import os
import shutil
import signal
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from helpers import reference
from helpers.score_cases import MESSAGES, RESPONSE, Loaded, cut
from helpers.score_pool import CYRILLIC, POOL, PROMPTS, SHORT, frames, write_pool
from stepsift import params
from stepsift.core import table_files, tables
from stepsift.core.errors import ScoringError, Stopped
from stepsift.core.interrupt import Interrupt
from stepsift.score import run as run_module
from stepsift.score.backends.local import LocalBackend, attempt, model_size
from stepsift.score.cache.scores import PICKED_COLUMNS, TOKENS_SCHEMA, ScoreCache
from stepsift.score.cache.shards import ShardStore
from stepsift.score.forward.engine import Engine
from stepsift.score.forward.masked import MaskedEngine
from stepsift.score.forward.request import Refused, Request, Scores
from stepsift.score.identity import Identity
from stepsift.score.job import TraceJob
from stepsift.score.plan import Planner
from stepsift.score.pool import read
from stepsift.score.progress import Progress
from stepsift.score.run import score_to_tables
from stepsift.score.setup import Scoring


class Counting(LocalBackend):
    """A backend with a model that is loaded already; it remembers what it was asked."""

    def __init__(self, model: object, context: int, batch_tokens: int = 64):
        self.device, self.size = "cpu", model_size(model, context)
        self._packed, self._engine = False, Engine(model, batch_tokens)
        self.asked: list[Request] = []

    def score(self, requests):
        self.asked += requests
        return super().score(requests)


def scoring(student: Loaded, cache: Path, context: int = 512, model: object = None, **settings) -> Scoring:
    chosen = params.Score(batch_tokens=64, **settings)
    backend = Counting(model or student.model, context)
    return Scoring(
        planner=Planner(student.renderer, chosen, context, backend.size.vocabulary),
        backend=backend,
        cache=ScoreCache(cache, "student", {"engine": 1}),
        identity=Identity("student", {"engine": 1}),
        by_prompt=False,
        progress=Progress(),
    )


def run(wanted: Scoring, folder: Path, pool: dict[str, str] = POOL, prompts: dict = PROMPTS):
    """Scores, reasons by trace, and progress."""
    with wanted:
        score_to_tables(wanted, write_pool(folder, pool, prompts), folder / "out")
    rejected = table_files.read(tables.REJECTED, folder / "out" / "rejected.parquet")
    scores = table_files.read(tables.STEP_SCORES, folder / "out" / "step_scores.parquet")
    return scores, dict(rejected.select("trace_id", "reason").iter_rows()), wanted.progress


def forget_sums(cache: Path) -> None:
    """Leave the values of tokens alone in the cache."""
    (shard,) = (cache / "scores").rglob("own_sums/*.parquet")
    shard.unlink()


def test_scores_of_a_pool_are_sums_over_steps(load_student, tmp_path: Path):
    student = load_student("llama")
    table, refused, progress = run(scoring(student, tmp_path), tmp_path)
    assert refused == {}
    assert progress.metrics() | {"response_tokens": None} == {
        "traces": 3, "scored": 3, "response_tokens": None, "steps_without_tokens": 1, "full_pass_not_possible": 0,
        "rejected": {},
    }  # fmt: skip
    case = student.case
    ids = case.rendered.prompt_ids, case.rendered.response_ids
    owners = np.array(reference.steps_of_tokens(case.rendered.last_char, case.spans))
    mine = table.filter(pl.col("trace_id") == "a")
    assert mine["step"].to_list() == list(range(1, len(case.spans) + 1))
    assert mine["n_tokens"].to_list() == [int((owners == s).sum()) for s in range(len(case.spans))]
    inked = [bool(student.renderer.tokenizer.decode([i]).strip()) for i in ids[1]]
    local = reference.local(student.exact, *ids, case.rendered.last_char, case.spans, 4)
    for name, tokens in (("local", local), ("full", reference.full(student.exact, *ids))):
        for step, row in enumerate(mine.iter_rows(named=True)):
            own = [t for t, s in zip(tokens, owners, strict=True) if s == step]
            first = [t.logprob for t, s, ink in zip(tokens, owners, inked, strict=True) if s == step and ink][:2]
            expected = {
                "logprob": sum(t.logprob for t in own),
                "rank": sum(min(t.rank, 100) for t in own),
                "entropy": sum(t.entropy for t in own),
                "brier": sum(t.brier for t in own),
                "first_logprob": sum(first[:1]),
                "first_two_logprob": sum(first),
            }
            assert row["n_first"] == len(first)
            for column, value in expected.items():
                seen = row[f"{name}_{column}"]
                assert seen is None if not own else seen == pytest.approx(value, abs=1e-4 * len(own)), (name, column)


def test_trace_scores_the_same_alone_in_any_pool_cold_and_warm(load_student, tmp_path: Path):
    student = load_student("llama")
    together, _, _ = run(scoring(student, tmp_path / "a"), tmp_path)
    mine = together.filter(pl.col("trace_id") == "b")
    assert mine.height == 2
    for cache in ("b", "a"):  # an empty one, and one that holds the trace
        alone, _, _ = run(scoring(student, tmp_path / cache), tmp_path, {"b": SHORT})
        assert alone.equals(mine)
    # Other traces come before it, and it is another row of every chunk.
    shuffled, _, _ = run(scoring(student, tmp_path / "c"), tmp_path, {"0": CYRILLIC, "a": RESPONSE * 2, "b": SHORT})
    assert shuffled.filter(pl.col("trace_id") == "b").equals(mine)


def test_what_is_in_the_cache_is_not_computed_again(load_student, tmp_path: Path):
    student = load_student("llama")
    first = scoring(student, tmp_path)
    cold, _, _ = run(first, tmp_path)
    assert len(first.backend.asked) == 3 and first.progress.from_cache == 0
    warm = scoring(student, tmp_path)
    again, _, progress = run(warm, tmp_path)
    assert warm.backend.asked == [] and progress.from_cache == 3
    assert again.equals(cold)
    assert progress.metrics() == first.progress.metrics()
    one_more = scoring(student, tmp_path)
    more, _, _ = run(one_more, tmp_path, POOL | {"d": SHORT + " So be it."})
    assert [r.response for r in one_more.backend.asked] == [
        student.renderer.render(MESSAGES, SHORT + " So be it.").response_ids
    ]
    assert more.filter(pl.col("trace_id") != "d").equals(cold)


@pytest.mark.parametrize("by_prompt", [False, True])
def test_what_is_in_the_cache_is_not_even_read_where_its_sums_are(load_student, tmp_path: Path, by_prompt: bool):
    """Two readings of the pool by prompt, one without; the same bytes from values, from sums, and from both."""
    student = load_student("llama")
    cold, _, _ = run(scoring(student, tmp_path), tmp_path)
    written = (tmp_path / "out" / "step_scores.parquet").read_bytes()
    hits = []
    for reads in ([], ["tokens"], []):  # as they were put; made anew; as they were made anew
        warm = dataclasses.replace(scoring(student, tmp_path), by_prompt=by_prompt)
        read_tokens = warm.cache._tokens.get_many
        seen: list[str] = []
        warm.cache._tokens.get_many = lambda keys, read=read_tokens, seen=seen: (
            seen.extend(["tokens"] if (asked := list(keys)) else []) or read(asked)
        )
        again, _, progress = run(warm, tmp_path)
        assert seen == reads and warm.backend.asked == [] and progress.from_cache == 3
        assert again.equals(cold) and (tmp_path / "out" / "step_scores.parquet").read_bytes() == written
        hits.append(warm.cache.counts())
        if not reads and len(hits) == 1:
            forget_sums(tmp_path)
    tokens = sum(len(student.renderer.render(MESSAGES, text).response_ids) for text in POOL.values())
    counted = {"hits": 6, "misses": 0, "tokens_hit": 2 * tokens}
    assert hits == [counted | {"sums_hits": 0}] * 3


def test_by_prompt_what_is_not_in_the_cache_is_computed_before_the_tables(load_student, tmp_path: Path):
    student = load_student("llama")
    cold, _, _ = run(scoring(student, tmp_path / "a"), tmp_path)
    run(scoring(student, tmp_path / "b"), tmp_path, {"b": SHORT})
    warm = dataclasses.replace(scoring(student, tmp_path / "b"), by_prompt=True)
    table, _, progress = run(warm, tmp_path)
    assert table.equals(cold) and len(warm.backend.asked) == 2
    assert (progress.from_cache, progress.computed) == (1, sum(len(r.response) for r in warm.backend.asked))


def test_a_cache_that_may_only_be_read_is_as_good_without_sums(load_student, tmp_path: Path, monkeypatch, caplog):
    student = load_student("llama")
    cold, _, _ = run(scoring(student, tmp_path), tmp_path)
    forget_sums(tmp_path)

    def refuse(*_: object) -> None:
        raise ScoringError("read-only")

    caplog.set_level("INFO")
    with monkeypatch.context() as m:
        m.setattr("stepsift.score.cache.shards.write_durably", refuse)
        again, _, progress = run(scoring(student, tmp_path), tmp_path)
    assert again.equals(cold) and progress.from_cache == 3
    assert "step sums are not kept, so the next run makes them anew: read-only" in caplog.text
    assert not list((tmp_path / "scores").rglob("own_sums/*.parquet"))


def test_other_steps_repeat_the_local_pass_alone(load_student, tmp_path: Path, monkeypatch):
    student = load_student("llama")
    cold, _, _ = run(scoring(student, tmp_path), tmp_path, {"a": RESPONSE})
    middle = cut(RESPONSE)[3][1]
    edges = [0, middle, len(RESPONSE)]
    monkeypatch.setattr("helpers.score_pool.cut", lambda response: list(itertools.pairwise(edges)))
    other = scoring(student, tmp_path, window=1)
    table, _, _ = run(other, tmp_path, {"a": RESPONSE})
    # Two steps and a window of one: a single pass, which is that over the whole context, known already.
    assert table.height == 2 and [r.full for r in other.backend.asked] == [False]
    assert table["full_logprob"].sum() == pytest.approx(cold["full_logprob"].sum(), abs=1e-9)


@pytest.mark.parametrize("damage", ["truncated", "one byte", "deleted"])
def test_what_was_in_a_damaged_shard_is_computed_again(load_student, tmp_path: Path, caplog, damage: str):
    student = load_student("llama")
    cold, _, _ = run(scoring(student, tmp_path), tmp_path)
    forget_sums(tmp_path)
    (shard,) = (tmp_path / "scores").rglob("tokens/*.parquet")
    content = bytearray(shard.read_bytes())
    if damage == "truncated":
        shard.write_bytes(content[: len(content) // 2])
    elif damage == "one byte":
        content[len(content) // 3] ^= 1
        shard.write_bytes(content)
    else:
        shard.unlink()
    mended = scoring(student, tmp_path)
    again, _, _ = run(mended, tmp_path)
    assert len(mended.backend.asked) == 3 and again.equals(cold)
    warned = [r.message for r in caplog.records if r.levelname == "WARNING"]
    assert len(warned) == (damage != "deleted") and all("set aside" in w for w in warned)
    warm = scoring(student, tmp_path)
    run(warm, tmp_path)
    assert warm.backend.asked == []


@pytest.mark.parametrize("version", [2, 3])
def test_sums_of_another_revision_serve_where_tokens_are_not_known(version, load_student, tmp_path: Path):
    student = load_student("llama")
    first = scoring(student, tmp_path / "a")
    cold, _, _ = run(first, tmp_path)
    if version == 2:
        # A table of before says nothing of picked tokens; whether a step opens a branch is seen in its text.
        cold = cold.with_columns(pl.lit(None, pl.Float64).alias(c) for c in PICKED_COLUMNS)
    with ScoreCache(tmp_path / "b", "student", {"engine": 1}) as cache:
        for trace in read([pl.concat(frames(POOL)[0])], iter([pl.concat(frames(POOL)[1])]), PROMPTS):
            planned = first.planner.plan(MESSAGES, trace.response, trace.ends)
            rows = cold.filter(pl.col("trace_id") == trace.trace_id)
            cache.put_sums(TraceJob.of(trace, planned).sums_key(), rows)
    warm = scoring(student, tmp_path / "b")
    table, _, progress = run(warm, tmp_path)
    assert warm.backend.asked == [] and progress.from_cache == 3
    assert table.equals(cold)


def test_passes_that_are_not_wanted_are_null(load_student, tmp_path: Path):
    table, refused, progress = run(scoring(load_student("llama"), tmp_path, passes=("local",)), tmp_path)
    assert refused == {} and progress.full_not_possible == 0
    assert table["full_logprob"].null_count() == table.height > table["local_logprob"].null_count()
    table, _, _ = run(scoring(load_student("llama"), tmp_path, passes=("full",)), tmp_path)
    assert table["local_rank"].null_count() == table.height > table["full_rank"].null_count()


def test_long_trace_keeps_its_local_scores(load_student, tmp_path: Path):
    student = load_student("llama")
    ids = student.case.rendered
    whole = len(ids.prompt_ids) + len(ids.response_ids)
    widest = len(ids.prompt_ids) + max(p.length for p in student.case.passes(4))
    for context, full in ((whole, True), (whole - 1, False), (widest, False)):
        table, refused, progress = run(scoring(student, tmp_path, context), tmp_path, {"a": RESPONSE})
        assert refused == {} and progress.full_not_possible == (not full)
        assert (table["full_logprob"].null_count() == table.height) is not full
        assert table["local_logprob"].null_count() == 1  # the step without tokens
    table, refused, progress = run(scoring(student, tmp_path, widest - 1), tmp_path)
    assert refused == {"a": "window_too_long"} and progress.rejected == {"window_too_long": 1}
    assert table["trace_id"].unique().sort().to_list() == ["b", "c"]


def test_too_long_step_is_refused(load_student, tmp_path: Path):
    _, refused, _ = run(scoring(load_student("llama"), tmp_path, max_step_tokens=16), tmp_path)
    assert refused["a"] == "step_too_long" and "b" not in refused


def test_not_finite_values_are_refused(load_student, tmp_path: Path):
    student = load_student("llama")
    model = copy.deepcopy(student.model)
    rare = set(student.renderer.render(MESSAGES, CYRILLIC).response_ids)
    rare -= set(student.renderer.render(MESSAGES, RESPONSE + SHORT).response_ids)
    model.model.embed_tokens.weight.data[max(rare)] = float("nan")
    table, refused, _ = run(scoring(student, tmp_path, model=model), tmp_path)
    assert refused == {"c": "not_finite"}
    assert table["trace_id"].unique().sort().to_list() == ["a", "b"]


def test_tokens_that_the_model_does_not_know_are_refused(load_student, tmp_path: Path):
    student = load_student("llama")
    model = copy.deepcopy(student.model)
    highest = [max(student.renderer.render(MESSAGES, response).response_ids) for response in (CYRILLIC, SHORT)]
    assert highest[0] > highest[1]
    model.resize_token_embeddings(highest[0])
    _, refused, _ = run(scoring(student, tmp_path, model=model), tmp_path, {"b": SHORT, "c": CYRILLIC})
    assert refused == {"c": "token_unknown_to_model"}


def test_prompt_that_the_template_refuses(load_student, tmp_path: Path):
    student = load_student("gemma2", "gemma")
    prompts = {"p": [{"role": "system", "content": "Be brief."}, *MESSAGES]}
    with pytest.raises(ScoringError, match=r"not one of 1 trace .*1 not_renderable"):
        run(scoring(student, tmp_path), tmp_path, {"b": SHORT}, prompts)


def test_tables_are_written_and_an_empty_run_is_an_error(load_student, tmp_path: Path):
    student = load_student("llama")
    scores, reasons, _ = run(scoring(student, tmp_path, max_step_tokens=16), tmp_path)
    assert set(scores["trace_id"]) | set(reasons) == set(POOL)
    rejected = table_files.read(tables.REJECTED, tmp_path / "out" / "rejected.parquet").row(0, named=True)
    assert {k: rejected[k] for k in ("trace_id", "source", "source_line", "teacher")} == {
        "trace_id": "a", "source": "s.jsonl", "source_line": 1, "teacher": "t",
    }  # fmt: skip
    with pytest.raises(ScoringError, match="3 window_too_long"):
        score_to_tables(scoring(student, tmp_path, context=20), write_pool(tmp_path, POOL), tmp_path / "none")
    assert not list((tmp_path / "none").glob("*.parquet"))


class Ending(Counting):
    """Is asked to end, by a signal, as soon as one trace is done."""

    def score(self, requests):
        for done in super().score(requests):
            yield done
            os.kill(os.getpid(), signal.SIGTERM)


def test_a_run_that_is_asked_to_end_keeps_what_it_did(load_student, tmp_path: Path):
    student = load_student("llama")
    wanted = scoring(student, tmp_path)
    ending = Ending(student.model, 512)
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(Stopped, match="2 of 3 traces are done and kept in the cache; run it again") as caught:
        run(dataclasses.replace(wanted, backend=ending), tmp_path)
    assert caught.value.exit_code == 143
    assert signal.getsignal(signal.SIGTERM) is before
    assert not (tmp_path / "out" / "step_scores.parquet").exists()
    again = scoring(student, tmp_path)
    _, _, progress = run(again, tmp_path)
    assert progress.from_cache == 2 and len(again.backend.asked) == 1


class Crowded:
    """An engine that runs out of memory for all budgets above what it can do."""

    def __init__(self, engine: Engine, most_tokens: int, error: Exception):
        self.engine, self.most_tokens, self.error = engine, most_tokens, error
        self.batch_tokens = engine.batch_tokens

    def score(self, request: Request):
        if self.batch_tokens > self.most_tokens:
            raise self.error
        self.engine.batch_tokens = self.batch_tokens
        return self.engine.score(request)


@pytest.mark.parametrize(
    "error",
    [
        MemoryError("no memory"),
        torch.OutOfMemoryError("CUDA out of memory"),
        RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes"),
    ],
)
def test_a_trace_that_does_not_fit_into_memory(load_student, error):
    student = load_student("llama")
    ids = student.case.rendered.prompt_ids, student.case.rendered.response_ids
    request = Request(*ids, student.case.passes(4), full=True)
    engine = Crowded(Engine(student.model, 64), 16, error)
    (scores,) = attempt(engine, [request])
    expected = Engine(student.model, 16).score(request)
    np.testing.assert_array_equal(scores.local.logprob, expected.local.logprob)
    assert engine.batch_tokens == 64  # the next trace is tried with the whole budget
    (refused,) = attempt(Crowded(Engine(student.model, 64), 7, error), [request])
    assert isinstance(refused, Refused) and refused.reason == "out_of_memory"
    assert str(len(ids[0]) + len(ids[1])) in refused.detail and "memory" in refused.detail


def test_of_several_traces_only_those_that_do_not_fit_are_refused(load_student):
    short, long = (Request([1, 2], [3] * n, [], True) for n in (4, 40))

    class Crowded(MaskedEngine):
        """Has memory for one short trace at a time, whatever the budget."""

        def __init__(self, engine: Engine):
            self.engine, self.batch_tokens = engine, 64

        def score_many(self, requests):
            if len(requests) > 1 or len(requests[0].response) > 4:
                raise MemoryError("no memory")
            return [self.engine.score(requests[0])]

    engine = Crowded(Engine(load_student("llama").model, 64))
    first, refused, last = attempt(engine, [short, long, short])
    assert isinstance(first, Scores) and not first.usual and isinstance(last, Scores)
    assert isinstance(refused, Refused) and "42 tokens" in refused.detail and engine.batch_tokens == 64


def test_another_error_of_the_engine_is_not_taken_for_a_lack_of_memory(load_student):
    engine = Crowded(Engine(load_student("llama").model, 64), 0, RuntimeError("shapes differ"))
    with pytest.raises(RuntimeError, match="shapes differ"):
        attempt(engine, [Request([1], [2], [], True)])


def test_values_that_a_lack_of_memory_made_are_used_and_not_kept(load_student, tmp_path: Path):
    student = load_student("llama")
    wanted = scoring(student, tmp_path)
    wanted.backend._engine = Crowded(Engine(student.model, 64), 16, MemoryError("no memory"))
    table, _, progress = run(wanted, tmp_path)
    assert progress.scored == 3 and table["trace_id"].n_unique() == 3
    again = scoring(student, tmp_path)
    run(again, tmp_path)
    assert len(again.backend.asked) == 3


def test_equal_candidates_are_computed_once(load_student, tmp_path: Path):
    student = load_student("llama")
    wanted = scoring(student, tmp_path)
    table, _, progress = run(wanted, tmp_path, {"a": SHORT, "b": CYRILLIC, "c": SHORT})
    assert len(wanted.backend.asked) == 2 and progress.from_cache == 1 and progress.scored == 3
    first, second = (table.filter(pl.col("trace_id") == t).drop("trace_id") for t in "ac")
    assert first.equals(second)


def test_a_run_over_the_cache_alone_can_be_ended_too(load_student, tmp_path: Path):
    student = load_student("llama")
    run(scoring(student, tmp_path), tmp_path)
    asked = Interrupt()
    asked.asked = signal.SIGTERM
    with pytest.raises(Stopped, match="0 of 0 traces"):
        run_module._PoolScorer(scoring(student, tmp_path), Progress(), asked).stop_if_asked()


def test_only_the_full_pass_is_wanted_and_does_not_fit(load_student, tmp_path: Path):
    student = load_student("llama")
    whole = len(student.case.rendered.prompt_ids) + len(student.case.rendered.response_ids)
    table, refused, _ = run(scoring(student, tmp_path, whole - 1, passes=("full",)), tmp_path)
    assert refused == {"a": "context_too_long"} and set(table["trace_id"]) == {"b", "c"}


def _forge(cache: Path, change: float) -> None:
    """Every shard's log-probabilities moved, and the shards named by what they now hold: nothing is damaged."""
    for path in list(cache.rglob("*.parquet")):
        table = pq.read_table(path)
        for name in {"logprob", "local_logprob", "full_logprob"} & set(table.column_names):
            i = table.column_names.index(name)
            lists = table[name].to_pylist()
            moved = [[None if x is None else x + change for x in row] for row in lists]
            table = table.set_column(i, table.schema.field(i), pa.array(moved, table.schema.field(i).type))
        out = pa.BufferOutputStream()
        pq.write_table(table, out)
        content = out.getvalue().to_pybytes()
        path.unlink()
        (path.parent / f"{hashlib.sha256(content).hexdigest()}.parquet").write_bytes(content)


def test_a_forged_cache_is_found_by_scoring_a_share_again(load_student, tmp_path: Path, caplog):
    student = load_student("llama")
    true, _, _ = run(scoring(student, tmp_path / "c"), tmp_path)
    caplog.set_level("INFO")
    again, _, _ = run(scoring(student, tmp_path / "c", cache_check=1.0), tmp_path)
    assert again.equals(true)
    assert "3 traces from the cache scored again (seed " in caplog.text
    _forge(tmp_path / "c", -0.5)
    forged, _, _ = run(scoring(student, tmp_path / "c", cache_check=0.0), tmp_path)
    assert not forged.equals(true)  # who writes to the cache decides scores
    with pytest.raises(
        ScoringError, match=r"the cache .* gives other scores for trace . than the student, from step 1"
    ):
        run(scoring(student, tmp_path / "c", cache_check=1.0), tmp_path)
    with pytest.raises(ScoringError, match="set STEPSIFT_CACHE to a folder of your own"):
        run(scoring(student, tmp_path / "c", cache_check=0.9), tmp_path)


def test_with_a_team_s_key_what_is_unsigned_or_forged_is_scored_again(
    load_student, tmp_path: Path, caplog, monkeypatch
):
    student = load_student("llama")
    true, _, _ = run(scoring(student, tmp_path / "c"), tmp_path)
    monkeypatch.setenv("STEPSIFT_CACHE_KEY", "0123456789abcdef")
    again = scoring(student, tmp_path / "c")
    assert "1 shard in " in caplog.text
    assert "not signed with the key of STEPSIFT_CACHE_KEY: set aside" in caplog.text
    assert run(again, tmp_path)[2].from_cache == 0
    assert run(scoring(student, tmp_path / "c"), tmp_path)[2].from_cache == 3  # now signed
    _forge(tmp_path / "c", -0.5)
    table, _, progress = run(scoring(student, tmp_path / "c"), tmp_path)
    assert table.equals(true)
    assert progress.from_cache == 0
    # A signature is of one place: what is moved to the space of another student is none.
    space = next((tmp_path / "c/scores").iterdir())
    shutil.copytree(space, tmp_path / "d/scores" / ("0" * 64))
    (tmp_path / "d/scores" / ("0" * 64)).rename(tmp_path / "d/scores" / ("1" * 64))
    store = ShardStore(tmp_path / "d/scores" / ("1" * 64) / "tokens", TOKENS_SCHEMA, 10, 10.0)
    assert store._paths == []
    monkeypatch.setenv("STEPSIFT_CACHE_KEY", "another-key-of-16")
    assert run(scoring(student, tmp_path / "c"), tmp_path)[2].from_cache == 0


def test_a_pipe_in_the_cache_is_no_shard(tmp_path: Path, caplog):
    folder = tmp_path / "tokens"
    folder.mkdir()
    os.mkfifo(folder / f"{'a' * 64}.parquet")
    store = ShardStore(folder, TOKENS_SCHEMA, 10, 10.0)
    assert store.get_many([b"k" * 16]) == {}
    assert "is no regular file" in caplog.text
