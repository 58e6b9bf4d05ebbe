"""Hold an audition: choose, plan, train, examine, compare, write."""

import json
import logging
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from stepsift import evaluate, params, student, train
from stepsift import select as curate
from stepsift.audition import cost
from stepsift.audition.arms import Arm, budgets, make_arms
from stepsift.audition.page import page
from stepsift.audition.plan import Plan, make_plan
from stepsift.audition.result import answers_of_budget, result
from stepsift.audition.runs import Found, Run, Setting, known, list_runs, perform
from stepsift.core import disk
from stepsift.core.errors import AuditionError
from stepsift.core.pace import duration
from stepsift.score.plan import sample_prompts
from stepsift.select import export, pool, questions
from stepsift.select.ranking import TeacherScores, teacher_scores
from stepsift.tasks import find_tasks

log = logging.getLogger(__name__)

STARTED = "started.json"


@dataclass(frozen=True)
class Places:
    """Where an audition reads and writes: tables, tasks, the folder of all auditions, the root of all caches."""

    prompts: Path
    traces: Path
    step_scores: Path
    tasks: Path
    out: Path
    cache: Path


@dataclass(frozen=True)
class Held:
    """An audition that was held: its folder, its result, and lines to read."""

    folder: Path
    result: dict[str, Any]
    lines: list[str]


@dataclass(frozen=True)
class _Prepared:
    plan: Plan
    setting: Setting
    sets: dict[str, train.Examples]
    runs: list[Run]
    candidates: pl.DataFrame


def hold(settings: params.Params, places: Places, workers: int, pilot: float | None) -> Held:
    """Hold the audition that `settings.audition` describes, or go on with one that was stopped.

    `pilot` is the share of prompts on which one seed of it is tried, to tell what the whole would cost.
    Written below `places.out`, in a folder named like the plan: plan.json (first of all), started.json, result.json,
    answers.parquet and README.md. Raises AuditionError, SelectionError, TrainingError and EvaluationError.
    """
    prepared = _prepare(settings, places, pilot)
    plan, runs = prepared.plan, prepared.runs
    there = known(prepared.setting, runs)
    folder = plan.write(places.out)
    if not (folder / STARTED).is_file():
        disk.write_json({"runs_known_before": sum(len(r.arms) for r in there)}, folder / STARTED)
    log.info(
        "plan %s: %d students, %d of them known; %s", plan.digest[:12], len(runs), len(there), folder / "plan.json"
    )
    found = _perform(prepared, workers, len(there))
    untrained = evaluate.answers_of(
        prepared.setting.files,
        prepared.setting.tasks,
        prepared.setting.evaluate,
        prepared.setting.student,
        places.cache / "evaluations",
    )
    asked = settings.audition
    scores = teacher_scores(prepared.candidates, asked.resamples, asked.seed)
    known_before = json.loads((folder / STARTED).read_text(encoding="utf-8"))["runs_known_before"]
    results = result(plan, found, _first_selectors_first(scores, asked), untrained, known_before)
    answers = pl.concat(
        [answers_of_budget(found, name).with_columns(budget=pl.lit(name)) for name in plan.content["budgets"]]
    )
    answers.write_parquet(folder / "answers.parquet")
    disk.write_json(results, folder / "result.json")
    disk.write_text(page(plan, results), folder / "README.md")
    lines = [f"{name}: {text}" for name, b in results["budgets"].items() for text in b["verdict"]]
    if pilot is not None:
        whole = _prepare(settings, places, None)
        there = known(whole.setting, whole.runs)
        ahead = [(whole.setting, whole.sets[run.arms[0]], run) for run in whole.runs if run not in there]
        lines = cost.predict([f for _, f in found], ahead, len(there), workers)
    return Held(folder, results, lines)


def _prepare(settings: params.Params, places: Places, pilot: float | None) -> _Prepared:
    paths = (places.prompts, places.traces, places.step_scores)
    for path in paths:
        if not path.is_file():
            raise AuditionError(f"there is no {path}, which an audition starts from; run 'dvc repro score'")
    inputs = {path.name: disk.file_md5(path) for path in paths}
    if pilot is not None:
        settings = _small(settings, pilot)
    traces = pool.read(*paths)
    if pilot is not None:
        traces = _share_of(traces, pilot, settings.audition.seed)
    tasks = find_tasks(settings.evaluate.tasks, places.tasks)
    asked = questions.load_questions(
        settings.evaluate.tasks, places.tasks, skip_missing=settings.select.filters.decontaminate is None
    )
    arms = make_arms(settings.audition, traces.traces["teacher"].unique().sort().to_list())
    select = settings.select.model_copy(update={"selectors": tuple(a.selector for a in arms)})
    selection = curate.select(traces, select, asked)
    files = student.locate(settings.student)
    sets = _sets(arms, selection, traces, files, settings)
    origin = student.fingerprint(files)
    setting = Setting(
        files,
        origin,
        settings.student,
        settings.train,
        settings.evaluate,
        tasks,
        settings.audition.keep_students,
        places.cache,
    )
    of_budget = budgets(settings.audition, settings.train.epochs, selection.candidates)
    digests = {t.name: t.digest for t in tasks}
    plan = make_plan(settings, origin, arms, sets, of_budget, digests, inputs, pilot)
    runs = list_runs(setting, sets, settings.audition.seeds, of_budget)
    return _Prepared(plan, setting, sets, runs, selection.candidates)


def _small(settings: params.Params, share: float) -> params.Params:
    """The settings of a pilot: one seed, and budgets cut like the prompts."""
    budgets = tuple(
        b if isinstance(b, str) else params.Budget(**{k: max(1, round(share * v)) for k, v in b if v is not None})
        for b in settings.audition.budgets
    )
    changes = {"seeds": settings.audition.seeds[:1], "budgets": budgets}
    return settings.model_copy(update={"audition": settings.audition.model_copy(update=changes)})


def _share_of(traces: pool.Pool, share: float, seed: int) -> pool.Pool:
    """The pool of a seeded share of the prompts."""
    ids = traces.prompts["prompt_id"].to_list()
    kept = list(sample_prompts(ids, max(1, round(share * len(ids))), seed))
    of_kept = traces.traces.filter(pl.col("prompt_id").is_in(kept))
    wanted = of_kept["trace_id"].implode()

    def some(frames: Any) -> Any:
        return (frame.filter(pl.col("trace_id").is_in(wanted)) for frame in frames)

    return pool.Pool(
        traces.prompts.filter(pl.col("prompt_id").is_in(kept)),
        of_kept,
        lambda: some(traces.responses()),
        lambda: some(traces.step_scores()),
    )


def _sets(
    arms: list[Arm],
    selection: curate.Selection,
    traces: pool.Pool,
    files: student.StudentFiles,
    settings: params.Params,
) -> dict[str, train.Examples]:
    """Each arm's examples, as the train stage would read them."""
    renderer = student.load_renderer(files, settings.student)
    most = train.most_tokens(files, settings.train, settings.student)
    sets = {}
    with tempfile.TemporaryDirectory() as scratch:
        for arm in arms:
            folder = Path(scratch) / arm.selector.name
            export.write(curate.examples(selection.curated[arm.selector.name], traces), ("messages",), folder)
            sets[arm.name] = train.load_examples(folder / "train.jsonl", renderer, most, arm.name)
    return sets


def _perform(prepared: _Prepared, workers: int, n_known: int) -> list[tuple[Run, Found]]:
    found = []
    begin, n_runs = time.monotonic(), len(prepared.runs)
    for run, outcome in perform(prepared.setting, prepared.sets, prepared.runs, workers):
        found.append((run, outcome))
        n_done = len(found) - n_known
        if n_done > 0:
            left_s = (time.monotonic() - begin) / n_done * (n_runs - len(found))
            what = f"{', '.join(run.arms)}, seed {run.seed}, {run.budget.name}: {outcome.accuracy:.3f}"
            log.info("[%d/%d] %s; about %s left", len(found), n_runs, what, duration(left_s))
    order = {run.key: i for i, run in enumerate(prepared.runs)}
    return sorted(found, key=lambda pair: order[pair[0].key])


def _first_selectors_first(scores: list[TeacherScores], asked: params.Audition) -> list[TeacherScores]:
    """Metrics that are auditioned as selectors in their order, then the others by name."""
    place = {name: i for i, name in enumerate(asked.selectors)}
    return sorted(scores, key=lambda s: (place.get(s.metric.name, len(place)), s.metric.name))
