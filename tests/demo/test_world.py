"""The problems: their answers against a reader of the story that shares no code with the world; determinism."""

import subprocess
import sys

import pytest

from helpers.places import DEMO
from helpers.stories import read_story
from world import HIGHEST, LONG, LOWEST, distinct_problems, make_problem


def test_read_story_by_hand():
    story = "Tom has 31 eggs. Tom buys 5 more. Tom keeps only half. Tom eats 7. How many eggs does Tom have now?"
    assert read_story(story) == [31, 36, 18, 11]


@pytest.mark.parametrize("lengths", [(1,), (2,), LONG])
def test_answers_are_what_the_story_says(lengths):
    for number in range(300):
        problem = make_problem(f"test:{number}", lengths)
        values = read_story(problem.prompt)
        assert list(problem.values) == values
        assert problem.answer == values[-1]
        assert all(LOWEST <= value <= HIGHEST for value in values)
        assert len(problem.operations) in lengths


def test_a_problem_depends_on_its_key_only():
    alone = make_problem("test:7")
    assert [make_problem(f"test:{n}") for n in (9, 7)][1] == alone
    assert make_problem("test:8") != alone


@pytest.mark.slow
def test_no_dependence_on_hash_randomisation():
    script = "from world import make_problem; from teachers import respond, TEACHERS\n"
    script += "for n in range(5):\n for t in TEACHERS: print(respond(t, make_problem(str(n))).text)"
    outputs = {
        subprocess.run(
            [sys.executable, "-c", script], cwd=DEMO, env={"PYTHONHASHSEED": seed}, capture_output=True, check=True
        ).stdout
        for seed in ("1", "2")
    }
    assert len(outputs) == 1
    assert outputs.pop()


def test_distinct_problems_avoid_the_excluded():
    first = [problem.prompt for problem in distinct_problems("test", 20)]
    rest = [problem.prompt for problem in distinct_problems("test", 20, exclude=frozenset(first[:5]))]
    assert len(set(first)) == 20
    assert rest[:15] == first[5:]
    assert not set(rest) & set(first[:5])
