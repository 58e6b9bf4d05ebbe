"""The mean log-probability of how a response begins.

    mean l_t over its first 100 tokens, or over all of them where it has fewer, full context

Nats per token; higher is better. Source: arXiv 2606.26797, the form without perturbations.
"""

import polars as pl

from stepsift.metrics._forms import of
from stepsift.metrics._metric import Metric, both_passes

METRIC = both_passes(
    lambda scope: Metric(
        "first_100", better="high", needs=scope, trace=of(scope, "first_100_logprob") / pl.col("n_first_100")
    ),
    "Mean log-probability of the first 100 tokens",
)
