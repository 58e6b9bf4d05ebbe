"""One case a layout, by hand, and what each refuses."""

import pytest

from stepsift.ingest.layouts import detect as layouts
from stepsift.ingest.record import Record
from stepsift.ingest.row import Row
from stepsift.ingest.rows import RowError
from stepsift.params import Layout, Rule

USER = {"role": "user", "content": "2 + 2?"}


def read(data: dict, layout: Layout = "auto", fields: dict | None = None) -> list[Record | RowError]:
    return layouts.read(Row(data, Rule(layout=layout, fields=fields or {})))


def one(data: dict, layout: Layout = "auto", fields: dict | None = None) -> Record:
    (record,) = read(data, layout, fields)
    assert isinstance(record, Record)
    return record


def test_chat():
    row = {
        "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "1 + 1?"},
            {"role": "assistant", "content": "2"},
            USER,
            {"role": "assistant", "content": "4", "reasoning_content": "two and two"},
            {"role": "user", "content": "Thanks!"},
        ],
        "model": "R1",
        "answer": 4,
    }
    assert layouts.detect_layout(Row(row)) == "chat"
    record = one(row)
    assert [m["role"] for m in record.prompt] == ["system", "user", "assistant", "user"]
    assert (record.response, record.reasoning, record.teacher, record.answer) == ("4", "two and two", "R1", "4")


def test_chat_content_parts_and_unfinished_reasoning():
    parts = [{"type": "text", "text": "2 + "}, {"type": "text", "text": "2?"}]
    turns = [{"role": "user", "content": parts}, {"role": "assistant", "content": None, "reasoning": "hm"}]
    record = one({"messages": turns})
    assert record.prompt == [USER]
    assert (record.response, record.reasoning) == ("", "hm")


def test_sharegpt():
    row = {
        "system": "Be brief.",
        "conversations": [{"from": "human", "value": "2 + 2?"}, {"from": "gpt", "value": "<think>a</think>4"}],
    }
    assert layouts.detect_layout(Row(row)) == "sharegpt"
    record = one(row)
    assert record.prompt == [{"role": "system", "content": "Be brief."}, USER]
    assert (record.response, record.teacher) == ("<think>a</think>4", None)


def test_conversations_with_roles_are_chat():
    row = {"conversations": [USER, {"role": "assistant", "content": "4"}]}
    assert layouts.detect_layout(Row(row)) == "chat"
    assert one(row).response == "4"


@pytest.mark.parametrize("column", ["messages", "conversations", "conversation"])
@pytest.mark.parametrize(
    ("who", "what"), [("role", "content"), ("from", "value"), ("role", "value"), ("from", "content"), ("role", "text")]
)
def test_turns_are_read_by_whichever_keys_they_have(column, who, what):
    record = one({column: [{who: "Human", what: "2 + 2?"}, {who: "AI", what: "4", "reasoning": "two and two"}]})
    assert (record.prompt, record.response, record.reasoning) == ([USER], "4", "two and two")
    asked = one({"prompt": [{who: "user", what: "2 + 2?"}], "completion": [{who: "assistant", what: "4"}]})
    assert (asked.prompt, asked.response) == ([USER], "4")


@pytest.mark.parametrize(
    ("prompt", "completion"),
    [("2 + 2?", "4"), ([USER], [{"role": "assistant", "content": "4"}])],
)
def test_prompt_completion(prompt, completion):
    row = {"prompt": prompt, "completion": completion, "label": True}
    assert layouts.detect_layout(Row(row)) == "prompt_completion"
    record = one(row)
    assert (record.prompt, record.response, record.label) == ([USER], "4", True)


def test_alpaca():
    row = {"instruction": "Add.", "input": "2 + 2", "output": "4", "history": [["Hi", "Hello"]], "system": "Be brief."}
    assert layouts.detect_layout(Row(row)) == "alpaca"
    record = one(row)
    assert [m["content"] for m in record.prompt] == ["Be brief.", "Hi", "Hello", "Add.\n\n2 + 2"]
    assert one({"instruction": "Add.", "input": "", "output": "4"}).prompt == [{"role": "user", "content": "Add."}]


@pytest.mark.parametrize(
    "answered", [{"response": "4"}, {"completion": "4"}, {"generations": ["4"]}, {"Output": "4"}, {"llm_response": "4"}]
)
def test_the_input_of_an_instruction_is_read_however_the_response_is_called(answered):
    row = Row({"instruction": "Add.", "input": "2 + 2", "history": [["Hi", "Hello"]], **answered})
    (record,) = layouts.read(row)
    assert isinstance(record, Record)
    assert [m["content"] for m in record.prompt] == ["Hi", "Hello", "Add.\n\n2 + 2"]
    assert {"instruction", "input", "history"} <= row.read
    assert row.used["prompt"] == "instruction and input"
    mapped = one({"instruction": "Add.", "input": "2 + 2", "said": "4"}, fields={"response": "said"})
    assert mapped.prompt[-1]["content"] == "Add.\n\n2 + 2"


def test_an_input_that_a_rule_gives_another_name_is_no_part_of_the_instruction():
    row = {"instruction": "Add.", "input": "Be brief.", "response": "4"}
    record = one(row, fields={"system": "input"})
    assert [m["content"] for m in record.prompt] == ["Be brief.", "Add."]
    assert one(row | {"question": "2 + 2?"}).prompt == [USER]


def test_generations():
    row = {
        "problem": "2 + 2?",
        "generations": ["4", "", "5"],
        "correctness_math_verify": [True, None, False],
        "answer": "4",
        "messages": [USER, {"role": "assistant", "content": "4"}],
        "teacher": ["A", "A", "B"],
    }
    assert layouts.detect_layout(Row(row)) == "generations"
    first, second, third = read(row)
    assert isinstance(first, Record)
    assert (first.prompt, first.response, first.label, first.teacher, first.answer) == ([USER], "4", True, "A", "4")
    assert isinstance(second, RowError)
    assert second.reason == "empty_field"
    assert isinstance(third, Record)
    assert (third.label, third.teacher) == (False, "B")


def test_a_response_that_is_a_whole_conversation_is_its_last_answer():
    said = {"role": "assistant", "content": "4", "reasoning_content": "two and two"}
    row = {"prompt": "2 + 2?", "chosen": [USER, said, {"role": "user", "content": "Thanks!"}]}
    record = one(row, fields={"response": "chosen"})
    assert (record.prompt, record.response, record.reasoning) == ([USER], "4", "two and two")
    turns = [{"from": "human", "value": "2 + 2?"}, {"from": "gpt", "value": "5"}]
    assert one({"prompt": "2 + 2?", "chosen": turns}, fields={"response": "chosen"}).response == "5"
    for turns, reason in (
        ([USER, USER], "missing_field"),
        ([USER, {**said, "tool_calls": [{"id": 1}]}], "tool_calls"),
        ([USER, {"role": "nobody", "content": "4"}], "wrong_value"),
    ):
        with pytest.raises(RowError) as e:
            read({"prompt": "2 + 2?", "chosen": turns}, fields={"response": "chosen"})
        assert e.value.reason == reason


def test_turns_of_merged_sets_are_read_from_the_keys_that_are_filled():
    nothing = dict.fromkeys(("role", "content", "from", "value", "text"))
    for role, content in (("role", "content"), ("from", "value"), ("role", "text"), ("role", "value")):
        turns = [nothing | {role: "user", content: "2 + 2?"}, nothing | {role: "assistant", content: "4"}]
        assert one({"conversations": turns}).response == "4"
        assert one({"prompt": turns[:1], "response": turns[1:]}).prompt == [USER]
    said = nothing | {"role": "assistant", "reasoning_content": "two and two"}
    assert one({"messages": [nothing | {"role": "system"}, nothing | USER, said]}).reasoning == "two and two"


def test_a_prompt_of_one_text_in_a_list_is_that_text():
    assert one({"prompt": ["2 + 2?"], "response": "4"}).prompt == [USER]
    assert one({"q": ["2 + 2?"], "outs": "4"}, fields={"prompt": "q", "response": "outs"}).prompt == [USER]
    for several in (["2 + 2?", "3 + 3?"], [" "], [3]):
        with pytest.raises(RowError, match="prompt"):
            read({"prompt": several, "response": "4"})


def test_a_mapped_response_in_parts_is_one_and_each_generation_may_have_parts():
    parts = [{"type": "thinking", "thinking": "two and two"}, {"type": "text", "text": "4"}]
    of_claude = one({"messages": [USER], "content": parts}, fields={"prompt": "messages", "response": "content"})
    said = {"prompt": "2 + 2?", "output": [{"type": "reasoning"}, {"content": [{"type": "output_text", "text": "4"}]}]}
    of_gpt = one(said, fields={"response": "output.1.content"})
    assert [(r.response, r.reasoning) for r in (of_claude, of_gpt)] == [("4", "two and two"), ("4", None)]
    row = {"prompt": "2 + 2?", "choices": [{"content": parts}, {"content": [{"type": "text", "text": "5"}]}]}
    found = read(row, fields={"response": "choices.*.content"})
    assert [(r.response, r.reasoning) for r in found if isinstance(r, Record)] == [("4", "two and two"), ("5", None)]
    # Objects of no type are as many responses, of which each has to be mapped.
    assert len(read({"prompt": "2 + 2?", "outs": [{"text": "4"}, {"text": "5"}]}, fields={"response": "outs"})) == 2


def test_generations_that_are_conversations():
    row = {
        "prompt": [USER],
        "completions": [
            [{"role": "assistant", "content": "4"}],
            [{"role": "assistant", "content": "", "reasoning_content": "two and"}],
            [{"content": "5"}],
            [],
        ],
    }
    first, second, third, fourth = read(row)
    assert isinstance(first, Record) and isinstance(second, Record) and isinstance(third, Record)
    assert [(r.response, r.reasoning) for r in (first, second, third)] == [("4", None), ("", "two and"), ("5", None)]
    assert isinstance(fourth, RowError) and fourth.reason == "wrong_type"


@pytest.mark.parametrize("column", ["system", "system_prompt", "system_message"])
def test_a_system_prompt_in_a_column_of_its_own(column: str):
    record = one({column: "Be brief.", "question": "2 + 2?", "response": "4"})
    assert record.prompt == [{"role": "system", "content": "Be brief."}, USER]
    # What is no text is left alone where the column has not our own name.
    if column != "system":
        assert one({column: 3, "question": "2 + 2?", "response": "4"}).prompt == [USER]


@pytest.mark.parametrize("nothing", ["", " \n", None, []])
def test_a_turn_of_the_system_that_says_nothing_is_none(nothing):
    blank = {"role": "system", "content": nothing}
    assert one({"messages": [blank, USER, {"role": "assistant", "content": "4"}]}).prompt == [USER]
    assert one({"prompt": [blank, USER], "response": "4"}).prompt == [USER]
    given = {"system": "Be brief.", "messages": [blank, USER, {"role": "assistant", "content": "4"}]}
    assert [turn["content"] for turn in one(given).prompt] == ["Be brief.", "2 + 2?"]
    # Of anybody else's, something is missing.
    with pytest.raises(RowError, match="content"):
        read({"messages": [USER | {"content": nothing}, {"role": "assistant", "content": "4"}]})


@pytest.mark.parametrize("nothing", ["None", "nan", "null", "<NA>", " NaN\n"])
def test_words_for_nothing_name_nobody_and_nothing(nothing: str):
    row = {"prompt": "2 + 2?", "response": "4"}
    names = ("teacher", "domain", "licence", "system")
    record = one(row | dict.fromkeys(names, nothing))
    assert (record.teacher, record.domain, record.licence, record.prompt) == (None, None, None, [USER])
    mapped = {"domain": "d", "licence": "l", "system": "s"}
    record = one(row | dict.fromkeys(mapped.values(), nothing), fields=mapped)
    assert (record.domain, record.licence, record.prompt) == (None, None, [USER])
    # As where it is null, the next column that may name the teacher does, and one that a rule maps must do so.
    assert one(row | {"teacher": nothing, "model": "R1"}).teacher == "R1"
    with pytest.raises(RowError, match="teacher: field by is missing or null"):
        read(row | {"by": nothing}, fields={"teacher": "by"})
    first, second = read({"prompt": "2 + 2?", "generations": ["4", "5"], "model": [nothing, "R1"]})
    assert isinstance(first, Record) and isinstance(second, Record)
    assert (first.teacher, second.teacher) == (None, "R1")
    system = {"role": "system", "content": nothing}
    assert one({"messages": [system, USER, {"role": "assistant", "content": "4"}]}).prompt == [USER]
    assert one(row | {"teacher": "None of them"}).teacher == "None of them"


def test_generations_with_labels_of_another_length():
    found = read({"problem": "p", "generations": ["a", "b"], "correctness_math_verify": [True]})
    assert [e.reason for e in found if isinstance(e, RowError)] == ["wrong_value"] * 2


def test_a_system_prompt_in_parts_is_read_as_the_interfaces_take_it():
    parts = [{"type": "text", "text": "Be brief.", "cache_control": {"type": "ephemeral"}}]
    record = one({"system": parts, "messages": [USER, {"role": "assistant", "content": "4"}]})
    assert record.prompt == [{"role": "system", "content": "Be brief."}, USER]
    assert one({"system": parts, "prompt": "2 + 2?", "response": "4"}).prompt == record.prompt
    for wrong in (["Be brief."], {"a": 1}, [{"type": "image"}]):
        with pytest.raises(RowError, match="system"):
            read({"system": wrong, "prompt": "2 + 2?", "response": "4"})


@pytest.mark.parametrize("nothing", [None, [], {}, "", "[]", "{}", "null", " None "])
def test_no_calls_of_tools_are_none_however_they_are_stored(nothing):
    said = {"role": "assistant", "content": "4", "tool_calls": nothing, "function_call": nothing}
    assert one({"messages": [USER | {"tool_calls": nothing}, said]}).response == "4"
    with pytest.raises(RowError, match=r"messages\[1\] holds tool_calls"):
        read({"messages": [USER, said | {"tool_calls": '[{"name": "add"}]'}]})


def test_steps_are_no_responses_unless_a_rule_says_so():
    row = {"prompt": "2 + 2?", "completions": ["4", "5"], "labels": [True, False]}
    found = read(row, fields={"response": "completions", "label": "labels"})
    assert [r.label for r in found if isinstance(r, Record)] == [True, False]
    del row["labels"]
    assert len(read(row)) == 2


def test_fields_of_limo_and_s1k():
    limo = one({"question": "2 + 2?", "solution": "It is 4.", "answer": "4"})
    assert (limo.prompt, limo.response, limo.answer) == ([USER], "It is 4.", "4")
    s1k = one({"question": "2 + 2?", "solution": "4", "thinking_trajectories": ["two and two"], "attempt": "It is 4."})
    assert (s1k.response, s1k.reasoning, s1k.answer) == ("It is 4.", "two and two", None)


def test_mapped_fields_walk_into_objects():
    row = {"meta": {"id": 7, "model": {"name": "R1"}}, "q": "2 + 2?", "out": "4", "a.b": "math"}
    fields = {"prompt_id": "meta.id", "teacher": "meta.model.name", "prompt": "q", "response": "out", "domain": "a.b"}
    record = one(row, fields=fields)
    assert (record.prompt_id, record.teacher, record.response, record.domain) == ("7", "R1", "4", "math")


def test_mapped_generations_and_conversation():
    assert len(read({"q": "p", "outs": ["a", "b"]}, fields={"prompt": "q", "response": "outs"})) == 2
    record = one(
        {"dialog": [{"from": "human", "value": "p"}, {"from": "gpt", "value": "r"}]}, fields={"prompt": "dialog"}
    )
    assert record.response == "r"


def test_tests_become_text():
    assert one({"prompt": "p", "response": "r", "tests": [{"in": "1"}]}).tests == '[{"in": "1"}]'


@pytest.mark.parametrize("keys", [{"a": 1, None: 2}, {1: 1, "a": 2}, {(1, 2): 3}])
def test_tests_with_keys_of_several_kinds_are_a_rejected_row(keys):
    with pytest.raises(RowError, match="tests has keys that are not all text") as caught:
        one({"prompt": "p", "response": "r", "tests": keys})
    assert caught.value.reason == "wrong_type"


@pytest.mark.parametrize(
    ("row", "reason", "word"),
    [
        ({"a": 1}, "unknown_layout", "fields a"),
        ({"prompt": "p", "response": None}, "unknown_layout", "fields prompt (response is null);"),
        ({"prompt": None, "output": None, "n": None}, "unknown_layout", "fields n (prompt, output are null);"),
        ({"prompt": "p", "completions": ["2 + 2", "is 4."], "labels": [True, 1]}, "unknown_layout", "in steps"),
        ({"question": " - ", "response": "4"}, "empty_field", "a question that is not there"),
        ({"messages": [USER | {"content": "nan"}, {"role": "assistant", "content": "4"}]}, "empty_field", "'nan'"),
        ({"prompt": "<image>\nHow many?", "response": "4"}, "images", "<image> on a line of its own"),
        ({"prompt": "How many?\n <video>", "response": "4"}, "images", "<video> on a line of its own"),
        ({"messages": []}, "empty_field", "messages"),
        ({"messages": [USER]}, "missing_field", "assistant"),
        ({"messages": [{"role": "assistant", "content": "4"}]}, "missing_field", "user"),
        ({"messages": [USER, {"role": "assistant", "content": 4}]}, "wrong_type", "a number"),
        ({"messages": [USER, {"role": "assistant", "content": " "}]}, "empty_field", "content"),
        ({"messages": [USER, {"role": "oracle", "content": "4"}]}, "wrong_value", "oracle"),
        ({"messages": [USER, "4"]}, "wrong_type", "messages[1]"),
        ({"prompt": "p", "response": ["r", 1]}, "wrong_type", "a list"),
        ({"prompt": {"a": 1}, "response": "r"}, "wrong_type", "an object"),
        ({"prompt": "p", "response": "r", "teacher": 3}, "wrong_type", "teacher"),
        ({"prompt": "p", "response": "r", "teacher": ""}, "empty_field", "teacher"),
        ({"prompt": "p", "response": "r", "answer": True}, "wrong_type", "answer"),
        ({"prompt": "p", "response": "r", "answer": float("inf")}, "wrong_type", "answer"),
        ({"prompt": "p", "response": "r", "answer_kind": "poem"}, "wrong_value", "poem"),
        ({"prompt": "p", "response": "r", "domain": 3}, "wrong_type", "domain"),
        ({"prompt": "p", "response": "r", "reasoning": {"a": 1}}, "wrong_type", "reasoning"),
        ({"problem": "p", "generations": []}, "empty_field", "generations"),
        ({"instruction": "p", "output": "r", "input": 3}, "wrong_type", "input"),
        ({"instruction": "p", "output": "r", "history": "x"}, "wrong_type", "history"),
    ],
)
def test_refused(row, reason, word):
    with pytest.raises(RowError) as e:
        read(row)
    assert e.value.reason == reason
    assert word in e.value.detail


@pytest.mark.parametrize(
    "prompt", ["<image> is a tag of SVG. Is it closed?", "<rss>\n<image>\n</image>\n</rss>", "- or +?", "Is it nan?"]
)
def test_a_question_that_speaks_of_pictures_or_of_nothing_is_one(prompt):
    assert one({"prompt": prompt, "response": "4"}).prompt[-1]["content"] == prompt
    turns = [USER, {"role": "assistant", "content": "Yes?"}, USER | {"content": "-"}]
    assert len(one({"messages": [*turns, {"role": "assistant", "content": "4"}]}).prompt) == 3


@pytest.mark.parametrize("name", ["prompt", "response", "teacher", "prompt_id"])
def test_a_mapped_field_must_be_there(name):
    with pytest.raises(RowError, match="missing_field"):
        read({"prompt": "p", "response": "r"}, layout="fields", fields={name: "elsewhere"})


@pytest.mark.parametrize(("value", "label"), [("Yes", True), ("failed", False), (1.0, True), (0, False), (0.5, None)])
def test_labels_in_words_and_numbers(value, label):
    assert one({"prompt": "p", "response": "r", "grade": value}, fields={"label": "grade"}).label is label


@pytest.mark.parametrize("value", ["perhaps", [True], 3, -1])
def test_a_mapped_label_that_is_none_says_so(value):
    with pytest.raises(RowError, match=r"fields\.label"):
        read({"prompt": "p", "response": "r", "grade": value}, fields={"label": "grade"})


@pytest.mark.parametrize(
    ("more", "name"),
    [
        ({"reasoning": "on"}, "reasoning"),
        ({"thinking": "high"}, "reasoning"),
        ({"reasoning": "deductive"}, "reasoning"),
        ({"label": 3}, "label"),
        ({"label": "geometry"}, "label"),
        ({"model": {"size": 7}}, "teacher"),
        ({"generator": 12}, "teacher"),
        ({"domain": ["algebra", "sums"]}, "domain"),
        ({"ground_truth": {"a": 1}}, "answer"),
        ({"ground_truth": True}, "answer"),
    ],
)
def test_a_value_that_cannot_be_what_its_column_says_is_not_taken(more, name):
    row = Row({"prompt": "p", "response": "r", **more})
    (record,) = layouts.read(row)
    assert isinstance(record, Record)
    assert getattr(record, name) is None
    assert not row.read & more.keys()


def test_a_mapped_switch_is_no_thought():
    with pytest.raises(RowError, match="a switch"):
        read({"prompt": "p", "response": "r", "r": "off"}, fields={"reasoning": "r"})


def test_details_are_short_and_print():
    error = RowError("wrong_value", "a\x00b\n" * 200)
    assert len(error.detail) == 200
    assert error.detail.isprintable()


def test_a_long_reason_keeps_its_end_where_the_advice_stands():
    row = {f"a_column_with_a_long_name_of_its_own_{i}": 1 for i in range(30)}
    with pytest.raises(RowError) as error:
        layouts.read(Row(row))
    assert len(error.value.detail) == 200
    assert error.value.detail.startswith("no known layout has the fields a_column_with_a_long_name_of_its_own_0, ")
    assert error.value.detail.endswith("; map them in a rule, as 'stepsift preview' proposes")
    assert RowError("wrong_type", "x" * 201).detail == "x" * 107 + "..." + "x" * 90
    assert RowError("wrong_type", "x" * 200).detail == "x" * 200
