"""`stepsift add` and `stepsift remove`: what is said of a file, what is written, and that a failure leaves nothing."""

import json
import subprocess
from pathlib import Path

import pytest
import yaml

from stepsift.ingest.run import ingest
from stepsift.params import load
from stepsift.sources import add as adding
from stepsift.sources.rules import rules

PARAMS = """# settings
ingest:
  layout: auto     # six of them
  thinking: keep

report: {}
"""


def row(prompt: str, completion: str, **more: object) -> str:
    return json.dumps({"prompt": prompt, "completion": completion, **more}) + "\n"


def pool() -> str:
    return "".join(row(p, f"So \\boxed{{{n}}}", teacher="anna", answer=n) for p, n in zip("pqr", "123", strict=True))


def new() -> str:
    """Two known prompts, a new one, a broken row and one that says another gold answer of prompt r."""
    rows = [row("p", "Yes \\boxed{1}", answer="1"), row("q", "No \\boxed{9}", answer="2"), "{\n"]
    return "".join([*rows, row("s", "\\boxed{4}", answer="4", license="MIT"), row("r", "\\boxed{7}", answer="7")])


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A git and DVC repository with a pool of one file, and the working directory; `outside` has a new file."""
    project = tmp_path / "project"
    (project / "data/sources").mkdir(parents=True)
    (project / "params.yaml").write_text(PARAMS)
    root = Path(__file__).resolve().parents[2]
    (project / "data/.gitignore").write_bytes((root / "data/.gitignore").read_bytes())
    (project / "data/sources/anna.jsonl").write_text(pool())
    (tmp_path / "new.jsonl").write_text(new())
    monkeypatch.chdir(project)
    for name in ("DVC_ROOT", "DVC_STAGE"):
        monkeypatch.delenv(name, raising=False)
    subprocess.run(["git", "init", "-q"], check=True)
    from dvc.repo import Repo

    Repo.init().close()
    return project


def held(project: Path) -> dict[str, bytes]:
    """Every file of the project that is no part of DVC's or git's own folders."""
    files = (p for p in project.rglob("*") if p.is_file())
    inside = {p: p.relative_to(project) for p in files}
    return {str(r): p.read_bytes() for p, r in inside.items() if r.parts[0] not in (".git", ".dvc")}


def test_what_would_be_read_is_said_line_by_line_and_nothing_is_written(project: Path, run_cli):
    before = held(project)
    code, out, err = run_cli("add", "../new.jsonl", "--teacher", "bob", "--licence", "Apache-2.0", "--dry-run")
    assert (code, err) == (0, [])
    assert out == [
        "rows        5 read, 3 kept, 2 rejected",
        "            answer_conflict 1; first row 5: rows of this prompt give different gold answers",
        "            broken_json 1; first row 3: " + out[2].partition("row 3: ")[2],
        "teachers    bob 4",
        "licences    Apache-2.0 3, MIT 1",
        "prompts     4, 1 of them new to the pool",
        "candidates  1 to 2 a prompt with this file, median 2 (before: 1 to 1, median 1)",
        "verdicts    of 4 sampled traces: correct 3, wrong 1",
        "            anna.jsonl loses 1 traces, which contradict or repeat rows of this file",
        "rule        - {match: bob.jsonl, licence: Apache-2.0}",
        "place       data/sources/bob.jsonl and data/sources/bob.jsonl.dvc",
    ]
    assert held(project) == before


def test_an_added_file_is_read_as_was_said_and_removed_it_leaves_every_byte_as_it_was(project: Path, run_cli):
    before = held(project)
    code, out, err = run_cli("add", "../new.jsonl", "--teacher", "Bob B.", "--licence", "MIT")
    assert (code, err) == (0, [])
    assert [line for line in out if line.startswith("next")] == [
        'next        git add -A data/sources/Bob-B.jsonl.dvc params.yaml && git commit -m "Add Bob-B.jsonl"',
        "next        dvc push",
        "next        dvc repro",
    ]
    after = held(project)
    assert set(after) - set(before) == {"data/sources/Bob-B.jsonl", "data/sources/Bob-B.jsonl.dvc"}
    assert after["data/sources/Bob-B.jsonl"] == new().encode()
    line = "  files:\n    - {match: Bob-B.jsonl, teacher: Bob B., licence: MIT}\n"
    assert after["params.yaml"].decode() == PARAMS.replace("  thinking: keep\n", f"  thinking: keep\n{line}")
    seen = subprocess.run(["git", "status", "--porcelain", "-uall", "data"], check=True, capture_output=True, text=True)
    assert seen.stdout.splitlines() == ["?? data/.gitignore", "?? data/sources/Bob-B.jsonl.dvc"]
    counts = ingest(Path("data/sources"), Path("data/ingest"), load().ingest)
    assert counts.by_teacher["Bob B."].kept == 3
    assert (counts.ignored_files, counts.unused_rules) == ([], [])

    assert run_cli("remove", "Bob B.", "--dry-run")[0] == 0
    assert {k: v for k, v in held(project).items() if "ingest" not in k.split("/")} == after
    code, out, err = run_cli("remove", "Bob B.")
    assert (code, err) == (0, [])
    assert out[1] == "rule        - {match: Bob-B.jsonl, teacher: Bob B., licence: MIT}"
    assert {k: v for k, v in held(project).items() if "ingest" not in k.split("/")} == before


@pytest.mark.parametrize("what", ["bob", "bob.jsonl", "data/sources/bob.jsonl", "./data/sources/bob.jsonl"])
def test_a_file_that_says_all_itself_has_no_rule_and_many_names(what: str, project: Path, run_cli):
    code, out, _ = run_cli("add", "../new.jsonl", "--teacher", "bob")
    assert (code, out[-5]) == (0, "rule        none is needed")
    assert (project / "params.yaml").read_text() == PARAMS
    assert run_cli("remove", what)[0] == 0
    assert "data/sources/bob.jsonl" not in held(project)


def test_the_teacher_that_rows_name_needs_no_rule_another_does(project: Path, run_cli):
    Path("../x.jsonl").write_text("".join(row(p, "Well.", teacher="Carl") for p in "pq"))
    plan = adding.plan_addition(Path("../x.jsonl"), Path("data/sources"), Path("params.yaml"))
    assert (plan.rule, plan.target, plan.look.alone.teachers) == (None, Path("data/sources/x.jsonl"), {"Carl": 2})
    plan = adding.plan_addition(Path("../x.jsonl"), Path("data/sources"), Path("params.yaml"), teacher="Dora")
    assert plan.rule == {"match": "Dora.jsonl", "teacher": "Dora"}
    assert plan.look.alone.teachers == {"Dora": 2}
    # A name that cannot be a file's: the file keeps its own.
    plan = adding.plan_addition(Path("../x.jsonl"), Path("data/sources"), Path("params.yaml"), teacher="日本")
    assert plan.rule == {"match": "x.jsonl", "teacher": "日本"}


def test_a_rule_keeps_what_params_already_say_of_such_files(project: Path):
    fields = "  fields: {response: text}\n"
    Path("params.yaml").write_text(PARAMS.replace("  thinking", f"{fields}  thinking"))
    Path("../x.jsonl").write_text(json.dumps({"question": "p", "text": "Well."}) + "\n")
    plan = adding.plan_addition(Path("../x.jsonl"), Path("data/sources"), Path("params.yaml"), licence="MIT")
    assert plan.rule == {"match": "x.jsonl", "fields": {"response": "text"}, "licence": "MIT"}


def test_a_layout_is_what_the_file_is_read_by(project: Path, run_cli):
    both = {"generations": ["G."], "prompt": "p", "completion": "C."}
    Path("../x.jsonl").write_text(json.dumps(both) + "\n")
    code, _, _ = run_cli("add", "../x.jsonl", "--layout", "prompt_completion")
    assert (code, rules(Path("params.yaml").read_text())) == (0, [{"match": "x.jsonl", "layout": "prompt_completion"}])
    code, _, err = run_cli("add", "../new.jsonl", "--teacher", "bob", "--layout", "chat")
    assert code == 1
    assert err[0].startswith("error: source file bob.jsonl: every one of its 5 rows was rejected")


def refused(run_cli, *arguments: object) -> str:
    code, out, err = run_cli("add", *arguments)
    assert (code, out, len(err)) == (1, [], 1)
    return err[0]


def test_what_cannot_be_added_is_refused_in_one_sentence_and_changes_nothing(project: Path, run_cli):
    sources = project / "data/sources"
    (project / "copy.jsonl").write_text(pool())
    (project / "two.jsonl").write_text(pool() + row("p", "x", teacher="otto"))
    (project / "empty.jsonl").touch()
    (project / "a.txt").touch()
    before = held(project)
    assert "there is no file none.jsonl" in refused(run_cli, "none.jsonl")
    assert "a.txt is of no kind that is read; name one of these: .jsonl.gz" in refused(run_cli, "a.txt")
    assert "copy.jsonl is there already, as data/sources/anna.jsonl" in refused(run_cli, "copy.jsonl")
    assert "a file data/sources/anna.jsonl with other content" in refused(run_cli, "../new.jsonl", "--teacher", "anna")
    assert "rows of 2 teachers (anna, otto); leave out --teacher" in refused(run_cli, "two.jsonl", "--teacher", "bob")
    assert "empty.jsonl holds no row" in refused(run_cli, "empty.jsonl")
    assert "would be named '../x.jsonl'; give it a --name" in refused(run_cli, "../new.jsonl", "--name", "../x")
    assert held(project) == before
    (sources / "anna.jsonl").chmod(0o644)
    assert run_cli("add", "data/sources/anna.jsonl")[0] == 0  # under DVC where it lies
    assert "was added already" in refused(run_cli, "data/sources/anna.jsonl")
    (project / "data/sources.dvc").touch()
    assert "data/sources.dvc holds the whole folder" in refused(run_cli, "../new.jsonl")


@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError])
def test_a_failure_half_way_leaves_nothing(error: type, project: Path, monkeypatch: pytest.MonkeyPatch):
    before = held(project)
    plan = adding.plan_addition(Path("../new.jsonl"), Path("data/sources"), Path("params.yaml"), "bob", licence="MIT")

    def fail(target: Path) -> None:
        assert target.exists()
        assert "bob" in Path("params.yaml").read_text()
        target.with_name(f"{target.name}.dvc").touch()
        raise error

    monkeypatch.setattr(adding, "_track", fail)
    with pytest.raises(error):
        plan.carry_out()
    assert held(project) == before
    in_place = adding.plan_addition(Path("data/sources/anna.jsonl"), Path("data/sources"), Path("params.yaml"))
    with pytest.raises((error, AssertionError)):
        in_place.carry_out()
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
    assert (code, err) == (1, ["error: 'anna' names no file that stepsift added; name one of: bob.jsonl"])
    assert path.exists()


def test_the_first_file_of_a_pool_and_json(project: Path, run_cli):
    (project / "data/sources/anna.jsonl").unlink()
    code, out, _ = run_cli("add", "../new.jsonl", "--teacher", "bob", "--json")
    answer = json.loads("\n".join(out))
    assert code == 0
    assert (answer["prompts"], answer["new_prompts"], answer["candidates"]["before"]["max"]) == (5 - 1, 4, 0)
    assert (answer["added"], answer["rule"], answer["target"]) == (True, None, "data/sources/bob.jsonl")
    assert yaml.safe_load((project / "data/sources/bob.jsonl.dvc").read_text())["outs"][0]["path"] == "bob.jsonl"
