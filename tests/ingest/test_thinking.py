"""One form of reasoning, whatever the source's."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stepsift.ingest.thinking import Parts, put_together, take_apart

FORM = "<think>\nso 2 + 2\n</think>\n\n4"


@pytest.mark.parametrize(
    ("response", "beside"),
    [
        (FORM, None),
        ("<think>so 2 + 2</think>4", None),
        ("\n<think>\n\nso 2 + 2\n\n</think>\n\n\n4\n", None),
        ("so 2 + 2\n</think>\n\n4", None),
        ("4", "so 2 + 2"),
        (" 4 ", "<think>\nso 2 + 2\n</think>"),
        (FORM, "so 2 + 2"),
        ("<thinking>so 2 + 2</thinking>4", None),
        ("<think>so 2 + 2</think><answer>4</answer>", None),
        (
            "<|begin_of_thought|>\nso 2 + 2\n<|end_of_thought|>\n<|begin_of_solution|>\n4\n<|end_of_solution|>",
            None,
        ),
    ],
)
def test_every_source_gives_one_form(response, beside):
    assert put_together(take_apart(response, beside)) == FORM


@pytest.mark.parametrize(
    ("response", "beside", "form"),
    [
        ("4", None, "4"),
        ("4", "  ", "4"),
        ("<think>\n\n</think>\n\n4", None, "4"),
        ("<think>never ends", None, "<think>\nnever ends"),
        ("", "never ends", "<think>\nnever ends"),
        ("<think>only thought</think>", None, "<think>\nonly thought\n</think>"),
        ("<think>a</think>b</think>c", None, "<think>\na\nb\n</think>\n\nc"),
        ("<think>a</think>b<think>c</think>d", None, "<think>\na\nb\nc\n</think>\n\nd"),
        ("x<think>y</think>z", None, "<think>\nx\ny\n</think>\n\nz"),
        ("<think>a</think><think>b", None, "<think>\na\nb"),
        ("<think>a <think> b", None, "<think>\na  b"),
        ("<think>a<th</think>ink>b</think>c", None, "<think>\na<th\nink>b\n</think>\n\nc"),
        ("4", "a<think>b", "<think>\na\nb\n</think>\n\n4"),
        ("<think></think>", None, ""),
        ("<answer><think></answer>", "why", "<think>\nwhy\n</think>"),
        ("In HTML, <answer>4</answer>", None, "In HTML, <answer>4</answer>"),
    ],
)
def test_edges(response, beside, form):
    assert put_together(take_apart(response, beside)) == form


def test_unfinished():
    assert take_apart("<think>never ends") == Parts("never ends", "", finished=False)


TEXTS = st.lists(
    st.sampled_from(
        [
            "<think>",
            "</think>",
            "<thinking>",
            "</thinking>",
            "<answer>",
            "</answer>",
            "a",
            " ",
            "\n",
            "<|begin_of_thought|>",
        ]
    )
).map("".join)


@given(TEXTS, st.none() | TEXTS)
def test_the_form_is_stable_and_has_no_space_around_it(response, beside):
    form = put_together(take_apart(response, beside))
    assert form == form.strip()
    assert put_together(take_apart(form)) == form
    assert form.count("</think>") <= 1
    assert "<think>" not in form.removeprefix("<think>").rpartition("</think>")[0]
