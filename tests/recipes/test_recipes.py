"""The recipes: settings that the models accept, tables that formulas give, and stand-ins that are read as meant."""

import importlib.util
import json
import os
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path
from types import ModuleType

import polars as pl
import pytest
import yaml

from helpers.hub import COMMIT, put_into_cache
from helpers.places import ROOT
from helpers.recipe_pools import LIMO, RSR_TEACHERS, limo_set, rsr_set, vllm_answers
from stepsift import params
from stepsift.commands.expected_work import SCORING_RATE, TRAINING_RATE, work_of
from stepsift.commands.main import build_parser
from stepsift.core import tables
from stepsift.ingest.run import ingest
from stepsift.sources.add import plan_addition
from stepsift.sources.origin import find_origins
from stepsift.tasks import check_tasks, local_tasks

RECIPES = ROOT / "recipes"
SETTINGS = ("limo/params.yaml", "limo/params-32b.yaml", "rsr/params.yaml")
TEACHERS = {"limo/params.yaml": 3, "limo/params-32b.yaml": 3, "rsr/params.yaml": 11}
OF_HARNESS = {"aime25"}
SIZES = {"7,615,616,512": "qwen2.5-7b", "32,763,876,352": "qwen2.5-32b"}


@pytest.fixture(scope="module")
def traces_script() -> ModuleType:
    """recipes/limo/traces.py."""
    spec = importlib.util.spec_from_file_location("limo_traces", RECIPES / "limo/traces.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


# --- settings


@pytest.mark.parametrize("name", SETTINGS)
def test_settings_name_what_is_there(name: str):
    settings = params.load(RECIPES / name)
    assert params.missing_for_dvc(RECIPES / name) == []
    pin = yaml.safe_load((ROOT / settings.student.path).read_text())
    assert set(pin) == {"repo", "revision"}
    assert re.fullmatch(r"[0-9a-f]{40}", pin["revision"])
    assert settings.train.launch is not None and (ROOT / settings.train.launch).is_file()
    assert set(settings.evaluate.tasks) <= local_tasks(RECIPES / "tasks") | OF_HARNESS


@pytest.mark.parametrize("name", SETTINGS)
def test_every_setting_that_is_chosen_says_whose_it_is(name: str):
    lines = (RECIPES / name).read_text().split("\n")
    sections = ("score:", "train:", "evaluate:", "audition:")
    unsaid = {"device: auto", "steps: all", "batch_size: 64", "seeds: [0]"}
    section = ""
    for line in lines:
        section = line if line and not line.startswith((" ", "#")) else section
        if section in sections and line.startswith("  ") and line.strip() not in unsaid:
            assert re.search(r"# \[(paper|LIMO|ours)", line), line


def test_the_larger_student_differs_in_what_a_larger_student_needs_alone():
    small, large = (params.load(RECIPES / name).model_dump() for name in SETTINGS[:2])
    differing = {(s, key) for s in small for key in small[s] if small[s][key] != large[s][key]}
    assert differing == {("student", "path"), ("student", "placement"), ("score", "workers"), ("report", "title")}


def test_tasks_of_the_harness_are_its_own():
    spec = importlib.util.find_spec("lm_eval")
    assert spec is not None and spec.origin is not None
    files = {path.stem for path in (Path(spec.origin).parent / "tasks/aime").glob("*.yaml")}
    assert files >= OF_HARNESS


def test_the_script_has_as_many_questions_as_tasks_want(tmp_path: Path):
    script = (RECIPES / "run.sh").read_text()
    fetched = dict(pair.split("=") for pair in re.search(r"for task in (.+);", script)[1].split())  # type: ignore[index]
    assert set(fetched) == local_tasks(RECIPES / "tasks")
    for file in (RECIPES / "tasks").glob("*.yaml"):
        (tmp_path / file.name).write_text(file.read_text())
        field = yaml.safe_load(file.read_text()).get("prompt", "prompt")
        (tmp_path / f"{file.stem}.jsonl").write_text(json.dumps({field: "2 + 2?", "answer": "4"}) + "\n")
    assert check_tasks(sorted(fetched), tmp_path) == []


# --- commands


def bash(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Run a script from the repository's root with a `stepsift` that writes its arguments into `folder/said.json`."""
    fake = folder / "bin/stepsift"
    fake.parent.mkdir(exist_ok=True)
    code = (
        f"import json, pathlib, sys\npathlib.Path({str(folder / 'said.json')!r}).write_text(json.dumps(sys.argv[1:]))"
    )
    fake.write_text(f"#!{sys.executable}\n{code}\n")
    fake.chmod(0o755)
    env = os.environ | {"PATH": f"{fake.parent}{os.pathsep}{os.environ['PATH']}"}
    return subprocess.run(("bash", *words), cwd=ROOT, env=env, capture_output=True, text=True, check=False)


@pytest.mark.slow
@pytest.mark.parametrize("recipe", ["limo", "rsr"])
def test_sources_are_added_by_a_command_that_exists(recipe: str, tmp_path: Path):
    script = f"recipes/{recipe}/sources.sh"
    (tmp_path / "traces").mkdir()
    if recipe == "limo":
        done = bash(tmp_path, script, str(tmp_path))
        assert (done.returncode, (tmp_path / "said.json").exists()) == (1, False)
        assert done.stderr.startswith(f"there are no traces in {tmp_path}/traces; ")
    for teacher in ("a", "b c"):
        (tmp_path / f"traces/{teacher}.jsonl").touch()
    assert bash(tmp_path, script, str(tmp_path)).returncode == 0
    args = build_parser().parse_args(json.loads((tmp_path / "said.json").read_text()))
    assert args.rules == Path(f"recipes/{recipe}/{'traces' if recipe == 'limo' else 'rsr'}.rule.yaml")
    if recipe == "limo":
        assert args.paths == [f"{tmp_path}/traces/a.jsonl", f"{tmp_path}/traces/b c.jsonl"]
    else:
        assert (args.files, args.name) == (["*/short-sys_5k_gen?.json"], "rsr")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ((), "recipes/run.sh [--check | --pilot SHARE] SETTINGS FOLDER [WORKERS] "),
        (("--check", "recipes/limo/params.yaml"), "recipes/run.sh [--check | --pilot SHARE] SETTINGS FOLDER"),
        (("recipes/lima/params.yaml", "x"), "there is no recipes/lima/params.yaml in "),
    ],
)
def test_a_wrong_command_makes_nothing(words: tuple[str, ...], sentence: str, tmp_path: Path):
    done = bash(tmp_path, "recipes/run.sh", *words)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(sentence)
    assert not (ROOT / "x").exists()


# --- what is said of hours and memory


def table(page: str) -> list[list[str]]:
    """Cells of the rows below the comment that names this file."""
    text = (RECIPES / page).read_text().split("recomputed by tests/recipes/test_recipes.py -->")[1]
    rows = [line for line in text.split("\n\n")[1].split("\n") if line.startswith("|")][2:]
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in rows]


@pytest.mark.parametrize(
    ("page", "names", "n_traces", "tokens", "examples"),
    [
        ("limo/README.md", SETTINGS[:2], 817 * 3, 10_000, 817 * 15),
        ("rsr/README.md", SETTINGS[2:], 5_000 * 33, 8_912, 5_000 * 10),
    ],
)
def test_hours_and_memory_are_those_of_the_formulas(
    page: str, names: tuple[str, ...], n_traces: int, tokens: int, examples: int
):
    rows = table(page)
    assert len(rows) == len(names)
    for row, name in zip(rows, names, strict=True):
        settings = params.load(RECIPES / name)
        size = row[0].split()[0]
        assert SIZES[size] in settings.student.path
        n_parameters = int(size.replace(",", ""))
        work = work_of(n_parameters, n_traces * tokens * 6, examples * tokens, settings.train)
        audition = settings.audition
        arms = len(audition.selectors) + len(audition.controls) + TEACHERS[name]
        n_students = arms * len(audition.seeds) * len(audition.budgets)
        assert f" {n_students} students " in (RECIPES / page).read_text()
        numbers = [float(cell.split()[0].replace(",", "")) for cell in row[1:]]
        training_h = work.training / TRAINING_RATE / 3_600
        expected = [2 * n_parameters / 1e9, work.scoring / SCORING_RATE / 3_600, training_h, n_students * training_h]
        assert numbers == pytest.approx([*expected, work.training_bytes / work.processes / 1e9], rel=0.03)


def test_what_the_page_says_of_epochs_is_what_is_set():
    limo, rsr = (params.load(RECIPES / name).train for name in ("limo/params.yaml", "rsr/params.yaml"))
    assert (limo.epochs, rsr.epochs) == (15, 10)


# --- stand-ins of the same shapes


@pytest.mark.slow
@pytest.mark.usefixtures("shared_judges")
def test_rsr_s_pool_is_eleven_teachers_with_three_runs_each(hub: Path, tmp_path: Path):
    command = (RECIPES / "rsr/sources.sh").read_text()
    name, revision = re.search(r"hub:(\S+)@([0-9a-f]{40})", command).groups()  # type: ignore[union-attr]
    pattern = re.search(r"--files '(\S+)'", command)[1]  # type: ignore[index]
    put_into_cache(hub, name, rsr_set(n_prompts=4), commit=revision)
    rule = params.load_rule(RECIPES / "rsr/rsr.rule.yaml")
    settings = params.load(RECIPES / "rsr/params.yaml")
    origins = find_origins([f"hub:{name}@{revision}"], rule, "rsr", (pattern,), False)
    (tmp_path / "sources").mkdir()
    plan = plan_addition(origins, tmp_path / "sources", settings.ingest)
    (part,) = plan.parts
    assert len(part.files) == 33
    assert (part.rule.repository, part.rule.revision, part.rule.licence) == (name, revision, "mit")
    # As `add` leaves them.
    for file in part.files:
        target = tmp_path / "sources" / file.name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(file.path.read_bytes())
    (tmp_path / "sources/rsr.rule.yaml").write_text(yaml.safe_dump(part.rule.model_dump(exclude_defaults=True)))
    counts = ingest(tmp_path / "sources", tmp_path / "out", settings.ingest)
    assert counts.total.kept == 33 * 4
    traces = pl.read_parquet(tmp_path / "out" / tables.TRACES.file)
    assert Counter(traces["teacher"]) == dict.fromkeys(RSR_TEACHERS, 3 * 4)
    assert set(traces.group_by("prompt_id").len()["len"]) == {33}
    prompts = pl.read_parquet(tmp_path / "out" / tables.PROMPTS.file)
    assert {p[0]["role"] for p in prompts["prompt"].to_list()} == {"system"}


@pytest.mark.slow
@pytest.mark.usefixtures("shared_judges")
def test_limo_s_prompts_become_requests_and_answers_become_traces(hub: Path, tmp_path: Path, traces_script: ModuleType):
    put_into_cache(hub, "GAIR/LIMO", limo_set(n_prompts=5))
    rows, commit = traces_script.load_prompts(traces_script.PROMPTS)
    assert (len(rows), commit) == (5, COMMIT)
    requests = list(traces_script.requests(rows, commit, "Qwen/QwQ-32B"))
    assert [r["custom_id"] for r in requests] == [f"{COMMIT}-{i}" for i in range(5)]
    assert requests[0]["body"]["model"] == "Qwen/QwQ-32B"
    assert requests[0]["body"]["messages"] == [
        {"role": "user", "content": f"{LIMO.format(n=0)}\n\n{traces_script.SYSTEM}"}
    ]
    sources = tmp_path / "sources"
    sources.mkdir()
    for teacher in ("DeepSeek-R1", "QwQ-32B", "Qwen3-32B"):
        # The last answer is cut off, the one before it was an error.
        lines = list(traces_script.traces(vllm_answers(requests, teacher), rows, commit, teacher))
        assert [line for line in lines if isinstance(line, str)] == ["no answer", "cut off"]
        kept = [json.dumps(line) for line in lines if not isinstance(line, str)]
        (sources / f"{teacher}.jsonl").write_text("\n".join(kept) + "\n")
        (sources / f"{teacher}.rule.yaml").write_text((RECIPES / "limo/traces.rule.yaml").read_text())
    counts = ingest(sources, tmp_path / "out", params.load(RECIPES / "limo/params.yaml").ingest)
    assert {t: v["correct"] for t, v in counts.verdicts.items()} == {"DeepSeek-R1": 3, "QwQ-32B": 3, "Qwen3-32B": 3}
    assert counts.total.kept == 9
    traces = pl.read_parquet(tmp_path / "out" / tables.TRACES.file)
    # One form, whether the server set the reasoning apart, gave it with its tags, or its prompt had opened it.
    assert all(re.match(r"<think>\n?Half of .*</think>\n\nIt is", r, flags=re.S) for r in traces["response"])
    assert traces["prompt_id"].n_unique() == 3


def test_answers_to_other_prompts_are_refused(traces_script: ModuleType):
    requests = list(traces_script.requests([{"question": "2 + 2?", "answer": 4}], COMMIT, "m"))
    with pytest.raises(ValueError, match=f"an answer is to a prompt of {COMMIT}, and the prompts are those of f{{40}}"):
        list(traces_script.traces(vllm_answers(requests * 3, "QwQ-32B"), [], "f" * 40, "t"))
