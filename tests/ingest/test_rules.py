"""Rules of sources: rule files beside files and folders, patterns of params.yaml below them."""

import re
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stepsift.core.errors import SourceError
from stepsift.ingest import rules
from stepsift.ingest.run import survey
from stepsift.params import FileRule, Ingest


def write(sources: Path, texts: dict[str, str]) -> Path:
    """A sources folder with these files."""
    for name, text in texts.items():
        (sources / name).parent.mkdir(parents=True, exist_ok=True)
        (sources / name).write_text(text)
    return sources


def read(sources: Path, settings: Ingest, name: str) -> dict[str, object]:
    """What the rule of a file says that is no default."""
    return rules.Rules(sources, settings).of(name).model_dump(exclude_defaults=True)


PATTERNS = Ingest(
    layout="chat",
    files=(FileRule(match="r1/*", teacher="R1", domain="math"), FileRule(match="**", teacher="other", licence="MIT")),
)


def test_the_first_pattern_wins_and_where_there_is_none_the_section_speaks(tmp_path: Path):
    assert read(tmp_path, PATTERNS, "r1/a.json") == {"teacher": "R1", "domain": "math"}
    assert read(tmp_path, PATTERNS, "a.json") == {"teacher": "other", "licence": "MIT"}
    assert read(tmp_path, Ingest(layout="chat", fields={"prompt": "q"}), "a.json") == {
        "layout": "chat",
        "fields": {"prompt": "q"},
    }


def test_a_rule_file_stands_above_its_folders_and_these_above_the_pattern(tmp_path: Path):
    texts = {
        "r1/a.json.rule.yaml": "teacher: R1-Zero\n",
        "r1.rule.yaml": "licence: Apache-2.0\nteacher: R1-0528\n",
        "x.rule.yaml": "licence: CC0-1.0\n",
        "x/y.rule.yaml": "domain: null\n",
    }
    write(tmp_path, texts)
    math = {"domain": "math", "licence": "Apache-2.0"}
    assert read(tmp_path, PATTERNS, "r1/a.json") == {"teacher": "R1-Zero", **math}
    assert read(tmp_path, PATTERNS, "r1/b.json") == {"teacher": "R1-0528", **math}
    assert read(tmp_path, PATTERNS, "x/y/c.json") == {"teacher": "other", "licence": "CC0-1.0"}
    # A folder's name is not the beginning of another's, and a rule of a file is none for a folder of that name.
    assert read(tmp_path, PATTERNS, "xy/c.json") == {"teacher": "other", "licence": "MIT"}


def test_a_key_that_says_null_is_said(tmp_path: Path):
    write(tmp_path, {"r1/a.json.rule.yaml": "domain: null\n"})
    assert read(tmp_path, PATTERNS, "r1/a.json") == {"teacher": "R1"}


def test_rules_that_no_file_is_read_by_are_named(tmp_path: Path):
    write(
        tmp_path, {"a.json.rule.yaml": "teacher: A\n", "b.json.rule.yaml": "teacher: B\n", "c.rule.yaml": "domain: d\n"}
    )
    read_by = rules.Rules(tmp_path, Ingest(files=(FileRule(match="*.json"), FileRule(match="*.json", domain="x"))))
    read_by.of("a.json")
    assert read_by.unused() == ["*.json", "b.json.rule.yaml", "c.rule.yaml"]


ROW = '{"prompt": "p", "response": "r"}\n'


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("teecher: R1\n", "unknown key 'teecher', did you mean 'teacher'?; known are preset, layout, fields"),
        ("match: a.jsonl\n", "unknown key 'match'"),
        ("fields: {aswer: gold}\n", "unknown key 'fields.aswer', did you mean 'answer'?"),
        ("layout: chatt\n", "'layout' is 'chatt': must be 'auto', 'chat'"),
        ("teacher: 3\n", "'teacher' is 3: must be text; put it in quotes"),
        ("teacher: a\nteacher: b\n", "is not valid YAML: line 1, column 1: key 'teacher' stands more than once"),
        ("- teacher: a\n", "is [{'teacher': 'a'}]: must hold keys and values (preset, layout, fields"),
        ("", "is empty: must hold keys and values (preset, layout, fields"),
        ("teacher: [\n", "is not valid YAML: line 2"),
        (
            "<<<<<<< HEAD\nteacher: a\n=======\nteacher: b\n>>>>>>> b\n",
            "holds the conflict marks of a merge; keep one side",
        ),
    ],
)
def test_what_is_wrong_with_a_rule_file_is_one_sentence_that_names_file_and_key(tmp_path: Path, text: str, says: str):
    write(tmp_path, {"a.jsonl": ROW, "a.jsonl.rule.yaml": text})
    with pytest.raises(SourceError) as error:
        survey(tmp_path, Ingest())
    assert str(error.value).startswith(f"{tmp_path}/a.jsonl.rule.yaml")
    assert says in str(error.value)
    assert "\n" not in str(error.value)


def test_every_wrong_rule_file_is_named(tmp_path: Path):
    texts = {"a.jsonl": ROW, "a.jsonl.rule.yaml": "x: 1\ny: 2\n", "sub.rule.yaml": "z: 3\n"}
    with pytest.raises(SourceError) as error:
        survey(write(tmp_path, texts), Ingest())
    assert [line.partition("unknown key ")[2][:3] for line in str(error.value).splitlines()] == ["'x'", "'y'", "'z'"]


def test_a_rule_file_without_its_file_is_a_problem_with_advice(tmp_path: Path):
    problems = survey(write(tmp_path, {"a.jsonl": ROW, "b.jsonl.rule.yaml": "teacher: B\n"}), Ingest()).problems
    assert problems[0] == (
        f"{tmp_path}/b.jsonl.rule.yaml stands beside no file {tmp_path}/b.jsonl; run 'dvc pull {tmp_path}/b.jsonl' to "
        "get it, or delete the rule"
    )


@pytest.mark.parametrize(
    ("pattern", "name", "fits"),
    [
        ("*.jsonl", "a.jsonl", True),
        ("*.jsonl", "x/a.jsonl", False),
        ("**/*.jsonl", "x/y/a.jsonl", True),
        ("**/*.jsonl", "a.jsonl", True),
        ("x/**", "x/y/a.jsonl", True),
        ("x/?.js[!x]n", "x/a.json", True),
        ("x.y", "xzy", False),
    ],
)
def test_rules_match_paths(pattern, name, fits):
    assert rules.matches(name, pattern) is fits


@pytest.mark.parametrize("pattern", ["[z-a]*.jsonl", "[\\]"])
def test_a_rule_that_is_no_pattern_is_named(pattern):
    with pytest.raises(SourceError, match="is no pattern for paths") as error:
        rules.matches("a.jsonl", pattern)
    assert pattern in str(error.value)


@pytest.mark.parametrize(
    "pattern", ["**a" * 40 + "b", "*a" * 40 + "b", "**/" * 40 + "b", "*?" * 60 + "b", "[a-z]*" * 50 + "/"]
)
def test_a_pattern_of_many_stars_takes_no_time(pattern: str):
    began = time.process_time()
    assert not rules.matches("a" * 2_000, pattern)
    assert not rules.matches("a/" * 1_000, pattern)
    assert time.process_time() - began < 5


def _by_regex(name: str, pattern: str) -> bool:
    parts = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}
    regex = re.sub(
        r"\*\*/|\*\*|\*|\?|\[[^\]]+\]|.",
        lambda m: parts.get(m[0]) or (m[0].replace("[!", "[^") if len(m[0]) > 1 else re.escape(m[0])),
        pattern,
        flags=re.DOTALL,
    )
    return re.fullmatch(regex, name, re.DOTALL) is not None


@given(
    st.lists(st.sampled_from(["a", "b", "/", "."]), max_size=8).map("".join),
    st.lists(st.sampled_from(["a", "b", "/", ".", "*", "**", "**/", "?", "[!a]", "[ab]"]), max_size=6).map("".join),
)
def test_globs_fit_what_their_regular_expression_fits(name: str, pattern: str):
    assert rules.matches(name, pattern) is _by_regex(name, pattern)
