"""The teachers that the demo does without."""

import re

import pytest

from make_sources import HOPELESS, WORLDS
from more_teachers import ALL_TEACHERS, MORE_TEACHERS, SHARE_SHOWN, SHARE_UNCHECKED
from teachers import TEACHERS, respond
from world import Problem, distinct_problems

POOL = list(distinct_problems("more-teachers", 400))


def answer(name: str, problem: Problem) -> int:
    lines = respond(name, problem, ALL_TEACHERS).text.splitlines()
    found = re.fullmatch(r"#### (-?\d+)", lines[-1])
    assert found, lines[-1]
    return int(found.group(1))


@pytest.mark.parametrize("name", MORE_TEACHERS)
def test_a_teacher_writes_the_same_text_on_every_call_and_is_right(name: str) -> None:
    first = [respond(name, p, ALL_TEACHERS).text for p in POOL[:20]]
    assert first == [respond(name, p, ALL_TEACHERS).text for p in POOL[:20]]
    right = sum(answer(name, p) == p.answer for p in POOL) / len(POOL)
    assert right == pytest.approx(1 - SHARE_UNCHECKED if name == "noisy" else 1, abs=0.07 if name == "noisy" else 0)


def test_the_fitful_teacher_shows_its_working_now_and_then() -> None:
    shown = sum("=" in respond("fitful", p, ALL_TEACHERS).text for p in POOL) / len(POOL)
    assert shown == pytest.approx(SHARE_SHOWN, abs=0.07)


def test_numbers_and_frames_leave_the_working_as_it_is() -> None:
    for problem in POOL[:20]:
        working = respond("symbolic", problem).text.splitlines()
        numbered = respond("numbered", problem, ALL_TEACHERS).text.splitlines()
        assert numbered == [*(f"Step {i}: {line}" for i, line in enumerate(working[:-1], 1)), working[-1]]
        for name, n_around in (("framed", 2), ("rambling", 19)):
            lines = respond(name, problem, ALL_TEACHERS).text.splitlines()
            assert lines[n_around : -n_around - 1] + lines[-1:] == working
            assert len(set(lines[:n_around])) == len(set(lines[-n_around - 1 : -1])) == n_around


def test_the_hasty_teacher_names_the_answer_first() -> None:
    for problem in POOL[:20]:
        assert f" {problem.answer} " in respond("hasty", problem, ALL_TEACHERS).text.splitlines()[0]


def test_the_skipping_teacher_writes_fewer_lines_than_there_are_steps() -> None:
    lines = [len(respond("skipping", p, ALL_TEACHERS).text.splitlines()) - 1 for p in POOL]
    steps = [len(p.operations) for p in POOL]
    assert all(n <= s for n, s in zip(lines, steps, strict=True))
    assert 0.6 < sum(lines) / sum(steps) < 0.95


def test_the_two_sets_of_sources() -> None:
    def teachers(files: str) -> set[str]:
        return {t for _, names in WORLDS[files].files.values() for t in names}

    assert teachers("stories") == set(TEACHERS)
    assert teachers("evidence") == set(ALL_TEACHERS) - HOPELESS
