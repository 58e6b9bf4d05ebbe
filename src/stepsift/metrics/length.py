"""Length of the response in the student's tokens: T.

No direction; listed beside the others because it explains much of them. Source: a control.
"""

import polars as pl

from stepsift.metrics._metric import Metric

METRIC = Metric("length", better=None, needs=None, trace=pl.col("n_tokens"))
