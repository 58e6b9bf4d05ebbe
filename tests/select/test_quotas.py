"""Choices that must fill numbers: mixtures, and the mix or the lengths of another selector."""

import itertools
import math
from collections import Counter

import numpy as np
import polars as pl
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from helpers.select_pools import make_pool
from stepsift import params
from stepsift.core import table_files, tables
from stepsift.core.errors import SelectionError
from stepsift.select.quotas import LENGTH_CLASSES, _length_classes, matched, mixture
from stepsift.select.selection import best, curated


def selector(by: str = "lalp", **settings) -> params.Selector:
    return params.Selector.model_validate({"name": "mixed.x", "by": by} | settings)


def candidates_of(scores: dict[str, dict[str, float]], domains=None, **more) -> pl.DataFrame:
    """Prompt to teacher to lalp."""
    rows = [{"prompt_id": p, "teacher": t, "lalp": x} | more for p, of in scores.items() for t, x in of.items()]
    return make_pool(rows, domains).candidates()


def mix(candidates: pl.DataFrame, seed=0, by="lalp", **settings) -> pl.DataFrame:
    chosen = selector(by, **settings)
    return table_files.validate(tables.CURATED, curated(mixture(candidates, chosen, seed), chosen))


# a is best everywhere; b loses 0.5, 2 and 0.25.
THREE = {"p": {"a": -1.0, "b": -1.5}, "q": {"a": -1.0, "b": -3.0}, "r": {"a": -1.0, "b": -1.25}}


def test_a_quota_is_filled_where_it_loses_least():
    found = mix(candidates_of(THREE), quotas={"teacher": {"a": 2 / 3, "b": 1 / 3}})
    reason = "fills a number of the mixture; place {} of 2 by lalp"
    assert found.rows() == [
        ("p", "a-p", "a", "mixed.x", -1.0, "b-p", None, None, reason.format(1)),
        ("q", "a-q", "a", "mixed.x", -1.0, "b-q", None, None, reason.format(1)),
        ("r", "b-r", "b", "mixed.x", -1.25, "a-r", None, None, reason.format(2)),
    ]
    found = mix(candidates_of(THREE), quotas={"teacher": {"b": 2 / 3}})
    assert found["trace_id"].to_list() == ["b-p", "a-q", "b-r"]


def test_where_low_is_better_the_loss_is_turned_round():
    rows = [
        {"prompt_id": p, "teacher": t, "rank": -x} for p, of in THREE.items() for t, x in of.items()
    ]  # ranks 1 and 1.5, 1 and 3, 1 and 1.25
    found = mix(make_pool(rows).candidates(), by="rank", quotas={"teacher": {"b": 1 / 3}})
    assert found["trace_id"].to_list() == ["a-p", "a-q", "b-r"]


def test_a_share_of_no_whole_number_is_rounded_down_or_up_whichever_loses_less():
    # Half of 3 is 1 or 2; a is better everywhere, so it has 2 and b has 1.
    found = mix(candidates_of(THREE), quotas={"teacher": {"a": 0.5, "b": 0.5}})
    assert found["trace_id"].to_list() == ["a-p", "a-q", "b-r"]


def test_domains_have_quotas_too():
    # Of 2 traces, 1 of maths and 1 without a domain; q loses least in maths by b (all a are 0, but a may have one).
    candidates = candidates_of(
        {"p": {"a": -1.0, "b": -1.5}, "q": {"b": -3.0}, "r": {"a": -1.0, "b": -1.25}, "s": {"a": -1.0, "b": -1.125}},
        {"p": "maths", "q": "maths"},
    )
    quotas = {"teacher": {"a": 0.5, "b": 0.5}, "domain": {"maths": 0.5, "none": 0.5}}
    found = mix(candidates, quotas=quotas, max_examples=2)
    # b-q is the best of its prompt and loses nothing; then a must come from r or s.
    assert found["trace_id"].to_list()[0] == "b-q"
    assert found["teacher"].to_list() == ["b", "a"]
    assert found["prompt_id"].to_list()[1] in ("r", "s")


def test_several_of_a_prompt_and_the_runner_up():
    candidates = candidates_of({"p": {"a": -1.0, "b": -1.5, "c": -4.0}, "q": {"a": -1.0, "b": -3.0, "c": -2.0}})
    found = mix(candidates, quotas={"teacher": {"c": 0.5}}, per_prompt=2)
    assert found.select("trace_id", "runner_up").rows() == [
        *(("a-p", "b-p"), ("c-p", "b-p"), ("a-q", "b-q"), ("c-q", "b-q")),
    ]
    found = mix(candidates, quotas={"teacher": {"c": 0.25}}, per_prompt=2)
    assert found["trace_id"].to_list() == ["a-p", "b-p", "a-q", "c-q"]


def test_ties_are_decided_by_the_seed_and_not_by_the_order_of_rows():
    candidates = candidates_of({f"p{i}": {"a": -1.0, "b": -1.0} for i in range(12)})
    quotas = {"teacher": {"a": 0.5, "b": 0.5}}
    first, other = (mix(candidates, seed, quotas=quotas) for seed in (0, 1))
    assert not first.equals(other)
    for shuffle in range(3):
        mixed = candidates.sample(fraction=1, shuffle=True, seed=shuffle)
        assert_frame_equal(mix(mixed, 0, quotas=quotas), first)


def test_a_score_of_any_size_is_told_apart():
    """The solver's tolerances are absolute."""
    for size in (1e-12, 1.0, 1e9):
        scores = {p: {t: x * size for t, x in of.items()} for p, of in THREE.items()}
        found = mix(candidates_of(scores), quotas={"teacher": {"b": 1 / 3}})
        assert found["trace_id"].to_list() == ["a-p", "a-q", "b-r"]


CELLS = st.dictionaries(
    st.sampled_from("pqrs"), st.dictionaries(st.sampled_from("abc"), st.integers(-64, 0), min_size=1), min_size=1
)
SHARES = st.sampled_from([0.2, 0.25, 1 / 3, 0.5, 0.6, 1.0])


@pytest.mark.slow
@given(
    CELLS,
    st.dictionaries(st.sampled_from("ab"), SHARES, max_size=2),
    st.dictionaries(st.sampled_from(["maths", "none"]), SHARES, max_size=2),
    st.integers(1, 2),
    st.none() | st.integers(1, 5),
)
@settings(max_examples=60)
def test_a_mixture_is_the_best_of_all_that_fill_the_numbers(cells, teachers, domains, per_prompt, most):
    assume(sum(teachers.values()) <= 1 and sum(domains.values()) <= 1 and (teachers or domains))
    of_prompt = {"p": "maths", "q": "maths"}
    candidates = candidates_of({p: {t: x / 8 for t, x in of.items()} for p, of in cells.items()}, of_prompt)
    rows = [(p, t, of_prompt.get(p, "none"), max(of.values()) - x) for p, of in cells.items() for t, x in of.items()]
    total = min(sum(min(per_prompt, len(of)) for of in cells.values()), most or 99)

    def fills(subset) -> bool:
        for column, shares in ((1, teachers), (2, domains)):
            n = Counter(row[column] for row in subset)
            for value, share in shares.items():
                if not math.floor(share * total + 1e-6) <= n[value] <= math.ceil(share * total - 1e-6):
                    return False
        return max(Counter(row[0] for row in subset).values()) <= per_prompt

    losses = [sum(row[3] for row in subset) for subset in itertools.combinations(rows, total) if fills(subset)]
    asked = {"quotas": {"teacher": teachers, "domain": domains}, "per_prompt": per_prompt, "max_examples": most}
    if not losses:
        with pytest.raises(SelectionError, match="the best possible with these shares"):
            mix(candidates, **asked)
        return
    found = mix(candidates, **asked)
    chosen = [row for row in rows if f"{row[1]}-{row[0]}" in set(found["trace_id"])]
    assert len(chosen) == found.height == total and fills(chosen)
    assert sum(row[3] for row in chosen) == min(losses)


def test_numbers_that_cannot_be_had_name_the_bottleneck():
    # Four prompts, but b wrote for one only.
    scores = {p: {"a": -1.0} for p in "pqrs"}
    scores["p"]["b{}"] = -2.0
    candidates = candidates_of(scores)
    with pytest.raises(SelectionError) as e:
        mix(candidates, quotas={"teacher": {"a": 0.5, "b{}": 0.5}})
    assert str(e.value) == (
        "selector 'mixed.x' asks for 4 traces, of them teacher a: 2, teacher b{}: 2; the best possible with these "
        "shares is 3 traces; the bottleneck is teacher b{} (1 of 2 possible while the others are met)"
    )
    # What it proposes can be had.
    assert mix(candidates, quotas={"teacher": {"a": 0.5, "b{}": 0.5}}, max_examples=3).height == 3


def test_the_best_possible_number_may_lie_above_one_that_is_not():
    # Two prompts in x, three in y, .3 of each: of five 1 or 2, of four 1 or 2, of three none or 1.
    domains = dict(zip("pqrst", "xxyyy", strict=True))
    candidates = candidates_of({p: {"a": -1.0} for p in domains}, domains)
    quotas = {"domain": {"x": 0.3, "y": 0.3}}
    with pytest.raises(SelectionError, match=r"asks for 5 traces, .* possible with these shares is 4 traces;"):
        mix(candidates, quotas=quotas)
    with pytest.raises(SelectionError, match=r"asks for 3 traces, .* possible with these shares is 2 traces;"):
        mix(candidates, quotas=quotas, max_examples=3)
    assert mix(candidates, quotas=quotas, max_examples=4).height == 4


def test_a_quota_of_what_does_not_exist_has_nothing_possible():
    with pytest.raises(SelectionError, match=r"best possible with these shares is 1 trace; .* teacher nobody \(0 of 1"):
        mix(candidates_of(THREE), quotas={"teacher": {"nobody": 0.5}})


def test_teachers_that_may_not_fill_all_are_a_bottleneck_of_their_own():
    # Only a has candidates, and must not have more than half.
    with pytest.raises(SelectionError, match="the bottleneck is the number of all"):
        mix(candidates_of({p: {"a": -1.0} for p in "pq"}), quotas={"teacher": {"a": 0.5}})


# matched

PROMPTS = [f"p{i:02}" for i in range(20)]


def big_pool(n_prompts: int = len(PROMPTS)) -> pl.DataFrame:
    rng = np.random.default_rng(3)
    prompts = [f"p{i:02}" for i in range(n_prompts)]
    rows = [
        {"prompt_id": p, "teacher": t, "lalp": float(-rng.uniform()), "n_tokens": int(rng.integers(10, 400))}
        for p in prompts
        for t in "abcd"
    ]
    return make_pool(rows).candidates()


def mixed_like(candidates, reference, seed=0, **settings) -> pl.DataFrame:
    chosen = selector(**settings)
    return table_files.validate(tables.CURATED, curated(matched(candidates, reference, chosen, seed), chosen))


@pytest.mark.parametrize("per_prompt", [1, 2])
def test_the_mix_of_another_selector_is_copied_on_its_prompts(per_prompt):
    candidates = big_pool()
    reference = best(candidates, selector(per_prompt=per_prompt)).filter(pl.col("prompt_id") > "p04")
    found = mixed_like(candidates, reference, by="random", mix_of="lalp")
    assert Counter(found["teacher"]) == Counter(reference["teacher"])
    assert Counter(found["prompt_id"]) == Counter(reference["prompt_id"])
    assert set(found["trace_id"]) != set(reference["trace_id"])
    assert found["reason"][0] == "drawn by random within the teachers of lalp; 4 candidates"


def test_within_the_mix_the_draw_follows_the_seed():
    pools = [big_pool(), big_pool().with_columns(random=1 - pl.col("random"))]
    found = []
    for candidates in pools:
        reference = best(candidates, selector())
        found.append(mixed_like(candidates, reference, by="random", mix_of="lalp"))
    assert set(found[0]["trace_id"]) != set(found[1]["trace_id"])


def test_within_the_mix_the_best_are_taken_by_a_metric():
    candidates = big_pool()
    reference = best(candidates, selector("random"))
    found = mixed_like(candidates, reference, by="lalp", mix_of="random")
    assert Counter(found["teacher"]) == Counter(reference["teacher"])
    assert found["score"].sum() >= reference["lalp"].sum()
    # Copied from itself, the best is the best.
    same = mixed_like(candidates, best(candidates, selector()), by="lalp", mix_of="lalp")
    assert set(same["trace_id"]) == set(best(candidates, selector())["trace_id"])
    assert same["reason"][0] == "chosen by lalp within the teachers of lalp; 4 candidates"


def test_the_lengths_of_another_selector_are_copied_in_classes():
    candidates = big_pool()
    reference = best(candidates, selector("longest"))
    found = mixed_like(candidates, reference, by="random", lengths_of="longest")
    classes = dict(zip(candidates["trace_id"], _length_classes(candidates["n_tokens"]), strict=True))
    assert Counter(classes[i] for i in found["trace_id"]) == Counter(classes[i] for i in reference["trace_id"])
    assert Counter(found["prompt_id"]) == Counter(reference["prompt_id"])
    assert found["reason"][0] == "drawn by random within the lengths of longest; 4 candidates"


def test_rows_and_tokens_per_teacher_are_both_copied():
    candidates = big_pool(120)
    reference = best(candidates, selector())
    found = mixed_like(candidates, reference, by="random", mix_of="lalp", lengths_of="lalp")
    assert Counter(found["teacher"]) == Counter(reference["teacher"])
    assert Counter(found["prompt_id"]) == Counter(reference["prompt_id"])
    assert set(found["trace_id"]) != set(reference["trace_id"])
    assert found["reason"][0] == "drawn by random within the teachers and lengths of lalp; 4 candidates"
    # By hand: each teacher's own tenths of length, as often as in the reference.
    parts = candidates.partition_by("teacher")
    tenths = pl.concat([rows.with_columns(tenth=_length_classes(rows["n_tokens"])) for rows in parts])
    cell = {trace: rest for trace, *rest in tenths.select("trace_id", "teacher", "tenth").rows()}
    assert Counter(map(str, map(cell.get, found["trace_id"]))) == Counter(
        map(str, map(cell.get, reference["trace_id"]))
    )
    n_tokens = dict(candidates.select("trace_id", "n_tokens").rows())
    for teacher in "abcd":
        own, copied = (
            sum(n_tokens[t] for t in frame.filter(pl.col("teacher") == teacher)["trace_id"])
            for frame in (reference, found)
        )
        assert copied == pytest.approx(own, rel=0.1)


def test_classes_of_length_hold_equally_many():
    classes = _length_classes(pl.Series(range(1, 101)))
    assert Counter(classes) == {str(10 * i): 10 for i in range(1, LENGTH_CLASSES + 1)}
    assert set(_length_classes(pl.Series([7] * 5))) == {"7"}
    assert Counter(_length_classes(pl.Series([1, 1, 1, 1, 1, 1, 1, 1, 1, 9]))) == {"1": 9, "9": 1}


def test_a_mix_that_cannot_be_copied_is_an_error():
    # The reference chose c-p by lalp; without a full pass c cannot be chosen by galp.
    rows = [
        {"prompt_id": "p", "teacher": "c", "lalp": 0.0, "galp": None},
        *({"prompt_id": p, "teacher": t} for p in "pq" for t in "ab"),
    ]
    candidates = make_pool(rows).candidates()
    reference = best(candidates, selector())
    message = (
        r"'mixed.x' asks for 2 traces, of them teacher a: 1, teacher c: 1; the best .*bottleneck is teacher c \(0 of 1 "
        r"possible while the others are met\); for 1 trace of lalp without a score by galp no other could be taken"
    )
    with pytest.raises(SelectionError, match=message):
        mixed_like(candidates, reference, by="galp", mix_of="lalp")
    # All have one token.
    with pytest.raises(SelectionError, match=r"asks for 2 traces, of them length up to 1 of a: 1, length up to 1 of c"):
        mixed_like(candidates, reference, by="galp", mix_of="lalp", lengths_of="lalp")


def test_order_of_rows_does_not_matter_to_what_is_matched():
    candidates = big_pool()
    reference = best(candidates, selector())
    straight = mixed_like(candidates, reference, by="random", mix_of="lalp")
    mixed = [f.sample(fraction=1, shuffle=True, seed=1) for f in (candidates, reference)]
    assert_frame_equal(mixed_like(*mixed, by="random", mix_of="lalp"), straight)
