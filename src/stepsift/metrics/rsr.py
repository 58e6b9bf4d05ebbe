"""RSR, rank-surprisal ratio: how highly the student ranks the tokens, for how much they surprise it.

    RSR = sum over t of min(r_t, 100) / sum over t of n_t, full context

A teacher's RSR is the ratio of means: the sum of its traces' mean ranks by the sum of their mean surprisals. Ranks a
nat; lower is better. Source: arXiv 2601.14249, eq. 7 and appendix A.8.
"""

from stepsift.metrics._forms import mean_of_tokens, surprisal
from stepsift.metrics._metric import Metric, both_passes

METRIC = both_passes(
    lambda scope: Metric(
        "rsr",
        better="low",
        needs=scope,
        trace=mean_of_tokens(scope, "rank") / surprisal(scope),
        teacher=(mean_of_tokens(scope, "rank"), surprisal(scope)),
    ),
    "RSR",
)
