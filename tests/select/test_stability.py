"""How sure a choice is: hand-worked jackknives, and the same by scoring again what is left of the steps."""

from collections.abc import Iterator

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers.select_pools import Pool, make_pool
from stepsift import params
from stepsift.core import tables
from stepsift.metrics import all_metrics, fit_all, trace_scores, trace_sums, with_fits
from stepsift.select.selection import best
from stepsift.select.stability import BLOCKS, columns_of, read_sums, shares


def steps_of(*lalps: float, n_tokens: int = 1) -> list[dict]:
    return [{"lalp": x, "n_tokens": n_tokens} for x in lalps]


def stability(
    pool: Pool,
    by: str = "lalp",
    per_prompt: int = 1,
    others: list[pl.DataFrame] | None = None,
    teacher: str | None = None,
) -> dict[str, float]:
    """Trace to stability of what a selector chooses from all candidates, or from those of one teacher."""
    selector = params.Selector(name="s", by=by, per_prompt=per_prompt)
    candidates = pool.candidates()
    running = candidates if teacher is None else candidates.filter(pl.col("teacher") == teacher)
    sums = read_sums(pool.in_frames().step_scores(), columns_of([all_metrics()[by]]))
    found = shares(
        {"s": (selector, running, best(running, selector))},
        candidates,
        sums,
        fit_all(candidates, "pool"),
        [trace_sums(other) for other in others or []],
    )
    return dict(found["s"].select("trace_id", "stability").rows())


# b is -1 throughout. a: three steps of -0.25 and seven of -1.25, a sum of -9.5, so it wins. Without one of the three
# its other nine sum to -9.25, below b's -9: b wins. Without one of the seven they sum to -8.25: a wins.
FLIPS = [-0.25] * 3 + [-1.25] * 7


@pytest.mark.parametrize("order", [FLIPS, FLIPS[::-1], FLIPS[5:] + FLIPS[:5]])
def test_three_blocks_of_ten_decide(order):
    pool = make_pool(
        [
            {"prompt_id": "p", "teacher": "a", "steps": steps_of(*order)},
            {"prompt_id": "p", "teacher": "b", "steps": steps_of(*[-1.0] * 10)},
        ]
    )
    assert stability(pool) == {"a-p": 0.7}


def test_blocks_go_together_by_number():
    # As above with five steps a block: 50 steps against 10.
    pool = make_pool(
        [
            {"prompt_id": "p", "teacher": "a", "steps": steps_of(*(x for x in FLIPS for _ in range(5)))},
            {"prompt_id": "p", "teacher": "b", "steps": steps_of(*[-1.0] * 10)},
        ]
    )
    assert stability(pool) == {"a-p": 0.7}


def test_a_trace_of_one_step_is_left_whole():
    # Without its only step a would have no score and b would win: it keeps it in all ten.
    rows = [
        {"prompt_id": "p", "teacher": "a", "lalp": -1.0},
        {"prompt_id": "p", "teacher": "b", "steps": steps_of(*[-2.0] * 10)},
    ]
    assert stability(make_pool(rows)) == {"a-p": 1.0}
    # The only step with tokens, beside some that have none.
    rows[0] = {
        "prompt_id": "p",
        "teacher": "a",
        "steps": steps_of(0.0, n_tokens=0) + steps_of(-1.0) + steps_of(0.0, n_tokens=0),
    }
    assert stability(make_pool(rows)) == {"a-p": 1.0}


def test_fewer_steps_than_blocks_are_whole_in_the_others():
    # a: -0.5 and -1.75, mean -1.125, against -1.25. Without the first it is -1.75 and loses; else it wins.
    pool = make_pool(
        [
            {"prompt_id": "p", "teacher": "a", "steps": steps_of(-0.5, -1.75)},
            {"prompt_id": "p", "teacher": "b", "lalp": -1.25},
        ]
    )
    assert stability(pool) == {"a-p": 0.9}


def test_draws_only_candidates_and_what_has_no_score_have_none():
    pool = make_pool(
        [
            {"prompt_id": "p", "teacher": "a"},
            {"prompt_id": "p", "teacher": "b", "lalp": -2.0},
            {"prompt_id": "q", "teacher": "a"},
            {"prompt_id": "r", "teacher": "a", "galp": -1.0},
            {"prompt_id": "r", "teacher": "b", "galp": None},
        ]
    )
    assert stability(pool, "random") == {}
    assert stability(pool) == {"a-p": 1.0, "a-r": 1.0}
    # Without a full pass b is no rival.
    assert stability(pool, "galp") == {"a-p": 1.0}


def test_several_of_a_prompt_each_have_their_own():
    # Two of three: b is always the best, a is among the two best unless one of its three blocks is out.
    rows = [
        {"prompt_id": "p", "teacher": "a", "steps": steps_of(*FLIPS)},
        {"prompt_id": "p", "teacher": "b", "lalp": -0.1},
        {"prompt_id": "p", "teacher": "c", "steps": steps_of(*[-1.0] * 10)},
        {"prompt_id": "q", "teacher": "a"},
        {"prompt_id": "q", "teacher": "b"},
    ]
    assert stability(make_pool(rows), per_prompt=2) == {"a-p": 0.7, "b-p": 1.0}
    assert stability(make_pool(rows), per_prompt=3) == {}


def other(pool: Pool, **lalps: float | None) -> pl.DataFrame:
    """Step scores of some traces of one step, by trace."""
    named = pl.DataFrame({"trace_id": [i.replace("_", "-") for i in lalps], "x": list(lalps.values())})
    found = pool.step_scores.join(named, on="trace_id").with_columns(local_logprob=pl.col("x") * pl.col("n_tokens"))
    return found.select(tables.STEP_SCORES.schema.keys())


def test_other_windows_count_where_they_hold_all_candidates_of_a_prompt():
    pool = make_pool(
        [
            *({"prompt_id": p, "teacher": "a", "lalp": -1.0} for p in "pq"),
            *({"prompt_id": p, "teacher": "b", "lalp": -2.0} for p in "pq"),
        ]
    )
    # p: a wins once more and loses once; q: b is missing in the second, so that it is not asked.
    others = [
        other(pool, a_p=-1.0, b_p=-2.0, a_q=-9.0, b_q=-2.0),
        other(pool, a_p=-9.0, b_p=-2.0, a_q=-9.0),
    ]
    assert stability(pool, others=others) == {"a-p": pytest.approx(11 / 12), "a-q": pytest.approx(10 / 11)}
    # A table of other traces alone changes nothing.
    assert stability(pool, others=[pool.step_scores.clear()]) == {"a-p": 1.0, "a-q": 1.0}


def test_a_fitted_score_is_compared_with_all_candidates_whoever_may_be_chosen():
    # By lark_g, a-one and a-two change places with b's weight in the prompt, though only a may be chosen.
    # g_k is proportional to 2 Brier_k - L_k * (sum Brier / sum L). one: L 2, Brier 0.5; two: L 4, Brier 0.75.
    # Of both alone the sums are 1.25 / 6: one 0.58, two 0.67. With b (L 0.1, Brier 0.9): 2.15 / 6.1: 0.30 and 0.09.
    rows = [
        {"prompt_id": "p", "teacher": "a", "trace_id": "one", "galp": -2.0, "brier": 0.5},
        {"prompt_id": "p", "teacher": "a", "trace_id": "two", "galp": -4.0, "brier": 0.75},
    ]
    b = {"prompt_id": "p", "teacher": "b", "galp": -0.1, "brier": 0.9}
    assert stability(make_pool(rows), "lark_g") == {"two": 1.0}
    assert stability(make_pool([*rows, b]), "lark_g", teacher="a") == {"one": 1.0}


def test_an_empty_pool_has_no_sums():
    sums = read_sums(iter([]), ["n_tokens"])
    assert sums.traces.is_empty() and sums.blocks.columns == ["block", "n_tokens", "trace"]


# Whole numbers and powers of two: sums and what is left of them are exact.
STEP = st.builds(
    lambda n, first, local, full, one: {
        **{"n_tokens": n, "n_first": min(n, first)},
        **{f"{p}_logprob": -float(x * n) for p, x in (("local", local), ("full", full))},
        **{f"{p}_first_two_logprob": -float(one * min(n, 1)) for p in tables.PASSES},
        **{
            f"{p}_{s}": float(v * n)
            for p in tables.PASSES
            for s, v in (("rank", full), ("entropy", 2 * local + 1), ("brier", one))
        },
    },
    *(st.sampled_from([0, 1, 2, 4]), st.integers(0, 2), st.integers(1, 9), st.integers(1, 9), st.integers(0, 4)),
)
TRACES = st.dictionaries(
    st.tuples(st.sampled_from("pq"), st.sampled_from("abc")),
    st.lists(STEP, min_size=1, max_size=14),
    min_size=2,
)


def without_block(steps: pl.DataFrame, block: int) -> pl.DataFrame:
    """Step scores without the block of that number in every trace that keeps a token then."""

    def kept() -> Iterator[pl.DataFrame]:
        for trace in steps.partition_by("trace_id"):
            n = trace.height
            rest = trace.filter(pl.Series([(i * min(BLOCKS, n)) // n != block for i in range(n)]))
            yield rest if rest["n_tokens"].sum() else trace

    return pl.concat(kept())


def brute_force(candidates: pl.DataFrame, perturbed: list[pl.DataFrame], by: str, per_prompt: int) -> dict[str, float]:
    """Trace to the share of the perturbed scores by which it is chosen again."""
    sign = 1 if all_metrics()[by].better == "low" else -1
    hashes = dict(candidates.select("trace_id", "content_hash").rows())
    rivals = set(candidates.filter(pl.col(by).is_not_null())["trace_id"])

    def orders(scored: pl.DataFrame) -> dict[str, list[str]]:
        found: dict[str, list] = {}
        for trace_id, prompt_id, value in scored.select("trace_id", "prompt_id", by).rows():
            if trace_id in rivals and value is not None:
                found.setdefault(prompt_id, []).append((sign * value, hashes[trace_id], trace_id))
        return {p: [i for _, _, i in sorted(of)] for p, of in found.items()}

    counts: dict[str, list[bool]] = {}
    chosen = {p: order[:per_prompt] for p, order in orders(candidates).items() if len(order) > per_prompt}
    for again in map(orders, perturbed):
        for p, i in ((p, i) for p, ids in chosen.items() for i in ids):
            if i in again.get(p, []):
                counts.setdefault(i, []).append(i in again[p][:per_prompt])
    return {i: sum(of) / len(of) for i, of in counts.items()}


SOME = ("lalp", "rsr_local", "aslec_drop", "lark_g", "aslec_casl", "aslec_casl_local", "shortest")


@pytest.mark.slow
@given(TRACES, st.integers(1, 2))
@settings(max_examples=4, deadline=None)
def test_it_is_what_scoring_what_is_left_again_gives(traces, per_prompt):
    made = make_pool([{"prompt_id": p, "teacher": t, "hash": t.replace("a", "z")} for p, t in traces])
    steps = [
        {"trace_id": f"{t}-{p}", "step": number} | step
        for (p, t), of in traces.items()
        for number, step in enumerate(of, start=1)
    ]
    scores = pl.DataFrame(steps, schema=tables.STEP_SCORES.schema).sort("trace_id", "step")
    pool = Pool(made.prompts, made.traces, scores)
    candidates = pool.candidates()
    fits = fit_all(candidates, "pool")
    left = [trace_sums(without_block(scores, block)) for block in range(BLOCKS)]
    perturbed = [with_fits(trace_scores(sums, pool.traces, 0), fits) for sums in left]
    for by in SOME:
        expected = brute_force(candidates, perturbed, by, per_prompt)
        assert stability(pool, by, per_prompt) == pytest.approx(expected), by
