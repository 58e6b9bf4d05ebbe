"""Reference gain: how much more natural the steps are to the student than to a reference model, each in its window.

    reference_gain = (1/p) * sum over steps of (local(s_i) under the student - local(s_i) under the reference)

local as in `lalp`; each model has its own tokenizer, chat template and mean per token, and they meet by step. What is
fluent to every model cancels out; with a model of the teacher's family as reference, so does the advantage that the
family has with the student. The reference is `select.reference`. Nats per token; higher is better. Source: this
project.
"""

import polars as pl

from stepsift.metrics._metric import Metric

METRIC = Metric(
    "reference_gain",
    better="high",
    needs="local",
    trace=pl.col("local_gain") / pl.col("local_n_shared"),
    of_two_models=True,
)
