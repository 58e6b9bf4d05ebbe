"""Every rule of the splitter on a text whose pieces were worked out by hand."""

import pytest

from stepsift import params
from stepsift.segment import split


def pieces(text: str, **settings) -> list[str]:
    steps = split(text, params.Segment(**settings))
    return [text[a:b] for a, b in zip(steps.starts, steps.ends, strict=True)]


def kinds(text: str, **settings) -> list[str]:
    return split(text, params.Segment(**settings)).kinds


def check(wanted: list[str], **settings) -> None:
    """The pieces of the joined text are `wanted`."""
    assert pieces("".join(wanted), **settings) == wanted


SENTENCES = {
    "white space opens the next": ["One is here.", "  Two is there.", "\n\n Three is last. \n"],
    "leading white space joins the first": ["\n  One is here.", " Two is there."],
    "question and exclamation": ["Is it even?", " It is!", " Then we go on."],
    "runs of terminators": ["Really?!", " Yes, really!!", " Then we go on."],
    "quotes and brackets close": ['He said "It is done."', " Then he left.", " (He really did.)", " Then it ended."],
    "emphasis closes": ["**It is done.**", " Then he left."],
    "decimals": ["Pi is 3.14159.", " So 2.5 and .5 are fine."],
    "dotted names": ["See www.example.com/a.b?c=d and v1.2.3 now.", " Then we go on."],
    "abbreviations": ["See Fig. 3, Eq. (4) and Dr. Smith, e.g. Bob vs. Ann, i.e. Two.", " Then we go on."],
    "etc. within a sentence": ["Apples, pears, etc. are fruit."],
    "etc. at the end of one": ["Apples, pears, etc.", " They are fruit."],
    "abbreviations before numbers": ["See No. 5 on p. 12 by Li et al. (2020).", " Maybe no.", " Then we go on."],
    "initials": ["J. K. Rowling and George W. Bush met C. S. Lewis.", " Then we go on."],
    "a capital that is no initial": ["So the answer is B.", " The rest is not.", " It is 5 V.", " So T = S.", " Good."],
    "acronyms": ["The U.S. Army left at 5 p.m. on Monday.", " He has a Ph.D.", " Then we go on."],
    "ellipses": ["Wait... let me see.", " The series 1, 2, ... 9 and 1 + ... + 9.", " Hmm…", " Yes..."],
    "lower case goes on": ['"Why?" he asked.', " Then approx. five ft. of it."],
    "a formula in lower case begins": ["Then y = 3.", " x = 4 is next.", " f(3) is 5.", " a10 is 1."],
    "a full stop set apart": ["Tom has 31 apples .", " buys 4 more .", " doubles it ."],
    "factorials": ["There are 5! ways and n! - 3! * 2! others, so 4! = 24.", " All done!", " Good."],
    "enumerators": ["1. First we add.", "\n2) Then we halve.", "\na) It holds.", "\n(iv) It does.", "\nB. It is red."],
    "enumerators within a line": ["Do two things.", " 1. Add them up.", " 2. Halve it all."],
    "labels": ["Step 1. Add the numbers.", "\n**Step 2.** Halve the sum.", "\n### 3. The rest"],
    "labels within a line": ["Do it.", " Step 1. Add them up.", " Step 2. Halve it.", " Case A) holds.", " Good."],
    "a label at the end of a sentence": ["Look at Step 2.", " Then see Case 1.", " All is done."],
    "one step a line": ["31 + 4 = 35", "\n35 * 2 = 70", "\nSo it is 70"],
    "white space around line ends": ["It is 5.", "  \n  Then it is 6", " \r\n\r\nThen it is 7"],
    "other line ends": ["It is 5", "\rThen 6 or", "\u2028Then 7 or", "\x85Then 8 or", "\x0cThen 9 or"],
    "list items": ["We have:", "\n- one apple", "\n* two pears", "\n  • three figs. They are ripe", "\n\n+ four plums"],
    "headings": ["# Title here", "\nThe text.", "\n\n## Another one", "\nMore text."],
    "Chinese": ["今天很好。", "“真的吗？”", "是的！？", "我们走；", "\n他说（好的。）", "价格是3.14元……没有了。"],
    "Chinese with white space": ["今天很好。", " 我们走吧！", "\n\n好的好的"],
    "Japanese full stops": ["値は３．５です．", "次に，２を足します．", "終わりです"],
    "wide points that end nothing": ["１．足します", "\nA．５ではない Ｂ．６である"],
    "Ethiopic, Armenian, Khmer": ["ይህ ሰባት ነው።", " ያ ስምንት ነው።", " Սա յոթն է։", " នេះគឺប្រាំពីរ។", " ចប់ហើយ។"],
    "other scripts": ["यह सही है।", " यह भी सही है।", " هل هذا صحيح؟", " نعم هذا صحيح."],
}  # fmt: skip


@pytest.mark.parametrize("wanted", SENTENCES.values(), ids=SENTENCES)
def test_sentences(wanted):
    check(wanted)


MATHS = {
    "inline": ["So $a. B = c! D$ and $x = 5$.", " Then we go on."],
    "inline over a line end": ["So $\\begin{cases} 1. A \\\\\n 2. B \\end{cases}$ holds.", " Then we go on."],
    "inline with spaces": ["So $ a. B $ holds.", " Then we go on."],
    "round": ["So \\(a. B \\\\ c\\) holds.", " Then we go on."],
    "display over lines": ["We get", "\n$$\nx = 1.\nY = 2.\n$$", "\nThen we go on."],
    "square over lines": ["We get", "\n\\[\nx = \\text{a \\(b\\). C}\n\\]", "\nThen we go on."],
    "environment": ["We get", "\n\\begin{align*}\nx &= 1. \\\\\n\nY &= 2.\n\\end{align*}", "\nThen we go on."],
    "nested environments": ["\\begin{a}\nX.\n\\begin{a}\nY.\n\\end{a}\nZ.\n\\end{a}", "\nThen we go on."],
    "ends a sentence": ["So $x = 5.$", " Then \\(y = 6.\\)", " Then \\[z = 7.\\]", " Then $$w = 8.$$", " All is done."],
    "does not end one": ["So $x = 5.$ is what \\(y.\\) was."],
    "money": ["It costs $5.", " Now it is $6.", " They paid $5.", " It was $7+$8."],
    "escaped dollars": ["It costs \\$5.", " They got 6\\$ back.", " It is $\\$5. Or$ so."],
    "unbalanced dollar": ["So $x = 5.", " Then it ends.", "\n\nNow $y$ is 6.", " Then it ends."],
    "unbalanced display": ["So $$x = 5.", " Then it ends.", "\n\nNow $$y. Z$$ is 6.", " Then it ends."],
    "unbalanced brackets": ["So \\(x = 5.", " Then \\[y = 6.", " Then it ends.", "\n\nNow \\)z\\] is 7.", " Good."],
    "unbalanced environment": ["So \\begin{x} it is.", " Then \\end{y} it ends.", " Then \\begin{y} it ends."],
    "line ends in a matrix": ["So \\[ a \\\\[2pt] b. C \\] holds.", " Then we go on."],
    "inline code": ["So `a. B` and ``c. D`` are code.", " Then `x is one.", " Then it ends."],
}  # fmt: skip


@pytest.mark.parametrize("wanted", MATHS.values(), ids=MATHS)
def test_maths(wanted):
    check(wanted)


FENCED = "```python\nx = 1. # A. B\n\n| a |\n\ny = 2\n```"
TABLE = "| a | b |\n|---|---|\n| A. B | 2 |"
BLOCKS = {
    "fence": ["Run this:", "\n" + FENCED, "\nThen we go on."],
    "indented fence in a list": ["1. Run this:", "\n   ```\n   a. B\n   ```", "\n2. Then go on."],
    "tildes hold backticks": ["~~~\na. B\n```\nc\n~~~", "\nThen we go on."],
    "a longer fence holds a shorter one": ["````\na. B\n```\nc\n````", "\nThen we go on."],
    "unclosed fence": ["Run this:", "\n```\na. B\n\nc = 1\n"],
    "table": ["We have", "\n" + TABLE, "\nThen we go on."],
    "table without outer bars at the end": ["| a | b\n| :-- | --:\n| 1 | 2", "\nThen we go on."],
    "table without delimiter row": ["| a | b |\n| 1 | 2 |", "\nThen we go on."],
}


@pytest.mark.parametrize("unit", ["sentence", "paragraph"])
@pytest.mark.parametrize("wanted", BLOCKS.values(), ids=BLOCKS)
def test_blocks(wanted, unit):
    check(wanted, unit=unit)


def test_bars_of_a_formula_are_no_table():
    check(["|A| = 3", "\n|B| = 4", "\n|A + B| = 7"])


def test_lines():
    check(
        ["One. Two.", "\n\nThree $a\nb$ four", "\n" + FENCED, "\n- five. Six", "\n| a | b |", "\n| 1 | 2 |"],
        unit="line",
    )


def test_paragraphs():
    wanted = ["One. Two\nthree.", "\n \nFour $$a\n\\b$$ five\nsix", "\n- seven", "\n1. eight\n   nine", "\n# Ten here"]
    check([*wanted, "\n\nThe end."], unit="paragraph")


THINKING = {
    "tags join their texts": ["<think>\nI add them.", " It is 5.\n</think>", "\n\nThe answer is 5.", " Done now."],
    "without white space": ["<think>I add them.</think>", "The answer is 5."],
    "never opened": ["I add them.\n</think>", "\n\nThe answer is 5."],
    "never closed": ["<think>\nI add them.", " It is 5"],
    "empty": ["<think>\n\n</think>", "\n\nThe answer is 5."],
    "opened late": ["Let me see.", " <think> It is 5.</think>", " Yes it is."],
    "again": ["<think>One is 1.</think>", " So it is.", "\n<think>Two is 2.\n</think>\n</think>", " So it is too."],
    "within a fence": ["<think>\n```\nx = 1\n</think>", "\nThe answer is 5."],
    "within maths": ["<think>It is $5.</think>", " So $x$ it is."],
    "short pieces do not cross": ["<think>Ok</think>", " No", "<think>5</think>", " 5."],
    "only tags": ["<think>"],
    "at the end": ["It is 5.", "\n<think>"],
}


@pytest.mark.parametrize("wanted", THINKING.values(), ids=THINKING)
def test_thinking(wanted):
    check(wanted)


@pytest.mark.parametrize("unit", ["line", "paragraph"])
def test_thinking_and_answer_are_apart_in_every_unit(unit):
    check(["<think>\nOne. Two.\n</think>", "\nThree. Four.", " <think>Five.</think>", "Six."], unit=unit)


def test_kinds():
    text = (
        "# Title\nText.\n- item one. Item two\n\n"
        + FENCED
        + "\n\n"
        + TABLE
        + "\n$$\nx\n$$\n\\(y = 1\\).\n<think></think>"
    )
    wanted = ["heading", "text", "list", "list", "code", "table", "math", "math", "think_tag"]
    assert kinds(text) == wanted


def test_empty_and_white_space():
    assert pieces("") == []
    assert pieces(" \n\t\u3000") == [" \n\t\u3000"]
    assert pieces(" " * 100, max_step_chars=16) == [" " * 100]
    assert kinds(" \n") == ["text"]


SHORT = {
    "joins the next": (["No. It is not so.", " Ok. 5. It is then."], {}),
    "the last joins the one before": (["It is so.", " Is it not? Ok."], {}),
    "several add up": (["a\nb\nc\nd", "\ne\nf\ng\nh"], {}),
    "not beyond the longest": (["No.", " It is not so now.", " It is then so."], {"max_step_chars": 18}),
    "then the one before": (["It is so. No", "\nIt is not so now"], {"max_step_chars": 17}),
    "white space does not count": (["a \t b", "\nIt is so now."], {"min_step_chars": 2}),
    "rules and next heading": (["It is so.", "\n---\n## Title here"], {}),
}


@pytest.mark.parametrize(("wanted", "settings"), SHORT.values(), ids=SHORT)
def test_short(wanted, settings):
    check(wanted, **settings)


LONG = {
    "at white space": ["aaaa bbbb cccc", " dddd eeee"],
    "anywhere without any": ["a" * 16, "a" * 16, "a"],
    "outside maths": ["aaaaa bbbb", " $c d e f$"],
    "maths at line ends": ["$$aa bb\ncc dd", "\nee ff gg hh\ni$$"],
    "between what the reader sees": ["a" * 15, "e\u0301" * 7],
    "joined emoji": ["a" * 14, "👩\u200d💻👩\u200d💻👩\u200d💻"],
    "code at line ends": ["```\nx = 1", "\ny = 2 + 3 + 4", "\n```"],
    "table at line ends": ["| a | b |", "\n| c d | e f |"],
    "white space in the way": ["aaaaaaaaaaaa", " " * 40 + "bb"],
}


@pytest.mark.parametrize("wanted", LONG.values(), ids=LONG)
def test_long(wanted):
    check(wanted, max_step_chars=16)
    steps = split("".join(wanted), params.Segment(max_step_chars=16))
    assert steps.capped == [True] * len(wanted)


def test_long_paragraphs_are_cut_at_sentences():
    text = "Aa bb. Cc dd ee. Ff gg hh ii. Jj"
    assert pieces(text, unit="paragraph", max_step_chars=20) == ["Aa bb. Cc dd ee.", " Ff gg hh ii. Jj"]


def test_capped_marks_only_the_parts_of_long_steps():
    steps = split("It is so.\naaaa bbbb cccc dddd eeee\nIt is so.", params.Segment(max_step_chars=16))
    assert steps.capped == [False, True, True, False]


def test_tags_stay_with_their_text_where_a_step_is_cut():
    assert pieces("<think>\naaaa bbbb cccc\n</think>", max_step_chars=16) == [
        "<think>\naaaa",
        " bbbb",
        " cccc\n</think>",
    ]
