"""One form of reasoning, whatever the source's."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from helpers.places import ROOT
from stepsift.ingest.thinking import Parts, put_together, take_apart
from stepsift.ingest.thinking.families import ENDS, FAMILIES, STARTS, TAGGED, TITLED, Family


def form(response: str, beside: str | None = None) -> str:
    return put_together(take_apart(response, beside))


FORM = "<think>\nso 2 + 2\n</think>\n\n4"
R, A = "We add.\nSo 7.", "She has \\boxed{7} shells."
LONG = f"<think>\n{R}\n</think>\n\n{A}"
CUT = f"<think>\n{R}"


@pytest.mark.parametrize(
    ("response", "beside"),
    [
        (FORM, None),
        ("<think>so 2 + 2</think>4", None),
        ("\n<think>\n\nso 2 + 2\n\n</think>\n\n\n4\n", None),
        ("so 2 + 2\n</think>\n\n4", None),
        ("4", "so 2 + 2"),
        (" 4 ", "<think>\nso 2 + 2\n</think>"),
        (FORM, "so 2 + 2"),
        ("<thinking>so 2 + 2</thinking>4", None),
        ("<think>so 2 + 2</think><answer>4</answer>", None),
        (
            "<|begin_of_thought|>\nso 2 + 2\n<|end_of_thought|>\n<|begin_of_solution|>\n4\n<|end_of_solution|>",
            None,
        ),
    ],
)
def test_every_source_gives_one_form(response, beside):
    assert form(response, beside) == FORM


@pytest.mark.parametrize(
    ("response", "beside", "one_form"),
    [
        ("4", None, "4"),
        ("4", "  ", "4"),
        ("<think>\n\n</think>\n\n4", None, "4"),
        ("<think>never ends", None, "<think>\nnever ends"),
        ("", "never ends", "<think>\nnever ends"),
        ("<think>only thought</think>", None, "<think>\nonly thought\n</think>"),
        ("<think>a</think>b</think>c", None, "<think>\na\nb\n</think>\n\nc"),
        ("<think>a</think>b<think>c</think>d", None, "<think>\na\nb\nc\n</think>\n\nd"),
        ("x<think>y</think>z", None, "<think>\nx\ny\n</think>\n\nz"),
        ("<think>a</think><think>b", None, "<think>\na\nb"),
        ("<think>a <think> b", None, "<think>\na  b"),
        ("<think>a<th</think>ink>b</think>c", None, "<think>\na<th\nink>b\n</think>\n\nc"),
        ("4", "a<think>b", "<think>\na\nb\n</think>\n\n4"),
        ("<think></think>", None, ""),
        ("<answer>4</answer>\n<answer>5</answer>", None, "4\n<answer>5</answer>"),
        ("<answer>4</answer> or <output>5</output>", None, "4\nor <output>5</output>"),
        ("<answer><think></answer>", "why", "<think>\nwhy\n</think>"),
        ("In HTML, <answer>4</answer>", None, "In HTML, <answer>4</answer>"),
    ],
)
def test_edges(response, beside, one_form):
    assert form(response, beside) == one_form


def test_unfinished():
    assert take_apart("<think>never ends") == Parts("never ends", "", finished=False)


# --- every family


def pairs(family: Family) -> list[tuple[str, str]]:
    """Opening and closing markers, each opening one with the closing one of its place, or the last."""
    return [(o, family.closes[min(i, len(family.closes) - 1)]) for i, o in enumerate(family.opens)]


TAGS = [pair for family in TAGGED for pair in pairs(family)]
ANSWERS = [(pairs(f)[0], answer) for f in TAGGED for answer in f.answer]


@pytest.mark.parametrize(("opening", "closing"), TAGS)
def test_every_marker_gives_the_one_form(opening, closing):
    for around in ("", "\n", "\n\n"):
        text = f"{opening}{around}{R}{around}{closing}{around}{A}"
        assert form(text) == LONG
        assert form(f"\n{text} ") == LONG
    if not opening.startswith("Here"):
        assert form(f"{opening.upper()}\n{R}\n{closing.swapcase()}\n{A}") == LONG
    assert form(f"{opening}\n\n{closing}\n\n{A}") == A
    assert form(f"{opening}We add.{closing}\n{opening}So 7.{closing}{A}") == LONG


@pytest.mark.parametrize(("opening", "closing"), [pair for pair in TAGS if not pair[0].startswith("Here")])
def test_a_template_may_have_opened_the_reasoning(opening, closing):
    assert form(f"{R}{closing}{A}") == LONG
    assert form(f"{R}\n{closing}\n\n{A}") == LONG


@pytest.mark.parametrize(("opening", "closing"), TAGS)
def test_reasoning_that_was_cut_off_is_seen_in_every_family(opening, closing):
    assert take_apart(f"{opening}\n{R}") == Parts(R, "", finished=False)
    assert form(f"{opening}{R}<|im_end|>") == CUT
    assert form(f"{opening}{closing}{opening}{R}") == CUT
    assert form(f"{opening}We add.{closing}\n\n{opening}\nSo 7.") == CUT


@pytest.mark.parametrize(("tags", "answer"), ANSWERS)
def test_markers_around_the_answer_are_taken_off(tags, answer):
    for text in (f"{answer[0]}{A}{answer[1]}", f"{answer[0]}\n{A}\n{answer[1]}\n", f"{answer[0]}{A}"):
        assert form(f"{tags[0]}{R}{tags[1]}\n{text}") == LONG
    assert form(f"{tags[0]}{R}{tags[1]}{answer[0]}7{answer[1]}\nThat is all.") == f"{CUT}\n</think>\n\n7\nThat is all."
    assert form(f"{answer[0]}{A}{answer[1]}") == A


@pytest.mark.parametrize("token", ENDS)
def test_tokens_that_end_a_turn_are_taken_off(token):
    for end in (token, f" {token}", f"\n{token}\n", f"{token}{token}", f"{token}<|endoftext|>\n"):
        assert form(f"{A}{end}") == A
        assert form(f"{LONG}{end}") == LONG


@pytest.mark.parametrize("token", STARTS)
def test_what_opens_a_turn_is_taken_off(token):
    assert form(f"{token}\n{LONG}") == LONG
    assert form(f"<bos>{token}{A}") == A


NEXT = [
    "<|im_end|>\n<|im_start|>user\n{0}<|im_end|>\n<|im_start|>assistant\n{1}",
    "<|eot_id|><|start_header_id|>user<|end_header_id|>\n\n{0}<|eot_id|>{1}",
    "<end_of_turn>\n<start_of_turn>user\n{0}<end_of_turn>\n<start_of_turn>model\n{1}",
    "<｜end▁of▁sentence｜><｜User｜>{0}<｜Assistant｜>{1}",
    "<|endoftext|><|im_start|>user\n{0}",
]


@pytest.mark.parametrize("following", NEXT)
def test_a_next_turn_that_the_model_went_on_with_is_left_out(following):
    more = following.format("And 2 more?", "<think>So 9.</think>It is 9.")
    assert form(f"{LONG}{more}") == LONG
    assert form(f"<|im_start|>assistant\n{LONG}{more}") == LONG
    assert form(f"{CUT}{more}") == CUT


def test_no_marker_belongs_to_two_families():
    markers = [m.lower() for f in TAGGED for m in {*f.opens, *f.closes}]
    assert len(markers) == len(set(markers))


CHANNELS = [
    "<|channel|>analysis<|message|>{0}\n{1}<|end|><|start|>assistant<|channel|>final<|message|>{2}<|return|>",
    "<|start|>assistant<|channel|>analysis<|message|>{0}\n{1}<|end|><|start|>assistant<|channel|>final<|message|>{2}",
    "{0}\n{1}<|end|><|start|>assistant<|channel|>final<|message|>{2}<|return|>",
    "<|channel|>analysis<|message|>{0}<|end|><|start|>assistant<|channel|>commentary<|message|>{1}<|end|>"
    "<|start|>assistant<|channel|>final<|message|>{2}<|return|>",
    "<|channel|>analysis<|message|>{0}<|end|><|start|>assistant<|channel|>commentary to=functions.add "
    "<|constrain|>json<|message|>{1}<|call|><|start|>assistant<|channel|>final<|message|>{2}<|end|>",
    "<|channel|>analysis<|message|>{0}<|end|><|start|>functions.add to=assistant<|channel|>commentary<|message|>{1}"
    "<|end|><|start|>assistant<|channel|>final<|message|>{2}",
    "analysis{0}\n{1}assistantfinal{2}",
    "assistantanalysis{0}\n{1}assistantfinal{2}",
    "analysis{0}assistantcommentary{1}assistantfinal{2}",
    "analysis{0}assistantcommentary to=functions.add json{1}assistantfinal{2}",
    "analysis{0}functions.add to=assistantcommentary{1}assistantfinal{2}",
]


@pytest.mark.parametrize("text", CHANNELS)
def test_messages_to_channels(text):
    assert form(text.format("We add.", "So 7.", A)) == LONG


@pytest.mark.parametrize(
    "text",
    [
        "<|channel|>analysis<|message|>{0}\n{1}",
        "<|channel|>analysis<|message|>{0}\n{1}<|end|>",
        "<|channel|>analysis<|message|>{0}<|end|><|start|>assistant<|channel|>commentary<|message|>{1}",
        "<|start|>assistant<|channel|>analysis<|message|>{0}\n{1}<|end|><|start|>assistant<|channel|>",
        "analysis{0}\n{1}",
        "analysis{0}assistantcommentary{1}",
    ],
)
def test_channels_without_a_final_message_were_cut_off(text):
    assert form(text.format("We add.", "So 7.")) == CUT


def test_a_final_message_alone_is_the_answer():
    assert form(f"<|channel|>final<|message|>{A}<|return|>") == A
    assert form(f"<|start|>assistant<|message|>{A}<|return|>") == A


@pytest.mark.parametrize(("opening", "closing"), [pair for family in TITLED for pair in pairs(family)])
def test_titles_of_reasoning_and_answer(opening, closing):
    for around in ("\n", "\n\n", "\r\n", " \n"):
        text = f"{opening}{around}{R}{around}{closing}{around}{A}"
        assert form(text) == LONG
        assert form(f"{text}<|im_end|>") == LONG
        assert form(f"<think>\n\n</think>\n\n{text.upper()}") == LONG.upper().replace("THINK>", "think>")
        # Reasoning that is marked in another way leaves the answer its titles.
        assert form(text, "why") == f"<think>\nwhy\n</think>\n\n{text.strip()}"
        assert form(f"<think>why</think>{text}") == f"<think>\nwhy\n</think>\n\n{text.strip()}"


@pytest.mark.parametrize(
    ("text", "one_form"),
    [
        (f"**Reasoning:** {R}\n\n**Answer:** {A}", LONG),
        (f"# **Thinking process:**\n{R}\n# **Final answer:**\n{A}", LONG),
        ("## Reasoning\na\n### Check\nb\n## Answer\nc", "<think>\na\n### Check\nb\n</think>\n\nc"),
        ("## Thinking\n```\n## Answer\n```\nb\n## Answer\nc", "<think>\n```\n## Answer\n```\nb\n</think>\n\nc"),
        (f"## Thinking\n\n{R}", CUT),
        (f"### Thinking\n{R}\n#### Answer", f"{CUT}\n#### Answer"),
        (f"## Thinking\n\n{R}\n\n## Final Response", f"{CUT}\n</think>"),
    ],
)
def test_titles_in_other_ways(text, one_form):
    assert form(text) == one_form


OTHER_WAYS = [
    f"<think >{R}</think >{A}",
    f'<thinking time="3 s">{R}</thinking>{A}',
    f"&lt;think&gt;{R}&lt;/think&gt;{A}",
    f"<Thought>{R}</Thought>\n<Output>\n{A}\n</Output>",
    f"<s>[THINK]{R}[/THINK]{A}</s>",
    f"<|im_start|>assistant\n<|im_start|>think\n{R}\n<|im_start|>answer\n{A}<|im_end|>",
    f"<think>\n\n</think>\n<thinking>{R}</thinking>{A}",
    f"<think>{R}</think>{A}<|unheard_of_end|>",
    f"{R}\n</Thinking>\n{A}</s>",
    f"<thinking>\n{R}\n</think>\n\n{A}",
    f"<think>{R}</Thinking>\n<answer>{A}</answer>",
    f"<thought>{R}</think>{A}",
    f"<reasoning>\n{R}\n</think>\n<answer>\n{A}\n</answer>",
    f"{R}\n[BEGIN FINAL RESPONSE]\n{A}\n[END FINAL RESPONSE]\n<|end|>",
    f"Here's my thought process: {R}\n\nHere is my response: {A}",
]


@pytest.mark.parametrize("text", OTHER_WAYS)
def test_other_ways_to_write_the_same(text):
    assert form(text) == LONG


@pytest.mark.parametrize(
    ("beside", "one_form"),
    [
        (f"<thinking>\n{R}\n</thinking>", LONG),
        (f"[THINK]{R}[/THINK]", LONG),
        (f"<|channel|>analysis<|message|>{R}<|end|>", LONG),
        (f"{R}<|im_end|>", LONG),
        ("<think></think>", A),
    ],
)
def test_reasoning_beside_the_answer_in_any_markup(beside, one_form):
    assert form(A, beside) == one_form


# --- texts that only speak of markers

TEXT_ALONE = [
    "In HTML, <answer>4</answer>",
    "The tags <think> and </think> mark the reasoning.",
    "Use `<think>` and `</think>` around it.",
    "Do not forget the closing </think> tag, then answer.",
    'He said "</think>" and left.',
    "```xml\n<reasoning>\n  x\n</reasoning>\n```\nDone.",
    "```python\ns = x.split('</think>')[-1]\nre.sub(r'<think>.*?</think>', '', s)\n```\nThat is all.",
    "```\n<|start|>assistant<|channel|>final<|message|>Hi<|return|>\n```\nThis is it.",
    "Harmony writes `<|channel|>final<|message|>` before the answer.",
    "analysis of the data shows 7.",
    "Analysis: we add. The assistantfinal word.",
    "commentary on Homer: it is 7.",
    "The token that ends a turn is <|im_end|>",
    "It is `<|im_end|>`",
    "<s>old</s> new <s>gone</s>",
    "ChatML:\n\n<|im_start|>system\nBe kind.<|im_end|>\n<|im_start|>user\nHi",
    "Such as:\n```\nHi<|eot_id|><|start_header_id|>user<|end_header_id|>\nHo\n```",
    "It is <|begin_of_box|>7<|end_of_box|>",
    "It is <|cell_start|>7<|cell_end|>",
    "In [THINK] mode the model writes [/THINK] at the end of it.",
    "A config:\n\n<config>\n  <thinking>on</thinking>\n</config>",
    "Reasons: <reason>none</reason> given",
    "if a <b and c> d: x < y > z",
    "Here is my response: 7",
    "Here's my response: 7",
    "It writes `[BEGIN FINAL RESPONSE]` and then the answer.",
    "## Thinking\na\n## Plan\nb",
    "# Thinking\nIt is what a poem may be called.",
    "## Thinking in sets\na\n## Answer\nb",
    "## Reasoning\na\n### Answer\nb",
    "**Reasoning** is hard.\n\n**Answer** it.",
    "**Reasoning:** a\n\n## Answer\nb",
    "It is so.\n\n## Thinking\na\n## Answer\nb",
    "## Thinking\n## Answer\nb",
]


@pytest.mark.parametrize("text", TEXT_ALONE)
def test_a_text_that_speaks_of_markers_stays_as_it_is(text):
    assert form(text) == text
    assert form(f"<think>\n{R}\n</think>\n\n{text}") == f"<think>\n{R}\n</think>\n\n{text}"
    assert form(text, R) == f"<think>\n{R}\n</think>\n\n{text}"


@pytest.mark.parametrize(
    ("text", "one_form"),
    [
        ("<think>\n```\nx = 1\n</think>\n\n```\nx = 2\n```", "<think>\n```\nx = 1\n</think>\n\n```\nx = 2\n```"),
        ("<think>```\nx = 1\nso 7.</think>\n```\nx\n```", "<think>\n```\nx = 1\nso 7.\n</think>\n\n```\nx\n```"),
        ("```\nx = 1\n</think>\n\n```\nx = 2\n```", "<think>\n```\nx = 1\n</think>\n\n```\nx = 2\n```"),
        ("<think>\nso seven </think> it is 7", "<think>\nso seven\n</think>\n\nit is 7"),
        ("Sure.\n<thinking>\nso 7\n</thinking>\n7", "<think>\nSure.\n\nso 7\n</think>\n\n7"),
        ("<think>is </thinking>, a tag?", "<think>\nis </thinking>, a tag?"),
        ("<think>is\n`</thinking>`\na tag?", "<think>\nis\n`</thinking>`\na tag?"),
        ("<think>a <reason>b</reason> c", "<think>\na <reason>b</reason> c"),
        ("<think>is `</think>` a tag?", "<think>\nis `\n` a tag?"),
    ],
)
def test_code_and_words_hide_no_end_of_reasoning(text, one_form):
    assert form(text) == one_form


@pytest.mark.slow
@pytest.mark.parametrize(
    "text",
    [
        *(
            "<a>",
            "<think>",
            "</think>",
            "<think></think>",
            "<think></think><thinking></thinking>",
            "<answer>",
            "<think ",
        ),
        *("<|start|>", "<|channel|>", "<|message|>", "<|im_end|>", "</s>", "[THINK]", "`</think>`", "```\n</think>\n"),
        *(
            "a </think> b",
            "assistantcommentary to=",
            "<answer></answer>",
            "<answer>a</answer>",
            "<|im_end|><|im_start|>user",
            "## Answer\n",
            "<|x_end|>",
            "<|end|>",
            "\n",
            "<",
            "&lt;",
            "```\n",
            "<think ",
        ),
    ],
)
def test_hostile_texts_take_time_in_proportion_to_their_length(text):
    for prefix in ("", "analysis", "## Thinking\n```\n", "## Thinking ", "<s>a</s>"):
        started = time.process_time()
        take_apart(prefix + text * 5_000)
        assert time.process_time() - started < 1  # a tenth of a second; in proportion to the square it would be many


@pytest.mark.parametrize("n", [20, 5_000])
def test_tokens_of_an_end_behind_a_text_that_is_struck_out_are_read_once(n):
    response = "<s>a</s>" + "<|end|>" * n + "x>"
    started = time.process_time()
    assert form(response) == response
    assert time.process_time() - started < 1  # tried in each way, 20 tokens took 6.5 s


PIECES = [
    *(
        "<think>",
        "</think>",
        "<thinking>",
        "</thinking>",
        "<Think>",
        "</THINK>",
        "[THINK]",
        "[/THINK]",
        "&lt;think&gt;",
    ),
    *("<answer>", "</answer>", "<output>", "</output>", "<|begin_of_thought|>", "<|end_of_thought|>", "a", " "),
    *("<|channel|>analysis<|message|>", "<|channel|>final<|message|>", "<|end|>", "<|start|>assistant", "analysis"),
    *("assistantfinal", "<|im_end|>", "</s>", "<s>", "`", "```\n", '"', "\n", ",", "b", "&lt;think&gt;"),
    *("## Thinking\n", "\n## Answer\n", "**Reasoning:**", "\n**Answer:**", "<|begin_of_box|>", "<|end_of_box|>"),
    *("</thought>", "<reason>", "[BEGIN FINAL RESPONSE]", "Here are my reasoning steps:", "Here's my response:"),
]
TEXTS = st.lists(st.sampled_from(PIECES)).map("".join)


@given(TEXTS, st.none() | TEXTS)
def test_the_form_is_stable_and_has_no_space_around_it(response, beside):
    parts = take_apart(response, beside)
    once = put_together(parts)
    assert once == once.strip()
    assert form(once) == once
    assert "<think>" not in parts.reasoning and "</think>" not in parts.reasoning


# --- the table


def cell(texts: list[str]) -> str:
    return ", ".join(f"`{t}`" for t in texts)


def row(family: Family) -> str:
    answers = [f"{opening} .. {closing}" if closing else opening for opening, closing in family.answer]
    cells = [
        family.name,
        cell([*family.opens]),
        cell([*family.closes]),
        family.cut_off,
        cell(answers),
        cell([*family.ends]),
    ]
    return f"| {' | '.join(c.replace('|', ESCAPED) or '-' for c in cells)} |"


ESCAPED = "\\|"


def test_the_table_of_the_documentation_is_that_of_the_code():
    page = (ROOT / "docs/OWN_TRACES.md").read_text(encoding="utf-8")
    table = page.partition("| family | opens |")[2].partition("\n\n")[0].splitlines()[2:]
    assert table == list(map(row, FAMILIES)), "\n" + "\n".join(map(row, FAMILIES))


@pytest.mark.parametrize("gap", ["</s><s>[INST]", "</s> [INST]", "</s>\n<s> [INST]"])
def test_a_next_user_s_turn_of_mistral_s_template_is_cut_off(gap):
    response = f"<think>\nTwo and two.\n</think>\n\nIt is 4. {gap} And 3 + 3? [/INST] It is 6.</s>"
    assert take_apart(response) == Parts("Two and two.", "It is 4.")


@pytest.mark.parametrize(
    "text",
    [
        "Prompts stand in [INST] and [/INST].",
        "As in <s>[INST] Hi [/INST] Hello</s><s>[INST] Bye [/INST]",
        "An example:\n\nHuman: Hi\n\nAssistant: Hello",
    ],
)
def test_a_template_that_an_answer_shows_is_text(text):
    assert take_apart(text) == Parts("", text)
