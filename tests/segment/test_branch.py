"""Branch openers at the beginning of a step."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stepsift.segment.branch import branches, markers, opens_branch


@pytest.mark.parametrize(
    "text",
    [
        "Wait, that is 7.",
        "  \n\nBut then x is odd.",
        "but then",
        "**Alternatively**, use induction.",
        "- However, no.",
        "\u201cHold on\u201d, he says",
        "<think>\nHmm. So",
        "Aber das ist gerade.",
        "Mais non.",
        "¿Y si probamos otra cosa?",
        "Но это не так.",
        "但是这不对。",
        "等等，再看一遍。",
        "しかし、これは違う。",
        "하지만 이것은",
        "لكن هذا خطأ",
        "WAIT",
        "Wait",
    ],
)
def test_openers(text):
    assert opens_branch(text)


@pytest.mark.parametrize(
    "text",
    ["Butter is soft.", "So wait", "", " \n", "Waiting time is 3.", "7 but", "Therefore x = 2.", "Abermals.", "Maison",
     "所以但是", "x", "Hmmm", "No.", "orbit or maybe"],
)  # fmt: skip
def test_what_is_none(text):
    assert not opens_branch(text)


def test_each_step_of_a_response_is_looked_at_by_itself():
    response = "So 4. But no. Wait"
    assert branches(response, np.array([5, 13, 18])).tolist() == [False, True, True]
    # "But" is cut off after two characters.
    assert branches(response, np.array([5, 8, 18])).tolist() == [False, False, False]
    assert branches("", np.array([], dtype=np.int64)).tolist() == []


def test_the_list_is_of_several_languages_in_lower_case_and_each_opener_opens():
    assert len(markers()) >= 8 and {"en", "zh", "de"} <= markers().keys()
    for openers in markers().values():
        assert len(set(openers)) == len(openers)
        for opener in openers:
            assert opener == opener.lower() and opens_branch(opener) and opens_branch(f"\n* {opener}, x")


@given(st.text(max_size=30), st.text(max_size=30))
def test_what_lies_outside_of_the_step_does_not_matter(before, after):
    for inner in ("Wait, no", "Water"):
        text = before + inner + "." + after
        assert opens_branch(text, len(before), len(before) + len(inner)) == (inner == "Wait, no")
