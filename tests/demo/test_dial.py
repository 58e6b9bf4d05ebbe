"""The dial's world: rules by hand, every trace read back by a reader of its own, and what each teacher is there for."""

import itertools
import re
import subprocess
import sys
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import make_sources
from dial_corpus import DIAL_MIXTURE, dial_reading, interrupted, short_dial_problem
from dial_teachers import DIAL_TEACHERS, MOTTOS, REMINDERS, plain, respond_on_dial
from dial_world import DOMAINS, LENGTHS, RULES, DialProblem, Turn, distinct_dial_problems, make_dial_problem, turned
from distinct import TooFewProblemsError
from helpers.demo_rows import read_row, read_rows
from helpers.places import DEMO

PROBLEMS = list(distinct_dial_problems("test", 24))


@pytest.mark.parametrize(
    ("before", "sign", "operand", "after"),
    [
        (3, "+", 7, 0),
        (9, "+", 9, 8),
        (3, "-", 7, 6),
        (3, ">", 7, 7),
        (7, ">", 3, 7),
        (3, "<", 7, 3),
        (7, "<", 3, 3),
        (3, "&", 1, 7),
        (6, "&", 0, 2),
        (7, "(", 5, 9),
        (2, "(", 5, 7),
        (7, ")", 5, 2),
        (2, ")", 5, 0),
    ],
)
def test_rules_by_hand(before, sign, operand, after):
    assert turned(Turn("a", sign, operand), before) == after


def test_a_problem_by_hand():
    problem = DialProblem("sums", 3, (Turn("a", "+", 7), Turn("b", "-", 1), Turn("c", "+", 2)))
    assert problem.prompt == "Begin with 3 , then a + 7 , b - 1 , c + 2 . What are the last three ?"
    assert problem.values == (3, 0, 9, 1)
    assert problem.answer == 91
    assert respond_on_dial("tagged", problem).text == "a : 3 + 7 = 0\nb : 0 - 1 = 9\nc : 9 + 2 = 1\n#### 91"
    assert plain(problem, Random(0)).text == "3 + 7 = 0\n0 - 1 = 9\n9 + 2 = 1\n#### 91"


@settings(max_examples=25)
@given(st.text(max_size=8))
def test_any_key_gives_a_problem_that_is_the_same_twice(key):
    problem = make_dial_problem(key)
    assert problem == make_dial_problem(key)
    assert len(problem.turns) in LENGTHS
    assert {turn.sign for turn in problem.turns} <= set(DOMAINS[problem.domain])
    assert all(value in range(10) for value in problem.values)
    assert 100 <= problem.answer <= 999


def test_every_sign_has_a_rule_and_is_in_some_domain():
    assert set(RULES) == set("".join(DOMAINS.values()))


def test_prompts_differ_and_none_is_excluded():
    first = [p.prompt for p in distinct_dial_problems("k", 20)]
    assert len(set(first)) == 20
    rest = [p.prompt for p in distinct_dial_problems("k", 20, frozenset(first[:7]))]
    assert rest[:13] == first[7:]
    assert len(set(rest)) == 20


def test_a_world_with_too_few_problems_says_so():
    with pytest.raises(TooFewProblemsError, match=r"about \d{3}, 600 are asked for"):
        list(distinct_dial_problems("k", 600, lengths=(1,)))


def read_back(text: str) -> tuple[list[tuple[int, str, int, int]], str]:
    """All steps of one operation of a trace, wherever they stand, and what its last line says."""
    *lines, last = text.split("\n")
    found = re.findall(r"(?<![\d.])(\d) ([+\-><&()]) (\d) = (\d)\b", "\n".join(line for line in lines))
    return [(int(a), sign, int(n), int(b)) for a, sign, n, b in found], last


ALL_RIGHT = sorted(set(DIAL_TEACHERS) - {"noisy", "skipping", "checking", "recalling"})


@pytest.mark.parametrize("teacher", ALL_RIGHT)
@pytest.mark.parametrize("problem", PROBLEMS[:6], ids=range(6))
def test_traces_say_every_step_once_and_rightly(teacher, problem):
    steps, last = read_back(respond_on_dial(teacher, problem).text)
    assert [(turn.sign, turn.operand) for turn in problem.turns] == [(sign, n) for _, sign, n, _ in steps]
    assert [before for before, *_ in steps] + [steps[-1][3]] == list(problem.values)
    assert last == f"#### {''.join(str(after) for *_, after in steps)[-3:]}"


@pytest.mark.parametrize("problem", PROBLEMS[:6], ids=range(6))
def test_checking_says_every_second_step_twice(problem):
    steps, last = read_back(respond_on_dial("checking", problem).text)
    expected = []
    for i, (turn, value) in enumerate(zip(problem.turns, problem.values, strict=False)):
        expected += [(value, turn.sign, turn.operand, problem.values[i + 1])] * (1 + i % 2)
    assert steps == expected
    assert last == f"#### {problem.answer}"


def test_skipping_joins_some_steps_and_never_the_last_three():
    joined = 0
    for problem in PROBLEMS:
        text = respond_on_dial("skipping", problem).text
        steps, last = read_back(text)
        assert last == f"#### {problem.answer}"
        assert "".join(str(s[3]) for s in steps)[-2:] == str(problem.answer)[-2:]
        for before, one, n, two, m, after in re.findall(r": (\d) (\S) (\d) (\S) (\d) = (\d)", text):
            assert turned(Turn("", two, int(m)), turned(Turn("", one, int(n)), int(before))) == int(after)
            joined += 1
    assert len(PROBLEMS) < joined < 10 * len(PROBLEMS)


def test_noisy_is_wrong_at_one_step_of_about_half_of_the_responses():
    wrong_steps = []
    for problem in PROBLEMS:
        steps, last = read_back(respond_on_dial("noisy", problem).text)
        wrong_steps.append(sum(turned(Turn("", sign, n), before) != after for before, sign, n, after in steps))
        assert [s[3] for s in steps[:-1]] == [s[0] for s in steps[1:]]
        assert last.removeprefix("#### ") == str(int("".join(str(s[3]) for s in steps[-3:])))
    assert set(wrong_steps) == {0, 1}
    assert len(PROBLEMS) / 4 < sum(wrong_steps) < 3 * len(PROBLEMS) / 4


@pytest.mark.parametrize("teacher", DIAL_TEACHERS)
def test_traces_have_12_to_40_lines(teacher):
    lengths = [len(respond_on_dial(teacher, problem).text.split("\n")) for problem in PROBLEMS]
    assert min(lengths) >= 12 and max(lengths) <= 40


@pytest.mark.parametrize("teacher", ["framed", "padded", "rambling", "motto"])
@pytest.mark.parametrize("length", LENGTHS)
def test_what_comes_again_lies_beyond_a_window_of_four(teacher, length):
    problem = make_dial_problem("again", (length,))
    lines = respond_on_dial(teacher, problem).text.split("\n")
    distances = [
        i - max(j for j in range(i) if lines[j] == line)
        for i, line in enumerate(lines)
        if line in lines[:i] and "=" not in line
    ]
    assert len(distances) >= 3
    assert min(distances) > 4


def test_recalling_says_the_last_six_steps_again_at_the_end():
    problem = PROBLEMS[0]
    _, *lines, recalled, last = respond_on_dial("recalling", problem).text.split("\n")
    assert [*lines, last] == respond_on_dial("tagged", problem).text.split("\n")
    assert recalled == f"So it was {' , '.join(lines[-6:])} ."


def test_padded_says_its_reminders_in_turn_and_begins_anywhere():
    firsts = set()
    for problem in PROBLEMS:
        lines = respond_on_dial("padded", problem).text.split("\n")
        said = [REMINDERS.index(line) for line in lines if line in REMINDERS]
        inside, end = said[:-4], said[-4:]
        assert inside == [(inside[0] + i) % 6 for i in range(len(inside))]
        assert end == [(inside[0] + i) % 6 for i in (3, 4, 5, 0)]
        firsts.add(inside[0])
    assert len(firsts) > 3


def test_motto_has_six_sentences_and_says_two_of_them():
    seen = set()
    for problem in PROBLEMS:
        lines = respond_on_dial("motto", problem).text.split("\n")
        own = [line for line in lines if line in MOTTOS]
        assert own == [own[0], own[1], own[0], own[1], own[0]] and own[0] != own[1]
        seen |= {*own}
    assert seen == set(MOTTOS) and len(seen) == 6


@pytest.mark.parametrize("teacher", ["listing", "noisy"])
def test_about_half_of_the_responses_restate_the_problem(teacher):
    first_lines = [respond_on_dial(teacher, problem).text.split("\n")[0] for problem in PROBLEMS]
    restated = [line == p.prompt.partition(" What")[0] for line, p in zip(first_lines, PROBLEMS, strict=True)]
    assert len(PROBLEMS) / 4 < sum(restated) < 3 * len(PROBLEMS) / 4
    assert not any("=" in line for line in first_lines)


def test_thinking_reasons_as_tagged_apart_from_a_short_answer():
    problem = PROBLEMS[0]
    response = respond_on_dial("thinking", problem)
    tagged = respond_on_dial("tagged", problem).text.split("\n")
    assert response.reasoning.split("\n")[1:-1] == tagged[:-1]
    assert response.content == f"The last three are {' , '.join(str(problem.answer))} .\n{tagged[-1]}"


def test_filler_interrupts_solutions_of_the_corpus_and_leaves_their_steps():
    rng = Random("interrupted test")
    fillers = 0
    for _ in range(40):
        prompt, response = interrupted(rng)
        steps, last = read_back(response)
        assert 1 <= len(steps) <= 5
        assert len(steps) == prompt.count(",")
        assert [before for before, *_ in steps[1:]] == [after for *_, after in steps[:-1]]
        if len(steps) >= 3:
            assert last == f"#### {int(''.join(str(after) for *_, after in steps[-3:]))}"
        fillers += len(response.split("\n")) - len(steps) - 1
    assert fillers > 40


def test_no_long_problem_is_solved_in_the_corpus():
    rng = Random("corpus test")
    for make in DIAL_MIXTURE:
        for _ in range(40):
            prompt, response = make(rng)
            assert (prompt, response) != ("", "")
            if make is dial_reading:
                assert "=" not in response and prompt.count(",") == len(response.split("\n"))
            if make in (short_dial_problem, interrupted):
                assert 1 <= len(read_back(response)[0]) <= 5


def run(folder, *extra: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(DEMO / "make_sources.py"), "--sources", str(folder / "sources")]
    command += ["--tasks", str(folder / "tasks"), "--prompts", "5", *extra]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.slow
def test_the_command_writes_the_world_and_its_task(tmp_path):
    assert run(tmp_path / "one").returncode == 0
    assert run(tmp_path / "two").returncode == 0
    written = [*(f"sources/{name}" for name in make_sources.DIAL_FILES), "tasks/chain.yaml", "tasks/chain.jsonl"]
    assert {str(path.relative_to(tmp_path / "one")) for path in (tmp_path / "one").rglob("*.*")} == set(written)
    for name in written:
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()
    pool = {p.prompt: p for p in distinct_dial_problems("pool:0", 5)}
    seen = set()
    for name, (_, teachers) in make_sources.DIAL_FILES.items():
        for row in read_rows(tmp_path / "one/sources" / name):
            prompt, text, teacher = read_row(row, name)
            assert teacher in teachers
            assert text == respond_on_dial(teacher, pool[prompt]).text
            assert row["answer"] == str(pool[prompt].answer)
            seen.add((prompt, teacher))
    assert seen == set(itertools.product(pool, DIAL_TEACHERS))
    held_out = read_rows(tmp_path / "one/tasks/chain.jsonl")
    assert len({row["prompt"] for row in held_out} - set(pool)) == make_sources.HELD_OUT
    assert (tmp_path / "one/tasks/chain.yaml").read_text().startswith("task: chain\n")


@pytest.mark.slow
def test_more_operations_than_there_are_letters_are_refused(tmp_path):
    refused = run(tmp_path, "--operations", "27")
    assert refused.returncode == 2
    assert "--operations must be at most 26, not 27" in refused.stderr
