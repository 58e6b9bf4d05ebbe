"""`stepsift add` and `stepsift remove`: what is said of a file, what is written, and that a failure leaves nothing."""

import json
import subprocess
from pathlib import Path

import pytest
import yaml

from helpers.source_project import PARAMS, held, new, pool, refused, row
from stepsift.ingest.run import ingest
from stepsift.params import Rule, load
from stepsift.sources import add as adding
from stepsift.sources.add import Addition, plan_addition
from stepsift.sources.origin import Origin
from stepsift.sources.rules import as_keys

pytestmark = pytest.mark.slow


def test_what_would_be_read_is_said_line_by_line_and_nothing_is_written(project: Path, run_cli):
    before = held(project)
    code, out, err = run_cli("add", "../new.jsonl", "--teacher", "bob", "--licence", "Apache-2.0", "--dry-run")
    assert (code, err) == (0, [])
    assert out == [
        "read as     bob.jsonl (no preset): 4 rows, 4 traces, 100% of them with a gold answer or tests",
        out[1],
        "            teachers are named by file or folder; 'teacher: NAME' in its rule says otherwise",
        "rows        5 read, 4 kept, 1 rejected",
        "            broken_json 1; first bob.jsonl:3: " + out[4].partition("jsonl:3: ")[2],
        "teachers    bob 4",
        "licences    Apache-2.0 3, MIT 1",
        "prompts     4, 1 of them new to the pool",
        "candidates  1 to 2 per prompt with it, median 2 (before: 1 to 1, median 1)",
        "verdicts    of 4 sampled traces: correct 3, wrong 1",
        "rule        data/sources/bob.jsonl.rule.yaml",
        "            licence: Apache-2.0",
        "place       data/sources/bob.jsonl and data/sources/bob.jsonl.dvc",
    ]
    assert out[1].split("from")[0].strip() == "answer"
    assert held(project) == before


def test_an_added_file_is_read_as_was_said_and_removed_it_leaves_every_byte_as_it_was(project: Path, run_cli):
    before = held(project)
    code, out, err = run_cli("add", "../new.jsonl", "--teacher", "Bob B.", "--licence", "MIT")
    assert (code, err) == (0, [])
    assert [line for line in out if line.startswith("next")] == [
        "next        git add -A data/sources/Bob-B.jsonl.dvc data/sources/Bob-B.jsonl.rule.yaml && git commit -m "
        "'Add Bob-B.jsonl'",
        "next        dvc push",
        "next        dvc repro",
    ]
    after = held(project)
    new_file = "data/sources/Bob-B.jsonl"
    assert set(after) - set(before) == {new_file, f"{new_file}.dvc", f"{new_file}.rule.yaml"}
    assert after["data/sources/Bob-B.jsonl"] == new().encode()
    assert after[f"{new_file}.rule.yaml"] == b"teacher: Bob B.\nlicence: MIT\n"
    assert after["params.yaml"] == before["params.yaml"]
    seen = subprocess.run(["git", "status", "--porcelain", "-uall", "data"], check=True, capture_output=True, text=True)
    assert seen.stdout.splitlines() == ["?? data/.gitignore", f"?? {new_file}.dvc", f"?? {new_file}.rule.yaml"]
    counts = ingest(Path("data/sources"), Path("data/ingest"), load().ingest)
    assert counts.by_teacher["Bob B."].kept == 4
    assert (counts.ignored_files, counts.unused_rules) == ([], [])

    assert run_cli("remove", "Bob B.", "--dry-run")[0] == 0
    assert {k: v for k, v in held(project).items() if "ingest" not in k.split("/")} == after
    code, out, err = run_cli("remove", "Bob B.")
    assert (code, err) == (0, [])
    assert out[1:4] == [f"rule        {new_file}.rule.yaml", "            teacher: Bob B.", "            licence: MIT"]
    assert {k: v for k, v in held(project).items() if "ingest" not in k.split("/")} == before


@pytest.mark.parametrize("what", ["bob", "bob.jsonl", "data/sources/bob.jsonl", "./data/sources/bob.jsonl"])
def test_a_file_that_says_all_itself_has_no_rule_and_many_names(what: str, project: Path, run_cli):
    code, out, _ = run_cli("add", "../new.jsonl", "--teacher", "bob")
    assert (code, out[-5]) == (0, "rule        none is needed")
    assert not list(project.rglob("*.rule.yaml"))
    assert run_cli("remove", what)[0] == 0
    assert "data/sources/bob.jsonl" not in held(project)


def plan(path: str, **about: str) -> Addition:
    """The plan for one file or folder."""
    return plan_addition([Origin(Path(path), Rule(**about))], Path("data/sources"), load().ingest)


def test_the_teacher_that_rows_name_needs_no_rule_another_does(project: Path, run_cli):
    Path("../x.jsonl").write_text("".join(row(p, "Well.", teacher="Carl") for p in "pq"))
    [part] = plan("../x.jsonl").parts
    assert (as_keys(part.rule), part.target) == ({}, Path("data/sources/x.jsonl"))
    assert plan("../x.jsonl").effect.alone.teachers == {"Carl": 2}
    dora = plan("../x.jsonl", teacher="Dora")
    assert (dora.parts[0].target.name, as_keys(dora.parts[0].rule)) == ("Dora.jsonl", {"teacher": "Dora"})
    assert dora.effect.alone.teachers == {"Dora": 2}
    # A name that cannot be a file's: the file keeps its own.
    [part] = plan("../x.jsonl", teacher="日本").parts
    assert (part.target.name, as_keys(part.rule)) == ("x.jsonl", {"teacher": "日本"})


def test_a_licence_that_rows_spell_in_other_letters_needs_no_rule(project: Path):
    Path("../x.jsonl").write_text(row("p", "Well.", license="Apache-2.0"))
    assert as_keys(plan("../x.jsonl", licence="APACHE-2.0").parts[0].rule) == {}
    assert as_keys(plan("../x.jsonl", licence="MIT").parts[0].rule) == {"licence": "MIT"}


def test_what_params_say_of_such_files_needs_no_rule(project: Path):
    Path("params.yaml").write_text(PARAMS.replace("  thinking", "  fields: {response: text}\n  thinking"))
    Path("../x.jsonl").write_text(json.dumps({"question": "p", "text": "Well."}) + "\n")
    assert as_keys(plan("../x.jsonl", licence="MIT").parts[0].rule) == {"licence": "MIT"}


@pytest.mark.parametrize("place", ["../x.jsonl.rule.yaml", "data/sources/x.jsonl.rule.yaml"])
def test_a_rule_file_that_is_there_already_is_kept_with_its_comments(place: str, project: Path, run_cli):
    Path("../x.jsonl").write_text(json.dumps({"question": "p", "text": "Well."}) + "\n")
    text = "# mine\nfields: {response: text}\n"
    Path(place).write_text(text)
    assert run_cli("add", "../x.jsonl")[0] == 0
    kept = (project / "data/sources/x.jsonl.rule.yaml").read_text()
    assert kept == (text if place.startswith("data") else "fields:\n  response: text\n")
    assert run_cli("remove", "x")[0] == 0
    assert not (project / "data/sources/x.jsonl.rule.yaml").exists()
    Path(place).write_text(text)
    assert run_cli("add", "../x.jsonl", "--licence", "MIT")[0] == 0
    written = yaml.safe_load((project / "data/sources/x.jsonl.rule.yaml").read_text())
    assert written == {"fields": {"response": "text"}, "licence": "MIT"}


def test_a_layout_is_what_the_file_is_read_by(project: Path, run_cli):
    both = {"generations": ["G."], "prompt": "p", "completion": "C."}
    Path("../x.jsonl").write_text(json.dumps(both) + "\n")
    assert run_cli("add", "../x.jsonl", "--layout", "prompt_completion")[0] == 0
    assert (project / "data/sources/x.jsonl.rule.yaml").read_text() == "layout: prompt_completion\n"
    code, _, err = run_cli("add", "../new.jsonl", "--teacher", "bob", "--layout", "chat")
    assert code == 1
    assert err[0].startswith("error: source file bob.jsonl: every one of its 5 rows was rejected")


def folder(project: Path) -> Path:
    """A folder with two files in it, one of which has a rule, and notes."""
    path = project.parent / "set"
    (path / "data").mkdir(parents=True)
    (path / "a.jsonl").write_text(row("p", "A.") + row("q", "A."))
    (path / "data/b.jsonl").write_text(row("s", "B."))
    (path / "data/b.jsonl.rule.yaml").write_text("domain: sums\n")
    (path / "README.md").write_text("notes")
    return path


def test_a_folder_has_one_rule_file_and_its_files_a_dvc_file_each(project: Path, run_cli):
    before = held(project)
    code, out, err = run_cli("add", str(folder(project)), "--teacher", "Q 3", "--licence", "MIT")
    assert (code, err) == (0, [])
    assert "teachers    Q 3 3" in out
    assert "left out    README.md" in out
    assert "place       data/sources/Q-3, 2 files, with a .dvc file each" in out
    assert (project / "data/sources/Q-3.rule.yaml").read_text() == "teacher: Q 3\nlicence: MIT\n"
    after = held(project)
    assert sorted(set(after) - set(before)) == [
        "data/sources/Q-3.rule.yaml",
        "data/sources/Q-3/a.jsonl",
        "data/sources/Q-3/a.jsonl.dvc",
        "data/sources/Q-3/data/b.jsonl",
        "data/sources/Q-3/data/b.jsonl.dvc",
        "data/sources/Q-3/data/b.jsonl.rule.yaml",
    ]
    commit = "git add -A data/sources/Q-3 data/sources/Q-3.rule.yaml && git commit -m 'Add Q-3'"
    assert f"next        {commit}" in out
    subprocess.run(commit.partition(" && ")[0], shell=True, check=True)
    staged = subprocess.run(
        ["git", "diff", "--cached", "--name-only", "data"], check=True, capture_output=True, text=True
    )
    assert staged.stdout.split() == sorted(p for p in set(after) - set(before) if not p.endswith(".jsonl"))
    counts = ingest(Path("data/sources"), Path("data/ingest"), load().ingest)
    assert (counts.by_teacher["Q 3"].kept, counts.unused_rules) == (3, [])

    code, out, err = run_cli("remove", "Q 3")
    assert (code, err, out[0]) == (0, [], "folder      data/sources/Q-3, 2 files with .dvc files")
    assert {k: v for k, v in held(project).items() if "ingest" not in k.split("/")} == before
    assert not (project / "data/sources/Q-3").exists()


def test_a_folder_whose_rows_say_all_has_no_rule_and_one_in_place_stays(project: Path, run_cli):
    folder(project).rename(project / "data/sources/set")
    code, out, _ = run_cli("add", "data/sources/set", "--json")
    answer = json.loads("\n".join(out))
    assert (code, answer["teachers"], answer["parts"][0]["rule"]) == (0, {"a": 2, "b": 1}, {})
    assert answer["parts"][0]["files"] == ["set/a.jsonl", "set/data/b.jsonl"]
    assert not (project / "data/sources/set.rule.yaml").exists()
    assert (project / "data/sources/set/data/b.jsonl.dvc").exists()
    assert "was added already" in refused(run_cli, "data/sources/set/a.jsonl")


def test_a_link_is_added_under_its_own_name_and_one_that_leads_out_of_the_sources_is_refused(project: Path, run_cli):
    (project.parent / "0123456789abcdef").write_text(new())
    (project.parent / "qwq.jsonl").symlink_to("0123456789abcdef")
    code, _, _ = run_cli("add", "../qwq.jsonl")
    added = project / "data/sources/qwq.jsonl"
    assert (code, added.read_text(), added.is_symlink()) == (0, new(), False)
    (project / "data/sources/link.jsonl").symlink_to(project.parent / "new.jsonl")
    code, _, err = run_cli("add", "data/sources/link.jsonl")
    assert code == 1
    assert "outside of the sources; remove the link" in err[0]


def test_the_folder_that_holds_the_sources_is_not_added_to_them(project: Path, run_cli):
    code, _, err = run_cli("add", ".", "--dry-run")
    assert code == 1
    assert "holds data/sources, the sources themselves; name the files and folders to add" in err[0]


def test_several_files_are_added_together_or_not_at_all(project: Path, run_cli):
    Path("../x.jsonl").write_text(row("p", "X."))
    Path("../y.jsonl").write_text(row("q", "Y.") + row("z", "Y."))
    before = held(project)
    assert "two of the files would be named 'x.jsonl'" in refused(run_cli, "../x.jsonl", "../project/../x.jsonl")
    assert "--name names one file or folder" in refused(run_cli, "../x.jsonl", "../y.jsonl", "--name", "z")
    assert "there is no file or folder ../none" in refused(run_cli, "../x.jsonl", "../none")
    assert held(project) == before
    code, out, err = run_cli("add", "../x.jsonl", "../y.jsonl", "--teacher", "T")
    assert (code, err) == (0, [])
    assert "rows        3 read, 3 kept, 0 rejected" in out
    assert "teachers    T 3" in out
    for name in ("x", "y"):
        assert (project / f"data/sources/{name}.jsonl.rule.yaml").read_text() == "teacher: T\n"
    code, _, err = run_cli("remove", "T")
    assert (code, err[0].partition(";")[0]) == (
        1,
        "error: 'T' names 2 files or folders (x.jsonl, y.jsonl) that stepsift added",
    )


def test_what_cannot_be_added_is_refused_in_one_sentence_and_changes_nothing(project: Path, run_cli):
    sources = project / "data/sources"
    (project / "copy.jsonl").write_text(pool())
    (project / "two.jsonl").write_text(pool() + row("p", "x", teacher="otto"))
    (project / "empty.jsonl").touch()
    (project / "a.txt").touch()
    before = held(project)
    assert "there is no file or folder none.jsonl" in refused(run_cli, "none.jsonl")
    assert "a.txt is of no kind that is read; name one of these: .jsonl.gz" in refused(run_cli, "a.txt")
    assert "copy.jsonl is there already, as data/sources/anna.jsonl" in refused(run_cli, "copy.jsonl")
    assert "a file data/sources/anna.jsonl with different content already; choose" in refused(
        run_cli, "../new.jsonl", "--teacher", "anna"
    )
    assert "rows of 2 teachers (anna, otto); leave out --teacher" in refused(run_cli, "two.jsonl", "--teacher", "bob")
    assert "empty.jsonl holds no row" in refused(run_cli, "empty.jsonl")
    # A name with a dot before it is hidden from ingest.
    for name in ("../x", ".x"):
        assert f"would be named '{name}.jsonl'; give it a --name" in refused(run_cli, "../new.jsonl", "--name", name)
    assert "of letters, digits and . _ + - that begins with none of . + -" in refused(
        run_cli, "../new.jsonl", "--name", ".x"
    )
    assert "would be named 'a⟨U+000A⟩b.jsonl'; give" in refused(run_cli, "../new.jsonl", "--name", "a\nb")
    assert "would be named '/tmp/x.jsonl'; give it a --name" in refused(run_cli, "../new.jsonl", "--name", "/tmp/x")
    assert "data/sources/Anna.jsonl differs from data/sources/anna.jsonl in small and capital letters alone" in refused(
        run_cli, "../new.jsonl", "--name", "Anna"
    )
    assert held(project) == before
    (sources / "anna.jsonl").chmod(0o644)
    assert run_cli("add", "data/sources/anna.jsonl")[0] == 0  # under DVC where it lies
    assert "was added already" in refused(run_cli, "data/sources/anna.jsonl")
    (project / "data/sources.dvc").touch()
    assert "data/sources.dvc holds the whole folder" in refused(run_cli, "../new.jsonl")


@pytest.mark.parametrize("option", ["--teacher", "--licence", "--name"])
def test_an_option_that_names_nothing_is_refused(option: str, project: Path, run_cli):
    before = held(project)
    code, out, err = run_cli("add", "../new.jsonl", option, "")
    assert (code, out) == (2, [])
    assert f"argument {option}: is empty, must be a name" in err[-1]
    assert held(project) == before


@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError])
def test_a_failure_half_way_leaves_nothing(error: type, project: Path, monkeypatch: pytest.MonkeyPatch):
    before = held(project)
    new_file = plan("../new.jsonl", teacher="bob", licence="MIT")

    def fail(targets: list[Path]) -> None:
        [target] = targets
        assert target.exists()
        assert target.name == "anna.jsonl" or target.with_name("bob.jsonl.rule.yaml").exists()
        target.with_name(f"{target.name}.dvc").touch()
        raise error

    monkeypatch.setattr(adding, "_track", fail)
    with pytest.raises(error):
        new_file.carry_out()
    assert held(project) == before
    with pytest.raises(error):
        plan("data/sources/anna.jsonl").carry_out()
    assert held(project) == before


def test_where_dvc_does_not_take_a_file_its_reason_is_said_and_nothing_stays(project: Path, run_cli):
    (project / "data/.gitignore").write_text("/sources\n")
    before = held(project)
    code, _, err = run_cli("add", "../new.jsonl", "--teacher", "bob", "--licence", "MIT")
    assert code == 1
    assert err[-1].startswith("error: DVC does not take data/sources/bob.jsonl: bad DVC file name")
    assert "git-ignored" in err[-1]
    assert held(project) == before


def test_a_file_that_was_changed_or_is_unknown_is_not_removed(project: Path, run_cli):
    assert run_cli("add", "../new.jsonl", "--teacher", "bob")[0] == 0
    path = project / "data/sources/bob.jsonl"
    path.chmod(0o644)
    path.write_text(new() + "{}\n")
    code, _, err = run_cli("remove", "bob")
    assert code == 1
    assert "bob.jsonl was changed since it was added" in err[0]
    code, _, err = run_cli("remove", "anna")
    assert (code, err) == (1, ["error: 'anna' names no file or folder that stepsift added; name one of: bob.jsonl"])
    assert path.exists()


def test_the_first_file_of_a_pool_and_json(project: Path, run_cli):
    (project / "data/sources/anna.jsonl").unlink()
    code, out, _ = run_cli("add", "../new.jsonl", "--teacher", "bob", "--json")
    answer = json.loads("\n".join(out))
    assert code == 0
    assert (answer["prompts"], answer["new_prompts"], answer["candidates"]["before"]["max"]) == (5 - 1, 4, 0)
    assert (answer["added"], answer["parts"][0]["rule"]) == (True, {})
    assert answer["parts"][0]["target"] == "data/sources/bob.jsonl"
    assert yaml.safe_load((project / "data/sources/bob.jsonl.dvc").read_text())["outs"][0]["path"] == "bob.jsonl"
