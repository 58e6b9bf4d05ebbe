"""Reasoning beside an answer, in every place where publishers keep it."""

import pytest

from stepsift.ingest.layouts.detect import read
from stepsift.ingest.record import Record
from stepsift.ingest.row import Row
from stepsift.ingest.rows import RowError
from stepsift.ingest.thinking import put_together, take_apart
from stepsift.params import Rule

R, A = "We add.\nSo 7.", "She has \\boxed{7} shells."
FORM, CUT = f"<think>\n{R}\n</think>\n\n{A}", f"<think>\n{R}"
USER = {"role": "user", "content": "q"}


def chat(**turn) -> dict:
    return {"messages": [USER, {"role": "assistant", **turn}]}


def said(*turns: tuple[str, str], **more) -> dict:
    """A conversation whose turns of the assistant name channels."""
    return {"messages": [USER, *({"role": "assistant", "channel": c, "content": text} for c, text in turns)], **more}


def turns(*contents: object) -> dict:
    """A conversation in which one turn of the assistant follows another."""
    return {"messages": [USER, *({"role": "assistant", "content": content} for content in contents)]}


def form(row: dict) -> str:
    (record,) = read(Row(row))
    assert isinstance(record, Record), record
    return put_together(take_apart(record.response, record.reasoning))


def text(value: str, **more) -> dict:
    return {"type": "text", "text": value, **more}


ROWS = [
    chat(content=A, reasoning_content="", reasoning=R),
    chat(content=A, reasoning_content=" ", thinking=R),
    chat(content=A, reasoning=None, reasoning_details=[], thinking=R),
    chat(content=FORM, reasoning_content=None),
    chat(content=FORM, reasoning_content=R),
    chat(content=A, reasoning_details=[{"type": "reasoning.text", "text": R, "signature": None, "index": 0}]),
    chat(
        content=A,
        reasoning_details=[
            {"type": "reasoning.text", "text": "We a", "index": 0},
            {"type": "reasoning.text", "text": "dd.\nSo 7.", "index": 0},
            {"type": "reasoning.encrypted", "data": "b64"},
        ],
    ),
    chat(content=A, reasoning_details=[{"type": "reasoning.summary", "summary": R}]),
    chat(content=A, reasoning_details=[{"type": "reasoning.summary", "summary": "s"}, {"text": R}]),
    chat(content=A, reasoning={"content": R, "effort": "high"}),
    chat(content=A, reasoning={"summary": [{"type": "summary_text", "text": R}]}),
    chat(content=A, thinking=[R]),
    chat(content=A, reasoning_content=f"[THINK]{R}[/THINK]"),
    chat(content=[{"type": "thinking", "thinking": R, "signature": "b64"}, text(A)]),
    chat(content=[{"type": "redacted_thinking", "data": "b64"}, {"type": "thinking", "thinking": R}, text(A)]),
    chat(content=[{"type": "thinking", "thinking": [text(R)]}, text(A)]),
    chat(content=[{"type": "thinking", "thinking": "We add."}, {"type": "thinking", "thinking": "So 7."}, text(A)]),
    chat(
        content=[{"type": "reasoning", "summary": [{"type": "summary_text", "text": R}]}, text(A, type="output_text")]
    ),
    chat(content=[{"text": R, "thought": True}, {"text": A}]),
    chat(content=[text(f"<think>{R}</think>"), text(A)]),
    said(("analysis", R), ("final", A)),
    said(("analysis", "We add."), ("commentary", "So 7."), ("final", A)),
    said(("Analysis", "We add."), ("analysis", "So 7."), ("final", A)),
    {
        "messages": [
            USER,
            {"role": "assistant", "channel": "analysis", "content": "We add."},
            {"role": "assistant", "channel": "commentary", "content": None, "tool_calls": []},
            {"role": "tool", "content": "So 7."},
            {"role": "assistant", "channel": "final", "content": A},
        ]
    },
    turns(f"<think>\n{R}\n</think>", A),
    turns("<thinking>We add.</thinking>", "<think>So 7.", f"</think>{A}"),
    turns("<think>\n", f"{R}\n</think>\n\n{A}"),
    turns(f"<|channel|>analysis<|message|>{R}<|end|>", f"<|channel|>final<|message|>{A}<|return|>"),
    turns([{"type": "thinking", "thinking": R}], A),
    {
        "messages": [
            USER,
            {"role": "assistant", "content": "", "reasoning_content": R},
            said(("final", A))["messages"][1],
        ]
    },
    {"prompt": "q", "completion": turns(f"<think>\n{R}\n</think>", A)["messages"][1:]},
    {"prompt": "q", "completion": [{"role": "thinking", "content": R}, {"role": "assistant", "content": A}]},
    {"prompt": "q", "completion": said(("analysis", R), ("final", A))["messages"][1:]},
    {"prompt": "q", "generations": [turns(f"<think>{R}</think>", A)["messages"]]},
    {"messages": [USER, {"role": "assistant", "content": A}], "reasoning_content": R},
    {"messages": [USER, {"role": "assistant", "content": A}], "reasoning": "on", "thinking": R},
    {"messages": [USER, {"role": "reasoning", "content": R}, {"role": "assistant", "content": A}]},
    {"conversations": [{"from": "human", "value": "q"}, {"from": "thought", "value": R}, {"from": "gpt", "value": A}]},
    {"conversations": [{"from": "human", "value": "q"}, {"from": "gpt", "value": A, "reasoning": R}]},
    {"prompt": "q", "response": A, "reasoning_content": R},
    {"prompt": "q", "response": A, "reasoning_content": "", "reasoning": R},
    {"prompt": "q", "response": A, "reasoning": True, "thinking": R},
    {"prompt": "q", "response": A, "reasoning": [{"type": "reasoning.text", "text": R}]},
    {"prompt": "q", "response": [{"type": "thinking", "thinking": R}, text(A)]},
    {"prompt": "q", "completion": [{"role": "assistant", "content": A, "reasoning_content": R}]},
    {"instruction": "q", "output": A, "thinking": R},
]


@pytest.mark.parametrize("row", ROWS)
def test_every_place_gives_the_one_form(row):
    assert form(row) == FORM


def test_a_turn_that_only_thinks_is_no_part_of_a_prompt():
    first, last = turns(f"<think>{R}</think>", A)["messages"], turns(f"<think>{R}", A)["messages"]
    (record,) = read(Row({"messages": [*first, *last]}))
    assert isinstance(record, Record)
    assert record.prompt == [USER, {"role": "assistant", "content": A}, USER]
    (record,) = read(Row(turns("Let me see.", A)))
    assert isinstance(record, Record)
    assert (record.response, len(record.prompt)) == (A, 2)
    with pytest.raises(RowError, match="tool"):
        read(Row({"messages": [*first, {"role": "tool", "content": "7"}, *last[1:]]}))


@pytest.mark.parametrize(
    "row",
    [
        chat(content="", reasoning=R),
        chat(content=None, reasoning_details=[{"text": R}]),
        chat(content=[], thinking=R),
        chat(content=[{"type": "thinking", "thinking": R}]),
        said(("analysis", R)),
        said(("analysis", "We add."), ("commentary", "So 7.")),
        {"messages": [USER, {"role": "assistant", "content": ""}], "reasoning": R},
        {"messages": [USER, {"role": "thinking", "content": R}]},
        {"prompt": "q", "response": "", "reasoning": R},
    ],
)
def test_reasoning_without_an_answer_was_cut_off(row):
    assert form(row) == CUT


@pytest.mark.parametrize(
    "row",
    [
        {"prompt": "q", "response": A, "reasoning": "on"},
        {"prompt": "q", "response": A, "thinking": "Off"},
        {"prompt": "q", "response": A, "reasoning": "high"},
        {"messages": [USER, {"role": "assistant", "content": A}], "reasoning": {"effort": 3}},
        chat(content=A, reasoning_details=[{"type": "reasoning.encrypted", "data": "b64"}]),
        chat(content=[{"type": "redacted_thinking", "data": "b64"}, text(A)]),
        said(("final", A)),
    ],
)
def test_a_switch_or_what_nobody_can_read_is_no_reasoning(row):
    assert form(row) == A


def forms(row: dict, **mapped: str) -> list[str]:
    records = read(Row(row, Rule(fields=mapped)))
    return [put_together(take_apart(r.response, r.reasoning)) if isinstance(r, Record) else r.reason for r in records]


def test_reasoning_beside_each_of_several_responses():
    row = {"prompt": "q", "responses": [A, A, ""], "reasoning": [R, None, R]}
    assert forms(row) == [FORM, A, CUT]
    runs = {"prompt": "q", "runs": [{"said": A, "why": R}, {"said": A, "why": [{"text": R}]}, {"said": A, "why": ""}]}
    assert forms(runs, response="runs.*.said", reasoning="runs.*.why") == [FORM, FORM, A]
    assert forms({"prompt": "q", "outputs": [A], "thinking": R}) == [FORM]
    assert forms({"prompt": "q", "outputs": [A, FORM], "thinking": ["x", "y z"]}) == [
        "<think>\nx\n</think>\n\n" + A,
        FORM,
    ]
    # A list of another length says of none of them what it thought, nor does one text of two.
    for thoughts in ([R, R, R], R, ["on", "off"]):
        assert forms({"prompt": "q", "outputs": [A, A], "thinking": thoughts}) == [A, A]
    for thoughts in ([R, R, R], R):
        assert forms({"prompt": "q", "outputs": [A, A], "why": thoughts}, reasoning="why") == ["wrong_value"] * 2
    assert forms({"prompt": "q", "outputs": [A, A], "thinking": [R, 3]}, reasoning="thinking") == [FORM, A]


def test_the_prompt_of_a_conversation_holds_no_reasoning():
    """Not that of earlier turns, whatever it is written in, and not the turns to channels that are the response."""
    sure = {"role": "user", "content": "Sure?"}
    earlier = [USER, {"role": "assistant", "content": f"[THINK]{R}[/THINK]It is 7."}, sure]
    (record,) = read(Row({"messages": [*earlier, *said(("analysis", R), ("final", A))["messages"][1:]]}))
    assert [turn["content"] for turn in record.prompt] == ["q", "It is 7.", "Sure?"]
    before = [*said(("analysis", R), ("final", "It is 7."))["messages"], sure]
    (record,) = read(Row({"messages": [*before, {"role": "assistant", "content": A, "reasoning": R}]}))
    assert [turn["content"] for turn in record.prompt] == ["q", "It is 7.", "Sure?"]
    assert (record.response, record.reasoning) == (A, R)


def test_parts_that_are_no_text_are_named():
    for part in ({"type": "image_url", "image_url": "x"}, {"type": "tool_use", "name": "add"}):
        with pytest.raises(RowError, match=f"a part of type '{part['type']}'"):
            read(Row(chat(content=[text(A), part])))
    with pytest.raises(RowError, match="a list without a part"):
        read(Row(chat(content=[])))
