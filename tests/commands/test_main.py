"""The `stepsift` command: exit codes, what it prints where, and what it does not load."""

import json
import logging
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from stepsift import __version__
from stepsift.commands import ui
from stepsift.commands.main import COMMANDS
from stepsift.core import console
from stepsift.metrics import all_metrics

HEAVY = ("torch", "transformers", "mlflow", "dvc", "lm_eval", "datasets")


@pytest.fixture(autouse=True)
def _logging_as_it_was(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(console.logging, "basicConfig", lambda **_: None)
    ours = logging.getLogger("stepsift")
    level = ours.level
    yield
    ours.setLevel(level)


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, student_folder) -> Path:
    """A folder in which `stepsift check` finds nothing wrong, and the working directory."""
    (tmp_path / "data/sources").mkdir(parents=True)
    (tmp_path / "data/tasks").mkdir()
    rows = [{"prompt": p, "completion": f"It is {t}. So {p}", "teacher": t} for p in "pq" for t in ("anna", "bob")]
    (tmp_path / "data/sources/a.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    write_params(tmp_path, student=f"{{path: {student_folder('llama')}}}")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write_params(folder: Path, **sections: str) -> None:
    names = ("student", "ingest", "segment", "score", "select", "train", "evaluate", "report")
    select = "{selectors: [lalp], seed: 0, stability: jackknife, stability_prompts: null}"
    written = (
        dict.fromkeys(names, "{}")
        | {"select": select, "evaluate": "{tasks: [chain]}", "train": "{steps: all}"}
        | sections
    )
    (folder / "params.yaml").write_text("".join(f"{name}: {text}\n" for name, text in written.items()))


def apart(folder: Path, *arguments: str) -> tuple[int, list[str], list[str], list[str]]:
    """The same in a process of its own, with what it loaded of HEAVY, without its standard output."""
    command = (
        f"import sys; from stepsift.commands import main as cli; sys.argv = ['stepsift', *{arguments!r}]\n"
        f"try: cli.main()\nfinally: print([m for m in {HEAVY!r} if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", command], cwd=folder, capture_output=True, text=True, check=False)
    *out, loaded = done.stdout.splitlines()
    return done.returncode, out, done.stderr.splitlines(), json.loads(loaded.replace("'", '"'))


def test_check_of_what_is_right_prints_the_plan_and_exits_0(repository, run_cli):
    code, out, err = run_cli("check")
    assert (code, err) == (0, [])
    assert out[0] == "sources     1 file, 4 rows read, 4 kept, 0 rejected"
    assert out[-2] == "students    1 to train (lalp; seeds 0)"


def test_check_with_the_student_compares_two_traces(repository, run_cli):
    plan = run_cli("check")[1]
    code, out, err = run_cli("check", "--student")
    assert (code, err) == (0, [])
    assert out[: len(plan)] == plan
    # Behind how traces are rendered: no more and no fewer than two comparisons.
    assert sum("engine and naive scoring differ by at most" in line for line in out[len(plan) :]) == 2


def test_check_of_other_folders(repository, run_cli):
    (repository / "data/sources").rename(repository / "pool")
    (repository / "data/tasks").rename(repository / "quiz")
    code, _, err = run_cli("check")
    assert code == 1
    assert [line.split(";")[0] for line in err] == [
        "error: there is no folder data/sources",
        "error: there is no folder data/tasks for evaluation tasks",
    ]
    assert run_cli("check", "--sources", "pool", "--tasks", "quiz")[0] == 0


def test_a_problem_is_one_line_after_the_plan_and_the_student_is_not_loaded(repository, run_cli):
    write_params(repository, student="{path: nowhere}")
    code, out, err = run_cli("check", "--student")
    assert code == 1
    assert out[0].startswith("sources ")
    assert len(err) == 1
    assert err[0].startswith("error: student.path is 'nowhere', where there is nothing; name a folder with config.json")


def test_a_file_without_what_dvc_tracks_is_refused(repository, student_folder, run_cli):
    (repository / "params.yaml").write_text(f"student: {{path: {student_folder('llama')}}}\n")
    code, _, err = run_cli("check")
    assert code == 1
    assert err[0] == "error: params.yaml lacks 'ingest', which DVC has to see; write it out, the default is {}"
    assert len(err) == 13  # seven sections, four keys of select, train.steps, evaluate.tasks


@pytest.mark.slow
def test_a_typo_is_one_line_and_loads_nothing_heavy(tmp_path: Path):
    (tmp_path / "params.yaml").write_text("score: {windw: 4}\n")
    assert apart(tmp_path, "check") == (
        1,
        [],
        [
            "error: params.yaml: unknown key 'score.windw', did you mean 'window'?; known in 'score' are window, "
            "passes, dtype, device, batching, batch_tokens, products, decoder, engine, workers, max_step_tokens, "
            "prompts, seed, references, cache_check"
        ],
        [],
    )


@pytest.mark.slow
def test_no_command_loads_anything_heavy_for_its_arguments(tmp_path: Path):
    code, out, err, loaded = apart(tmp_path, *COMMANDS, "--help")
    assert (code, err, loaded) == (0, [], [])
    assert out[0].startswith("usage: stepsift check ")


@pytest.mark.slow
def test_a_wrong_source_and_student_load_no_model(tmp_path: Path):
    (tmp_path / "data/tasks").mkdir(parents=True)
    (tmp_path / "data/sources").mkdir()
    (tmp_path / "data/sources/a.jsonl").write_text("{\n[\n")
    write_params(tmp_path, student="{path: nowhere}")
    code, out, err, loaded = apart(tmp_path, "check", "--student")
    assert (code, loaded) == (1, [])
    assert out[0] == "sources     1 file, 2 rows read, 0 kept, 2 rejected (broken_json 2)"
    assert [line[:32] for line in err] == ["error: source file a.jsonl: ever", "error: student.path is 'nowhere'"]


def test_outside_a_repository_check_says_where_to_run(tmp_path: Path, monkeypatch, run_cli):
    monkeypatch.chdir(tmp_path)
    assert run_cli("check") == (
        1,
        [],
        ["error: there is no params.yaml; run stepsift in the repository's root folder"],
    )


@pytest.mark.parametrize("command", [("check",), ("remove", "x"), ("why", "x"), ("cache",), ("report",), ("setup",)])
def test_in_a_folder_below_a_command_says_where_to_go(command, tmp_path: Path, monkeypatch, run_cli):
    (tmp_path / "params.yaml").write_text("{}")
    (tmp_path / "data/sources").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "data/sources")
    where = "works in the folder of params.yaml, and this is data/sources below it; run 'cd ../..' first"
    assert run_cli(*command) == (1, [], [f"error: stepsift {command[0]} {where}"])


@pytest.mark.parametrize("command", [("check",), ("why", "x"), ("remove", "x"), ("why",), ("chek",)])
def test_json_is_answered_when_a_command_fails(command, tmp_path: Path, monkeypatch, run_cli):
    monkeypatch.chdir(tmp_path)
    code, out, err = run_cli(*command, "--json")
    [problem] = json.loads("\n".join(out))["problems"]
    assert code == (1 if command in (("check",), ("why", "x"), ("remove", "x")) else 2)
    assert err[-1].endswith(problem.partition(": ")[2] if code == 2 else problem)


def test_json_has_every_problem_of_the_parameters(tmp_path: Path, monkeypatch, run_cli):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "params.yaml").write_text("x: 1\ny: 2\n")
    code, out, err = run_cli("check", "--json")
    assert (code, len(err)) == (1, 2)
    assert [f"error: {p}" for p in json.loads("\n".join(out))["problems"]] == err


def test_a_check_that_fails_answers_once(repository: Path, run_cli):
    write_params(repository, student="{path: nowhere}")
    code, out, err = run_cli("check", "--json")
    answer = json.loads("\n".join(out))
    assert code == 1
    assert answer["plan"][0].startswith("sources ")
    assert [f"error: {p}" for p in answer["problems"]] == err


@pytest.mark.parametrize("arguments", [(), ("chek",), ("check", "--studnet"), ("check", "--sources")])
def test_a_wrong_call_is_exit_2_with_the_usage(arguments, run_cli):
    code, out, err = run_cli(*arguments)
    assert (code, out) == (2, [])
    assert err[0].startswith("usage: stepsift")


@pytest.mark.slow
def test_the_installed_script_is_this_command(tmp_path: Path):
    script = Path(sys.executable).parent / "stepsift"
    done = subprocess.run([script, "--version"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, f"{__version__}\n", "")


def test_metrics_lists_all_with_direction_and_source(tmp_path: Path, monkeypatch, run_cli):
    # Works anywhere: it needs no params.yaml.
    monkeypatch.chdir(tmp_path)
    code, out, err = run_cli("metrics")
    assert (code, err) == (0, [])
    assert [line.split()[0] for line in out] == sorted(all_metrics())
    by_name = {line.split()[0]: line for line in out}
    assert by_name["lalp"].split(maxsplit=1)[1].startswith("higher is better   LALP, Local Average Log Probability:")
    assert by_name["lalp"].endswith("Source: Just, Ko, Jia, arXiv 2510.03988 v2.")
    assert by_name["length"].split(maxsplit=1)[1].startswith("no direction       Length of the response")
    for line in out:
        assert not line.endswith("Source: "), line


def test_setup_makes_the_database_that_params_names(repository, monkeypatch, run_cli):
    from stepsift import tracking

    asked = []
    monkeypatch.setattr(tracking, "setup", lambda settings: asked.append(settings.uri) or "sqlite:////there.db")
    write_params(repository, tracking="{uri: runs.db}")
    assert run_cli("setup") == (0, ["MLflow keeps its runs in sqlite:////there.db"], [])
    assert asked == ["runs.db"]


@pytest.fixture
def servers(monkeypatch) -> list[list[str]]:
    """Commands of MLflow's servers that `stepsift ui` started, in place of which another takes the port for a while;
    there is a store, with an experiment 7."""
    from stepsift import tracking

    started: list[list[str]] = []
    listen = "import socket, sys, time; s = socket.create_server(('127.0.0.1', int(sys.argv[1]))); time.sleep(1); 1 / 0"
    real = subprocess.Popen

    def start(command: list[str], **how: object) -> subprocess.Popen:
        started.append(command)
        return real([sys.executable, "-c", listen, command[command.index("--port") + 1]], **how)

    monkeypatch.setattr(tracking, "setup", lambda settings: settings.uri)
    monkeypatch.setattr(tracking, "runs_page", lambda settings: "#/7")
    monkeypatch.setattr(ui.subprocess, "Popen", start)
    return started


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def test_ui_says_where_it_is_when_it_is_there_and_where_what_it_said_lies(repository, run_cli, servers):
    write_params(repository, tracking="{uri: 'sqlite:////there.db'}")
    port = free_port()
    url = f"http://127.0.0.1:{port}/#/7"
    ended = "error: MLflow's server ended by itself, with exit code 1; .stepsift/mlflow-ui.log has its words"
    assert run_cli("ui", "--port", port) == (1, [f"MLflow is on {url} (stop it with Ctrl-C)"], [ended])
    assert "ZeroDivisionError" in Path(".stepsift/mlflow-ui.log").read_text()
    [command] = servers
    assert command[:6] == [sys.executable, "-m", "mlflow", "ui", "--backend-store-uri", "sqlite:////there.db"]
    assert run_cli("ui", "--port", port, "--quiet") == (1, [], [ended])
    answer = json.loads("\n".join(run_cli("ui", "--port", port, "--json")[1]))
    assert answer == {"url": url, "tracking_uri": "sqlite:////there.db"}


def test_ui_of_a_server_only_says_where_that_is(repository, run_cli, servers):
    write_params(repository, tracking="{uri: 'https://mlflow.example.org/'}")
    assert run_cli("ui") == (0, ["MLflow is a server already: open https://mlflow.example.org/#/7"], [])
    assert servers == []


def test_ui_on_a_port_that_is_taken_is_a_sentence(repository, run_cli, servers):
    write_params(repository, tracking="{uri: 'sqlite:////there.db'}")
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        code, out, err = run_cli("ui", "--port", port)
    assert (code, out, servers) == (1, [], [])
    assert err == [
        f"error: port {port} is taken, perhaps by MLflow's pages that are open already; stop what uses it, or choose "
        f"another: stepsift ui --port {port + 1}"
    ]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("rank", "--prompts", "x"), "argument --prompts: is x, must be a whole number, at least 1"),
        (("rank", "--prompts", "0"), "argument --prompts: is 0, must be a whole number, at least 1"),
        (("rank", "--prompts", "1.5"), "argument --prompts: is 1.5, must be a whole number, at least 1"),
        (("tune", "--seconds", "soon"), "argument --seconds: is soon, must be a number above 0"),
        (("tune", "--seconds", "inf"), "argument --seconds: is inf, must be a number above 0"),
        (("audition", "--pilot", "1"), "argument --pilot: is 1, must be a number above 0 and below 1"),
        (("audition", "--pilot", "half"), "argument --pilot: is half, must be a number above 0 and below 1"),
        (("ui", "--port", "70000"), "argument --port: is 70000, must be a whole number from 1 to 65535"),
    ],
)
def test_a_number_that_is_none_is_said_so(arguments, said, run_cli):
    code, out, err = run_cli(*arguments)
    assert (code, out) == (2, [])
    assert err[-1] == f"stepsift {arguments[0]}: error: {said}"


def ways(repository: Path) -> dict[str, tuple[str, ...]]:
    """Commands that go well in `repository`, by what they are called here."""
    student = str(yaml.safe_load((repository / "params.yaml").read_text())["student"]["path"])
    return {
        "check": ("check",),
        "metrics": ("metrics",),
        "score": ("score", "data/sources/a.jsonl", "--student", student, "--out", "o.parquet"),
        "rank": ("rank", "--prompts", "1"),
        "cache": ("cache",),
        "cache verify": ("cache", "verify"),
        "cache prune": ("cache", "prune"),
        "setup": ("setup",),
    }


@pytest.mark.parametrize("name", ["check", "metrics", "score", "rank", "cache", "cache verify", "cache prune", "setup"])
def test_every_command_answers_in_json_or_not_at_all(repository, run_cli, name, monkeypatch, request):
    monkeypatch.setenv("STEPSIFT_CACHE", str(repository / "cache"))
    if name == "setup":
        shutil.copy(request.getfixturevalue("mlflow_database"), repository)
    arguments = ways(repository)[name]
    code, lines, _ = run_cli(*arguments)
    assert code == 0
    assert lines
    assert not any("\x1b" in line for line in lines)
    code, out, _ = run_cli(*arguments, "--json")
    assert code == 0
    assert json.loads("\n".join(out))
    assert run_cli(*arguments, "--quiet") == (0, [], [])


def test_json_of_what_is_wrong_is_still_json(repository, run_cli):
    write_params(repository, student="{path: nowhere}")
    code, out, err = run_cli("check", "--json")
    assert code == 1
    problems = json.loads("\n".join(out))["problems"]
    assert problems[0].startswith("student.path is 'nowhere'")
    assert err == [f"error: {p}" for p in problems]
    assert run_cli("check", "--quiet") == (1, [], err)


def test_every_command_and_action_knows_both_options(run_cli):
    names = [(name,) for name in _listed(run_cli("--help")[1])]
    assert {("check",), ("audition",), ("why",), ("ui",), ("report",)} < set(names)
    names += [("cache", action) for action in _listed(run_cli("cache", "--help")[1])]
    assert ("cache", "prune") in names
    for name in names:
        code, out, _ = run_cli(*name, "--help")
        assert code == 0
        assert "[--json | --quiet]" in " ".join(" ".join(out).split()), name


def _listed(out: list[str]) -> list[str]:
    """Names of commands or actions in a help text."""
    return [line.split()[0] for line in out if line.startswith("    ") and line[4] != " "]
