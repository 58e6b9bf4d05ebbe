"""From students and tasks to accuracies; what was evaluated before comes from a side cache."""

import functools
import json
import logging
import math
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, replace
from functools import partial
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import polars as pl

from stepsift import params, sidecache
from stepsift.core import disk, table_files, tables
from stepsift.core.errors import EvaluationError
from stepsift.core.finding import Finding
from stepsift.core.pace import leave_to_parent
from stepsift.core.processes import Crew
from stepsift.core.quiet import silenced
from stepsift.evaluate.pass_rates import VALUE, ks_of, with_pass_at
from stepsift.student import StudentFiles, StudentSource, context_tokens, pick_device, takes_one_core
from stepsift.tasks import TaskSource, check_tasks, find_tasks, load_task, local_tasks

log = logging.getLogger(__name__)

EVALUATE_VERSION = 4
"""Raised whenever a change could change an answer or its grade."""

UNTRAINED = "untrained"
_Z95 = 1.96
"""Standard errors to either side of a mean that hold 95 % of a normal distribution."""
KEYS = "keys.json"
_ANSWERS = "answers.jsonl"


_Graded = tuple[TaskSource, dict[str, Any], list[dict[str, Any]], bool]
"""A task, the parts of its key, the graded answers, and whether they were in the side cache."""
_ASKED_FIRST = 2
"""Students after which it is known what one takes: the first one's time is that of imports, too."""
_START_S = 20.0
"""Seconds that a process takes to import what it needs."""


@dataclass(frozen=True)
class Model:
    """A student to evaluate: its name (`untrained`, or `<selector>/seed-<seed>`), and its files."""

    name: str
    selector: str | None
    seed: int | None
    files: StudentFiles


@dataclass(frozen=True)
class Evaluated:
    """`evaluations`: a row for each task and model; `answers`: a row for each question and model, for paired tests.

    Columns are those of tables.EVALUATIONS and tables.ANSWERS. `evaluated` and `reused` count models times tasks.
    """

    evaluations: pl.DataFrame
    answers: pl.DataFrame
    evaluated: int
    reused: int

    def metrics(self) -> dict[str, dict[str, Any]]:
        """task -> `untrained` -> numbers, and task -> selector -> mean over seeds and `seed-<seed>` -> numbers.

        Only finite numbers: a standard error that does not exist (one question) is left out.
        """
        nested: dict[str, dict[str, Any]] = {}
        for row in self.evaluations.iter_rows(named=True):
            of_k = sorted(row.keys() - tables.EVALUATIONS.schema.keys())
            keys = ("accuracy", "stderr", "n", "samples", "ended", *of_k)
            numbers = {k: row[k] for k in keys if row[k] is not None}
            task = nested.setdefault(row["task"], {})
            if row["selector"] is None:
                task[UNTRAINED] = numbers
            else:
                task.setdefault(row["selector"], {})[f"seed-{row['seed']}"] = numbers
        for row in self.by_selector().iter_rows(named=True):
            spread = {} if row["seeds_std"] is None else {"seeds_std": row["seeds_std"]}
            means = {VALUE.format(k): row[VALUE.format(k)] for k in ks_of(self.evaluations)}
            means = {"accuracy": row["accuracy"]} | {k: v for k, v in means.items() if v is not None}
            nested[row["task"]][row["selector"]] |= means | {"seeds": row["seeds"]} | spread
        return nested

    def chart(self) -> list[dict[str, Any]]:
        """Points of a chart: student, `of` (task), accuracy, and its 95 % interval over questions, low to high."""
        points = []
        for row in self.evaluations.sort("task", "accuracy", "model", descending=[False, True, False]).to_dicts():
            reach = _Z95 * (row["stderr"] or 0.0)
            low, high = max(0.0, row["accuracy"] - reach), min(1.0, row["accuracy"] + reach)
            points.append(
                {"student": row["model"], "of": row["task"], "accuracy": row["accuracy"], "low": low, "high": high}
            )
        return points

    def by_selector(self) -> pl.DataFrame:
        """task, selector, accuracy and pass@k (means over seeds), seeds, their number, seeds_std (null for one)."""
        return (
            self.evaluations.filter(pl.col("selector").is_not_null())
            .group_by("task", "selector")
            .agg(
                pl.col("accuracy").mean(),
                pl.len().alias("seeds"),
                pl.col("accuracy").std().alias("seeds_std"),
                pl.col([VALUE.format(k) for k in ks_of(self.evaluations)]).mean(),
            )
            .sort("task", "selector")
        )


def check_evaluation(settings: params.Evaluate, tasks: Path) -> Finding:
    """For `stepsift check`: the tasks, and what would stop the stage after hours of scoring and training."""
    local = local_tasks(tasks)
    names = [f"{task} ({'local' if task in local else 'of lm-evaluation-harness'})" for task in settings.tasks]
    problems = [f"there is no folder {tasks} for evaluation tasks; make it (it may be empty: mkdir -p {tasks})"]
    if tasks.is_dir():
        problems = list(check_tasks(settings.tasks, tasks, settings.trusted_tasks))
    if settings.engine == "vllm" and not find_spec("vllm"):
        problems.append("evaluate.engine is vllm, which is not installed; 'pip install vllm', or set engine: hf")
    return Finding([f"tasks       {', '.join(names)}, answered by each student and by the untrained one"], problems)


@dataclass(frozen=True)
class Evaluation:
    """What evaluations share: the student, the settings, and the folder of the side cache that keeps answers."""

    source: StudentSource
    settings: params.Evaluate
    cache: Path


def evaluate_all(evaluation: Evaluation, models: Path, tasks: Path, out: Path) -> Evaluated:
    """Evaluate the untrained student and every trained one (`models/<selector>/seed-<seed>/`) on all tasks.

    `out` is rewritten whole: `evaluations.parquet`, `answers.parquet`, and `keys.json`, for each entry of the side
    cache its model, the tasks of its answers and the parts of its key, from which `stepsift cache warm` fills the cache
    of another machine. Answers that the same model gave before to the same task with the same settings and versions
    come from the side cache. Raises EvaluationError for an unknown task, or one that does not grade question by
    question.
    """
    sources = find_tasks(evaluation.settings.tasks, tasks, evaluation.settings.trusted_tasks)
    candidates = [Model(UNTRAINED, None, None, evaluation.source.files), *trained_models(models)]
    rows: list[dict[str, Any]] = []
    keys: list[dict[str, Any]] = []
    n_reused = 0
    for model, (source, parts, graded, reused) in _asked(evaluation, sources, candidates):
        n_reused += reused
        keys.append({"model": model.name, "tasks": sorted({a["task"] for a in graded}), "key": parts})
        rows += [answer | {"model": model.name} for answer in graded]
        accuracy = sum(answer["correct"] for answer in graded) / len(graded)
        log.info("evaluate %s on %s: %.3f%s", model.name, source.name, accuracy, " (from the cache)" * reused)
    answers = pl.DataFrame(rows, schema=tables.ANSWERS.schema).sort(tables.ANSWERS.key)
    evaluations = with_pass_at(evaluations_of(answers, candidates), answers, evaluation.settings.pass_at)
    with disk.fresh_folder(out) as folder:
        table_files.write(tables.ANSWERS, answers, folder / tables.ANSWERS.file)
        table_files.write(tables.EVALUATIONS, evaluations, folder / tables.EVALUATIONS.file)
        disk.write_json([sidecache.plain(k) for k in keys], folder / KEYS)
    return Evaluated(evaluations, answers, len(candidates) * len(sources) - n_reused, n_reused)


def answers_of(evaluation: Evaluation, sources: list[TaskSource]) -> pl.DataFrame:
    """One student's answers to all tasks: the columns of tables.ANSWERS but `model`, sorted by the rest of its key.

    Answers that it gave before come from the side cache; it is loaded only where some are missing there. Raises
    EvaluationError as `evaluate_all` does.
    """
    with tempfile.TemporaryDirectory() as scratch, silenced():
        load = partial(load_task, scratch=Path(scratch))
        rows = [answer for _, _, graded, _ in _by_task(evaluation, sources, load) for answer in graded]
    schema = {name: dtype for name, dtype in tables.ANSWERS.schema.items() if name != "model"}
    return pl.DataFrame(rows, schema=schema).sort("task", "question", "sample")


def _asked(evaluation: Evaluation, sources: list[TaskSource], models: list[Model]) -> Iterator[tuple[Model, _Graded]]:
    """Each model with its answers, in order. Two are asked in this process; then it is known what one takes, and where
    several processes are sooner, they ask the others."""
    students = [replace(evaluation, source=replace(evaluation.source, files=m.files)) for m in models]
    last_s: list[float] = []
    beside: list[Evaluation] = []
    with tempfile.TemporaryDirectory() as scratch, silenced(), Crew(None, sources) as crew:
        load_once = functools.cache(partial(load_task, scratch=Path(scratch)))
        ahead: Iterator[None] = iter(())
        for place, (model, student) in enumerate(zip(models, students, strict=True)):
            if len(last_s) == _ASKED_FIRST and not beside:
                beside = _for_processes(students[place:], sources, last_s[-1], crew.workers)
                ahead = crew.map(_ask_in_worker, beside)
            is_beside, begin = student in beside, time.monotonic()
            if is_beside:
                try:
                    next(ahead)
                except BrokenProcessPool:
                    raise EvaluationError(
                        "a process that asked a student was ended from outside (out of memory?); run it again: "
                        "finished students are kept"
                    ) from None
            is_new = False
            for source, parts, graded, reused in _by_task(student, sources, load_once):
                is_new |= not reused
                # What a process asked comes from the cache here.
                yield model, (source, parts, graded, reused and not is_beside)
            if is_new:
                last_s.append(time.monotonic() - begin)


def _for_processes(
    students: list[Evaluation], sources: list[TaskSource], one_s: float, workers: int
) -> list[Evaluation]:
    """Those that processes are to ask, each of which takes `one_s` seconds; none where that would be later."""
    store = sidecache.SideCache(students[0].cache)
    by_keys: dict[tuple[str, ...], Evaluation] = {}  # students that are the same are asked once
    for student in students:
        keys = tuple(sidecache.key(**_key_parts(student.source, t, student.settings)) for t in sources)
        if not all(store.has(key) for key in keys):
            by_keys.setdefault(keys, student)
    new = list(by_keys.values())
    saved_s = one_s * (len(new) - math.ceil(len(new) / workers))
    is_sooner = saved_s > _START_S and students[0].settings.engine == "hf" and takes_one_core(students[0].source)
    return new if is_sooner else []


def _ask_in_worker(sources: list[TaskSource], evaluation: Evaluation) -> None:
    leave_to_parent()
    with tempfile.TemporaryDirectory() as scratch, silenced():
        for _ in _by_task(evaluation, sources, partial(load_task, scratch=Path(scratch))):
            pass


def _by_task(evaluation: Evaluation, sources: list[TaskSource], load: Callable[[TaskSource], Any]) -> Iterator[_Graded]:
    """For each task: the parts of its key, the graded answers, and whether they were in the side cache."""
    student, settings = evaluation.source, evaluation.settings
    store = sidecache.SideCache(evaluation.cache)
    # Loaded when the first task needs it, and no longer held than the model has its turn.
    lm = functools.cache(partial(_load, student, settings))
    for task in sources:
        parts = _key_parts(student, task, settings)
        entry, reused = store.get_or_make(sidecache.key(**parts), partial(_make, lm, partial(load, task), settings))
        yield task, parts, _read(entry), reused


def key_settings(settings: params.Evaluate, student: params.Student) -> dict[str, Any]:
    """What decides answers besides model and task; the engine's version only where it is installed."""
    packages = ["lm-eval", "math-verify", "torch", "transformers"]
    if settings.engine == "vllm" and find_spec("vllm"):
        packages.append("vllm")
    return {
        "version": EVALUATE_VERSION,
        # What is done with the reasoning of traces makes no difference to a question.
        "rendering": student.model_dump(exclude={"path", "thinking"}),
        "settings": settings.model_dump(exclude={"tasks", "trusted_tasks", "rescore", "pass_at"}),
        "device": pick_device("auto"),
        "versions": {p: version(p) for p in packages},
    }


def trained_models(folder: Path) -> list[Model]:
    """The trained students of stage train's output, by selector and seed; raises EvaluationError if there is none."""
    models = []
    for own in sorted(folder.glob("*/seed-*")):
        selector, seed = own.parent.name, int(own.name.removeprefix("seed-"))
        models.append(Model(f"{selector}/{own.name}", selector, seed, StudentFiles(own)))
    if not models:
        raise EvaluationError(f"{folder} holds no trained student (<selector>/seed-<seed>/); run 'dvc repro train'")
    return models


def _load(source: StudentSource, settings: params.Evaluate) -> Any:
    if settings.engine == "vllm":
        return _load_vllm(source, settings)
    from stepsift.evaluate.student_lm import StudentLM

    model = source.load_model(settings.dtype, pick_device("auto"))
    return StudentLM(model, source.load_renderer(), context_tokens(model.config, source.settings), settings)


def _load_vllm(source: StudentSource, settings: params.Evaluate) -> Any:
    if source.files.gguf_file is not None:
        raise EvaluationError(
            "evaluate.engine is vllm, which is not given a GGUF student here; set engine: hf, or name a folder with "
            "config.json and weights"
        )
    try:
        from stepsift.evaluate.student_vllm import StudentVLLM
    except ImportError as e:
        raise EvaluationError(
            f"evaluate.engine is vllm, which cannot be loaded ({e}); install it ('pip install vllm') or set engine: hf"
        ) from e
    return StudentVLLM(str(source.files.folder), source.load_renderer(), source.context_tokens(), settings)


def _make(lm: Callable[[], Any], task: Callable[[], Any], settings: params.Evaluate, target: Path) -> None:
    from stepsift.evaluate.harness import answer_questions

    write_entry(answer_questions(lm(), task(), settings), target)


def write_entry(answers: Iterable[dict[str, Any]], target: Path) -> None:
    """Fill a side cache's entry, the folder `target`, with answers: the columns of tables.ANSWERS without `model`."""
    disk.write_lines((json.dumps(a, ensure_ascii=False, sort_keys=True) + "\n" for a in answers), target / _ANSWERS)


def _read(entry: Path) -> list[dict[str, Any]]:
    with (entry / _ANSWERS).open(encoding="utf-8", newline="\n") as f:
        return [json.loads(line) for line in f]


def _key_parts(student: StudentSource, task: TaskSource, settings: params.Evaluate) -> dict[str, Any]:
    of_task = {"kind": "evaluate", "model": student.fingerprint, "task": task.name, "content": task.digest}
    return of_task | key_settings(settings, student.settings)


def evaluations_of(answers: pl.DataFrame, models: list[Model]) -> pl.DataFrame:
    """Accuracy and its standard error for each task and model.

    A question counts with the mean of its samples; the standard error is the sample standard deviation of these means /
    sqrt(questions), as samples of one question are no independent questions.
    """
    named = pl.DataFrame(
        [(m.name, m.selector, m.seed) for m in models],
        schema={"model": pl.String, "selector": pl.String, "seed": pl.Int64},
        orient="row",
    )
    # In one order, on which the last bit of a sum depends.
    ordered = answers.sort(tables.ANSWERS.key)
    by_question = ordered.group_by("task", "model", "question", maintain_order=True).agg(
        pl.col("correct").mean(), pl.col("ended").cast(pl.Float64).mean(), samples=pl.len()
    )
    summary = by_question.group_by("task", "model", maintain_order=True).agg(
        n=pl.len().cast(pl.Int64),
        samples=pl.col("samples").max().cast(pl.Int64),
        accuracy=pl.col("correct").mean(),
        stderr=pl.col("correct").std() / pl.len().sqrt(),
        ended=pl.col("ended").mean(),
    )
    joined = summary.join(named, on="model", how="left").select(tables.EVALUATIONS.schema.keys())
    return joined.sort(tables.EVALUATIONS.key)
