"""Teacher steps: the number of steps that the teacher finds clearly more probable than the student does.

    P(s_i) = exp(mean of l_t over the step's tokens), full context
    teacher_steps = number of steps with P(s_i) under the reference - P(s_i) under the student > .1

It grows with length, so an audition sets it beside a random choice of equal lengths. The reference is
`select.reference`, a teacher as a rule. Steps; higher is better. Source: arXiv 2512.20908.
"""

import polars as pl

from stepsift.metrics._metric import Metric

METRIC = Metric("teacher_steps", better="high", needs="full", trace=pl.col("full_n_likelier"), of_two_models=True)
