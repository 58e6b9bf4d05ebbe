"""Run an audition: choose, plan, train, evaluate, compare, write."""

import json
import logging
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from stepsift import evaluate, params, student, train
from stepsift.audition import cost
from stepsift.audition.arms import FIRST_HALF, HALF, Arm, budgets, make_arms
from stepsift.audition.page import as_markdown
from stepsift.audition.plan import AuditionPlan, Grounds, make_plan
from stepsift.audition.result import answers_of_budget, summarise
from stepsift.audition.runs import AuditionRun, RunResult, RunSettings, finished, list_runs, run_all
from stepsift.core import disk, tables
from stepsift.core.errors import AuditionError
from stepsift.core.pace import duration
from stepsift.core.text import count
from stepsift.metrics import all_metrics
from stepsift.score.plan import sample_prompts
from stepsift.select import Selection, examples, export, pool, questions
from stepsift.select import select as select_traces
from stepsift.select.ranking import TeacherScores, teacher_scores
from stepsift.select.step_masks import masked_steps, with_masks
from stepsift.select.weights import WEIGHT, weighted
from stepsift.tasks import find_tasks

log = logging.getLogger(__name__)

STARTED = "started.json"


@dataclass(frozen=True)
class AuditionPlaces:
    """Where an audition reads and writes: tables, tasks, the folder of all auditions, the root of all caches.

    `steps` is read where steps are masked or traces are cut.
    """

    prompts: Path
    traces: Path
    step_scores: Path
    steps: Path
    tasks: Path
    out: Path
    cache: Path


@dataclass(frozen=True)
class AuditionOutcome:
    """A finished audition: its folder, its result, and lines to read."""

    folder: Path
    result: dict[str, Any]
    lines: list[str]


@dataclass(frozen=True)
class _Prepared:
    plan: AuditionPlan
    setting: RunSettings
    sets: dict[str, train.Examples]
    runs: list[AuditionRun]
    candidates: pl.DataFrame


def run_audition(settings: params.Params, places: AuditionPlaces, workers: int, pilot: float | None) -> AuditionOutcome:
    """Run the audition that `settings.audition` describes, or go on with one that was stopped.

    `pilot` is the share of prompts on which one seed of it is tried, to tell what the whole would cost.
    Written below `places.out`, in a folder named like the plan: plan.json (first of all), started.json, result.json,
    answers.parquet and README.md. Raises AuditionError, SelectionError, TrainingError and EvaluationError.
    """
    prepared = _prepare(settings, places, pilot)
    plan, runs = prepared.plan, prepared.runs
    there = finished(prepared.setting, runs)
    folder = plan.write(places.out)
    if not (folder / STARTED).is_file():
        disk.write_json({"runs_known_before": sum(len(r.arms) for r in there)}, folder / STARTED)
    log.info(
        "plan %s: %s, %d of them known; %s",
        plan.digest[:12],
        count(len(runs), "student"),
        len(there),
        folder / "plan.json",
    )
    results = _run_all(prepared, workers, len(there))
    untrained = evaluate.answers_of(prepared.setting.evaluation(prepared.setting.source), prepared.setting.tasks)
    audition = settings.audition
    scores = teacher_scores(prepared.candidates, audition.resamples, audition.seed)
    known_before = json.loads((folder / STARTED).read_text(encoding="utf-8"))["runs_known_before"]
    content = summarise(plan, results, _first_selectors_first(scores, audition), untrained, known_before)
    answers = pl.concat(
        [answers_of_budget(results, name).with_columns(budget=pl.lit(name)) for name in plan.content["budgets"]]
    )
    with disk.whole_file(folder / tables.ANSWERS.file) as temporary:
        answers.write_parquet(temporary)
    disk.write_json(content, folder / "result.json")
    disk.write_text(as_markdown(plan, content), folder / "README.md")
    lines = [f"{name}: {text}" for name, b in content["budgets"].items() for text in b["verdict"]]
    if pilot is not None:
        whole = _prepare(settings, places, None)
        there = finished(whole.setting, whole.runs)
        ahead = [(whole.setting, whole.sets[run.set_name], run) for run in whole.runs if run not in there]
        lines = cost.predict([r for _, r in results], ahead, len(there), workers)
    return AuditionOutcome(folder, content, lines)


def finished_runs(settings: params.Params, places: AuditionPlaces) -> tuple[list[tuple[AuditionRun, RunResult]], int]:
    """The runs of an audition that are known by now, with their results, and how many there are in all.

    For a look at one that goes on: nothing is trained, planned or written. Raises as `run_audition` does.
    """
    prepared = _prepare(settings, places, None)
    there = finished(prepared.setting, prepared.runs)
    return list(run_all(prepared.setting, prepared.sets, there, 1)), len(prepared.runs)


def _prepare(settings: params.Params, places: AuditionPlaces, pilot: float | None) -> _Prepared:
    tables_of_pool = (places.prompts, places.traces, places.step_scores)
    cuts = _masks(settings)
    paths = (*tables_of_pool, places.steps) if cuts else tables_of_pool
    for path in paths:
        if not path.is_file():
            raise AuditionError(f"there is no {path}, which an audition starts from; run 'dvc repro score'")
    inputs = {path.name: disk.file_md5(path) for path in paths}
    reference = pool.find_reference(places.step_scores.parent, settings.select.reference)
    metrics = (*settings.audition.selectors, *(arm.by for arm in settings.audition.arms))
    if reference is not None and any(all_metrics()[name].of_two_models for name in metrics):
        inputs["reference"] = reference.about["md5"]
    if pilot is not None:
        settings = _small(settings, pilot)
    traces = pool.read(
        *tables_of_pool,
        steps=places.steps if cuts else None,
        reference=reference.step_scores if reference else None,
    )
    if pilot is not None:
        traces = _share_of(traces, pilot, settings.audition.seed)
    tasks = find_tasks(settings.evaluate.tasks, places.tasks, settings.evaluate.trusted_tasks)
    unfiltered = settings.select.filters.decontaminate is None
    evaluation_questions = questions.load_questions(
        settings.evaluate.tasks, places.tasks, settings.evaluate.trusted_tasks, skip_missing=unfiltered
    )
    steps = None if settings.train.steps == "all" else settings.train.steps
    arms = make_arms(settings.audition, traces.traces["teacher"].unique().sort().to_list(), steps)
    selectors = {a.selector.name: a.selector for a in arms}  # an arm and its control may choose the same
    select = settings.select.model_copy(update={"selectors": tuple(selectors.values())})
    selection = select_traces(traces, select, evaluation_questions)
    source = student.find(settings.student)
    sets = _sets(arms, selection, traces, source, settings)
    keep = settings.audition.keep_students
    setting = RunSettings(source, settings.train, settings.evaluate, tasks, keep, places.cache)
    of_budget = budgets(settings.audition, settings.train.epochs, selection.candidates)
    grounds = Grounds(source.fingerprint, {t.name: t.digest for t in tasks}, inputs, pilot)
    plan = make_plan(settings, arms, sets, of_budget, grounds)
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


def _share_of(traces: pool.ScoredPool, share: float, seed: int) -> pool.ScoredPool:
    """The pool of a seeded share of the prompts."""
    ids = traces.prompts["prompt_id"].to_list()
    kept = list(sample_prompts(ids, max(1, round(share * len(ids))), seed))
    of_kept = traces.traces.filter(pl.col("prompt_id").is_in(kept))
    ids_of_kept = of_kept["trace_id"].implode()

    def some(frames: Any) -> Any:
        return (frame.filter(pl.col("trace_id").is_in(ids_of_kept)) for frame in frames)

    return pool.ScoredPool(
        traces.prompts.filter(pl.col("prompt_id").is_in(kept)),
        of_kept,
        lambda: some(traces.responses()),
        lambda: some(traces.step_scores()),
        traces.steps,
    )


def _sets(
    arms: list[Arm],
    selection: Selection,
    traces: pool.ScoredPool,
    source: student.StudentSource,
    settings: params.Params,
) -> dict[str, train.Examples]:
    """Each arm's examples, as the train stage would read them, and cut ones where a budget shows first halves."""
    renderer = source.load_renderer()
    most = train.most_tokens(source, settings.train)
    sets = {}
    with tempfile.TemporaryDirectory() as scratch:
        for arm in arms:
            rows = examples(_weighed(arm, selection, settings.select), traces)
            forms = {arm.name: arm.steps}
            if "prefix" in settings.audition.budgets:
                forms[arm.name + HALF] = FIRST_HALF
            for name, steps in forms.items():
                shown = rows
                if steps is not None:
                    masked = masked_steps(rows["trace_id"], traces, steps, settings.select.seed)
                    shown = with_masks(rows, masked, steps)
                export.write(shown, ("messages",), Path(scratch))
                sets[name] = train.load_examples(Path(scratch) / "train.jsonl", renderer, most, name)
    return sets


def _weighed(arm: Arm, selection: Selection, settings: params.Select) -> pl.DataFrame:
    """Table curated of the arm, with the weights that it asks for itself."""
    curated = selection.curated[arm.selector.name]
    if arm.weights is None:
        return curated
    own = settings.model_copy(update={"weights": arm.weights})
    return weighted(curated.drop(WEIGHT, strict=False), selection.candidates, own, arm.selector.by)


def _masks(settings: params.Params) -> bool:
    """Whether it counts where steps lie."""
    of_arms = any(arm.steps != "all" for arm in settings.audition.arms)
    return of_arms or settings.train.steps != "all" or "prefix" in settings.audition.budgets


def _run_all(prepared: _Prepared, workers: int, n_known: int) -> list[tuple[AuditionRun, RunResult]]:
    results = []
    begin, n_runs = time.monotonic(), len(prepared.runs)
    for run, result_of_run in run_all(prepared.setting, prepared.sets, prepared.runs, workers):
        results.append((run, result_of_run))
        n_done = len(results) - n_known
        if n_done > 0:
            left_s = (time.monotonic() - begin) / n_done * (n_runs - len(results))
            what = f"{', '.join(run.arms)}, seed {run.seed}, {run.budget.name}: {result_of_run.accuracy:.3f}"
            log.info("[%d/%d] %s; about %s left", len(results), n_runs, what, duration(left_s))
    order = {run.key: i for i, run in enumerate(prepared.runs)}
    return sorted(results, key=lambda pair: order[pair[0].key])


def _first_selectors_first(scores: list[TeacherScores], settings: params.Audition) -> list[TeacherScores]:
    """Metrics that are auditioned as selectors in their order, then the others by name."""
    place = {name: i for i, name in enumerate(settings.selectors)}
    return sorted(scores, key=lambda s: (place.get(s.metric.name, len(place)), s.metric.name))
