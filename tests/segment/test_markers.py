"""The unit `marker`: blank lines and branch openers."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stepsift import params
from stepsift.segment import split

MARKER = params.Segment(unit="marker")


def steps_of(text: str, settings: params.Segment = MARKER) -> list[str]:
    steps = split(text, settings)
    return [text[a:b] for a, b in zip(steps.starts, steps.ends, strict=True)]


@pytest.mark.parametrize(
    "steps",
    [
        # Sentences and lines of one train of thought are one step.
        ["We add 3 and 4. That gives 7.\nSo x is 7."],
        ["We add 3 and 4. That gives 7.", " Wait, it was 5. So 8.", " But then y is odd. Hence no."],
        ["First, x = 3. Then y.", "\n\nNow z. It is 4.", "\n  \nDone here."],
        ["So 7.", "\nAlternatively, use induction.\nIt holds for 1.", "\n\nHowever, not for 2."],
        # An opener within a sentence opens nothing.
        ["It is nice, but slow. He said so."],
        ["<think>\nWait, 3 is prime. So 5.", "\n**But** 4 is not.\n</think>", "\n\nThe answer is 5. It is."],
        ["三加四等于七。所以是七。", "等等，再看一遍。", "但是这不对。答案是八。"],
        ["Drei und vier. Das ist 7.", " Moment, nein.", " Aber doch. Also 7."],
        # Blank lines within code and maths cut nothing.
        ["See:\n```\na = 1\n\nb = 2\n```\nIt is done."],
    ],
)
def test_literal_cases(steps):
    assert steps_of("".join(steps)) == steps


def test_the_kind_is_that_of_the_first_sentence_and_lengths_hold():
    text = "- a list item\n- and one more\n\n# A heading\nText. But more text."
    assert split(text, MARKER).kinds == ["list", "heading", "text"]
    long = "word " * 400
    cut = split(long, params.Segment(unit="marker", max_step_chars=100))
    assert all(cut.capped) and max(b - a for a, b in zip(cut.starts, cut.ends, strict=True)) <= 100


@given(st.lists(st.sampled_from(["We add. ", "Wait, no. ", "But so.\n", "\n\n", "Hence 7. ", "等等。"]), max_size=12))
def test_marker_steps_are_runs_of_sentences(parts):
    text = "".join(parts)
    by = {u: split(text, params.Segment(unit=u, min_step_chars=1)) for u in ("sentence", "marker")}
    assert set(by["marker"].starts) <= set(by["sentence"].starts)
