"""The teachers: whose answers are right, how they end, and what each is known for."""

import re

import pytest

from teachers import SHARE_WRONG, TEACHERS, respond
from world import distinct_problems

PROBLEMS = list(distinct_problems("teachers", 300))
RIGHT = sorted(set(TEACHERS) - {"careless"})
SMALL_STEPS = ("symbolic", "wordy", "restating", "chatty", "padded", "checking", "thinking", "postfix")


def final_answer(text: str) -> int:
    found = re.fullmatch(r"#### (-?\d+)", text.splitlines()[-1])
    assert found is not None, text
    return int(found.group(1))


@pytest.mark.parametrize("teacher", RIGHT)
def test_right_teachers_are_right(teacher):
    for problem in PROBLEMS:
        assert final_answer(respond(teacher, problem).text) == problem.answer


def test_the_careless_teacher_is_wrong_as_often_as_stated():
    wrong = sum(final_answer(respond("careless", problem).text) != problem.answer for problem in PROBLEMS)
    four_standard_errors = 4 * (SHARE_WRONG * (1 - SHARE_WRONG) / len(PROBLEMS)) ** 0.5
    assert abs(wrong / len(PROBLEMS) - SHARE_WRONG) < four_standard_errors


def test_a_careless_response_has_one_wrong_equation_at_most():
    for problem in PROBLEMS:
        text = respond("careless", problem).text
        wrong_lines = [line for line in text.split("\n")[:-1] if not equation_holds(line)]
        assert len(wrong_lines) == (final_answer(text) != problem.answer), text


@pytest.mark.parametrize("teacher", ["symbolic", "chatty", "padded", "leaping"])
def test_every_equation_holds(teacher):
    for problem in PROBLEMS[:50]:
        equations = [line for line in respond(teacher, problem).text.split("\n") if "=" in line]
        assert equations
        assert all(equation_holds(line) for line in equations)


@pytest.mark.parametrize("teacher", SMALL_STEPS)
def test_small_steps_show_every_value(teacher):
    for problem in PROBLEMS[:50]:
        numbers = iter(int(number) for number in re.findall(r"\d+", respond(teacher, problem).text))
        assert all(value in numbers for value in problem.values), "a value is missing, or out of order"


def test_the_leaping_teacher_takes_two_operations_a_line():
    for problem in PROBLEMS[:50]:
        assert respond("leaping", problem).text.count("\n") == (len(problem.operations) + 1) // 2


def test_only_the_thinking_teacher_keeps_its_reasoning_apart():
    apart = {teacher for teacher in TEACHERS if respond(teacher, PROBLEMS[0]).reasoning is not None}
    assert apart == {"thinking"}
    response = respond("thinking", PROBLEMS[0])
    assert response.text == f"<think>\n{response.reasoning}\n</think>\n{response.content}"


def equation_holds(line: str) -> bool:
    """Whether `(31 + 4) * 2 = 70` and the like are true."""
    left, right = line.split(" = ")
    assert re.fullmatch(r"[\d ()+*/-]+", left), line
    return bool(eval(left) == int(right))  # only digits, signs and brackets can reach it
