"""Spellings of one gold answer, and answers that differ."""

import pytest

from stepsift.ingest.gold import normal_form


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("2", "2.0"),
        ("18.0", "18"),
        ("$18", "18"),
        ("\\$18.50", "18.5"),
        ("$18$", "18"),
        ("9+9\n#### 18", "18"),
        ("so \\boxed{18}", "18"),
        ("1,234,567", "1234567"),
        ("-$3", "$-3.00"),
        ("1e+20", "1" + "0" * 20),
        ("-0.0", "0"),
        ("b", "B"),
        ("(B)", "\\text{B}"),
        ("New  York\n", "New York"),
    ],
)
def test_spellings_of_one_answer(one, other):
    assert normal_form(one) == normal_form(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("18", "19"),
        ("1" * 40, "1" * 39 + "2"),
        ("1,2", "12"),
        ("100", "1"),
        ("A", "B"),
        ("x", "X"),
        ("Paris", "Rome"),
        ("50%", "50"),
        ("a\n\\boxed{}", "b\n\\boxed{}"),
    ],
)
def test_answers_that_differ(one, other):
    assert normal_form(one) != normal_form(other)
