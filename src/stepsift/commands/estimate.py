"""What scoring the rest of a pool would take, from the speed at which a part of it was scored."""

import itertools

import numpy as np
import polars as pl

from stepsift import params, segment
from stepsift.commands.scratch_run import Read, Scored
from stepsift.core import tables
from stepsift.score.plan import Planned, Planner
from stepsift.score.pool import Prompts

PLANNED_TRACES = 64
"""So many of the traces that are left are planned; ids are hashes, so the smallest are as good as drawn."""


def seconds_left(found: Read, scored: Scored, left: pl.DataFrame, settings: params.Params) -> float | None:
    """Seconds for the traces of `left` (rows of `found.traces`) in all of `score.passes`; None where no speed is known.

    Operations of planned traces, scaled by the characters of all and divided by the operations a second of what was
    scored: holds whichever passes that needed, and whatever part of it the cache had.
    """
    if not scored.flops:
        return None
    planner = Planner(scored.planner.renderer, settings.score, scored.planner.context, scored.planner.vocabulary)
    drawn = left.sort("trace_id").head(PLANNED_TRACES)
    prompts = Prompts(found.folder / tables.PROMPTS.file, set(drawn["prompt_id"]))
    flops, chars = 0.0, 0
    frames = tables.scan(tables.TRACES, found.folder / tables.TRACES.file, ["trace_id", "prompt_id", "response"])
    rows = itertools.chain.from_iterable(f.join(drawn, on="trace_id", how="semi").iter_rows() for f in frames)
    for _, prompt_id, response in rows:
        chars += len(response)
        ends = np.asarray(segment.split(response, settings.segment).ends, dtype=np.int64)
        planned = planner.plan(prompts[prompt_id], response, ends)
        if isinstance(planned, Planned):
            flops += scored.request_flops(planned.request())
    return flops * sum(left["chars"]) / chars * scored.seconds / scored.flops
