"""Foreign text in every medium: what is hidden is spelt out, and nothing in it acts."""

import json
import posixpath
import re
import shlex
import subprocess
from html import unescape

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from stepsift.core.text import (
    count,
    error_line,
    html,
    json_text,
    markdown_cell,
    markdown_code,
    markdown_prose,
    mlflow_name,
    named_error_line,
    one_line,
    script_json,
    shell_word,
    terminal_line,
    terminal_text,
    visible,
    yaml_text,
)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\tb\nc", "a\tb\nc"),
        ("a\r\nb", "a\nb"),
        ("a\rb", "a⟨U+000D⟩b"),
        ("abc\u202ecba", "abc⟨U+202E⟩cba"),
        ("\u2066x\u2069", "⟨U+2066⟩x⟨U+2069⟩"),
        ("zero\u200bwidth", "zero⟨U+200B⟩width"),
        ("\ufeffbom", "⟨U+FEFF⟩bom"),
        ("line\u2028end", "line⟨U+2028⟩end"),
        ("tag\U000e0041", "tag⟨U+E0041⟩"),
        ("filler\u3164", "filler⟨U+3164⟩"),
        ("joined\u034fby", "joined⟨U+034F⟩by"),
        ("nul\x00", "nul⟨U+0000⟩"),
        # A family of three is one sign, made with two joiners.
        ("\U0001f468\u200d\U0001f469\u200d\U0001f467", "\U0001f468\u200d\U0001f469\u200d\U0001f467"),
        ("漢字、かな", "漢字、かな"),
    ],
)
def test_hidden_characters_are_spelt_out(text: str, shown: str):
    assert visible(text) == shown


@given(st.text())
def test_what_is_visible_stays_so(text: str):
    assert visible(visible(text)) == visible(text)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(), lambda c: st.lists(c) | st.dictionaries(st.text(), c)
    )
)
def test_json_in_a_script_reads_back_and_cannot_end_it(content: object):
    text = script_json(content)
    assert json.loads(text) == content
    assert not set(text) & set("<>&\u2028\u2029")


def test_a_number_that_json_does_not_have_is_refused():
    with pytest.raises(ValueError, match="not JSON compliant"):
        script_json({"loss": float("nan")})


HOSTILE = [
    "plain",
    "::warning file=a::owned",
    "  ::set-env name=PATH::/tmp",
    "##[add-mask]a",
    "\x1b[31mred\x1b[0m\x07",
    "two\nlines\r\n::error::x",
    "a|b`c``d",
    "`",
    "``` ",
    "<img src=x onerror=alert(1)>",
    "[text](https://example.org) ![p](https://example.org/p.png)",
    "@somebody and #1 and org/repo#2, www.example.org",
    "../../etc/passwd",
    "$(touch x); `touch y` 'z' \\",
    "\u202egnp.exe",
    "\ud800",
    "",
]


def test_one_line_is_one_and_says_where_it_was_cut():
    assert one_line(" a\n\tb  c\u200b ") == "a b c⟨U+200B⟩"
    assert one_line("abcdef", 4) == "abc…"
    assert one_line("abcd", 4) == "abcd"


def test_an_error_without_a_text_is_its_type():
    assert error_line(ValueError("a\n  b")) == "a b"
    assert error_line(KeyboardInterrupt()) == "KeyboardInterrupt"
    assert named_error_line(ValueError("a\n  b\u200b")) == "ValueError: a b⟨U+200B⟩"
    assert named_error_line(ValueError("a b"), 13) == "ValueError: …"
    assert named_error_line(KeyError("a")) == "KeyError: 'a'"
    assert named_error_line(ValueError(" \n")) == "ValueError"


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        ("::warning::x", "⟨::⟩warning::x"),
        ("\t ::warning::x", "\t ⟨::⟩warning::x"),
        ("see a::b", "see a::b"),
        ("x ##[group]y", "x ##⟨[⟩group]y"),
        ("\x1b[2J", "⟨U+001B⟩[2J"),
        ("a\nb", "a⟨U+000A⟩b"),
    ],
)
def test_a_line_of_a_log_commands_nothing(line: str, shown: str):
    assert terminal_line(line) == shown


@given(st.text() | st.sampled_from(HOSTILE))
def test_no_text_moves_a_cursor_or_commands_a_ci_service(text: str):
    for line in terminal_text(text).split("\n"):
        assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e]", line)
        assert not line.lstrip().startswith("::")
        assert "##[" not in line
    assert "\n" not in terminal_line(text)


@given(st.dictionaries(st.text(), st.text() | st.sampled_from(HOSTILE) | st.integers() | st.none()))
def test_json_for_programs_reads_back_and_hides_nothing(value: object):
    text = json_text(value)
    assert "##[" not in text
    assert json.loads(text) == value
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\ud800-\udfff]", text)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("anna", "`anna`"),
        ("", ""),
        ("a`b", "``a`b``"),
        ("`a", "`` `a ``"),
        ("a``b`c", "```a``b`c```"),
        ("two\nlines", "`two lines`"),
        ("@me <b>", "`@me <b>`"),
    ],
)
def test_markdown_code(text: str, code: str):
    assert markdown_code(text) == code


def code_spans(markdown: str) -> str:
    """What CommonMark leaves of a line outside of its code spans."""
    return re.sub(r"(?<!`)(`+)(?!`)(.*?)(?<!`)\1(?!`)", "", markdown)


@given(st.text(st.characters() | st.sampled_from("`|<@\n\\")) | st.sampled_from(HOSTILE))
def test_markdown_is_inert_in_prose_and_in_cells(text: str):
    assert code_spans(markdown_code(text)) == ""
    cell = markdown_cell(text)
    assert not {"|", "\n"} & set(cell)
    if cell.startswith("<code>"):
        assert not set("`*_[]<>@#\\") & set(re.sub(r"&#\d+;", "", cell[6:-7]))


@given(st.text(st.characters() | st.sampled_from("`|<@#[]&\\\n")) | st.sampled_from(HOSTILE))
def test_a_sentence_with_a_name_in_it_acts_nowhere(name: str):
    outside = code_spans(markdown_prose(f"{name} is better than anna."))
    assert not set("`|<>@#[]&\\\n") & set(outside)
    assert "://" not in outside
    assert "www." not in outside


def test_a_sentence_without_anything_that_acts_is_as_it_was():
    sentence = "step_mean is not distinguishable from random (p = 0.4, 95 % interval -0.1 to 0.2)."
    assert markdown_prose(sentence) == sentence


@given(st.text() | st.sampled_from(HOSTILE))
def test_a_page_shows_a_text_and_no_element_of_it(text: str):
    safe = html(text)
    assert not set("<>\"'") & set(safe)
    assert unescape(safe) == visible(text)


@given(st.text(st.characters(min_codepoint=1, exclude_categories=["Cs"])) | st.sampled_from(HOSTILE[:-2]))
def test_a_shell_reads_one_word_back(text: str):
    word = shell_word(text)
    assert visible(word) == word
    # What needs escapes of bash is read back by bash alone, below.
    if not word.startswith("$'"):
        assert shlex.split(word) == [text]


@pytest.mark.slow
@pytest.mark.parametrize("text", [*HOSTILE[:-2], "tab\tbell\x07'\\", "join\u034fer \u115f\u3164"])
def test_bash_reads_one_word_back(text: str):
    command = f"export LC_ALL=C.UTF-8; printf %s {shell_word(text)}"
    assert subprocess.run(["bash", "-c", command], capture_output=True, check=True).stdout.decode() == text


@pytest.mark.parametrize(
    ("name", "folded"),
    [
        ("accuracy", "accuracy"),
        ("/data/models/X", "data/models/X"),
        ("org//m", "org/m"),
        ("gen/", "gen"),
        ("..", "_"),
        ("a/../b", "a/_/b"),
        ("./a", "_/a"),
        ("", "_"),
        ("///", "_"),
        ("x(1)=2", "x_1__2"),
        ("教師", "教師"),
    ],
)
def test_names_for_mlflow_stay_inside(name: str, folded: str):
    assert mlflow_name(name) == folded


@given(st.text(st.characters() | st.sampled_from("/.")) | st.sampled_from(HOSTILE))
def test_every_name_is_one_that_mlflow_takes(name: str):
    folded = mlflow_name(name)
    assert re.fullmatch(r"[/\w.\- :]+", folded)
    assert folded == posixpath.normpath(folded)
    assert not folded.startswith("/") and not {"..", "."} & set(folded.split("/"))
    assert len(folded) <= 250


@pytest.mark.parametrize(
    ("n", "noun", "phrase"),
    [
        (1, "prompt", "1 prompt"),
        (0, "prompt", "0 prompts"),
        (2000, "entry", "2,000 entries"),
        (2, "key", "2 keys"),
        (3, "batch", "3 batches"),
        (2, "pass", "2 passes"),
    ],
)
def test_numbers_and_what_they_count(n: int, noun: str, phrase: str):
    assert count(n, noun) == phrase


@pytest.mark.parametrize("content", ["be brief.\u200b", "a\u202eb", 'say "x"\n', "\U000e0041", "é"])
def test_text_of_yaml_is_read_back_and_shown_as_it_is(content):
    written = yaml_text(content)
    assert yaml.safe_load(written) == content
    assert terminal_line(written) == written
