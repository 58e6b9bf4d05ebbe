"""The shortest response: T, the student's tokens, as a selector of its own.

The opposite of `longest`. Tokens; lower is better. It says nothing of quality and ranks no teachers.
Source: a control of this project.
"""

import polars as pl

from stepsift.metrics._metric import Metric

METRIC = Metric("shortest", better="low", needs=None, trace=pl.col("n_tokens"), ranks_teachers=False)
