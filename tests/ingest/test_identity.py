"""Prompts that mean one thing have one id."""

import time

import pytest

from stepsift.ingest.identity import Wrapper, bare, prompt_hash, trace_hash


def user(text):
    return [{"role": "user", "content": text}]


def test_space_normal_form_system_and_suffixes_do_not_count():
    plain = prompt_hash(user("caf\u00e9  is\n what?"))
    assert plain == prompt_hash(user(" cafe\u0301 is what? "))
    assert plain == prompt_hash([{"role": "system", "content": "Be brief."}, *user("caf\u00e9 is what?")])
    suffixes = Wrapper(suffixes=("Put your answer in \\boxed{}.", "Think  first."))
    assert plain == prompt_hash(user("caf\u00e9 is what?\n\nThink first.\nPut your answer\nin \\boxed{}."), suffixes)
    assert plain != prompt_hash(user("Caf\u00e9 is what?"))


def test_a_prompt_that_is_only_suffix_stays():
    assert prompt_hash(user("Think."), Wrapper(suffixes=("Think.",))) == prompt_hash(user("Think."))


def test_turns_do_not_run_together():
    turns = [*user("a"), {"role": "assistant", "content": "b"}, *user("c")]
    assert prompt_hash(turns) != prompt_hash(user("a b c"))
    assert trace_hash("ab", "c", "d") != trace_hash("a", "bc", "d")
    assert trace_hash("a", "b", "c") != trace_hash("a", "b", "c", 2)


def test_the_hashes_are_these():
    """An id that changes re-versions every pool: changing this test is a break of the format."""
    assert prompt_hash(user("2 + 2?")) == "c1385cdd6b8d1418d19c454acea35756"
    assert trace_hash("p", "t", "c") == "0b823a3cddf82b13a8dd30e6d5c60d6f"


@pytest.mark.parametrize(
    ("text", "wrapper", "left"),
    [
        ("Solve:  What is 2?", Wrapper(prefixes=("Solve:",)), "What is 2?"),
        ("Solve: Solve: What is 2? Now. Now.", Wrapper(("Solve:",), ("Now.",)), "What is 2?"),
        ("Solve:", Wrapper(("Solve:",)), "Solve:"),
        ("Box it with \\boxed{}. What is 2?", Wrapper(boxed=True), "What is 2?"),
        ("Maths. Give only \\boxed{}.\n\nWhat is 2?", Wrapper(boxed=True), "What is 2?"),
        ("What is 2?\n\nReason well. End with \\boxed{ }.", Wrapper(boxed=True), "What is 2?"),
        ("What is 2? Put it in $\\boxed{}$.", Wrapper(boxed=True), "What is 2? Put it in $\\boxed{}$."),
        ("Add 1 to 2 and write it in \\boxed{}.\n\nBe brief.", Wrapper(boxed=True), None),
        ("What is in \\boxed{}?", Wrapper(boxed=True), None),
        ("Why?\n\nNow! Put it in\n\\boxed{}", Wrapper(boxed=True), "Why? Now! Put it in"),
        ("Put it in \\boxed\n{}. Why?", Wrapper(boxed=True), "Why?"),
        ("Is \\boxed{4} right? Yes.", Wrapper(boxed=True), None),
    ],
)
def test_what_stands_around_a_question(text, wrapper, left):
    assert bare(text, wrapper) == (" ".join(text.split()) if left is None else left)


@pytest.mark.parametrize(
    "text", ["\n", "\\boxed{}? ", "\\boxed", "\\boxed{}.\n", "\\boxed{} x\n\n", "1. \\boxed{}\n \n"]
)
def test_hostile_prompts_take_time_in_proportion_to_their_length(text):
    started = time.process_time()
    bare(f"Why?{text * 8_000}x. y", Wrapper(boxed=True))
    assert time.process_time() - started < 1  # a hundredth; in proportion to the square, 8,000 lines took 4 s
