"""Gold answers and responses of many kinds, and the cases of the shared folder."""

import json
from collections import Counter

import pytest

from helpers.answer_pairs import PAIRS
from helpers.more_pairs import MORE_PAIRS
from helpers.pairs_of_statements import PAIRS_OF_STATEMENTS
from helpers.pairs_of_values import PAIRS_OF_VALUES
from helpers.places import SHARED
from stepsift.verify.extract import conclusion
from stepsift.verify.gold import short_gold
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


@pytest.mark.parametrize(
    ("gold", "value"),
    [
        ("Let n be the number. Doubling it and adding three gives 17, so 2n = 14. Therefore the number is 7.", "7"),
        ("We count the red beads first. There are 4 in each of the six rows.\nThus $24$.", "$24$"),
        ("The train covers 60 km in an hour. Then it rests. Over all its mean speed is 48 km/h.", "48 km/h"),
        ("We factor the polynomial by hand. Setting a factor to zero, one finds the root. Hence $x = 2$.", "x = 2"),
        ("Both sides are squared and the terms collected. The discriminant is negative. We get $x=1$ or $x=4$", None),
        ("先把两边同时平方得到一个二次方程。再解这个方程并检验每一个根。于是面积等于 5。", "5"),
    ],
)
def test_the_value_that_a_solution_in_words_comes_to_is_the_gold_answer(gold, value):
    value = value or "$x=1$ or $x=4$"
    assert (short_gold(gold).strip("$"), kind_of(gold)) == (value.strip("$"), "math")
    assert verdict(f"\\boxed{{{value.strip('$')}}}", gold) == "correct"
    assert verdict("\\boxed{999}", gold) == "wrong"


@pytest.mark.parametrize(
    "gold",
    [
        "Put x = 3 into the equation. The left side becomes 9 and so does the right side. Both sides agree.",
        "The capital moved to Kyoto in 794. It stayed there for more than a thousand years.",
        "Adding the equations removes y. What is left is 5x = 20. So x equals 4, and y is then 1 as we saw.",
        "Solving for x is done by moving terms to the left. To check: the left side is 9.",
        "By the triangle inequality the third side lies between both.\nThere are several such triangles.",
        "One worker paints three rooms each day while the other paints two rooms each day, and since nobody rests "
        "on any day they need to count all of the rooms together before they can say when they will be done",
        "先把两边同时平方得到一个二次方程。再解这个方程并检验每一个根是否满足题意。于是命题成立。",
    ],
)
def test_a_solution_in_words_that_comes_to_no_value_is_not_compared(gold):
    assert kind_of(gold) == "none"


@pytest.mark.parametrize(
    "gold",
    ["Mitochondria", "the powerhouse of the cell", "Yes", "'abc def. Ghi jkl mno pqr. Stu vwx yz'", "lions and wolves"],
)
def test_words_that_are_an_answer_are_compared(gold):
    assert kind_of(gold) == "exact"


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


@pytest.mark.parametrize(("gold", "right", "wrong"), PAIRS_OF_VALUES, ids=[gold[:30] for gold, *_ in PAIRS_OF_VALUES])
def test_pairs_of_values(gold, right, wrong):
    assert accepts(kind_of(gold), gold)
    assert [r for r in right if verdict(r, gold) != "correct"] == []
    assert [r for r in wrong if verdict(r, gold) == "correct"] == []


@pytest.mark.parametrize(
    ("gold", "right", "wrong"), PAIRS_OF_STATEMENTS, ids=[gold[:30] for gold, *_ in PAIRS_OF_STATEMENTS]
)
def test_responses_that_say_more_than_their_answer(gold, right, wrong):
    assert accepts(kind_of(gold), gold)
    assert [r for r in right if verdict(r, gold) != "correct"] == []
    assert [r for r in wrong if verdict(r, gold) == "correct"] == []
