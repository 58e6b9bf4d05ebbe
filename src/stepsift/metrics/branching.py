"""The share of steps that begin with a branch opener, such as "Wait", "But" or "Alternatively".

    steps that begin with an opener / steps

The openers of eleven languages stand in `segment/branch_markers.json`. It needs no model, and it depends on what a step
is. A share; lower is better. Source: arXiv 2604.01702; the list is ours.
"""

import polars as pl

from stepsift.metrics._metric import Metric

METRIC = Metric("branching", better="low", needs=None, trace=pl.col("n_branches") / pl.col("n_steps"))
