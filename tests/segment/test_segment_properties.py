"""What holds for every text: arbitrary Unicode, and fragments that are known to mislead splitters."""

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from stepsift import params
from stepsift.segment import KINDS, split

FRAGMENTS = [
    *("a", "B", "x", "word", "Word", "7", "3.14", "e.g.", "Dr.", "J.", "U.S.", "Fig. 2", "etc.", "No.", "5!"),
    *(".", "!", "?", "...", "…", "?!", ":", ";", ",", '"', "'", "”", ")", "(", "]", "}", "*", "**", "_", "=", "+", "<"),
    *(" ", "  ", "\t", "\n", "\n\n", "\r\n", "\r", "\x0b", "\x0c", "\x1c", "\x1d", "\x1e", "\x1f", "\x85", "\xa0"),
    *("\u2028", "\u2029", "\u3000", "\u200b", "\u200d", "\ufeff", "\u0301", "\ufe0f", "\x00", "👩\u200d💻", "🏽", "é"),
    *("```", "```python", "````", "~~~", "\n```\n", "\n```", "\n~~~\n", "`", "``", "|", "\n| a |", "\n|---|", "\n|"),
    *("$", "$$", "\\$", "\\", "\\\\", "\\(", "\\)", "\\[", "\\]", "\\begin{a}", "\\end{a}", "\\begin{b}", "\\end{b}"),
    *("<think>", "</think>", "<think", "think>", "# ", "\n## ", "- ", "\n- "),
    *("1. ", "\n2. ", "a) ", "(iv) ", "\n**1.** "),
    *("Wait, ", "But ", "Aber ", "等等，", "但是"),
    *("。", "！", "？", "；", "，", "”", "」", "好", "的", "।", "؟", "።", "．", "５．", ". y = 3", ". A", "\nStep 1. "),
]
WHITE_SPACE = [f for f in FRAGMENTS if f.isspace()]
NASTY = st.lists(st.sampled_from(FRAGMENTS) | st.sampled_from(WHITE_SPACE), max_size=40).map("".join)
REPEATED = st.builds(lambda a, n, b: a * n + b, NASTY, st.integers(2, 9), NASTY)
TEXTS = st.text(max_size=60) | NASTY | REPEATED
SETTINGS = st.builds(
    params.Segment,
    unit=st.sampled_from(["sentence", "line", "paragraph", "marker"]),
    max_step_chars=st.sampled_from([16, 17, 25, 60, 1_000]),
    min_step_chars=st.sampled_from([1, 2, 4, 12, 15]),
)

unhurried = hypothesis_settings(deadline=None, max_examples=100)
"""A loaded machine must not fail a property."""


def pieces(text: str, settings: params.Segment) -> list[str]:
    steps = split(text, settings)
    return [text[a:b] for a, b in zip(steps.starts, steps.ends, strict=True)]


@unhurried
@given(TEXTS, SETTINGS)
def test_steps_cover_the_text(text, settings):
    steps = split(text, settings)
    assert "".join(pieces(text, settings)) == text
    assert steps.starts == [0, *steps.ends[:-1]][: len(steps.starts)]
    assert len(steps.starts) == len(steps.ends) == len(steps.kinds) == len(steps.capped)
    assert set(steps.kinds) <= set(KINDS)


@unhurried
@given(TEXTS, SETTINGS)
def test_steps_are_not_white_space_and_do_not_end_with_it(text, settings):
    parts = pieces(text, settings)
    if not text or text.isspace():
        assert parts == [text][: len(text)]
        return
    assert all(part.strip() for part in parts)
    assert all(not part[-1].isspace() for part in parts[:-1])


@unhurried
@given(TEXTS, SETTINGS)
def test_again_changes_nothing(text, settings):
    first = split(text, settings)
    assert split("".join(pieces(text, settings)), settings) == first


@unhurried
@given(TEXTS, SETTINGS)
def test_a_step_by_itself_is_one_step(text, settings):
    steps = split(text, settings)
    for part, capped in zip(pieces(text, settings), steps.capped, strict=True):
        if not capped:
            assert pieces(part, settings) == [part]


@unhurried
@given(TEXTS, SETTINGS)
def test_no_step_mixes_thinking_and_answer(text, settings):
    steps = split(text, settings)
    for part, capped in zip(pieces(text, settings), steps.capped, strict=True):
        if not capped:
            assert not part[: max(part.rfind("<think>"), 0)].replace("<think>", "").strip()
            assert "</think>" not in part or not part[part.find("</think>") :].replace("</think>", "").strip()


@unhurried
@given(TEXTS, SETTINGS)
def test_only_white_space_makes_a_step_too_long(text, settings):
    longest = settings.max_step_chars
    for part in pieces(text, settings):
        core = part.strip()
        assert len(core) <= longest
        if len(part) > longest:
            assert len(part) - len(core) >= longest


@unhurried
@given(TEXTS, SETTINGS)
def test_short_steps_have_no_neighbour_that_would_take_them(text, settings):
    steps = split(text, settings)
    parts = pieces(text, settings)
    for i, part in enumerate(parts):
        if steps.capped[i] or sum(not c.isspace() for c in part) >= settings.min_step_chars:
            continue
        if i + 1 < len(parts) and "</think>" not in part and "<think>" not in parts[i + 1]:
            assert len(part) + len(parts[i + 1]) > settings.max_step_chars or steps.capped[i + 1]


@unhurried
@given(NASTY)
def test_units_are_nested(text):
    """Where no length interferes, what ends a paragraph ends a line, and what ends a line ends a sentence (but in
    tables, which are cut by line alone)."""
    paragraphs, lines, sentences = (
        set(split(text, params.Segment(unit=unit, max_step_chars=100_000, min_step_chars=1)).starts)
        for unit in ("paragraph", "line", "sentence")
    )
    assert paragraphs <= lines
    assert paragraphs <= sentences
    if "|" not in text:
        assert lines <= sentences


ADVERSARIAL = [
    *("a", " ", "\n", "\r\n", "\u2028", "a\n", "  \n", "(", ".", ". ", ".)", "a.b.", "1. ", "A. ", "5! ", "。", "好。"),
    *(
        "$",
        "$ ",
        "$$ ",
        "$x ",
        "\\",
        "\\(",
        "\\[",
        "\\[\\(",
        "\\begin{a}",
        "`",
        "` ",
        "`a",
        "```\n",
        "\n```x\n",
        "~~~\n",
    ),
    *(
        "|",
        "|\n",
        "| a |\n",
        "# \n",
        "- ",
        "- a\n",
        "*1.\n",
        "<think>",
        "</think>",
        "<think>x</think>",
        "e\u0301\u0301",
    ),
]
MANY = 250_000


@pytest.mark.slow
@pytest.mark.timeout(20)
@pytest.mark.parametrize("fragment", ADVERSARIAL, ids=repr)
def test_a_quarter_of_a_megabyte_of_one_fragment_is_split(fragment):
    """It takes a quarter of a second at most. A quadratic rule would take half a minute in a pattern and hours in
    Python, so this test passes only if there is none; bench/segment.py has times."""
    text = fragment * (MANY // len(fragment.encode()))
    steps = split(text, params.Segment())
    assert steps.starts[0] == 0
    assert steps.starts[1:] == steps.ends[:-1]
    assert steps.ends[-1] == len(text)
