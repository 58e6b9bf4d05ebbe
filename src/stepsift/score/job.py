"""A trace on its way through scoring: what names its values in the cache, what is known of it, and its rows."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import polars as pl

from stepsift.core import tables
from stepsift.score.cache.scores import full_key, local_key, own_sums_key, sums_key
from stepsift.score.forward.request import Refused, Scores, TokenValues
from stepsift.score.plan import Planned
from stepsift.score.pool import Trace
from stepsift.score.step_sums import Scored, first_tokens, step_rows
from stepsift.segment.branch import branches


@dataclass(eq=False)
class TraceJob:
    """A trace on its way: its plan, its keys (None for a pass that is not wanted), and what is known so far.

    `present` are those of its keys that the cache has, whether or not anything of them was read.
    """

    trace: Trace
    planned: Planned
    local_key: bytes | None
    full_key: bytes | None
    own_key: bytes
    present: set[bytes] = field(default_factory=set)
    sums: pl.DataFrame | None = None
    local: TokenValues | None = None
    full: TokenValues | None = None
    refused: Refused | None = None
    usual: bool = True
    """As in `Scores`: False where the values are no others' and so are kept nowhere."""

    @classmethod
    def of(cls, trace: Trace, planned: Planned) -> "TraceJob":
        """A job of which nothing is known yet."""
        rendered = planned.rendered
        ids = np.asarray(rendered.prompt_ids, dtype="<i4"), np.asarray(rendered.response_ids, dtype="<i4")
        local = local_key(*ids, planned.local) if planned.local else None
        full = full_key(*ids) if planned.full else None
        firsts = first_tokens(rendered.inked, planned.bounds)
        return cls(trace, planned, local, full, own_sums_key(local, full, planned.bounds, firsts))

    @property
    def value_keys(self) -> list[bytes]:
        """Keys of the values of tokens that its rows are sums of."""
        return [k for k in (self.local_key, self.full_key) if k is not None]

    @property
    def n_tokens(self) -> int:
        """Of the response."""
        return len(self.planned.rendered.response_ids)

    def lacks_local(self) -> bool:
        return self.local_key is not None and self.local is None and self.local_key not in self.present

    def lacks_full(self) -> bool:
        return self.full_key is not None and self.full is None and self.full_key not in self.present

    def lacks_values(self) -> bool:
        return self.lacks_local() or self.lacks_full()

    def is_known(self) -> bool:
        """Whether nothing of it has to be computed."""
        return self.sums is not None or self.own_key in self.present or not self.lacks_values()

    def sums_key(self) -> bytes:
        """Key of step sums that stand in a table of another revision."""
        rendered, local, full = self.planned.rendered, self.local_key is not None, self.full_key is not None
        return sums_key(
            rendered.prompt_ids, rendered.response_ids, self.planned.bounds, self.planned.local, local, full
        )

    def scored(self) -> Scored:
        """Its values of tokens, ready to be summed."""
        trace, planned = self.trace, self.planned
        scores = Scores(self.local, self.full)
        opens = branches(trace.response, trace.ends)
        return Scored(trace.trace_id, planned.bounds, planned.rendered.inked, scores, opens)


def summed_rows(jobs: Sequence[TraceJob]) -> pl.DataFrame:
    """Rows of step_scores of jobs whose sums are known, in their order."""
    frames = [j.sums for j in jobs if j.sums is not None]
    if not frames:
        return pl.DataFrame(schema=tables.STEP_SCORES.schema)
    n_steps = [f.height for f in frames]
    ids = pl.Series("trace_id", [j.trace.trace_id for j in jobs], dtype=pl.String)
    steps = np.concatenate([np.arange(1, n + 1, dtype=np.int32) for n in n_steps])
    opens = np.concatenate([branches(j.trace.response, j.trace.ends) for j in jobs])
    return pl.concat(frames).with_columns(
        ids.gather(np.repeat(np.arange(len(jobs)), n_steps)),
        pl.Series("step", steps),
        pl.Series("opens_branch", opens),
    )


def rows_of(jobs: Sequence[TraceJob]) -> pl.DataFrame:
    """Rows of step_scores by trace and step, from values of tokens or from sums that were kept."""
    from_values = step_rows([j.scored() for j in jobs if j.sums is None])
    frames = [from_values, summed_rows([j for j in jobs if j.sums is not None])]
    columns = list(tables.STEP_SCORES.schema)
    return pl.concat(f.select(columns) for f in frames).sort("trace_id", "step")
