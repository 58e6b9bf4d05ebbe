"""Teacher share: the share of steps that the teacher finds clearly more probable than the student does.

    teacher_share = teacher_steps / steps that have tokens under both models

Free of the length that `teacher_steps` grows with. The reference is `select.reference`. A share; higher is better.
Source: arXiv 2512.20908, its count as a share.
"""

import polars as pl

from stepsift.metrics._metric import Metric

METRIC = Metric(
    "teacher_share",
    better="high",
    needs="full",
    trace=pl.col("full_n_likelier") / pl.col("full_n_shared"),
    of_two_models=True,
)
