"""Which columns hold the responses of several teachers."""

import pytest

from stepsift.sources.column_contents import Column
from stepsift.sources.mend import _teachers


def columns(*paths: str, chars: int = 200) -> list[Column]:
    return [Column(path, rows=9, lengths=[chars] * 9, values={"a", "b"}, sentences=True) for path in paths]


@pytest.mark.parametrize(
    ("paths", "teachers"),
    [
        (
            ["anna_response", "bob_response"],
            [{"teacher": "anna", "response": "anna_response"}, {"teacher": "bob", "response": "bob_response"}],
        ),
        (
            ["r1_reasoning", "r1_response", "qwen_response"],
            [
                {"teacher": "r1", "response": "r1_response", "reasoning": "r1_reasoning"},
                {"teacher": "qwen", "response": "qwen_response"},
            ],
        ),
        # Several responses of one teacher; its number is no name.
        (
            ["anna_response_1", "anna_response_2"],
            [{"teacher": "anna", "response": "anna_response_1"}, {"teacher": "anna", "response": "anna_response_2"}],
        ),
        # Where nothing but a number tells them apart, they are of whoever else is named.
        (
            ["response_1", "response_2"],
            [{"teacher": "file", "response": "response_1"}, {"teacher": "file", "response": "response_2"}],
        ),
        (["anna_response"], [{"teacher": "anna", "response": "anna_response"}]),
        (["response", "bob_response"], [{"teacher": "bob", "response": "bob_response"}]),
        (["anna_question", "bob_question"], []),
    ],
)
def test_columns_that_differ_by_the_teachers_name(paths: list[str], teachers: list[dict[str, str]]) -> None:
    assert _teachers(columns(*paths), "file") == teachers


def test_short_texts_are_no_responses() -> None:
    assert _teachers(columns("anna_response", "bob_response", chars=20), "file") == []
