"""UnknownMarkup of teachers that is in no known form is named, with a share and an example."""

import pytest

from stepsift.ingest.thinking import put_together, take_apart
from stepsift.ingest.thinking.families import FAMILIES
from stepsift.ingest.thinking.unknown import UnknownMarkup


def warnings(*responses: str, teacher: str = "anna") -> list[str]:
    markup = UnknownMarkup()
    for response in responses:
        markup.note(teacher, put_together(take_apart(response)))
    return markup.warnings()


R = "We add.\nSo 7."


@pytest.mark.parametrize(
    ("response", "verb", "token"),
    [
        (f"<|muse_start|>{R}<|muse_over|>It is 7.", "open", "<|muse_start|>"),
        (f"<ponder>\n{R}\n</ponder>\nIt is 7.", "open", "<ponder>"),
        (f"[PONDER]{R}[/PONDER]It is 7.", "open", "[PONDER]"),
        (f"◁muse▷{R}◁/muse▷It is 7.", "open", "◁muse▷"),
        (f"<｜muse｜>{R}", "open", "<｜muse｜>"),
        (f"[|muse|]{R}", "open", "[|muse|]"),
        (f"<|muse>{R}", "open", "<|muse>"),
        (f"{R}\n<verdict>7</verdict>", "close", "</verdict>"),
        (f"{R}<|turn_over|>", "close", "<|turn_over|>"),
        (f"<think>\n{R}\n</think>\n\n<|say|>It is 7.", "open", "<|say|>"),
        (f"<think>\n{R}\n</think>\n\n[SAY]It is 7.[/SAY]", "open", "[SAY]"),
        (f"<think>\n<ponder>{R}</ponder>\n</think>\n\nIt is 7.", "open", "<ponder>"),
        (f"Reasoning: {R}\nAnswer: 7", "open", "Reasoning:"),
        (f"## Thinking\n{R}\n### So\nIt is 7.\n## Then\n8", "open", "## Thinking"),
        (f"**Thought process:**\n{R}\n\n7", "open", "**Thought process:**"),
        (f"Thinking...\n{R}\n...done thinking.\n\n7", "open", "Thinking..."),
        (f"<details>\n<summary>Thought for 3 s</summary>\n{R}\n</details>\n7", "open", "<details"),
    ],
)
def test_most_responses_that_open_or_close_with_a_token(response, verb, token):
    (said, *_) = warnings(*[response] * 3, "It is 7.")
    assert said.startswith(f"75% of 4 responses of anna {verb} with {token}, a markup that no family of docs/OWN")
    assert "For example: " in said
    assert "\n" not in said
    assert warnings(response, response, "It is 7.", "It is 8.") == []
    assert warnings(*[response] * 3) == []  # too few to call it a habit


@pytest.mark.parametrize(
    "response",
    [
        "It is 7.", "<p>It is 7.</p>", "<ul><li>7</li></ul>", "[7] is right", "[Ada] has 7", "<ponder> but not closed",
        "\\[ x = 7 \\]", "if a <b and c> d", "```xml\n<a>7</a>\n```", "[link](x)", "It is [SAY]7.",
        "<div>\n<b>7</b>\n</div>", "Thinking of it, 7", "Reasoning is hard.", "Thoughts on 7: none",
        "## Thinking in sets", "<details>\n<summary>More</summary>\n7</details>",
    ],
)  # fmt: skip
def test_text_and_html_are_no_markup(response):
    assert warnings(*[response] * 9) == []


def test_no_known_family_is_named():
    for family in FAMILIES[:-2]:
        response = f"{family.opens[0]}\n{R}\n{family.closes[0]}\nIt is 7.{family.ends[0] if family.ends else ''}"
        assert warnings(*[response] * 9) == []
    for response in (
        f"<|channel|>analysis<|message|>{R}<|end|><|start|>assistant<|channel|>final<|message|>It is 7.<|return|>",
        f"analysis{R}assistantfinalIt is 7.",
        f"<|channel|>analysis<|message|>{R}",
        f"<think>{R}",
    ):
        assert warnings(*[response] * 9) == []


def test_teachers_are_told_apart_and_shown_safely():
    markup = UnknownMarkup()
    for _ in range(9):
        markup.note("\x1b[31mred", "<|muse|>7")
        markup.note("plain", "7")
    (said,) = markup.warnings()
    assert "⟨U+001B⟩[31mred" in said and "\x1b" not in said


def test_a_few_responses_without_reasoning_among_many_with_it_may_be_cut_off():
    """A prompt that opened the reasoning leaves no marker in a response that never closed it."""
    (said,) = warnings(*[f"{R}\n</think>\n\nIt is 7."] * 10, R, R)
    assert said.startswith("2 of 12 responses of anna hold no reasoning, all others do: where the prompt opened it and")
    assert warnings(*[f"{R}\n</think>\n\nIt is 7."] * 10, R, R, R) == []  # as many as may be meant
    assert warnings(*[f"{R}\n</think>\n\nIt is 7."] * 9, R) == []
    assert warnings(*[f"{R}\n</think>\n\nIt is 7."] * 10) == []


@pytest.mark.parametrize(
    "begins",
    ["Okay, so 3 and 4 are added", "Hmm, 3 and 4", "First, I need to add 3", "Let me think", "嗯，先相加"],
)
def test_a_teacher_all_of_whose_responses_begin_as_reasoning_does_is_named(begins):
    plain = ["It is 7.", "Adding both gives 7.", "7", "Let x be 3.", "Well-known sums give 7."] * 2
    (said,) = warnings(*[begins] * 11, *plain)
    assert said.startswith(f"11 of 21 responses of anna begin as reasoning does ('{begins}'), and none holds a marker")
    assert "prompt_opens_thinking: true" in said
    assert warnings(*[begins] * 10, *plain) == []
    assert warnings(*[begins] * 9) == []
    # What ends with an answer was not cut off.
    for end in ("**Final Answer**\n\\boxed{7}", "#### 7", "So the answer is 7."):
        assert warnings(*[f"{begins}. Is it 7? Yes.\n\n{end}"] * 12) == []
    assert len(warnings(*[f"{begins}. Is it \\boxed{{7}}? {'No, it is less. ' * 20}"] * 12)) == 1
    assert warnings(*plain * 2) == []
    # The rule was set: they never end.
    assert warnings(*[f"<think>\n{begins}"] * 12) == []
