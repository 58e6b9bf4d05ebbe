"""Whether a cache that others may write to tells the truth: a share of what it gave is scored again."""

import logging
import secrets
from pathlib import Path

import polars as pl

from stepsift import params
from stepsift.core import disk, tables
from stepsift.core.errors import ScoringError
from stepsift.core.text import count

log = logging.getLogger(__name__)

DEFAULT_SHARE = 0.01
"""Of the traces, where others may write to the cache's folder."""
_TOLERANCE = {"float32": 1e-3}
_OTHER_TOLERANCE = 5e-2
"""How far two machines may be apart, per token: nats of log-probability and entropy, and the Brier score."""
_RANK_TOLERANCE = 0.02
"""For ranks, which move where logits nearly tie: a share of the rank, and one per token besides."""


class SpotCheck:
    """Draws traces that came from the cache, and compares what is scored again with what the cache said.

    The draw has a new seed in every run, which the messages name: whoever writes to the cache cannot know it.
    """

    def __init__(self, settings: params.Score, folder: Path, seed: int | None = None):
        share = settings.cache_check
        if share is None:
            share = DEFAULT_SHARE if disk.shared_with_others(folder) else 0.0
        self.share, self.folder = share, folder
        self.seed = secrets.randbits(32) if seed is None else seed
        self.checked = 0
        self._tolerance = _TOLERANCE.get(settings.dtype, _OTHER_TOLERANCE)

    def draws(self, trace_id: str) -> bool:
        """Whether a trace is scored again."""
        return int(disk.text_sha256(f"{self.seed}\0{trace_id}")[:8], 16) < self.share * 2**32

    def compare(self, cached: pl.DataFrame, again: pl.DataFrame) -> None:
        """Compare rows of step_scores; raises ScoringError where the cache said something else."""
        both = cached.join(again, on=tables.STEP_SCORES.key, how="full", coalesce=True, suffix="_new")
        room = pl.col("n_tokens").clip(lower_bound=1)
        same = [pl.col(c).eq_missing(pl.col(f"{c}_new")) for c in ("n_tokens", "n_first")]
        for column in (f"{p}_{s}" for p in tables.PASSES for s in tables.SUMS):
            a, b = pl.col(column), pl.col(f"{column}_new")
            allowed = self._tolerance * room
            if column.endswith("_rank"):
                allowed = room + _RANK_TOLERANCE * pl.max_horizontal(a, b)
            same.append(((a - b).abs() <= allowed).fill_null(False) | (a.is_null() & b.is_null()))
        wrong = both.filter(~pl.all_horizontal(same)).sort(tables.STEP_SCORES.key)
        if wrong.height:
            trace, step = wrong.select("trace_id", "step").row(0)
            raise ScoringError(
                f"the cache {self.folder} gives other scores for trace {trace} than the student, from step {step} on "
                f"(checked at random, seed {self.seed}); whoever may write there may have changed them: set "
                "STEPSIFT_CACHE to a folder of your own, or remove that one, and run it again"
            )
        self.checked += again["trace_id"].n_unique()

    def tell(self) -> None:
        """Log what was compared."""
        if self.checked:
            log.info("%s from the cache scored again (seed %d): the same", count(self.checked, "trace"), self.seed)
