"""CLL, centred log-likelihood: each token's log-probability, less what the student would have expected of it.

    CLL = (1/T) * sum over t of (l_t + H_t), full context

The expectation of l_t under the student is -H_t, so that a response drawn from the student has 0 on average. In this
project's demo it favours padding (rank correlation with trained accuracy .35, where lalp has .82). Nats per token;
higher is better. Source: arXiv 2602.12222.
"""

from stepsift.metrics._forms import mean_of_tokens
from stepsift.metrics._metric import Metric, both_passes

METRIC = both_passes(
    lambda scope: Metric(
        "cll", better="high", needs=scope, trace=mean_of_tokens(scope) + mean_of_tokens(scope, "entropy")
    ),
    "CLL",
)
