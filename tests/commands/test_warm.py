"""Caches filled from another revision: what is known is not computed again, and nothing stands under a wrong key."""

import dataclasses
import functools
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import yaml
from dvc.repo import Repo

from helpers.once import SharedFolder
from stepsift import params, segment, sidecache, student
from stepsift.commands import cache as upkeep
from stepsift.commands.warm import warm_caches, warm_from
from stepsift.core import disk, table_files, tables
from stepsift.core.errors import CacheError
from stepsift.evaluate import run as evaluate
from stepsift.ingest.run import ingest
from stepsift.lineage.revision import Revision
from stepsift.score import setup
from stepsift.score.backends.local import LocalBackend
from stepsift.score.pool import Pool, Prompts
from stepsift.score.progress import Progress
from stepsift.score.references import score_references
from stepsift.score.run import score_to_tables
from stepsift.train import run as train
from stepsift.train.launch import Job

ROOT = Path(__file__).resolve().parents[2]
TABLES = "data/ingest/prompts.parquet data/ingest/traces.parquet data/segment/steps.parquet"
STAGES = {
    "ingest": {"cmd": "python -P stages/ingest.py data/sources data/ingest", "outs": ["data/ingest"]},
    "segment": {"cmd": "python -P stages/segment.py data/ingest/traces.parquet data/segment", "outs": ["data/segment"]},
    "score": {
        "cmd": f"python -P -m stepsift.container.launch score {TABLES} data/score metrics/score.json",
        "deps": ["src/stepsift/render.py"],
        "params": ["student", "score"],
        "outs": ["data/score"],
    },
    "train": {
        "cmd": "python -P -m stepsift.container.launch train data/select data/train m.json",
        "outs": ["data/train"],
    },
    "evaluate": {"cmd": "python -P stages/evaluate.py data/train data/tasks data/evaluate", "outs": ["data/evaluate"]},
}
RESPONSES = {
    "anna": "Let x be 4. Then 3x + 2 = 14, as it must. Wait. The answer is 4.",
    "bob": "First, we add 12 and 30. That gives 42. Next we divide by 6, which gives 7. So 7!",
    "carl": "It is 55. 1 + 2 + 3 + 4 = 10 and so on. So the final answer is 55.",
}
CACHES = Path(".stepsift/cache")


def run(*command: str) -> str:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return subprocess.run(command, env=os.environ | {"PATH": path}, capture_output=True, text=True, check=True).stdout


def git_commit() -> None:
    run("git", "add", "-A")
    run("git", "-c", "user.name=t", "-c", "user.email=t@example.org", "commit", "-qm", "c", "--allow-empty")


def dvc_commit(stage: str | None = None) -> None:
    """Record what lies in the outputs as what the stages made."""
    with Repo() as repo:
        repo.commit(stage, force=True)


class Project:
    """A small repository in the working folder whose stages run in this process; training and answering are toys."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch):
        self.made: list[str] = []
        monkeypatch.setattr(train, "_train", self._train)
        monkeypatch.setattr(evaluate, "_make", self._answer)

    def settings(self) -> params.Params:
        return params.load()

    def change(self, section: str, **values: object) -> None:
        path = Path("params.yaml")
        content = yaml.safe_load(path.read_text())
        content[section] |= values
        path.write_text(yaml.safe_dump(content))

    def write_sources(self, *teachers: str) -> None:
        rows = [
            {"prompt": prompt, "completion": RESPONSES[t] + f" So {prompt[:5]}.", "teacher": t}
            for prompt in ("What is the sum?", "Is it more than 42?")
            for t in teachers
        ]
        disk.write_lines((json.dumps(r) + "\n" for r in rows), Path("data/sources/a.jsonl"))

    def score(self) -> Progress:
        """The stages ingest, segment and score, with the cache of this folder."""
        settings = self.settings()
        with disk.fresh_folder(Path("data/ingest")) as out:
            ingest(Path("data/sources"), out, settings.ingest)
        steps = segment.segment_table(
            table_files.read(tables.TRACES, Path("data/ingest/traces.parquet")), settings.segment
        )
        table_files.write(tables.STEPS, steps, Path("data/segment/steps.parquet"))
        paths = [Path(p) for p in TABLES.split()]
        prompts = Prompts(paths[0], set(table_files.read(tables.PROMPTS, paths[0])["prompt_id"]))
        with setup.load(settings.student, settings.score, CACHES) as scoring:
            score_to_tables(scoring, Pool(prompts, *paths[1:]), Path("data/score"))
        disk.write_json(scoring.identity.as_json(), Path("data/score/numerics.json"))
        return scoring.progress

    def train(self) -> train.Trained:
        settings = self.settings()
        training = train.Training(student.find(settings.student), settings.train, CACHES / "models")
        return train.train_all(training, Path("data/select"), settings.select.names, Path("data/train"))

    def evaluate(self) -> evaluate.Evaluated:
        settings = self.settings()
        evaluation = evaluate.Evaluation(student.find(settings.student), settings.evaluate, CACHES / "evaluations")
        return evaluate.evaluate_all(evaluation, Path("data/train"), Path("data/tasks"), Path("data/evaluate"))

    def _train(self, job: Job, report: Any) -> None:
        self.made.append("student")
        target = job.out
        shutil.copytree("student", target, dirs_exist_ok=True)
        (target / "added_tokens.json").write_text(json.dumps({job.examples.digest: job.seed}))
        names = [f.name for f in dataclasses.fields(train.TrainResult) if f.name not in ("folder", "rejected")]
        (target / "training.json").write_text(json.dumps(dict.fromkeys(names, 1)))
        (target / "curve.jsonl").write_text("")

    def _answer(self, lm: Any, task: Any, settings: Any, target: Path) -> None:
        self.made.append("answers")
        name = task.args[0].name
        said = f"é\n{name} {len(self.made)}"
        answers = [
            {
                "task": name,
                "question": i,
                "sample": 1,
                "verdict": None,
                "prompt_hash": "h",
                "generation": said,
                "ended": end,
                "correct": 0.5 * i,
            }
            for i, end in enumerate((True, None, False))
        ]
        evaluate.write_entry(answers[::-1], target)


@pytest.fixture(scope="session")
def repository(shared_folder: SharedFolder, student_folder: Callable[..., Path]) -> Path:
    """A repository whose HEAD holds a pool of two teachers, scored, two students and evaluations; to be copied."""
    return shared_folder.get("to-warm-from", functools.partial(make_repository, student_folder))


def make_repository(student_folder: Callable[..., Path], folder: Path) -> None:
    folder.mkdir()
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.chdir(folder)
        shutil.copytree(student_folder("llama", "llama3"), "student")
        sections: dict[str, Any] = {name: {} for name in params.Params.model_fields}
        sections |= {"student": {"path": "student"}, "select": {"selectors": ["lalp", "random"]}}
        sections |= {"score": {"window": 2}, "evaluate": {"tasks": ["toy", "more"], "trusted_tasks": ["toy", "more"]}}
        Path("params.yaml").write_text(yaml.safe_dump(sections))
        Path("dvc.yaml").write_text(yaml.safe_dump({"stages": STAGES}))
        Path(".gitignore").write_text("/.stepsift/\n/student/\n")
        code = Path("src/stepsift/render.py")
        code.parent.mkdir(parents=True)
        shutil.copyfile(ROOT / code, code)
        for task in ("toy", "more"):
            disk.write_text(f"{{task: {task}, dataset_path: json}}", Path(f"data/tasks/{task}.yaml"))
        for selector, answer in (("lalp", "It is 5."), ("random", "42. Yes!")):
            messages = [{"role": "user", "content": "2 + 3 ?"}, {"role": "assistant", "content": answer}]
            disk.write_text(json.dumps({"messages": messages}) + "\n", Path(f"data/select/{selector}/train.jsonl"))
        made = Project(monkeypatch)
        made.write_sources("anna", "bob")
        assert made.score().from_cache == 0
        assert (made.train().reused, made.evaluate().reused) == (0, 0)
        run("git", "init", "-q")
        Repo.init().close()
        dvc_commit()
        git_commit()


@pytest.fixture
def project(repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A copy of the repository, the working folder; DVC has seen nothing of it yet but its own cache."""
    shutil.copytree(repository, tmp_path / "repository", symlinks=True)
    monkeypatch.chdir(tmp_path / "repository")
    monkeypatch.setenv("DVC_SITE_CACHE_DIR", str(tmp_path / "site"))
    monkeypatch.delenv(sidecache.ROOT_VARIABLE, raising=False)
    return Project(monkeypatch)


def forget() -> None:
    """Lose the caches and everything that DVC could give back."""
    for name in (".stepsift", "data/ingest", "data/segment", "data/score", "data/train", "data/evaluate"):
        shutil.rmtree(name)


def first_words(lines: list[str]) -> list[str]:
    return [line.split(",")[0] for line in lines]


def test_after_warming_only_what_is_new_is_computed(project: Project) -> None:
    scores = table_files.read(tables.STEP_SCORES, Path("data/score/step_scores.parquet"))
    outputs = [*Path("data/train").rglob("*.*"), *Path("data/evaluate").rglob("*.*")]
    before = {p: p.read_bytes() for p in outputs}
    forget()
    work_tree = run("git", "status", "--porcelain")

    warmed = warm_caches("HEAD", project.settings(), CACHES)
    assert warmed.problems == []
    assert first_words(warmed.lines) == [
        "scores      4 traces filled in", "models      2 filled in", "evaluations 6 filled in",
    ]  # fmt: skip
    assert run("git", "status", "--porcelain") == work_tree
    assert not Path("data/score").exists()
    # What the last run found in the cache is not what warming found there.
    assert [s.last_run for s in upkeep.spaces(CACHES)] == [None]

    project.write_sources("anna", "bob", "carl")
    progress = project.score()
    assert (progress.from_cache, progress.scored) == (4, 6)
    again = table_files.read(tables.STEP_SCORES, Path("data/score/step_scores.parquet"))
    assert again.filter(pl.col("trace_id").is_in(scores["trace_id"].unique())).equals(scores)
    assert again.height > scores.height
    assert (project.train().reused, project.evaluate().reused) == (2, 6)
    assert project.made == []
    assert {p: p.read_bytes() for p in before} == before


def test_scores_of_references_are_filled_in_too(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree("student", "data/references/teacher")
    config = Path("data/references/teacher/config.json")
    config.write_text(config.read_text() + "\n")  # another fingerprint
    project.change("score", references=[{"name": "teacher", "path": "data/references/teacher"}])
    project.score()

    def score_again() -> bytes:
        paths = [Path(p) for p in TABLES.split()]
        prompts = Prompts(paths[0], set(table_files.read(tables.PROMPTS, paths[0])["prompt_id"]))
        pool, out = Pool(prompts, *paths[1:]), Path("data/score/references")
        shutil.rmtree(out, ignore_errors=True)
        score_references(project.settings().score, pool, out, CACHES, None)
        return (out / "teacher" / tables.STEP_SCORES.file).read_bytes()

    before = score_again()
    dvc_commit("score")
    git_commit()
    shutil.rmtree(CACHES)
    warmed = warm_caches("HEAD", project.settings(), CACHES)
    assert warmed.lines[:2] == [
        "scores      4 traces filled in, 0 were there",
        "scores      4 traces filled in of reference 'teacher', 0 were there",
    ]
    monkeypatch.setattr(LocalBackend, "score", lambda _, todo: pytest.fail("computed anew") if todo else iter(()))
    assert score_again() == before
    config.write_text(config.read_text() + "\n")
    said = warm_caches("HEAD", project.settings(), CACHES).lines[1]
    assert said.startswith("scores      are those of a different reference 'teacher' (")


def test_what_is_there_already_is_not_stored_twice(project: Project) -> None:
    forget()
    warm_caches("HEAD", project.settings(), CACHES)
    files = sorted(CACHES.rglob("*"))
    assert first_words(warm_caches("HEAD", project.settings(), CACHES).lines) == [
        "scores      0 traces filled in", "models      0 filled in", "evaluations 0 filled in",
    ]  # fmt: skip
    assert sorted(CACHES.rglob("*")) == files


def test_settings_are_those_of_the_run_and_not_those_of_the_file(project: Project) -> None:
    # Committed with other settings than the scores were made with: dvc.lock knows those.
    project.change("score", window=1, passes=["local", "full"])
    git_commit()
    forget()
    warm_caches("HEAD", project.settings(), CACHES)
    assert project.score().from_cache == 0
    project.change("score", window=2)
    shutil.rmtree(CACHES)
    warm_caches("HEAD", project.settings(), CACHES)
    assert project.score().from_cache == 4


@pytest.mark.parametrize("passes", [["local"], ["full"]])
def test_a_single_pass_is_filled_in_as_such(project: Project, passes: list[str]) -> None:
    project.change("select", selectors=["random"])
    project.change("score", passes=passes)
    project.score()
    dvc_commit("score")
    git_commit()
    shutil.rmtree(CACHES)
    assert warm_caches("HEAD", project.settings(), CACHES).problems == []
    assert project.score().from_cache == 4
    project.change("score", passes=["local", "full"])
    assert project.score().from_cache == 0


def test_scores_of_other_numerics_are_filled_in_and_said_to_be_of_no_use(project: Project) -> None:
    forget()
    project.change("score", batch_tokens=64)
    warmed = warm_caches("HEAD", project.settings(), CACHES)
    said = "they were scored with batch_tokens 512; this machine scores with batch_tokens 64; they will not be used"
    assert warmed.lines[:2] == ["scores      4 traces filled in, 0 were there", f"            {said}"]
    assert project.score().from_cache == 0
    project.change("score", batch_tokens=512)
    assert project.score().from_cache == 4


def test_scores_of_another_student_are_left_out(project: Project) -> None:
    config = Path("student/config.json")
    config.write_text(config.read_text() + "\n")
    forget()
    warmed = warm_caches("HEAD", project.settings(), CACHES)
    assert warmed.lines[0].startswith("scores      are those of a different student (")
    assert upkeep.spaces(CACHES) == []
    assert first_words(warmed.lines[1:]) == ["models      2 filled in", "evaluations 6 filled in"]


def test_scores_of_another_renderer_are_left_out(project: Project) -> None:
    Path("src/stepsift/render.py").write_text("# another\n")
    dvc_commit("score")
    git_commit()
    forget()
    warmed = warm_caches("HEAD", project.settings(), CACHES)
    assert warmed.lines[0].startswith("scores      were made by a different src/stepsift/render.py")
    assert upkeep.spaces(CACHES) == []


def change_scores(change: pl.Expr) -> None:
    path = Path("data/score/step_scores.parquet")
    frame = table_files.read(tables.STEP_SCORES, path)
    first = frame["trace_id"][0]
    table_files.write(tables.STEP_SCORES, frame.with_columns(pl.when(pl.col("trace_id") == first).then(change)
                 .otherwise(pl.col(change.meta.output_name())).alias(change.meta.output_name())), path)  # fmt: skip
    dvc_commit("score")
    git_commit()


@pytest.mark.parametrize(
    "change",
    [pl.col("n_tokens") + 1, pl.lit(None, pl.Float64).alias("full_logprob"),
     pl.lit(None, pl.Float64).alias("local_logprob")],
)  # fmt: skip
def test_scores_that_do_not_fit_their_trace_are_left_out(project: Project, change: pl.Expr) -> None:
    change_scores(change)
    forget()
    warmed = warm_caches("HEAD", project.settings(), CACHES)
    assert warmed.lines[0] == (
        "scores      3 traces filled in, 0 were there, 1 come out with other tokens or passes now and are left out"
    )
    assert project.score().from_cache == 3


def test_a_trace_that_was_refused_has_nothing_to_fill_in(project: Project) -> None:
    path = Path("data/score/step_scores.parquet")
    frame = table_files.read(tables.STEP_SCORES, path)
    table_files.write(tables.STEP_SCORES, frame.filter(pl.col("trace_id") != frame["trace_id"][0]), path)
    dvc_commit("score")
    git_commit()
    forget()
    assert warm_caches("HEAD", project.settings(), CACHES).lines[0] == "scores      3 traces filled in, 0 were there"
    assert project.score().from_cache == 3


def test_scores_of_a_trace_that_is_not_there_are_a_problem(project: Project) -> None:
    path = Path("data/score/step_scores.parquet")
    frame = table_files.read(tables.STEP_SCORES, path)
    more = frame.head(1).with_columns(trace_id=pl.lit("0"), step=pl.lit(1, pl.Int32))
    table_files.write(tables.STEP_SCORES, pl.concat([more, frame]), path)
    dvc_commit("score")
    git_commit()
    forget()
    warmed = warm_caches("HEAD", project.settings(), CACHES)
    assert warmed.problems == ["there are scores of trace 0, and no such trace is left in the revision's pool"]
    assert project.score().from_cache == 0


def test_a_stage_that_was_not_run_and_outputs_without_keys(project: Project) -> None:
    lock = yaml.safe_load(Path("dvc.lock").read_text())
    del lock["stages"]["evaluate"]
    Path("dvc.lock").write_text(yaml.safe_dump(lock))
    Path("data/train/keys.json").unlink()
    dvc_commit("train")
    git_commit()
    warmed = warm_caches("HEAD", project.settings(), CACHES)
    assert warmed.lines[1:] == [
        "models      do not say their keys (no data/train/keys.json): none is filled in",
        "evaluate    was not run in revision 'HEAD'",
    ]


def lose(path: str) -> None:
    """Delete what DVC's cache holds of a file of a stage's folder."""
    with Revision("HEAD") as revision:
        md5 = revision._fs.info(path)["md5"]
    Path(f".dvc/cache/files/md5/{md5[:2]}/{md5[2:]}").unlink()


def test_what_is_missing_is_one_sentence_and_the_rest_is_filled_in(project: Project) -> None:
    lose("data/score/step_scores.parquet")
    forget()
    warmed = warm_caches("HEAD", project.settings(), CACHES)
    assert first_words(warmed.lines) == ["models      2 filled in", "evaluations 6 filled in"]
    [problem] = warmed.problems
    assert problem.startswith(
        "data/score/step_scores.parquet of revision 'HEAD' is neither in DVC's cache nor in a rem"
    )
    assert "run 'dvc fetch --all-commits' here" in problem


def test_a_machine_without_any_data_says_so_of_every_part(project: Project) -> None:
    shutil.rmtree(".dvc/cache")
    forget()
    warmed = warm_caches("HEAD", project.settings(), CACHES)
    assert warmed.lines == []
    assert [p.split()[0] for p in warmed.problems] == [
        "data/score/numerics.json", "data/train/keys.json", "data/evaluate/keys.json",
    ]  # fmt: skip


@pytest.mark.parametrize("local", [True, False])
def test_a_remote_serves_where_the_cache_does_not(project: Project, local: bool, tmp_path: Path) -> None:
    run("dvc", "remote", "add", *["--local"] * local, "-d", "up", str(tmp_path / "remote"))
    with Repo() as repo:
        repo.push()
    shutil.rmtree(".dvc/cache")
    shutil.rmtree(tmp_path / "site")
    forget()
    warmed = warm_caches("HEAD", project.settings(), CACHES)
    assert warmed.problems == []
    assert first_words(warmed.lines) == [
        "scores      4 traces filled in", "models      2 filled in", "evaluations 6 filled in",
    ]  # fmt: skip


def test_a_damaged_file_is_not_taken(project: Project) -> None:
    with Revision("HEAD") as revision:
        md5 = revision._fs.info("data/train/lalp/seed-0/config.json")["md5"]
    path = Path(f".dvc/cache/files/md5/{md5[:2]}/{md5[2:]}")
    path.chmod(0o644)
    path.write_bytes(path.read_bytes() + b" ")
    forget()
    [problem] = warm_caches("HEAD", project.settings(), CACHES).problems
    assert "config.json of revision 'HEAD' is damaged in DVC's cache (MD5 " in problem
    assert list((CACHES / "models").iterdir()) == []


def test_what_is_no_revision_to_warm_from(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = project.settings()
    with pytest.raises(CacheError, match="git revision 'nope' cannot be read: unknown Git revision 'nope'"):
        warm_caches("nope", settings, CACHES)
    run("git", "rm", "-q", "--cached", "dvc.lock")
    Path("dvc.lock").rename("dvc.lock.old")
    git_commit()
    with pytest.raises(CacheError, match=r"revision 'HEAD' has no dvc\.lock: the pipeline was not run"):
        warm_caches("HEAD", settings, CACHES)
    assert warm_caches("HEAD~1", settings, CACHES).problems == []
    shutil.rmtree(".git")
    with pytest.raises(CacheError, match=r"git revision 'HEAD' cannot be read: .* is not a git repository"):
        warm_caches("HEAD", settings, CACHES)
    monkeypatch.chdir("data")
    with pytest.raises(CacheError, match=r"there is no \.dvc here; run stepsift in the repository's root"):
        warm_caches("HEAD", settings, CACHES)


def test_several_revisions_are_one_command_and_a_bad_one_keeps_none_from_it(project: Project) -> None:
    forget()
    warmed = warm_from(["nope", "HEAD"], project.settings(), CACHES)
    [problem] = warmed.problems
    assert problem.startswith("from nope: git revision 'nope' cannot be read: unknown Git revision 'nope'")
    assert warmed.lines[:2] == ["from nope", "from HEAD"]
    assert first_words([line.removeprefix("  ") for line in warmed.lines[2:]]) == [
        "scores      4 traces filled in", "models      2 filled in", "evaluations 6 filled in"
    ]  # fmt: skip
    with pytest.raises(CacheError, match="'nope'"):
        warm_from(["nope"], project.settings(), CACHES)
