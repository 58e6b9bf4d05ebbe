"""Gold answers and responses of many kinds, and the cases of the shared folder."""

import json
from collections import Counter

import pytest

from helpers.answer_pairs import PAIRS
from helpers.more_pairs import MORE_PAIRS
from helpers.places import SHARED
from stepsift.verify.extract import conclusion
from stepsift.verify.judge import accepts, judgement, kind_of, same_gold
from stepsift.verify.numbers import read_number, same_number
from stepsift.verify.shapes import read_shape
from stepsift.verify.spelling import formula, peel
from stepsift.verify.units import read_unit

CASES = SHARED / "cases" / "answers.jsonl"


def verdict(response: str, gold: str) -> str:
    text = conclusion(response)
    return "unparsed" if text is None else judgement(kind_of(gold), text, gold).verdict


@pytest.mark.parametrize(
    ("kind", "gold", "right", "wrong"), PAIRS, ids=[f"{kind}: {gold[:30]}" for kind, gold, *_ in PAIRS]
)
def test_pairs(kind, gold, right, wrong):
    assert accepts(kind_of(gold), gold)
    assert [r for r in right if verdict(r, gold) != "correct"] == []
    assert [r for r in wrong if verdict(r, gold) == "correct"] == []


@pytest.mark.parametrize(("gold", "right", "wrong"), MORE_PAIRS, ids=[gold[:30] for gold, *_ in MORE_PAIRS])
def test_more_pairs(gold, right, wrong):
    assert accepts(kind_of(gold), gold)
    assert [r for r in right if verdict(r, gold) != "correct"] == []
    assert [r for r in wrong if verdict(r, gold) == "correct"] == []


@pytest.mark.skipif(not CASES.is_file(), reason="no folder shared/cases beside the repository")
def test_cases_of_the_shared_folder():
    otherwise = []
    for line in CASES.read_text(encoding="utf-8").splitlines():
        case = json.loads(line)
        if (verdict(case["response"], case["gold"]) == "correct") != (case["expected"] == "correct"):
            otherwise.append(case["id"])
    assert otherwise == []


def test_there_are_many_pairs():
    counts = Counter({kind: 0 for kind, *_ in PAIRS})
    for kind, _, right, wrong in PAIRS:
        counts[kind] += len(right) + len(wrong)
    assert counts.total() >= 300


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("1/3", "0.333333", True),
        ("1/3", "0.33333", False),
        ("0.333333", "0.3333333", True),
        ("2/3", "0.666667", True),
        ("2/3", "0.666666", True),
        ("2/3", "0.666668", False),
        ("0.30000000000000004", "0.3", True),
        ("6.63e-34", "5.0e-34", False),
        ("6.63e-34", "6.63 \\times 10^{-34}", True),
        ("100000000000000000000", "100000000000000000001", False),
        ("1234567", "1234567.4", False),
        ("-0.333333", "1/3", False),
        ("0.\\overline{9}", "1", True),
        ("2 1/3", "7/3", True),
        ("0", "0.0000001", False),
    ],
)
def test_when_two_numbers_are_equal(one, other, same):
    a, b = read_number(one), read_number(other)
    assert a is not None and b is not None
    assert same_number(a, b) is same_number(b, a) is same


@pytest.mark.parametrize(
    ("text", "bare"),
    [
        ("**14**.", "14"),
        ("***14***", "14"),
        ("$\\frac12$.", "\\frac12"),
        ("\\[\n14\n\\]", "14"),
        ("✅ 14 .", "14"),
        ("5!", "5!"),
        ("0.333...", "0.333..."),
        ("90°", "90°"),
        ("<b>14</b>;", "14"),
    ],
)
def test_what_surrounds_an_answer_is_peeled_off(text, bare):
    assert peel(text) == bare


def test_a_formula_has_one_spelling():
    one = "\\dfrac{1}{2} \\leq x \\leq 2\u00b2, \\left( \\text{12} \\right)"
    assert formula(one) == "\\frac{1}{2} \\le x \\le 2^{2}, ( 12 )"


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("(2, 5]", "group"),
        ("2, 5", "list"),
        ("\\{2, 5\\}", "set"),
        ("(0,1) \\cup (2,3)", "union"),
        ("x = 5", "value"),
        ("x + y = 5", "equation"),
        ("12:30", "clock"),
        ("2:3:4", "ratio"),
        ("12_5", "base"),
        ("1,234,567", "value"),
    ],
)
def test_shapes(text, kind):
    assert read_shape(text).kind == kind


def test_units_are_converted():
    metre, centimetre = read_unit("m"), read_unit("\\text{centimeters}")
    assert metre is not None and centimetre is not None
    assert metre.factor / centimetre.factor == 100
    assert read_unit("m/s^2") == read_unit("metres per second squared")
    assert read_unit("square cm") == read_unit("cm^2")
    assert read_unit("apples") is None


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("\\frac{1}{2}", "0.5"),
        ("x=23", "23"),
        ("50\\%", "50%"),
        ("(B)", "B"),
        ("(B) Paris", "Paris"),
        ("so it is\n#### 18", "18"),
        ("\\{1, 2\\}", "2, 1"),
        ("Yes", "\\text{yes}"),
    ],
)
def test_spellings_of_one_gold_answer(one, other):
    assert same_gold(one, other) and same_gold(other, one)


@pytest.mark.parametrize(
    ("one", "other"), [("4", "5"), ("A", "B"), ("Paris", "Rome"), ("1, 2", "1"), ("[1, 2]", "(1, 2)")]
)
def test_gold_answers_that_differ(one, other):
    assert not same_gold(one, other) and not same_gold(other, one)


@pytest.mark.parametrize(
    ("gold", "response", "suspect"),
    [
        ("14", "It is 13 and never 14 as some say", True),
        ("14", "It is 13.", False),
        ("14", "It was 14 once.\nIt is 13.", False),
        ("3", "It is \\sqrt{3}.", False),
        ("C", "The answer is B, not (C)", True),
        ("C", "The answer is (B).", False),
        ("Paris", "It might be Paris, I think it is Rome", True),
        ("Paris", "It is Parisian", False),
    ],
)
def test_what_makes_a_verdict_suspect(gold, response, suspect):
    found = judgement(kind_of(gold), response, gold)
    assert found.verdict != "correct"
    assert found.suspect is suspect
