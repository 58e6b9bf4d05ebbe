"""Score a pool: traces and their steps in, step scores and rejected rows out, a chunk of traces at a time.

What was scored before comes from the cache, and what is scored goes there at once: a run that ends early, whatever
ends it, has kept all but its last seconds. Knows tables and the student, but neither files' places nor DVC, and never
which teacher wrote a trace.
"""

import logging
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl

from stepsift.core import table_files, tables
from stepsift.core.errors import ScoringError
from stepsift.core.interrupt import Interrupt
from stepsift.core.pace import duration
from stepsift.core.text import count
from stepsift.render import Messages
from stepsift.score.cache.spot_check import SpotCheck
from stepsift.score.forward.request import Refused, Scores
from stepsift.score.job import TraceJob, rows_of
from stepsift.score.pool import Pool, Trace
from stepsift.score.progress import OnProgress, Progress, Reporter
from stepsift.score.setup import Scoring

log = logging.getLogger(__name__)

_TABLE = tables.STEP_SCORES.file


class _PoolScorer:
    """Scores traces by the chunk: plans them, takes what the cache has, has the rest computed, and keeps it."""

    def __init__(self, scoring: Scoring, progress: Progress, interrupt: Interrupt):
        self.planner, self.backend, self.cache = scoring.planner, scoring.backend, scoring.cache
        self.progress, self.interrupt = progress, interrupt
        self.spot_check: SpotCheck | None = None
        self.refused: dict[str, Refused] = {}
        """By trace: what the backend refused, which is not tried again."""

    def score(
        self, chunk: list[Trace], prompts: Mapping[str, Messages], reporter: Reporter
    ) -> tuple[pl.DataFrame, list[tuple[Trace, Refused]]]:
        """Rows of step_scores of a chunk, in its order, and the traces that were refused."""
        jobs, refused = self._plan(chunk, prompts)
        self._recall(jobs)
        missing = self._settle(jobs, reporter)
        refused += [(j.trace, j.refused) for j in missing if j.refused is not None]
        scored = [j for j in jobs if j.refused is None]
        rows = rows_of(scored)
        self._keep_sums([j for j in scored if j.sums is None and j.usual], rows)
        return rows, refused

    def fill(self, chunk: list[Trace], prompts: Mapping[str, Messages], reporter: Reporter) -> None:
        """Have computed what the cache lacks of a chunk, of which nothing else is read but what is checked."""
        jobs, _ = self._plan(chunk, prompts)
        self._look_up(jobs)
        self._settle(jobs, reporter)

    def _plan(
        self, chunk: list[Trace], prompts: Mapping[str, Messages]
    ) -> tuple[list[TraceJob], list[tuple[Trace, Refused]]]:
        """A job for each trace that can be scored, and the others with what is in the way."""
        self.stop_if_asked()
        rest = [t for t in chunk if t.trace_id not in self.refused]
        plans = iter(self.planner.plan_many([(prompts[t.prompt_id], t.response, t.ends) for t in rest]))
        jobs: list[TraceJob] = []
        refused: list[tuple[Trace, Refused]] = []
        for trace in chunk:
            planned = self.refused.get(trace.trace_id) or next(plans)
            if isinstance(planned, Refused):
                refused.append((trace, planned))
                self._count_refused(planned)
            else:
                jobs.append(TraceJob.of(trace, planned))
        return jobs, refused

    def _look_up(self, jobs: list[TraceJob]) -> None:
        """Ask the cache for keys alone: of own sums, else of values of tokens, else of another revision's sums."""
        own = self.cache.has_own_sums(j.own_key for j in jobs)
        values = self.cache.has(k for j in jobs if j.own_key not in own for k in j.value_keys)
        for job in jobs:
            job.present = {k for k in (job.own_key, *job.value_keys) if k in own or k in values}
        keys = {id(j): j.sums_key() for j in jobs if not j.is_known()}
        sums = self.cache.has_sums(keys.values())
        for job in jobs:
            if keys.get(id(job)) in sums:
                job.present.add(job.own_key)  # as good as these
        tokens = {k: j.n_tokens for j in jobs for k in j.value_keys}
        self.cache.count_known(
            tokens, {*values, *(k for j in jobs if j.own_key in own for k in j.value_keys)}, len(sums)
        )

    def _recall(self, jobs: list[TraceJob]) -> None:
        """Take from the cache what rows are made of: own sums, else values of tokens, else another revision's sums."""
        own = self.cache.get_own_sums(j.own_key for j in jobs)
        tokens = {k: j.n_tokens for j in jobs if j.own_key in own for k in j.value_keys}
        self.cache.count_known(tokens, tokens)
        rest = [j for j in jobs if j.own_key not in own]
        values = self.cache.get_many(k for j in rest for k in j.value_keys)
        for job in jobs:
            job.present, job.sums = set(), own.get(job.own_key)
            job.local = values.get(job.local_key) if job.local_key else None
            job.full = values.get(job.full_key) if job.full_key else None
        keys = {id(j): j.sums_key() for j in rest if j.lacks_values()}
        sums = self.cache.get_sums(keys.values())
        for job in rest:
            job.sums = sums.get(keys[id(job)]) if id(job) in keys else None

    def _settle(self, jobs: list[TraceJob], reporter: Reporter) -> list[TraceJob]:
        """Count and check what is known, have the rest computed; the rest."""
        missing = [j for j in jobs if not j.is_known()]
        hits = [j for j in jobs if j.is_known()]
        for job in hits:
            self.progress.from_cache += 1
            self._count(job)
        self._check_cache(hits)
        self._compute(missing, reporter)
        reporter.tick()
        return missing

    def _keep_sums(self, jobs: list[TraceJob], rows: pl.DataFrame) -> None:
        """Keep the sums that were made of values of tokens, so that those are not read again."""
        if not jobs:
            return
        own = {j.trace.trace_id: j.own_key for j in jobs}
        made = rows.filter(pl.col("trace_id").is_in(pl.Series(list(own)).implode()))
        ids, n_steps = made["trace_id"].rle().struct.unnest().get_columns()[::-1]
        self.cache.put_own_sums([own[i] for i in ids], n_steps.to_list(), made)

    def _check_cache(self, jobs: list[TraceJob]) -> None:
        """Score a share of what the cache gave again; raises ScoringError where it said something else."""
        check = self.spot_check
        drawn = [j for j in jobs if check is not None and check.draws(j.trace.trace_id)]
        if check is None or not drawn:
            return
        counts = self.cache.counts()
        self._recall([j for j in drawn if j.present])
        self.cache.set_counts(counts)
        drawn = [j for j in drawn if j.is_known()]
        again = []
        for done in self.backend.score([j.planned.request() for j in drawn]):
            for i, result in done:
                if not isinstance(result, Refused):
                    again.append(replace(drawn[i], sums=None, local=result.local, full=result.full))
        names = {j.trace.trace_id for j in again}
        if again:
            check.compare(rows_of([j for j in drawn if j.trace.trace_id in names]), rows_of(again))

    def _compute(self, jobs: list[TraceJob], reporter: Reporter) -> None:
        """Have what is missing computed, and keep it; raises Stopped where the run is asked to end."""
        alike: dict[tuple[bytes | None, bytes | None], list[TraceJob]] = {}
        for job in jobs:
            alike.setdefault((job.local_key, job.full_key), []).append(job)
        groups = list(alike.values())
        requests = [g[0].planned.request(g[0].lacks_local(), g[0].lacks_full()) for g in groups]
        for done in self.backend.score(requests):
            for i, result in done:
                self.progress.flops += self.backend.size.flops(requests[i])
                self.progress.computed += len(requests[i].response)
                self.progress.from_cache += len(groups[i]) - 1
                self._keep(groups[i], result)
            reporter.tick()
            self.stop_if_asked()

    def stop_if_asked(self) -> None:
        """Raise Stopped where the run is asked to end, with all that is done stored."""
        if self.interrupt.asked:
            self.cache.flush()
            n, verb = self.progress.traces, "is" if self.progress.traces == 1 else "are"
            raise self.interrupt.stopped(
                f"{n} of {count(self.progress.total, 'trace')} {verb} done and kept in the cache; "
                "run it again to go on from there"
            )

    def _keep(self, jobs: list[TraceJob], result: Scores | Refused) -> None:
        """Give a result to all traces with the same tokens and passes, and to the cache."""
        for job in jobs:
            if isinstance(result, Refused):
                job.refused = self.refused[job.trace.trace_id] = result
                self._count_refused(result)
            else:
                job.local = job.local if result.local is None else result.local
                job.full = job.full if result.full is None else result.full
                job.usual = result.usual
                self._count(job)
        if isinstance(result, Refused) or not result.usual:
            return
        for key, values in ((jobs[0].local_key, result.local), (jobs[0].full_key, result.full)):
            if key is not None and values is not None:
                self.cache.put(key, values)

    def _count(self, job: TraceJob) -> None:
        progress, planned = self.progress, job.planned
        progress.traces += 1
        progress.scored += 1
        progress.tokens += job.n_tokens
        progress.steps_without_tokens += int((np.diff(planned.bounds) == 0).sum())
        progress.full_not_possible += "full" in self.planner.settings.passes and not planned.full

    def _count_refused(self, refused: Refused) -> None:
        self.progress.traces += 1
        self.progress.rejected[refused.reason] += 1


def score_to_tables(scoring: Scoring, pool: Pool, out: Path, on_progress: OnProgress | None = None) -> None:
    """Score the pool and write step_scores.parquet and rejected.parquet into the folder `out`.

    Where batches want all candidates of a prompt together, what the cache lacks is computed in that order first; the
    tables are then written from the cache. Raises ScoringError if not one trace could be scored, Stopped when the
    run is asked to end: what was computed until then is in the cache.
    """
    progress = scoring.progress
    progress.total = pool.count()
    pool_size = f"{count(progress.total, 'trace')} of {count(len(pool.prompts), 'prompt')}"
    log.info("scoring %s on %s", pool_size, scoring.backend.device)
    rejected: list[dict] = []
    with Interrupt() as interrupt:
        scorer = _PoolScorer(scoring, progress, interrupt)
        check = SpotCheck(scoring.planner.settings, scoring.cache.folder)
        scorer.spot_check = None if scoring.by_prompt else check
        first = _fill(scoring, pool, scorer, check, on_progress) if scoring.by_prompt else progress
        counts = scoring.cache.counts()
        with (
            Reporter(progress, on_progress) as reporter,
            table_files.Writer(tables.STEP_SCORES, out / _TABLE) as writer,
        ):
            for chunk in pool.chunks():
                rows, refused = scorer.score(chunk, pool.prompts, reporter)
                writer.write(rows)
                rejected += [
                    t.origin | {"trace_id": t.trace_id, "reason": r.reason, "detail": r.detail} for t, r in refused
                ]
            if not progress.scored:
                reasons = ", ".join(f"{n} {reason}" for reason, n in progress.rejected.most_common())
                raise ScoringError(
                    f"not one of {count(progress.total, 'trace')} could be scored ({reasons}); check "
                    "student.max_context_tokens, score.window and segment.max_step_chars"
                )
    table_files.write(
        tables.REJECTED, pl.DataFrame(rejected, schema=tables.REJECTED.schema), out / tables.REJECTED.file
    )
    if scoring.by_prompt:
        # What was computed a moment ago is no hit.
        scoring.cache.set_counts(counts)
    progress.computed, progress.flops, progress.from_cache = first.computed, first.flops, first.from_cache
    check.tell()
    speed = progress.speed()
    log.info(
        "scored %s of %s (%s from the cache), %s in %s (%s computed per second), rejected %s",
        f"{progress.scored:,}",
        count(progress.total, "trace"),
        f"{progress.from_cache:,}",
        count(progress.tokens, "response token"),
        duration(speed["seconds"]),
        f"{speed['response_tokens_per_s']:,.0f}",
        f"{len(rejected):,}",
    )


def _fill(
    scoring: Scoring, pool: Pool, writing: _PoolScorer, check: SpotCheck, on_progress: OnProgress | None
) -> Progress:
    """Compute what the cache lacks, prompt by prompt, and tell `writing` what was refused; what that took."""
    progress = Progress(scoring.progress.total, scoring.progress.ceiling, started=scoring.progress.started)
    filler = _PoolScorer(scoring, progress, writing.interrupt)
    filler.spot_check = check
    with Reporter(progress, on_progress) as reporter:
        for chunk in pool.chunks_by_prompt():
            filler.fill(chunk, pool.prompts, reporter)
    scoring.cache.flush()
    writing.refused = filler.refused
    return progress
