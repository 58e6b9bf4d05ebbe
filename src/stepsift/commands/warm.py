"""Fill the caches of scores, models and evaluations from what DVC holds for another git revision.

A fresh machine of CI, or a teammate's, then computes only what is new. Data come from DVC's cache here or from a
remote; the work tree is not touched and no model is loaded. Every file is compared with its checksum on the way.

What is filled in stands under the key that the run would have used which made it:

- scores: step sums. Traces are rendered and planned anew, with the settings that `dvc.lock` says they were scored with,
  and only those are taken that come out with as many tokens in each step and the same passes. They go to the space of
  the student and the numerics that the scores name, so values of two numerics do not mix here either.
- trained students and evaluations: the parts of their keys stand beside them, in `keys.json`.
"""

import hashlib
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import polars as pl

from stepsift import params, render, sidecache, student
from stepsift.core import table_files, tables
from stepsift.core.errors import CacheError, StepsiftError, TableError
from stepsift.core.text import count
from stepsift.evaluate import run as evaluate
from stepsift.lineage.revision import Revision
from stepsift.score.cache.scores import Numerics, ScoreCache, sums_key
from stepsift.score.forward.request import Refused
from stepsift.score.plan import Planned, Planner
from stepsift.score.pool import Pool, PoolTables, Prompts, Trace
from stepsift.score.shipped import is_shipped
from stepsift.sidecache import SideCache
from stepsift.train import run as train

ANY_TOKEN = 2**31
"""Vocabulary of a plan for traces that have scores: their tokens were known to the model."""


@dataclass
class Warmed:
    """What was filled in, in lines to read, and one sentence for each part that could not be."""

    lines: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


def warm_from(revs: Sequence[str], now: params.Params, caches: Path) -> Warmed:
    """`warm_caches` from each of several revisions; one that cannot be read does not keep the others from it.

    With several revisions, lines and problems name theirs; a single one that cannot be read raises CacheError.
    """
    if len(revs) == 1:
        return warm_caches(revs[0], now, caches)
    every = Warmed()
    for rev in revs:
        every.lines.append(f"from {rev}")
        try:
            warmed = warm_caches(rev, now, caches)
        except CacheError as e:
            warmed = Warmed(problems=[str(e)])
        every.lines += [f"  {line}" for line in warmed.lines]
        every.problems += [f"from {rev}: {problem}" for problem in warmed.problems]
    return every


def warm_caches(rev: str, now: params.Params, caches: Path) -> Warmed:
    """Fill the caches below `caches` from git revision `rev` of the repository in the working folder.

    `now` are the present parameters: they say which student is here and how this machine would score. A part that
    cannot be filled does not keep the others from it. Raises CacheError if there is no such revision, or it was never
    run.
    """
    revision = Revision(rev)
    warmed = Warmed()
    with revision:
        for stage, part in (("score", _scores), ("train", _models), ("evaluate", _evaluations)):
            if stage not in revision.stages:
                warmed.lines.append(f"{stage:12}was not run in revision '{rev}'")
                continue
            try:
                warmed.lines += part(revision, now, caches)
            except StepsiftError as e:
                warmed.problems.append(str(e))
    return warmed


def _scores(revision: Revision, now: params.Params, caches: Path) -> list[str]:
    """Step sums of every scored trace that is not there yet, of the student and of each reference."""
    out = revision.paths("score", 4)[3]
    recorded = revision.json(f"{out}/numerics.json")
    if recorded is None:
        return [f"scores      do not say how they were made (no {out}/numerics.json): none is filled in"]
    here = hashlib.md5(Path(render.__file__).read_bytes(), usedforsecurity=False).hexdigest()
    then = revision.section("score", "student", params.Student)
    scored = _ScoredBy("student", now.student, then, recorded["student"], recorded["numerics"], out)
    same_renderer = revision.md5_of_code("score", "src/stepsift/render.py") in (None, here)
    if not same_renderer and _is_here(scored, now):
        return [
            "scores      were made by a different src/stepsift/render.py, which may give other tokens: none is "
            "filled in"
        ]
    models = [scored, *(_references(revision, now, out) if same_renderer else [])]
    return [line for model in models for line in _scores_of(model, revision, now, caches)]


@dataclass(frozen=True)
class _ScoredBy:
    """A model whose scores a revision holds: what lines call it, its settings now and then, fingerprint, numerics,
    and the folder of its table."""

    role: str
    now: params.Student
    then: params.Student
    fingerprint: str
    numerics: Numerics
    folder: str


def _references(revision: Revision, now: params.Params, out: str) -> list[_ScoredBy]:
    """The models that scored as references, of those that are still named; shipped log-probabilities need no cache."""
    folder = f"{out}/references"
    listed = revision.json(f"{folder}/{tables.REFERENCES}") if revision.has(folder) else None
    current = {r.name: r for r in now.score.references}
    then = {r.name: r for r in revision.section("score", "score", params.Score).references}
    return [
        _ScoredBy(
            *(f"reference '{name}'", current[name], then[name], about["model"], about["numerics"]),
            folder=f"{folder}/{name}",
        )
        for about in listed or []
        if (name := about["name"]) in current and name in then and not is_shipped(then[name])
    ]


def _is_here(scored: _ScoredBy, now: params.Params) -> bool:
    from stepsift.score.identity import identify

    return identify(scored.now, now.score).student == scored.fingerprint


def _scores_of(scored: _ScoredBy, revision: Revision, now: params.Params, caches: Path) -> list[str]:
    """Step sums of every trace that one model scored and that is not there yet."""
    from stepsift.score.identity import identify

    current = identify(scored.now, now.score)
    if scored.fingerprint != current.student:
        path = "student.path" if scored.role == "student" else scored.now.path
        return [
            f"scores      are those of a different {scored.role} ({scored.fingerprint[:12]}, {path} is that of "
            f"{current.student[:12]}): none is filled in"
        ]
    planner = _planner(revision, scored)
    with tempfile.TemporaryDirectory() as scratch:
        names = (*revision.paths("score", 3), f"{scored.folder}/{tables.STEP_SCORES.file}")
        *pool, scores = (revision.get(name, Path(scratch)) for name in names)
        cache = ScoreCache(caches, current.student, scored.numerics)
        filled, there, other = _fill(cache, planner, PoolTables(*pool), scores)
    of = "" if scored.role == "student" else f" of {scored.role}"
    lines = [f"scores      {count(filled, 'trace')} filled in{of}, {there} were there"]
    if other:
        lines[0] += f", {other} come out with other tokens or passes now and are left out"
    if differing := _differing(scored.numerics, current.numerics):
        lines.append(f"            {differing}; they will not be used")
    return lines


def _planner(revision: Revision, scored: _ScoredBy) -> Planner:
    """Plans as the revision made them: the model is here, how it was used stands in dvc.lock."""
    source = student.StudentSource(student.locate(scored.now), scored.then)
    score = revision.section("score", "score", params.Score)
    return Planner(source.load_renderer(), score, source.context_tokens(), ANY_TOKEN)


def _fill(cache: ScoreCache, planner: Planner, paths: PoolTables, scores: Path) -> tuple[int, int, int]:
    """How many traces were filled in, were there, and do not give the scores of the table again."""
    ids = {i for f in table_files.scan(tables.PROMPTS, paths.prompts, ["prompt_id"]) for i in f["prompt_id"]}
    assert paths.steps is not None
    pool = Pool(Prompts(paths.prompts, ids), paths.traces, paths.steps)
    rows = table_files.groups(table_files.scan(tables.STEP_SCORES, scores), "trace_id")
    filled = there = other = 0
    trace_id, sums = next(rows, (None, pl.DataFrame()))
    for chunk in pool.chunks():
        scored: list[tuple[Trace, pl.DataFrame]] = []
        for trace in chunk:
            # Traces without scores were refused, or are not in the sample of prompts.
            if trace.trace_id == trace_id:
                scored.append((trace, sums))
                trace_id, sums = next(rows, (None, pl.DataFrame()))
        plans = planner.plan_many([(pool.prompts[t.prompt_id], t.response, t.ends) for t, _ in scored])
        keys = [_key_of(planned, frame) for planned, (_, frame) in zip(plans, scored, strict=True)]
        keyed = [(key, frame) for key, (_, frame) in zip(keys, scored, strict=True) if key is not None]
        other += len(keys) - len(keyed)
        known = cache.get_sums(key for key, _ in keyed)
        for key, frame in keyed:
            if key in known:
                there += 1
            else:
                cache.put_sums(key, frame)
                filled += 1
    if trace_id is not None:
        raise TableError(f"there are scores of trace {trace_id}, and no such trace is left in the revision's pool")
    # Not closed: that would leave this in place of the last run's hit rate.
    cache.flush()
    return filled, there, other


def _key_of(planned: Planned | Refused, sums: pl.DataFrame) -> bytes | None:
    """Key of a trace's step sums; None if they are not sums over these tokens and passes."""
    if not isinstance(planned, Planned):
        return None
    n_tokens = sums["n_tokens"].to_list()
    made = sums.filter(pl.col("n_tokens") > 0)
    if n_tokens != [b - a for a, b in zip(planned.bounds[:-1], planned.bounds[1:], strict=True)]:
        return None
    for name, is_needed in (("local", bool(planned.local)), ("full", planned.full)):
        if made[f"{name}_logprob"].null_count() != (0 if is_needed else made.height):
            return None
    ids = planned.rendered.prompt_ids, planned.rendered.response_ids
    return sums_key(*ids, planned.bounds, planned.local, bool(planned.local), planned.full)


def _differing(recorded: Numerics, current: Numerics) -> str:
    """The numbers in which the two differ, or nothing."""
    names = [n for n in sorted({*recorded, *current}) if recorded.get(n) != current.get(n)]
    if not names:
        return ""
    them, us = (", ".join(f"{n} {numbers.get(n, '-')}" for n in names) for numbers in (recorded, current))
    return f"they were scored with {them}; this machine scores with {us}"


def _models(revision: Revision, _: params.Params, caches: Path) -> list[str]:
    """Trained students, each under the key that stands beside it."""
    out = revision.paths("train", 2)[1]
    keys = revision.json(f"{out}/{train.KEYS}")
    if keys is None:
        return [f"models      do not say their keys (no {out}/{train.KEYS}): none is filled in"]
    makes = {sidecache.key(**parts): partial(revision.get_below, f"{out}/{name}") for name, parts in keys.items()}
    return [f"models      {_store(SideCache(caches / 'models'), makes)}"]


def _evaluations(revision: Revision, _: params.Params, caches: Path) -> list[str]:
    """Answers of each model to each task, under the key that stands beside them."""
    out = revision.paths("evaluate", 3)[2]
    keys = revision.json(f"{out}/{evaluate.KEYS}")
    if keys is None:
        return [f"evaluations do not say their keys (no {out}/{evaluate.KEYS}): none is filled in"]
    with tempfile.TemporaryDirectory() as scratch:
        answers = table_files.read(tables.ANSWERS, revision.get(f"{out}/{tables.ANSWERS.file}", Path(scratch)))
    makes = {}
    for entry in keys:
        own = answers.filter(pl.col("model") == entry["model"], pl.col("task").is_in(entry["tasks"])).drop("model")
        makes[sidecache.key(**entry["key"])] = partial(evaluate.write_entry, own.to_dicts())
    return [f"evaluations {_store(SideCache(caches / 'evaluations'), makes)}"]


def _store(cache: SideCache, makes: Mapping[str, Callable[[Path], None]]) -> str:
    there = sum(cache.get_or_make(key, make)[1] for key, make in makes.items())
    return f"{len(makes) - there} filled in, {there} were there"
