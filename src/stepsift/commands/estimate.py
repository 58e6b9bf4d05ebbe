"""What scoring a pool would take, estimated from a sample of its traces that is planned and not scored."""

import itertools
import statistics
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass

import numpy as np
import polars as pl

from stepsift import params, segment
from stepsift.commands.expected_work import FEWEST_PARAMETERS, ExpectedWork, examples_shown, work_of
from stepsift.core import table_files, tables
from stepsift.core.errors import StudentError
from stepsift.core.finding import Finding
from stepsift.core.text import count
from stepsift.ingest.run import SampleTrace, Survey
from stepsift.render import Renderer
from stepsift.score.forward.request import Refused, Request
from stepsift.score.plan import Planned, Planner, plan_trace
from stepsift.score.pool import Prompts
from stepsift.score.window_share import WindowShare, of_token_counts
from stepsift.scratch import Ingested, ScoredTraces
from stepsift.student import StudentSource, count_parameters

PLANNED_TRACES = 64
"""So many of the remaining traces are planned; ids are hashes, so the smallest are as good as drawn."""
NOT_RENDERABLE = "not_renderable"


@dataclass(frozen=True)
class Estimate:
    """What a sample says of the pool that it is from: means per trace, and the work of the traces that can be scored.

    `chars` are those of all sampled responses, `requests` the work on those that can be scored; `refused` counts the
    others by reason, `refusal` says why the first of them cannot. `full_not_possible` of the sampled traces are longer
    than the student's context. `window_share` says how much of what comes before it a step sees.
    """

    n_sampled: int
    chars: int
    prompt_tokens: float
    response_tokens_per_char: float
    local_passes: float
    refused: Counter[str]
    refusal: str
    full_not_possible: int
    requests: list[Request]
    window_share: WindowShare


def estimate_cost(sample: Sequence[SampleTrace], renderer: Renderer, settings: params.Params, context: int) -> Estimate:
    """Encode and plan the traces of a sample; `context` is the student's limit in tokens."""
    prompt_tokens, response_tokens, chars = [], 0, 0
    plans: list[Planned] = []
    refusals: list[Refused] = []
    for trace in sample:
        try:
            rendered = renderer.render([dict(m) for m in trace.prompt], trace.response)
        except StudentError as e:
            refusals.append(Refused(NOT_RENDERABLE, str(e)))
            continue
        prompt_tokens.append(len(rendered.prompt_ids))
        response_tokens += len(rendered.response_ids)
        chars += len(trace.response)
        planned = plan_trace(rendered, segment.step_ends(trace.response, settings.segment), settings.score, context)
        if isinstance(planned, Planned):
            plans.append(planned)
        else:
            refusals.append(planned)
    wants_full = "full" in settings.score.passes
    return Estimate(
        n_sampled=len(sample),
        chars=sum(len(trace.response) for trace in sample),
        prompt_tokens=statistics.fmean(prompt_tokens) if prompt_tokens else 0.0,
        response_tokens_per_char=response_tokens / chars if chars else 0.0,
        local_passes=statistics.fmean(len(p.local) for p in plans) if plans else 0.0,
        refused=Counter(r.reason for r in refusals),
        # One line, also where a template's own error has several.
        refusal=" ".join(refusals[0].detail.split()) if refusals else "",
        full_not_possible=sum(wants_full and not p.full for p in plans),
        requests=[p.request() for p in plans],
        window_share=of_token_counts((np.diff(p.bounds) for p in plans), settings.score.window),
    )


def plan_sample(
    planner: Planner, sample: Sequence[SampleTrace], settings: params.Segment
) -> Iterator[tuple[SampleTrace, Planned | Refused]]:
    """Each trace of a sample with its plan."""
    for trace in sample:
        ends = segment.step_ends(trace.response, settings)
        yield trace, planner.plan([dict(m) for m in trace.prompt], trace.response, ends)


def check_cost(pool: Survey, source: StudentSource, renderer: Renderer, settings: params.Params) -> Finding:
    """For `stepsift check`: what scoring the pool takes, and whether any of it can be scored."""
    context = source.context_tokens()
    cost = estimate_cost(pool.sample, renderer, settings, context)
    sampled = count(cost.n_sampled, "sampled trace")
    problems = []
    if cost.refused.total() == cost.n_sampled:
        problems.append(f"not one of {sampled} can be scored: {cost.refusal}")
    share = _scored_share(pool, settings.score)
    traces = pool.total.kept * share
    tokens = pool.response_chars * share * cost.response_tokens_per_char
    n_local = cost.local_passes * traces
    n_full = traces if "full" in settings.score.passes else 0
    lines = [
        f"tokens      about {tokens:,.0f} in responses, {cost.prompt_tokens:.0f} per prompt "
        f"(from {count(cost.n_sampled, 'encoded trace')})",
        f"passes      about {count(round(n_local), 'window')} (window {settings.score.window}) and "
        f"{count(round(n_full), 'full pass')}",
    ]
    if n_local:
        lines.append(f"window      {settings.score.window:g}: {cost.window_share.sentence()}")
    if cost.refused:
        reasons = ", ".join(f"{reason} {n}" for reason, n in sorted(cost.refused.items()))
        lines.append(f"            {cost.refused.total()} of {sampled} cannot be scored ({reasons})")
    if cost.full_not_possible:
        lines.append(
            f"            {cost.full_not_possible} of {sampled}: longer than the student's context of {context} "
            "tokens, without a full pass"
        )
    work = _work(pool, cost, source, settings)
    if work is None:
        return Finding(lines, problems)
    return Finding([*lines, *work.lines(settings.train)], problems, data={"work": asdict(work)})


def _scored_share(pool: Survey, settings: params.Score) -> float:
    """The share of the pool's prompts that `score.prompts` has scored."""
    return min(1.0, settings.prompts / pool.prompts) if settings.prompts and pool.prompts else 1.0


def _work(pool: Survey, cost: Estimate, source: StudentSource, settings: params.Params) -> ExpectedWork | None:
    """What a large student's scores and training take; None for a small one, and where its size cannot be read."""
    n_parameters = count_parameters(source.files)
    if n_parameters is None or n_parameters < FEWEST_PARAMETERS or not cost.requests:
        return None
    share = _scored_share(pool, settings.score)
    positions = sum(_positions(request) for request in cost.requests) * share * pool.response_chars / cost.chars
    response_tokens = pool.response_chars / pool.total.kept * cost.response_tokens_per_char
    per_example = cost.prompt_tokens + response_tokens
    budget, shown = settings.train.budget, examples_shown(settings.train, pool.prompts * share)
    if shown is None:
        assert budget is not None and budget.tokens is not None
        shown = budget.tokens / response_tokens
    return work_of(n_parameters, positions, shown * per_example, settings.train)


def _positions(request: Request) -> int:
    """Tokens that go through the student for a trace: its prompt, its windows, and all of it in a full pass."""
    return len(request.prompt) + sum(p.length for p in request.local) + len(request.response) * request.full


def seconds_left(pool: Ingested, scored: ScoredTraces, left: pl.DataFrame, settings: params.Params) -> float | None:
    """Seconds for the traces of `left` (rows of `pool.traces`) in all of `score.passes`; None where no speed is known.

    Operations of planned traces, scaled by the characters of all and divided by the operations per second of what was
    scored: holds whichever passes that needed, and whatever part of it the cache had.
    """
    if scored.size is None:
        return None
    drawn = left.sort("trace_id").head(PLANNED_TRACES)
    prompts = Prompts(pool.folder / tables.PROMPTS.file, set(drawn["prompt_id"]))
    frames = table_files.scan(tables.TRACES, pool.folder / tables.TRACES.file, ["trace_id", "prompt_id", "response"])
    rows = itertools.chain.from_iterable(f.join(drawn, on="trace_id", how="semi").iter_rows() for f in frames)
    sample = [SampleTrace(trace_id, prompts[prompt_id], response) for trace_id, prompt_id, response in rows]
    cost = estimate_cost(sample, scored.planner.renderer, settings, scored.planner.context)
    flops = sum(scored.size.flops(request) for request in cost.requests)
    return flops * sum(left["chars"]) / cost.chars * scored.seconds / scored.flops
