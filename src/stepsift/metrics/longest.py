"""The longest response: T, the student's tokens, as a selector of its own.

Long traces alone often train well, so every other selector should be compared with this one. Tokens; higher is better.
It says nothing of quality and ranks no teachers. Source: a control; arXiv 2601.14249 (length, |Spearman| .53).
"""

import polars as pl

from stepsift.metrics._metric import Metric

METRIC = Metric("longest", better="high", needs=None, trace=pl.col("n_tokens"), ranks_teachers=False)
