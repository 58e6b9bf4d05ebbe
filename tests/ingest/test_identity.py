"""Prompts that mean one thing have one id."""

from stepsift.ingest.identity import prompt_hash, trace_hash


def user(text):
    return [{"role": "user", "content": text}]


def test_space_normal_form_system_and_suffixes_do_not_count():
    plain = prompt_hash(user("caf\u00e9  is\n what?"))
    assert plain == prompt_hash(user(" cafe\u0301 is what? "))
    assert plain == prompt_hash([{"role": "system", "content": "Be brief."}, *user("caf\u00e9 is what?")])
    suffixes = ("Put your answer in \\boxed{}.", "Think  first.")
    assert plain == prompt_hash(user("caf\u00e9 is what?\n\nThink first.\nPut your answer\nin \\boxed{}."), suffixes)
    assert plain != prompt_hash(user("Caf\u00e9 is what?"))


def test_a_prompt_that_is_only_suffix_stays():
    assert prompt_hash(user("Think."), ("Think.",)) == prompt_hash(user("Think."))


def test_turns_do_not_run_together():
    turns = [*user("a"), {"role": "assistant", "content": "b"}, *user("c")]
    assert prompt_hash(turns) != prompt_hash(user("a b c"))
    assert trace_hash("ab", "c", "d") != trace_hash("a", "bc", "d")
    assert trace_hash("a", "b", "c") != trace_hash("a", "b", "c", 2)


def test_the_hashes_are_these():
    """An id that changes re-versions every pool: changing this test is a break of the format."""
    assert prompt_hash(user("2 + 2?")) == "c1385cdd6b8d1418d19c454acea35756"
    assert trace_hash("p", "t", "c") == "0b823a3cddf82b13a8dd30e6d5c60d6f"
