"""Rules in the text of params.yaml: what is put in can be taken out, and no other byte moves."""

import subprocess
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from stepsift.core.errors import ParamsError
from stepsift.sources.merge import merge
from stepsift.sources.rules import rules, with_rule, without_rule

R1 = {"match": "R1.jsonl", "teacher": "R1"}
PLAIN = """# all settings
student:
  path: s   # here

ingest:
  layout: auto   # six
  thinking: keep

# cut
segment: {}
"""
LISTED = """ingest:
  files:   # own
  - {match: "a*.jsonl", teacher: A}  # first
  - match: b.jsonl
    teacher: B

report: {}
"""


def test_the_first_rule_stands_behind_the_keys_of_its_section():
    assert with_rule(PLAIN, R1) == PLAIN.replace(
        "  thinking: keep\n", "  thinking: keep\n  files:\n    - {match: R1.jsonl, teacher: R1}\n"
    )


def test_another_rule_stands_behind_the_others_as_they_are_indented():
    text = with_rule(LISTED, R1)
    assert text == LISTED.replace("    teacher: B\n", "    teacher: B\n  - {match: R1.jsonl, teacher: R1}\n")


def test_a_rule_stands_before_one_that_would_take_its_file():
    text = with_rule(LISTED, {"match": "a1.jsonl", "licence": "MIT"})
    assert [r["match"] for r in rules(text)] == ["a1.jsonl", "a*.jsonl", "b.jsonl"]


def test_a_rule_of_several_lines_is_taken_out_whole():
    assert without_rule(LISTED, "b.jsonl") == LISTED.replace("  - match: b.jsonl\n    teacher: B\n", "")
    assert without_rule(LISTED, "none.jsonl") == LISTED


def test_an_empty_section_is_empty_again():
    text = with_rule("ingest: {}  # nothing\nreport: {}\n", R1)
    assert text == "ingest:\n  files:\n    - {match: R1.jsonl, teacher: R1}  # nothing\nreport: {}\n"
    assert without_rule(text, "R1.jsonl") == "ingest: {}  # nothing\nreport: {}\n"


@pytest.mark.parametrize(
    "text", ["report: {}\n", "ingest: {layout: chat}\n", "ingest:\n  files: []\n", "ingest:\n", "ingest:\n  files:\n"]
)
def test_a_form_that_cannot_be_edited_is_refused_with_what_to_write(text: str):
    with pytest.raises(ParamsError, match=r"params\.yaml"):
        with_rule(text, R1)


def test_a_form_that_would_be_edited_wrongly_is_refused():
    # The last value of the section is written elsewhere.
    text = "report: &r\n  title: x\nsegment: {}\ningest:\n  fields: *r\n"
    with pytest.raises(ParamsError, match=r"cannot edit; write it: - \{match: R1\.jsonl, teacher: R1\}"):
        with_rule(text, R1)


names = st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9._+-]{0,12}\.jsonl", fullmatch=True)
words = st.text(st.characters(exclude_categories=("C", "Z")), min_size=1, max_size=12)
layouts = st.sampled_from(
    [
        PLAIN,
        LISTED,
        LISTED.replace("\n", "\r\n"),
        PLAIN.replace("keep", "keep  # and why\n  # more of it\n"),
        PLAIN.replace("keep", "|\n    keep\n    it\n"),
        "ingest:\n  domain: |\n    of one line\nsegment: {}\n",
        "segment: {}\ningest:\n    layout: auto",
        "ingest:\n  files:\n  - match: z\n    fields:\n      prompt: q",
        "ingest: {}",
        "ingest: {}\n# end\n",
    ]
)


@settings(deadline=None)
@given(layouts, names, words, st.none() | words)
def test_what_is_put_in_is_there_and_taken_out_it_never_was(text: str, name: str, teacher: str, licence: str | None):
    rule = {"match": name, "teacher": teacher} | ({"licence": licence} if licence else {})
    new = with_rule(text, rule)
    assert rule in rules(new)
    assert [r for r in rules(new) if r != rule] == rules(text)
    other, expected = yaml.safe_load(new), yaml.safe_load(text)
    for content in (other, expected):
        content["ingest"] = {k: v for k, v in content["ingest"].items() if k != "files"}
    assert other == expected
    assert without_rule(new, name) == text
    assert new.count("\r\n") == (new.count("\n") if "\r\n" in text else 0)


def versions(folder: Path, *texts: str) -> list[Path]:
    paths = [folder / name for name in ("base", "ours", "theirs")]
    for path, text in zip(paths, texts, strict=True):
        path.write_bytes(text.encode())
    return paths


@pytest.mark.parametrize("base", [PLAIN, LISTED])
def test_two_branches_that_each_add_a_rule_merge_to_the_same_bytes_either_way(base: str, tmp_path: Path):
    ours = with_rule(base, R1).replace("report: {}", "report: {title: x}")
    theirs = with_rule(base, {"match": "QwQ.jsonl", "licence": "MIT"}).replace("path: s ", "path: t ")
    paths = versions(tmp_path, base, ours, theirs)
    as_git_does = ["git", "merge-file", "-p", "ours", "base", "theirs"]
    plain = subprocess.run(as_git_does, cwd=tmp_path, capture_output=True, check=False)
    assert plain.returncode > 0, "what this is for"
    assert merge(*paths)
    merged = paths[1].read_text()
    assert rules(merged) == [*rules(base), {"match": "QwQ.jsonl", "licence": "MIT"}, R1]
    assert ("title: x" in merged, "path: t" in merged) == ("report" in base, "path" in base)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["base", "ours", "theirs"]
    assert merge(*versions(tmp_path, base, theirs, ours))
    assert paths[1].read_text() == merged


def test_a_rule_that_one_side_took_out_or_changed_is_so_in_the_merge(tmp_path: Path):
    theirs = with_rule(without_rule(LISTED, "b.jsonl"), {"match": "b.jsonl", "teacher": "C"})
    paths = versions(tmp_path, LISTED, with_rule(without_rule(LISTED, "a*.jsonl"), R1), theirs)
    assert merge(*paths)
    assert rules(paths[1].read_text()) == [R1, {"match": "b.jsonl", "teacher": "C"}]


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (LISTED.replace("teacher: B", "teacher: C"), LISTED.replace("teacher: B", "teacher: D")),
        (LISTED.replace("report: {}", "report: {title: x}"), LISTED.replace("report: {}", "report: {title: y}")),
    ],
)
def test_a_real_conflict_stays_one_and_is_marked(ours: str, theirs: str, tmp_path: Path):
    paths = versions(tmp_path, LISTED, ours, theirs)
    assert not merge(*paths)
    assert "<<<<<<<" in paths[1].read_text()


def test_what_is_no_params_file_is_merged_as_git_does(tmp_path: Path):
    paths = versions(tmp_path, "a\nb\nc\n", "x\nb\nc\n", "a\nb\ny\n")
    assert merge(*paths)
    assert paths[1].read_text() == "x\nb\ny\n"
