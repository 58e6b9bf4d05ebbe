"""Filters of single responses: lengths, thinking, loops, language; and what holds for all of them."""

import functools
from concurrent.futures.process import BrokenProcessPool

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers.filter_pools import NOTHING_ASKED, OFF, make_pool, prose, reasons, rejected
from stepsift import params
from stepsift.core.errors import SelectionError
from stepsift.select.filters import apply, apply_filters, near_duplicates
from stepsift.select.filters.loops import repeated_unit_chars
from stepsift.select.filters.words import read_words, words_of
from stepsift.select.questions import collect

LOOP = "Hence the sum is even, and so we go on. " * 30
GERMAN = "Zuerst addieren wir die beiden Zahlen und teilen das Ergebnis dann durch sechs, also ist die Antwort sieben."
ENGLISH = "First we add the two numbers, then we divide what we got by six, and so the answer to the question is seven."


def only(**settings: object) -> params.Filters:
    return OFF.model_copy(update=settings)


def test_lengths_have_inclusive_limits() -> None:
    pool = make_pool([{"response": "x"}] * 4)
    got = rejected(pool, only(min_tokens=10, max_tokens=20), t0=9, t1=10, t2=20, t3=21)
    assert got.select("source_line", "trace_id", "teacher", "reason", "detail").rows() == [
        (1, "t0", "A", "too_short", "9 tokens, select.filters.min_tokens: 10"),
        (4, "t3", "A", "too_long", "21 tokens, select.filters.max_tokens: 20"),
    ]


@pytest.mark.parametrize(
    ("response", "detail"),
    [
        ("<think>\nso 4\n</think>\n\n4", None),
        ("4", None),
        ("A tag such as <think> opens the reasoning", None),
        ("<think>\nso 4, or rather", "<think> is never closed"),
        (" <think>\nso 4", "<think> is never closed"),
        ("<think>\nso 4\n</think>", "nothing follows </think>"),
        ("so 4\n</think> \n\t", "nothing follows </think>"),
    ],
)
def test_thinking(response: str, detail: str | None) -> None:
    got = rejected(make_pool([{"response": response}]), only(unfinished_thinking=True))
    assert got.select("reason", "detail").rows() == ([("unfinished_thinking", detail)] if detail else [])


ROWS = "\n".join(f"| {i} | {i * i} | {i**3} |" for i in range(200))
FINE = {
    "table": ROWS,
    "table of equal rows": "| a | b |\n|---|---|\n" + "| 0 | 0 |\n" * 39,
    "code": "def f(n):\n" + "".join(f"    if n == {i}:\n        return {i}\n" for i in range(60)),
    "sum": " + ".join(map(str, range(1, 400))) + " = 79800",
    "sum of ones": " + ".join("1" * 99),
    "decimals": "1/3 = 0." + "3" * 390,
    "loop that ends": LOOP + "No, wait. The answer is 7.",
    "four times": (
        "The quick brown fox jumps over the lazy dog while the cat looks on in wonder, " + " ".join(prose(9))
    )
    * 4,
    "counting up": "".join(f"The next square is {i * i}, which is too small. " for i in range(100)),
    "empty line ends": "The answer is 7." + "\n" * 1_000,
}
ENDLESS = {
    "sentence": (LOOP, 40),
    "cut in the middle": ("Well. " + LOOP[:-13], 40),
    "one character": ("The result is 0." + "0" * 400, 1),
    "paragraph": ("\n\n".join(["Let us try. " + " ".join(prose(60))] * 6), None),
    "cut in dashes within the unit": (("Row one of it.\n" + "-" * 90 + "\n") * 8 + "Row one of it.\n" + "-" * 70, 106),
    "Chinese": ("所以答案是七。" * 60, 7),
}


@pytest.mark.parametrize("name", FINE)
def test_what_is_no_loop(name: str) -> None:
    assert reasons(make_pool([{"response": FINE[name]}]), only(loops=True)) == {}


@pytest.mark.parametrize("name", ENDLESS)
def test_loops(name: str) -> None:
    response, unit = ENDLESS[name]
    [(reason, detail)] = (
        rejected(make_pool([{"response": response}]), only(loops=True)).select("reason", "detail").rows()
    )
    assert reason == "loop"
    if unit:
        times = max(5, -(-400 // unit))
        assert detail == f"ends with a {unit}-character unit repeated at least {times} times"


@given(st.text(max_size=60), st.text(min_size=1, max_size=40), st.integers(0, 39))
@settings(max_examples=50)
def test_a_loop_is_found_wherever_it_is_cut(before: str, unit: str, cut: int) -> None:
    text = before + unit * (400 // len(unit) + 6) + unit[: cut % len(unit)]
    found = repeated_unit_chars(text)
    assert found and len(unit) % found == 0


@given(st.text(max_size=60), st.text("ab\n", min_size=1, max_size=9), st.integers(1, 600))
def test_what_is_found_is_a_loop(before: str, unit: str, n: int) -> None:
    text = before + unit * n
    if found := repeated_unit_chars(text):
        end = text[-max(400, 5 * found) :]
        assert len(end) >= max(400, 5 * found) and end[found:] == end[:-found]


def test_language() -> None:
    code = "```\n" + GERMAN + "\n```\n"
    pool = make_pool(
        [
            {"response": ENGLISH},
            {"response": GERMAN},
            {"response": "首先我们把两个数字相加,然后除以六,所以这个问题的答案是七。我们再检查一遍。"},
            {"response": "Antwort: sieben."},
            {"response": code + ENGLISH},
            {"response": r"$$\text{" + GERMAN + "}$$ " + ENGLISH},
        ]
    )
    got = rejected(pool, only(languages=("en",)))
    assert got.select("trace_id", "reason", "detail").rows() == [
        ("t1", "language", "language de at its start, select.filters.languages: en"),
        ("t2", "language", "language zh at its start, select.filters.languages: en"),
    ]
    assert reasons(pool, only(languages=("en", "de"))) == {"t2": "language"}
    with pytest.raises(SelectionError, match="names 'english', which is not known here; known are af"):
        rejected(pool, only(languages=("en", "english")))


@pytest.mark.parametrize(
    "formula",
    [
        "$$ " + "k i n s j u e z q e t e r " * 20,
        "\\begin{aligned} " + "k i n s j u e z q e t e r " * 20,
        "k i n s j u e z q e t e r " * 20,
    ],
)
def test_formulas_are_no_language(formula: str) -> None:
    assert reasons(make_pool([{"response": f"We have {formula}"}]), only(languages=("en",))) == {}


def test_a_response_that_slips_into_another_language_at_its_end() -> None:
    pool = make_pool([{"response": (ENGLISH + " ") * 20 + (GERMAN + " ") * 10}])
    got = rejected(pool, only(languages=("en",)))["detail"].to_list()
    assert got == ["language de at its end, select.filters.languages: en"]


ALL = params.Filters(min_tokens=10, max_tokens=1_000, languages=("en",), near_duplicates=0.8)
QUESTION = "which of the nine grey cats that sat on the mat ate seven of the thirteen fat rats"
RESPONSES = {
    "too_short": "<think>\n" + LOOP,
    "unfinished_thinking": "<think>\n" + LOOP,
    "loop": GERMAN + QUESTION + LOOP,
    "language": f"{GERMAN} {GERMAN} {GERMAN}" + QUESTION,
    "contaminated": f"{ENGLISH} {ENGLISH} {ENGLISH} {QUESTION}",
    "contaminated too": f"{ENGLISH} {ENGLISH} {ENGLISH} {QUESTION}",
    "kept": ENGLISH,
    "near_duplicate": f"{ENGLISH} {ENGLISH} So.",
}


def all_reasons(order: list[str], rows_a_frame: int, workers: int = 1) -> pl.DataFrame:
    rows = [
        {"trace_id": name, "response": RESPONSES[name], "hash": "1" if name == "kept" else "2"}
        | {"prompt_id": "q" if name.endswith("too") else "p"}
        for name in order
    ]
    pool = make_pool(rows, {"q": QUESTION}, rows_a_frame)
    n_tokens = pl.DataFrame({"trace_id": order, "n_tokens": [9 if name == "too_short" else 100 for name in order]})
    return apply_filters(pool, n_tokens, ALL, collect({"cats": [QUESTION]}), workers)


def test_the_first_filter_that_drops_gives_the_only_row() -> None:
    got = all_reasons(list(RESPONSES), 3).select("trace_id", "reason").sort("trace_id").rows()
    assert got == sorted((name, name.removesuffix(" too")) for name in RESPONSES if name != "kept")


@functools.cache
def in_their_order() -> pl.DataFrame:
    return all_reasons(list(RESPONSES), 3).drop("source_line").sort("trace_id")


@settings(max_examples=8, deadline=None)
@given(st.permutations(list(RESPONSES)), st.integers(1, 8))
def test_nothing_depends_on_the_order_or_on_frames(order: list[str], rows_a_frame: int) -> None:
    got = all_reasons(order, rows_a_frame).drop("source_line").sort("trace_id")
    assert got.equals(in_their_order())


@pytest.mark.slow
def test_any_number_of_processes_drops_the_same_traces_for_the_same_reasons() -> None:
    """Every reason among them, near duplicates on either side of a cut, and prompts of several parts."""
    expected = all_reasons(list(RESPONSES), 3)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(apply, "SLICE_ROWS", 2)
        patch.setattr(near_duplicates, "PROMPTS", 1)
        for workers in (1, 2):
            assert all_reasons(list(RESPONSES), 3, workers).equals(expected), workers


def test_a_process_that_is_killed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def killed(*_: object) -> None:
        raise BrokenProcessPool

    monkeypatch.setattr(apply.Crew, "map", killed)
    with pytest.raises(SelectionError, match=r"was killed, .* lower select\.workers \(now 1\)"):
        rejected(make_pool([{"response": LOOP}]), only(near_duplicates=0.9))


def test_only_scored_traces_are_looked_at() -> None:
    pool = make_pool([{"response": LOOP}, {"response": LOOP}])
    scored = pl.DataFrame({"trace_id": ["t1"], "n_tokens": [5]})
    assert apply_filters(pool, scored, only(loops=True), NOTHING_ASKED)["trace_id"].to_list() == ["t1"]


def test_a_pool_without_traces() -> None:
    assert rejected(make_pool([]), params.Filters(min_tokens=3)).is_empty()


def test_words() -> None:
    texts = pl.Series(["Ａb-C_1 \\frac{x}{2}", "你好 world东京", "", "Straße; naïve", "हिन्दी में"])
    assert words_of(texts).to_list() == [
        ["ab", "c_1", "frac", "x", "2"],
        ["你", "好", "world", "东", "京"],
        [],
        ["straße", "naïve"],
        ["हिन्दी", "में"],
    ]


TEXTS = st.lists(st.lists(st.sampled_from("abc"), max_size=9).map(" ".join), max_size=6)


@given(TEXTS, st.integers(1, 5), st.booleans())
def test_runs_are_what_their_words_are(texts: list[str], length: int, short: bool) -> None:
    hashes, text = read_words(pl.Series(texts, dtype=pl.String)).runs(length, short)
    expected = []
    for i, words in enumerate(t.split() for t in texts):
        expected += [(i, tuple(words[k : k + length])) for k in range(len(words) - length + 1)]
        expected += [(i, tuple(words))] * (short and 0 < len(words) < length)
    assert text.tolist() == [i for i, _ in expected]
    # Equal words, equal hashes, and the reverse.
    assert len(set(zip(hashes.tolist(), (w for _, w in expected), strict=True))) == len(set(hashes.tolist()))
    assert len(set(hashes.tolist())) == len({w for _, w in expected})


def test_hashes_of_words_are_the_same_on_every_machine() -> None:
    hashes = read_words(pl.Series(["one two", "two"])).runs(1)[0]
    assert hashes.tolist() == [14489617718373642804, 218224992319827701, 218224992319827701]


def worst_of(scores: dict[str, float | None], hashes: dict[str, str] | None = None, **settings: object) -> list[str]:
    """Traces that `worst` drops of traces with these scores by `hes` or whatever `by` says."""
    rows = [{"response": "x", "trace_id": t, "hash": (hashes or {}).get(t, t)} for t in scores]
    by = settings.get("by", "hes")
    scored = pl.DataFrame(
        {"trace_id": list(scores), "n_tokens": [100] * len(scores), by: list(scores.values())},
        schema_overrides={by: pl.Float64},
    )
    filters = only(worst=params.Worst(**{"by": by} | settings))
    got = apply_filters(make_pool(rows), scored, filters, NOTHING_ASKED)
    assert set(got["reason"]) <= {"worst"}
    return got["trace_id"].sort().to_list()


def test_the_worst_fifth_is_dropped_whatever_its_prompt() -> None:
    scores = {"a": 3.0, "b": 1.0, "c": 2.0, "d": 5.0, "e": 4.0}
    assert worst_of(scores) == ["b"]
    # Floor of .2 * 4 is none; of .5 * 5 it is two.
    assert worst_of({k: scores[k] for k in "abcd"}) == []
    assert worst_of(scores, share=0.5) == ["b", "c"]
    # Where low is better, the highest go.
    assert worst_of(scores, by="entropy") == ["d"]
    assert worst_of({f"t{i:03}": float(i) for i in range(100)}, share=0.29)[-1] == "t028"


def test_equal_scores_are_dropped_by_content_hash_and_no_score_is_kept() -> None:
    equal = dict.fromkeys("abcde", 1.0)
    assert worst_of(equal, {"a": "z", "e": "c"}) == ["a"]
    # Two have no score: of the other three, .34 is one.
    assert worst_of({"a": None, "b": 2.0, "c": 1.0, "d": 3.0, "e": None}, share=0.34) == ["c"]


def test_what_another_filter_drops_is_not_counted_among_the_worst() -> None:
    rows = [{"response": "x", "trace_id": t} for t in "abcdef"]
    scored = pl.DataFrame({"trace_id": list("abcdef"), "n_tokens": [1] + [100] * 5, "hes": [0.0, 6, 5, 4, 3, 2]})
    got = apply_filters(make_pool(rows), scored, only(min_tokens=2, worst=params.Worst(by="hes")), NOTHING_ASKED)
    assert got.select("trace_id", "reason").rows() == [("a", "too_short"), ("f", "worst")]
    assert got["detail"][1] == "hes 2.0, of the worst 0.2 of all traces, select.filters.worst"


@given(st.lists(st.integers(0, 9), min_size=1, max_size=30), st.floats(0.01, 0.99))
@settings(max_examples=30)
def test_no_trace_that_is_kept_is_worse_than_one_that_is_dropped(scores: list[int], share: float) -> None:
    by_trace = {f"t{i:02}": float(s) for i, s in enumerate(scores)}
    dropped = worst_of(by_trace, share=share)
    kept = [s for t, s in by_trace.items() if t not in dropped]
    assert len(dropped) in {int(share * len(scores)), int(share * len(scores) + 1e-9)}
    assert max((by_trace[t] for t in dropped), default=0) <= min(kept, default=9)
