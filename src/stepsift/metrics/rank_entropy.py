"""Rank by entropy: how highly the student ranks the tokens, for how unsure it is.

    sum over t of min(r_t, 100) / sum over t of H_t, full context

A teacher's is a ratio of means, as for `rsr` (our choice). Ranks per nat; lower is better.
Source: arXiv 2601.14249, table 14.
"""

from stepsift.metrics._forms import mean_of_tokens
from stepsift.metrics._metric import Metric, both_passes

METRIC = both_passes(
    lambda scope: Metric(
        "rank_entropy",
        better="low",
        needs=scope,
        trace=mean_of_tokens(scope, "rank") / mean_of_tokens(scope, "entropy"),
        teacher=(mean_of_tokens(scope, "rank"), mean_of_tokens(scope, "entropy")),
    ),
    "Rank by entropy",
)
