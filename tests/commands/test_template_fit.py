"""What `stepsift check --student` says of template and traces: four families, channels, with and without reasoning."""

from collections.abc import Callable
from pathlib import Path

import pytest
from transformers import AutoTokenizer

from stepsift import params
from stepsift.commands.template_fit import example, mismatches, show_fit
from stepsift.ingest.run import SampleTrace
from stepsift.render import Renderer

THINKING = "<think>\nWe add.\nSo 7.\n</think>\n\nIt is 7."
PLAIN = "It is 7."
USER = {"role": "user", "content": "What is 3 and 4?"}
SYSTEM = {"role": "system", "content": "Be brief."}


@pytest.fixture
def renderer(tokenizer_folder: Callable[[str], Path]) -> Callable[..., Renderer]:
    def make(name: str, **student) -> Renderer:
        return Renderer(AutoTokenizer.from_pretrained(tokenizer_folder(name)), params.Student(**student))

    return make


def traces(*responses: str, prompt=(USER,), teacher: str | None = None) -> list[SampleTrace]:
    return [
        SampleTrace(f"{i:032x}", [*prompt], response, teacher or ("thinker" if "<think>" in response else "plain"))
        for i, response in enumerate(responses)
    ]


OPEN, SHUT = {"template_kwargs": {"enable_thinking": True}}, {"template_kwargs": {"enable_thinking": False}}


@pytest.mark.parametrize(
    ("name", "student", "responses", "words"),
    [
        # (what the sentences begin with or hold), in their order
        ("qwen2", {}, [THINKING, PLAIN], []),
        ("llama3", {}, [THINKING, PLAIN], []),
        ("gemma", {}, [THINKING, PLAIN], []),
        ("metaspace", {}, [THINKING, PLAIN], []),
        ("qwen3", {}, [PLAIN], []),
        ("qwen3", {}, [THINKING, PLAIN], ["loses the reasoning of 1 of 2 sampled traces (50%; of thinker)"]),
        ("qwen3", OPEN, [THINKING], ["loses the reasoning of 1 of 1 sampled trace (100%; of all teachers)"]),
        (
            "qwen3",
            OPEN,
            [THINKING, PLAIN, PLAIN],
            [
                "loses the reasoning of 1 of 3",
                "opens <think>, 2 of 3 sampled traces (67%; of plain) hold no reasoning: </think> is put before",
                "trains other text than was scored for 2 of 3",
            ],
        ),
        (
            "qwen3",
            SHUT,
            [THINKING, PLAIN],
            [
                "closes the reasoning, so that of 1 of 2 sampled traces (50%; of thinker) is neither scored nor",
                "trains other text than was scored for 2 of 2 sampled traces (100%; of all teachers)",
            ],
        ),
        (
            "qwen3",
            SHUT | {"thinking": "keep"},
            [THINKING],
            ["closes the reasoning, 1 of 1 sampled trace (100%; of all teachers) bring a second block", "loses"],
        ),
        ("qwen2", {"thinking": "drop"}, [THINKING, PLAIN], ["student.thinking is drop", "trains other text"]),
        ("channels", {}, [PLAIN], []),
        (
            "channels",
            {},
            [THINKING],
            ["of its own (<|channel|>analysis<|message|>), in which 1 of 1", "trains other"],
        ),
        ("qwen2", {}, ["It is 7.<|im_end|>"], ["end with <|im_end|> themselves"]),
    ],
)
def test_a_sentence_for_each_mismatch(renderer, name, student, responses, words):
    said = mismatches(renderer(name, **student), traces(*responses))
    assert len(said) == len(words), said
    for sentence, word in zip(said, words, strict=True):
        assert word in sentence
        assert "\n" not in sentence


def test_a_template_that_refuses_the_system_prompt(renderer):
    sample = traces(PLAIN, prompt=(SYSTEM, USER), teacher="anna") + traces(PLAIN, teacher="ben")
    (said,) = mismatches(renderer("gemma"), sample)
    assert said.startswith("1 of 2 sampled traces (50%; of anna) cannot be scored: the student's chat template refuses")
    assert "this family knows no system role" in said and "ingest.system" in said
    head, why = example(renderer("gemma"), sample[0])
    assert head.startswith("example     anna, trace 0000") and "cannot be rendered: the student's chat" in why


def test_examples_show_special_tokens_and_what_is_scored_and_trained(renderer):
    assert example(renderer("qwen3", **OPEN), traces(THINKING)[0]) == [
        "example     thinker, trace 00000000000000000000000000000000",
        "  prompt    <|im_start|>user⏎What is 3 and 4?<|im_end|>⏎<|im_start|>assistant⏎<think>⏎",
        "  scored    We add.⏎So 7.⏎</think>⏎⏎It is 7.",
        "  trained   16 scored tokens, then <|im_end|>",
    ]
    shown = example(renderer("channels"), traces(THINKING)[0])[2]
    markup = "<|end|><|start|>assistant<|channel|>final<|message|>"
    assert shown == f"  scored    <|channel|>analysis<|message|>We add.⏎So 7.{markup}It is 7."


def test_long_and_hostile_texts_are_cut_and_made_visible(renderer):
    long = example(renderer("qwen2"), traces("\x1b[2JWe add. " * 100)[0])
    assert all(len(line) < 250 and "\x1b" not in line for line in long)
    assert "⟨U+001B⟩[2JWe add." in long[2] and "characters …" in long[2]


def test_one_example_of_each_teacher_and_a_sentence_where_all_fits(renderer):
    lines = show_fit(renderer("qwen2"), traces(PLAIN, "It is 8.", THINKING))
    assert [line for line in lines if line.startswith("example")] == [
        "example     plain, trace 00000000000000000000000000000000",
        "example     thinker, trace 00000000000000000000000000000002",
    ]
    assert lines[-1] == "fit         template and traces fit together in all of 3 sampled traces"
    many = [t for i in range(25) for t in traces(PLAIN, teacher=f"t{i:02}")]
    assert "example     5 more teachers are not shown" in show_fit(renderer("qwen2"), many)
