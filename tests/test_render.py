"""Prompts and responses to ids, under byte-level and sentencepiece-like tokenizers and four families' templates."""

import functools
import re
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers.pre_tokenizers import ByteLevel
from transformers import AutoTokenizer

from stepsift import params
from stepsift.core.errors import StudentError
from stepsift.render import Renderer

TEMPLATED = ["llama3", "qwen2", "qwen3", "gemma"]
PLAIN = ["metaspace", "nfc", "plain"]
MESSAGES = [{"role": "user", "content": "What is 7 * 6?"}]
THINKING = "<think>\nSo x = 7 * 6.\n\nIt is 42.\n</think>\n\nThe answer is 42. 🙂"
RESPONSES = [
    "Let x be 4.\n\nThen x = 4, so 日本語 の 文。 The answer is 42.",
    THINKING,
    "  A leading blank, tabs\tand\r\nline ends\n\n\n",
    "a </think> that closes <think> nothing, and again <think>\n</think>",
]


@pytest.fixture(scope="module")
def renderer(tokenizer_folder: Callable[[str], Path]) -> Callable[..., Renderer]:
    """`renderer(name, **student)`: one of TOKENIZERS with settings of the student section."""

    def make(name: str, **student) -> Renderer:
        return Renderer(AutoTokenizer.from_pretrained(tokenizer_folder(name)), params.Student(**student))

    return make


def visible(renderer: Renderer, ids: list[int]) -> str:
    return renderer.tokenizer.decode(ids, skip_special_tokens=False, clean_up_tokenization_spaces=False)


@pytest.mark.parametrize("response", RESPONSES)
@pytest.mark.parametrize("name", TEMPLATED + PLAIN)
def test_ids_hold_the_response(renderer, name, response):
    r = renderer(name)
    rendered = r.render(MESSAGES, response)
    prompt, completion = rendered.training_ids()
    assert visible(r, prompt + rendered.response_ids).endswith(response)
    assert prompt == rendered.prompt_ids
    assert completion == [*rendered.response_ids, rendered.end_id]


@pytest.mark.parametrize("name", TEMPLATED + PLAIN)
def test_many_at_once_are_each_by_itself(renderer, name):
    """However many cores encode: the same ids, places and ink, and what one refuses keeps none of the others."""
    r = renderer(name)
    refused = [{"role": "system", "content": "."}, {"role": "system", "content": "."}, *MESSAGES]
    examples = [(messages, text) for messages in (MESSAGES, refused) for text in [*RESPONSES, ""]]
    for many, (messages, response) in zip(r.render_many(examples), examples, strict=True):
        try:
            alone = r.render(messages, response)
        except StudentError as e:
            assert isinstance(many, StudentError) and str(many) == str(e)
            continue
        assert (many.prompt_ids, many.response_ids, many.end_id) == (alone.prompt_ids, alone.response_ids, alone.end_id)
        assert many.last_char.tolist() == alone.last_char.tolist() and many.inked.tolist() == alone.inked.tolist()
    assert r.render_many([]) == []
    assert name != "gemma" or sum(isinstance(x, StudentError) for x in r.render_many(examples)) == 5


@pytest.mark.parametrize("name", TEMPLATED + PLAIN)
def test_prompt_ids_are_the_same_for_all_candidates(renderer, name):
    r = renderer(name)
    assert all(r.render(MESSAGES, response).prompt_ids == r.prompt(MESSAGES) for response in RESPONSES)
    assert len(r.prompt([{"role": "user", "content": ""}])) > 0


@pytest.mark.parametrize(
    ("name", "bos"),
    [("llama3", 1), ("qwen2", 0), ("qwen3", 0), ("gemma", 1), ("metaspace", 1), ("nfc", 0), ("plain", 0)],
)
@pytest.mark.parametrize("template", ["auto", "none"])
def test_one_beginning_token_at_most(renderer, name, bos, template):
    r = renderer(name, template=template)
    rendered = r.render(MESSAGES, RESPONSES[0])
    ids = rendered.prompt_ids + rendered.response_ids
    assert ids.count(r.tokenizer.bos_token_id) == bos
    assert bos == 0 or ids[0] == r.tokenizer.bos_token_id


@pytest.mark.parametrize("name", TEMPLATED)
def test_prompt_is_what_the_template_says(renderer, name):
    """The template's text with the generation prompt, its special tokens as single ids, as transformers does it."""
    r = renderer(name)
    messages = [*MESSAGES, {"role": "assistant", "content": "It is 41."}, {"role": "user", "content": "Sure?"}]
    theirs = r.tokenizer.apply_chat_template(messages, add_generation_prompt=True, date_string="01 Jan 2025")
    assert r.prompt(messages) == theirs["input_ids"]


def test_prompt_without_template_is_its_text_and_a_newline(renderer):
    messages = [{"role": "system", "content": "Be brief."}, *MESSAGES]
    assert visible(renderer("llama3", template="none"), renderer("llama3", template="none").prompt(messages)) == (
        "<|begin_of_text|>Be brief.\nWhat is 7 * 6?\n"
    )
    assert visible(renderer("plain"), renderer("plain").prompt(messages)) == "Be brief.\nWhat is 7 * 6?\n"


@pytest.mark.parametrize("asks", ["date_string", "strftime_now('%d %b %Y')"])
def test_date_is_frozen(tokenizer_folder, asks):
    tokenizer = AutoTokenizer.from_pretrained(tokenizer_folder("llama3"))
    tokenizer.chat_template = (
        "\n{% macro today() %}{{ " + asks + " }}{% endmacro %}\n"
        "  {% for m in messages %}\n{{ m.role }} of {{ today() }}: {{ m.content }}{% endfor %}"
    )

    def prompt(**student) -> str:
        return Renderer(tokenizer, params.Student(**student)).prompt_text(MESSAGES)

    assert prompt() == "\nuser of 01 Jan 2025: What is 7 * 6?"
    assert prompt(template_date="2024-02-29") == "\nuser of 29 Feb 2024: What is 7 * 6?"
    # Blanks and line ends of the template are where transformers leaves them.
    theirs = tokenizer.apply_chat_template(MESSAGES, tokenize=False, date_string="?")
    assert re.sub("(?<=of ).*(?=:)", "", theirs) == re.sub("(?<=of ).*(?=:)", "", prompt())


def test_parts_of_the_date(tokenizer_folder):
    tokenizer = AutoTokenizer.from_pretrained(tokenizer_folder("llama3"))
    tokenizer.chat_template = (
        "{% set now = strftime_now('%Y-%m-%d, %A %-d %B %y, %H:%M') %}{{ now }} {{ messages[0].content }}"
    )
    seen = Renderer(tokenizer, params.Student(template_date="2024-02-09")).prompt_text(MESSAGES)
    assert seen == "2024-02-09, Friday 9 February 24, 00:00 What is 7 * 6?"


def test_template_arguments_reach_the_template(renderer):
    def prompt(**kwargs) -> str:
        r = renderer("qwen3", template_kwargs=kwargs)
        return visible(r, r.prompt(MESSAGES))

    assert prompt().endswith("<|im_start|>assistant\n")
    assert prompt(enable_thinking=True).endswith("<think>\n")
    assert prompt(enable_thinking=False).endswith("<think>\n\n</think>\n\n")
    r = renderer("llama3", template_kwargs={"date_string": "someday"})
    assert "Today is someday." in visible(r, r.prompt(MESSAGES))


def test_thinking_that_the_prompt_opened_is_not_opened_twice(renderer):
    r = renderer("qwen3", template_kwargs={"enable_thinking": True})
    rendered = r.render(MESSAGES, THINKING)
    text = visible(r, rendered.prompt_ids + rendered.response_ids)
    assert text.count("<think>") == 1 and text.endswith("<|im_start|>assistant\n" + THINKING)
    # Offsets are those of the whole response: "So" is behind "<think>\n".
    assert rendered.last_char[0] == THINKING.index("o x")
    assert rendered.last_char[-1] == len(THINKING) - 1
    assert visible(r, r.render(MESSAGES, "<think>So x.").response_ids) == "So x."
    assert visible(r, r.render(MESSAGES, "\n<think>\n\nSo x.").response_ids) == "\nSo x."
    assert r.render(MESSAGES, "<think>\n").response_ids == []


# --- reasoning and the generation prompt fit together

ANSWER = "The answer is 42. 🙂"


def completion(r: Renderer, response: str) -> str:
    """All that is trained after the prompt, without the end token; the scored ids are the same."""
    rendered = r.render(MESSAGES, response)
    prompt, completion = rendered.training_ids()
    assert (prompt, completion) == (rendered.prompt_ids, [*rendered.response_ids, rendered.end_id])
    assert len(rendered.last_char) == len(rendered.inked) == len(rendered.response_ids)
    return visible(r, rendered.response_ids)


def test_a_block_that_the_prompt_opened_is_closed_before_an_answer(renderer):
    r = renderer("qwen3", template_kwargs={"enable_thinking": True})
    assert completion(r, ANSWER) == "\n</think>\n\n" + ANSWER
    rendered = r.render(MESSAGES, ANSWER)
    whole = visible(r, rendered.prompt_ids + rendered.response_ids)
    assert whole.endswith("<|im_start|>assistant\n<think>\n\n</think>\n\n" + ANSWER)
    # The tokens that close it belong to the first step, and are none of its characters.
    n_added = len(rendered.response_ids) - len(r.tokenizer(ANSWER, add_special_tokens=False).input_ids)
    assert n_added > 0
    assert rendered.last_char[:n_added].tolist() == [0] * n_added
    assert not rendered.inked[:n_added].any()
    assert rendered.last_char[n_added] == ANSWER.index("e")
    assert rendered.last_char[-1] == len(ANSWER) - 1


@pytest.mark.parametrize("tail", ["<think>", "<think>\n", "<think>\n\n", "<think> "])
def test_an_opened_block_is_closed_whatever_follows_its_tag(tokenizer_folder, tail):
    tokenizer = AutoTokenizer.from_pretrained(tokenizer_folder("qwen3"))
    tokenizer.chat_template = tokenizer.chat_template.replace(
        "'<think>\\n' if enable_thinking", repr(tail) + " if enable_thinking"
    )
    r = Renderer(tokenizer, params.Student(template_kwargs={"enable_thinking": True}))
    assert r.prompt_text(MESSAGES).endswith(tail)
    assert re.sub(r"\s", "", completion(r, ANSWER)) == "</think>" + ANSWER.replace(" ", "")
    assert completion(r, THINKING).count("<think>") == 0


def test_reasoning_is_left_out_where_the_prompt_closes_it(renderer):
    r = renderer("qwen3", template_kwargs={"enable_thinking": False})
    assert completion(r, THINKING) == completion(r, ANSWER) == ANSWER
    rendered = r.render(MESSAGES, THINKING)
    assert rendered.last_char[0] == THINKING.index(ANSWER) + 2
    assert rendered.last_char[-1] == len(THINKING) - 1
    assert completion(r, "<think>\nnever ends") == ""
    kept = renderer("qwen3", template_kwargs={"enable_thinking": False}, thinking="keep")
    assert completion(kept, THINKING) == THINKING


@pytest.mark.parametrize("name", [*TEMPLATED, *PLAIN])
def test_reasoning_is_kept_or_dropped_as_the_parameters_say(renderer, name):
    for thinking in ("auto", "keep"):
        assert completion(renderer(name, thinking=thinking), THINKING) == completion(renderer(name), THINKING)
    r = renderer(name, thinking="drop")
    assert completion(r, THINKING) == completion(r, ANSWER) == completion(renderer(name), ANSWER)
    assert completion(r, "<think>\nnever ends") == ""


def test_a_student_with_channels_gets_reasoning_in_its_channels(renderer):
    r = renderer("channels")
    body = THINKING.removeprefix("<think>\n").partition("\n</think>")[0]
    final = "<|start|>assistant<|channel|>final<|message|>"
    assert completion(r, THINKING) == f"<|channel|>analysis<|message|>{body}<|end|>{final}{ANSWER}"
    assert completion(r, ANSWER) == f"<|channel|>final<|message|>{ANSWER}"
    assert completion(r, f"<think>\n{body}") == f"<|channel|>analysis<|message|>{body}"
    assert r.tokenizer.convert_ids_to_tokens(r.end_id) == "<|return|>"
    assert completion(renderer("channels", thinking="drop"), THINKING) == completion(r, ANSWER)
    rendered = r.render(MESSAGES, THINKING)
    tokens = r.tokenizer.convert_ids_to_tokens(rendered.response_ids)
    place = dict(zip(tokens, rendered.last_char.tolist(), strict=True))
    assert place["<|channel|>"] == THINKING.index(ANSWER) - 1  # of the second header, after the last line of reasoning
    assert rendered.last_char[0] == len("<think>\n") - 1
    assert rendered.last_char[tokens.index("So")] == THINKING.index("So") + 1
    assert rendered.last_char[-1] == len(THINKING) - 1
    assert (np.diff(rendered.last_char) >= 0).all()


def test_channels_of_a_template_that_knows_no_reasoning(tokenizer_folder):
    tokenizer = AutoTokenizer.from_pretrained(tokenizer_folder("channels"))
    tokenizer.chat_template = tokenizer.chat_template.replace("m.thinking and loop.last", "false")
    r = Renderer(tokenizer, params.Student())
    assert completion(r, "<think>\nSo.\n</think>\n\n42") == (
        "<|channel|>analysis<|message|>So.<|end|><|start|>assistant<|channel|>final<|message|>42"
    )
    assert completion(r, "42") == "<|channel|>final<|message|>42"


def test_another_markup_is_learned_from_the_template(tokenizer_folder):
    tokenizer = AutoTokenizer.from_pretrained(tokenizer_folder("llama3"))
    tokenizer.chat_template = (
        "{% for m in messages %}[{{ m.role }}]"
        "{% if m.reasoning_content %}[THINK]{{ m.reasoning_content }}[/THINK]{% endif %}"
        "{{ m.content }}{{ eos_token }}{% endfor %}{% if add_generation_prompt %}[assistant]{% endif %}"
    )
    r = Renderer(tokenizer, params.Student())
    assert completion(r, "<think>\nSo.\n</think>\n\n42") == "[THINK]So.[/THINK]42"
    assert completion(r, "42") == "42"
    opened = tokenizer.chat_template.replace("%}[assistant]{%", "%}[assistant][THINK]{%")
    tokenizer.chat_template = opened
    r = Renderer(tokenizer, params.Student())
    assert completion(r, "<think>\nSo.\n</think>\n\n42") == "So.[/THINK]42"
    assert completion(r, "42") == "[/THINK]42"


@pytest.mark.parametrize("name", TEMPLATED)
def test_the_end_token_stands_once(renderer, name):
    r = renderer(name)
    end = r.tokenizer.convert_ids_to_tokens(r.end_id)
    assert completion(r, f"{ANSWER}{end}{end}") == completion(r, ANSWER)


TEXT = st.text("ab .\n🙂", max_size=12).map(str.strip)


@given(reasoning=TEXT, answer=TEXT)
@pytest.mark.parametrize("kwargs", [{}, {"enable_thinking": True}, {"enable_thinking": False}])
def test_every_form_fits_every_prompt(fitting, kwargs, reasoning, answer):
    """One block at most, opened and closed once in prompt and completion together, and no character out of place."""
    r = fitting(**kwargs)
    for response in (answer, f"<think>\n{reasoning}\n</think>\n\n{answer}"):
        rendered = r.render(MESSAGES, response)
        whole = visible(r, rendered.prompt_ids + rendered.response_ids)
        assert whole.count("<think>") == whole.count("</think>") <= 1
        assert whole.endswith(answer)
        assert (np.diff(rendered.last_char) >= 0).all()
        assert not len(rendered.last_char) or 0 <= rendered.last_char[0] <= rendered.last_char[-1] < max(
            1, len(response)
        )


@pytest.fixture(scope="module")
def fitting(renderer) -> Callable[..., Renderer]:
    """One renderer for each way of calling the template."""

    @functools.cache
    def make(**kwargs) -> Renderer:
        return renderer("qwen3", template_kwargs=kwargs)

    return make


@pytest.mark.parametrize(
    ("name", "end"),
    [
        ("llama3", "<|eot_id|>"),
        ("qwen2", "<|im_end|>"),
        ("qwen3", "<|im_end|>"),
        ("gemma", "<end_of_turn>"),
        ("metaspace", "<eos>"),
        ("plain", "<|endoftext|>"),
    ],
)
def test_token_that_ends_a_turn(renderer, name, end):
    r = renderer(name)
    assert r.tokenizer.convert_ids_to_tokens(r.render(MESSAGES, "42").end_id) == end


def test_without_template_the_turn_ends_with_the_text(renderer):
    r = renderer("llama3", template="none")
    assert r.tokenizer.convert_ids_to_tokens(r.end_id) == "<|end_of_text|>"


@pytest.mark.parametrize(
    "template",
    [
        "{{ bos_token }}{% for m in messages %}{% if m.role == 'user' %}{{ m.content }}{% endif %}{% endfor %}",
        "{{ bos_token }}{% for m in messages %}{{ m.content }}\n### Next:\n{% endfor %}",
        "{{ bos_token }}{% for m in messages %}{{ m.content }}{% endfor %}",
    ],
)
def test_template_that_names_no_end(tokenizer_folder, template):
    tokenizer = AutoTokenizer.from_pretrained(tokenizer_folder("llama3"))
    tokenizer.chat_template = template
    assert Renderer(tokenizer, params.Student()).end_id == tokenizer.eos_token_id


def test_template_that_refuses_a_prompt(renderer):
    with pytest.raises(StudentError, match=r"refuses a prompt with roles .*'system'.*no system role"):
        renderer("gemma").prompt([{"role": "system", "content": "Be brief."}, *MESSAGES])


def test_template_that_is_no_text(tokenizer_folder):
    tokenizer = AutoTokenizer.from_pretrained(tokenizer_folder("plain"))
    for template in (5, {"default": 5}):
        tokenizer.chat_template = template
        with pytest.raises(StudentError, match="chat template is 5 and no text"):
            Renderer(tokenizer, params.Student())


def test_template_that_renders_nothing(tokenizer_folder):
    tokenizer = AutoTokenizer.from_pretrained(tokenizer_folder("plain"))
    tokenizer.chat_template = "{# nothing #}"
    with pytest.raises(StudentError, match="makes nothing of a prompt"):
        Renderer(tokenizer, params.Student()).render(MESSAGES, "42")


def test_unusable_tokenizers_are_refused(tokenizer_folder):
    with pytest.raises(StudentError, match="no character offsets"):
        Renderer(SimpleNamespace(is_fast=False), params.Student())
    tokenizer = AutoTokenizer.from_pretrained(tokenizer_folder("plain"))
    tokenizer.eos_token = None
    with pytest.raises(StudentError, match="no end-of-sequence token"):
        Renderer(tokenizer, params.Student())
    tokenizer.chat_template = {"rag": "{{ messages }}", "tool_use": "{{ messages }}"}
    with pytest.raises(StudentError, match=r"\['rag', 'tool_use'\], none is named 'default'"):
        Renderer(tokenizer, params.Student())


# --- the last character of each token


def pieces(r: Renderer, response: str) -> list[tuple[str, str]]:
    """Each token with the text that ends on its last character."""
    rendered = r.render(MESSAGES, response)
    starts = [0, *(rendered.last_char[:-1] + 1)]
    spans = zip(starts, rendered.last_char, strict=True)
    tokens = r.tokenizer.convert_ids_to_tokens(rendered.response_ids)
    return list(zip(tokens, [response[a : b + 1] for a, b in spans], strict=True))


@pytest.mark.parametrize("name", ["llama3", "qwen2", "plain"])
def test_last_characters_hand_worked(renderer, name):
    """The blank before a word, the line ends behind a full stop, and the bytes of one character."""
    assert pieces(renderer(name), "So  x.\n\nThe 🙃") == [
        ("So", "So"), ("Ġ", " "), ("Ġx", " x"), (".ĊĊ", ".\n\n"), ("The", "The"), ("ĠðŁ", " 🙃"), ("Ļ", ""), ("ĥ", ""),
    ]  # fmt: skip


def test_last_characters_of_byte_tokens(renderer):
    assert pieces(renderer("metaspace"), "So 🙃.") == [
        ("▁", "S"), ("So", "o"), ("▁", " "),
        ("<0xF0>", "🙃"), ("<0x9F>", ""), ("<0x99>", ""), ("<0x83>", ""), (".", "."),
    ]  # fmt: skip


def test_last_characters_under_a_normaliser(renderer):
    """NFC makes one character of a letter and its accent; the token ends on the letter, where that character begins."""
    response = "cafe\u0301, e\u0301e"
    rendered = renderer("nfc").render(MESSAGES, response)
    assert [response[i] for i in rendered.last_char] == ["e", ",", " ", "e", "e"]


def byte_lengths(r: Renderer, ids: list[int]) -> list[int]:
    """Bytes of text that each token stands for, from the vocabulary alone."""
    byte_level = isinstance(r.tokenizer.backend_tokenizer.pre_tokenizer, ByteLevel) or "Ġ" in r.tokenizer.get_vocab()
    lengths = []
    for i, token in zip(ids, r.tokenizer.convert_ids_to_tokens(ids), strict=True):
        if i in r.tokenizer.added_tokens_decoder:
            lengths.append(len(token.encode()))
        elif byte_level:
            lengths.append(len(token))  # one letter of the alphabet for each byte
        else:
            lengths.append(1 if token.startswith("<0x") else len(token.replace("▁", " ").encode()))
    return lengths


@given(response=st.text(st.characters(codec="utf-8", exclude_characters="▁"), min_size=1, max_size=60))
@pytest.mark.parametrize("name", ["llama3", "qwen2", "gemma", "metaspace"])
def test_last_character_holds_the_last_byte(name, response, cached):
    """Arbitrary text: bytes counted along the vocabulary's tokens end in the character that the offsets name."""
    r = cached(name)
    rendered = r.render(MESSAGES, response)
    ends = np.cumsum(byte_lengths(r, rendered.response_ids)) - 1
    if name == "metaspace" and not response.startswith(" "):
        ends -= 1  # the blank that this tokenizer puts before the text
    character_of_byte = [i for i, c in enumerate(response) for _ in c.encode()]
    assert ends[-1] == len(character_of_byte) - 1
    assert rendered.last_char.tolist() == [character_of_byte[max(0, e)] for e in ends]


@given(response=st.text(min_size=1, max_size=60))
@pytest.mark.parametrize("name", ["llama3", "qwen3", "gemma", "metaspace", "nfc", "plain"])
def test_last_characters_never_go_back(name, response, cached):
    rendered = cached(name).render(MESSAGES, response)
    assert len(rendered.last_char) == len(rendered.response_ids)
    assert (np.diff(rendered.last_char) >= 0).all()
    assert rendered.last_char[0] >= 0 and rendered.last_char[-1] < len(response)
    assert name == "nfc" or rendered.last_char[-1] == len(response) - 1


# --- tokens that hold more than white space


def inked(r: Renderer, response: str) -> list[tuple[str, bool]]:
    """Each token and whether it holds a character that is not white space."""
    rendered = r.render(MESSAGES, response)
    return list(zip(r.tokenizer.convert_ids_to_tokens(rendered.response_ids), rendered.inked.tolist(), strict=True))


@pytest.mark.parametrize("name", ["llama3", "qwen2", "plain"])
def test_inked_tokens_hand_worked(renderer, name):
    assert inked(renderer(name), "So  x.\n\nThe 🙃\n\n") == [
        ("So", True), ("Ġ", False), ("Ġx", True), (".ĊĊ", True), ("The", True), ("ĠðŁ", True), ("Ļ", True),
        ("ĥ", True), ("Ċ", False), ("Ċ", False),
    ]  # fmt: skip


@given(response=st.text(st.sampled_from("ab.1 \t\n\u00a0\u2028\u3000\u200b🙃答"), min_size=1, max_size=40))
@pytest.mark.parametrize("name", ["llama3", "qwen3", "gemma", "metaspace", "plain"])
def test_a_token_is_inked_where_one_of_its_characters_is(name, response, cached):
    """Bytes along the vocabulary say which characters a token has a part of; an added blank has none."""
    r = cached(name)
    rendered = r.render(MESSAGES, response)
    lengths = np.array(byte_lengths(r, rendered.response_ids))
    ends = np.cumsum(lengths)
    if name == "metaspace" and not response.startswith(" "):
        ends -= 1
    character_of_byte = [c for c in response for _ in c.encode()]
    expected = [
        any(not c.isspace() for c in character_of_byte[max(0, end - n) : end])
        for n, end in zip(lengths, ends, strict=True)
    ]
    assert rendered.inked.tolist() == expected


@pytest.fixture(scope="module")
def cached(renderer) -> Callable[[str], Renderer]:
    """One renderer a tokenizer, for hypothesis."""
    return functools.cache(renderer)
