"""Final answers found and judged, by hand-worked cases."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stepsift.verify import Verifier, choice, exact
from stepsift.verify.extract import conclusion, final_answer
from stepsift.verify.judge import judgement, kind_of
from stepsift.verify.process import JudgeProcess
from stepsift.verify.readings import formulas


@pytest.fixture(scope="module")
def verifier():
    with Verifier(20.0) as v:
        yield v


@pytest.mark.parametrize(
    ("gold", "kind"),
    [
        ("D", "choice"),
        ("(D)", "choice"),
        ("\\text{(B)}", "choice"),
        ("K", "math"),
        ("70,000", "math"),
        ("-1/2", "math"),
        ("\\$5.50", "math"),
        ("50%", "math"),
        ("2\\sqrt{113}", "math"),
        ("6 - 5i", "math"),
        ("(6, 31, -1)", "math"),
        ("He pays 3.\n#### 3", "math"),
        ("[1, 2]", "exact"),
        ("'\\n'", "exact"),
        ("{'a': 1}", "exact"),
        ("True", "exact"),
        ("Paris", "exact"),
        ("()", "exact"),
    ],
)
def test_kind_of(gold, kind):
    assert kind_of(gold) == kind


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("so \\boxed{3} or rather \\boxed{\\frac{1}{2}}.", "\\frac{1}{2}"),
        ("\\boxed{\\{1, 2\\}} and \\boxed{never closed", "\\{1, 2\\}"),
        ("It is 5.\n#### 72", "72"),
        ("The answer is 5.\nAnswer: 7", "7"),
        ("**Answer:** John has **22 bananas**.\n", "John has **22 bananas**."),
        ("The final answer is:\n\n12", "12"),
        ("**Final Answer**\n29", "29"),
        ("Answer:\n```python\n[1, 2]\n```\nDone.", "[1, 2]"),
        ("Answer:", ""),
        ("因此，最终答案是28种。", "28种。"),
        ("First 3.\nSo it is 4.", "So it is 4."),
        ("#### Step 1\nadd\nSum 4", "Sum 4"),
    ],
)
def test_final_answer(text, answer):
    assert final_answer(text) == answer


def test_a_mathematical_answer_is_a_sentence_with_a_digit():
    assert final_answer("He has 12 left. So it is 4.\nLet me know if you have questions!", math=True) == "So it is 4."
    assert final_answer("I do not know.", math=True) is None


def test_conclusion():
    assert conclusion("<think>\n\\boxed{3}\n</think>\n\nIt is 4.<|im_end|>") == "It is 4."
    assert conclusion("<think>\n\\boxed{3}") is None
    assert conclusion("<think>\na\n</think>") is None


def test_an_answer_may_speak_of_the_tag_that_ends_reasoning():
    response = "<think>\nwhich tag?\n</think>\n\nThe answer is `</think>`."
    assert conclusion(response) == "The answer is `</think>`."
    assert judgement("exact", conclusion(response) or "", "</think>").verdict == "correct"
    assert conclusion("a template opened it\n</think>\n\nIt is 4.") == "It is 4."


@pytest.mark.parametrize(
    ("answer", "gold", "found"),
    [
        ("\\frac{1}{2}", "0.5", ["\\frac{1}{2}"]),
        ("$70,000$", "70000", ["70,000"]),
        ("50\\%", "50", ["50%"]),
        ("It would take John **12 minutes** to speak 10 pages.", "12", ["12 minutes"]),
        ("Sam would have to spend 20 * $3 = $60 to make 4 liters.", "60", ["60"]),
        ("He will save \\$1,260.50 in 7 days.", "1260.5", ["1,260.50"]),
        ("The value is \\(2\\sqrt{3}\\) cm.", "2\\sqrt{3}", ["2\\sqrt{3}"]),
        ("the diagonal is **6√2 centimeters**.", "6\\sqrt{2}", ["6\\sqrt{2} centimeters"]),
        ("I give up", "4", []),
        ("between 10 and 20", "10", []),
        ("5 or 6", "5", ["5 or 6"]),
        ("It costs **$5 to $6** a day", "5", []),
        ("It is 4, 5, or 6.", "4", []),
        ("60 minutes and no more", "60", ["60"]),
    ],
)
def test_formulas(answer, gold, found):
    assert formulas(answer, gold) == found


@pytest.mark.slow
@pytest.mark.parametrize(
    ("response", "gold", "verdict"),
    [
        ("\\boxed{0.5}", "\\frac{1}{2}", "correct"),
        ("\\boxed{(x+1)^2}", "x^2 + 2x + 1", "correct"),
        ("The answer is 2x + 3", "3", "wrong"),
        ("So he has 5 apples left of 7.", "5", "correct"),
        ("\\boxed{70{,}000}", "$70,000", "correct"),
        ("\\boxed{50\\%}", "50", "correct"),
        ("\\boxed{x = 5}", "5", "correct"),
        ("\\boxed{\\left( 6,31,-1 \\right)}", "(6,31,-1)", "correct"),
        ("\\boxed{\\text{east}}", "\\text{east}", "correct"),
        ("\\boxed{4}", "It is 2 + 2.\n#### 4", "correct"),
        ("\\boxed{5}", "4", "wrong"),
        ("\\boxed{0.5}", "50%", "correct"),
        ("\\boxed{1/2}", "50%", "correct"),
        ("\\boxed{50}", "50%", "correct"),
        ("\\boxed{50\\%}", "50%", "correct"),
        ("\\boxed{50\\%}", "0.5", "correct"),
        ("\\boxed{0.5\\%}", "50%", "wrong"),
        ("\\boxed{5000\\%}", "50%", "wrong"),
        ("The answer is between 10 and 20.", "10", "unparsed"),
        ("So he sold 11 of the 24.", "10", "unparsed"),
        ("The answer is 5 or 6.", "5", "wrong"),
        ("I cannot say.", "4", "unparsed"),
        ("<think>\n4", "4", "unparsed"),
        ("4", None, "unchecked"),
    ],
)
def test_math(verifier, response, gold, verdict):
    assert verifier.verdict("math", response, gold) == verdict


@pytest.mark.parametrize(
    ("response", "letter"),
    [
        ("The answer is (D).", "D"),
        ("**Answer: D**", "D"),
        ("The answer is A. On reflection, the answer is B.", "B"),
        ("\\boxed{\\text{(C)}}", "C"),
        ("\\boxed{D. 3.5 N}", "D"),
        ("The answer is \\(\\boxed{J}\\)", "J"),
        ("Thus\n(E)", "E"),
        ("So (B) is the correct option.", "B"),
        ("The answer is: \\[ \\boxed{G} \\]", "G"),
        ("Answer: Democracy", None),
        ("P(A) is 0.5", None),
        ("I do not know", None),
    ],
)
def test_choice(response, letter):
    assert choice.final_letter(response) == letter


@pytest.mark.slow
def test_choice_verdicts(verifier):
    assert verifier.verdict("choice", "The answer is (D).", "D") == "correct"
    assert verifier.verdict("choice", "The answer is (C).", "(D)") == "wrong"
    assert verifier.verdict("choice", "Who knows", "D") == "unparsed"


@pytest.mark.parametrize(
    ("gold", "answer", "same"),
    [
        ("Paris", " paris ", True),
        ("Paris", "Rome", False),
        ("[1, 2]", "[1,2]", True),
        ("[1, 2]", "(1, 2)", False),
        ("{'a': 1, 'b': 2}", "`{'b': 2, 'a': 1}`", True),
        ("'towaru'", "towaru", True),
        ("'towaru'", "Towaru", False),
        ("'towaru'", '"towaru".', True),
        ("''", "", True),
        ("'5'", "5", False),
        ("True", "true", True),
        ("True", "1", False),
        ("'it\\'s'", "'it's'", True),
        ("[" * 9_000, "]", False),
    ],
)
def test_exact(gold, answer, same):
    assert exact.same(gold, answer) is same


@pytest.mark.slow
def test_gold_answers_are_tried_on_their_verifier(verifier):
    golds = {"math": "\\frac{3}{4}", "choice": "(D)", "exact": "[1, 'a']"}
    assert all(verifier.accepts(kind, gold) for kind, gold in golds.items())
    assert not verifier.accepts("choice", "none of these")


@pytest.mark.slow
def test_an_endless_answer_is_killed_and_the_next_is_judged():
    with Verifier(1.0) as verifier:
        assert verifier.verdict("math", "\\boxed{4}", "4") == "correct"
        start = time.monotonic()
        assert verifier.verdict("math", "\\boxed{10^{10^{10}}}", "10") == "timeout"
        assert time.monotonic() - start < 10
        assert verifier.verdict("math", "\\boxed{5}", "5") == "correct"


@pytest.mark.slow
def test_a_dead_worker_is_replaced():
    with JudgeProcess(20.0) as worker:
        assert worker.ask("compare", "math", "4", "4") == "correct"
        process = worker._process
        assert process is not None
        process.kill()
        process.wait()
        assert worker.ask("compare", "math", "5", "5") == "correct"
    with pytest.raises(ProcessLookupError):
        os.kill(process.pid, 0)


@pytest.mark.slow
def test_one_slow_answer_among_many_costs_only_itself():
    jobs = [("math", f"\\boxed{{{n}}}", "4") for n in ("4", "10^{10^{10}}", "5", "10^{10^{10}}", "4")]
    with Verifier(1.0) as verifier:
        verdicts = [verdict for verdict, _ in verifier.verdicts(jobs)]
    assert verdicts == ["correct", "timeout", "wrong", "timeout", "correct"]


@pytest.mark.slow
def test_it_works_from_a_script_without_a_main_guard(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(
        "from stepsift.verify import Verifier\n"
        "with Verifier(30.0) as v:\n    print(v.verdict('math', 'It is 4.', '4'))\n"
    )
    import stepsift

    environment = {**os.environ, "PYTHONPATH": str(Path(stepsift.__file__).parents[1])}
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, env=environment, check=True)
    assert done.stdout == "correct\n"


@pytest.mark.parametrize(
    "unit",
    [
        *("<answer>", "option A ", "`", "_", "4 m", "\\text{", "0.(", "1:", "[1,", "\\boxed{", "answer is ", "**", "$"),
        *("\\(", "1,111", "((((", "[[[[", "<|a|>", "<a>", "# a\n", " \n"),
    ],
)
@pytest.mark.parametrize("kind", ["choice", "exact", "math"])
def test_runaway_responses_cost_little(kind, unit):
    """No pattern looks at a response of a megabyte more than a few times over."""
    response = unit * (1_000_000 // len(unit))
    start = time.process_time()
    text = conclusion(response)
    if text is not None:
        judgement(kind, text, "4")
    assert time.process_time() - start < 2


@pytest.mark.parametrize("unit", ["1,1,111,", "1, 111 1/1, ", "2 x 10^1,", "1 million, "])
def test_many_numbers_among_words_cost_little(unit):
    start = time.process_time()
    judgement("math", "The roots are " + unit * (1_900 // len(unit)) + " and then", "4")
    assert time.process_time() - start < 2


@given(st.text(max_size=60), st.text(max_size=20))
def test_any_text_has_some_reading(response, gold):
    text = conclusion(response)
    if text is not None:
        answer = final_answer(text)
        choice.final_letter(text)
        if answer is not None:
            exact.same(gold, answer)
            formulas(answer, gold)
