"""Mean entropy of what the student expects at each token, whatever comes.

    (1/T) * sum over t of H_t, full context

Nats per token; lower is better. Source: arXiv 2601.14249.
"""

from stepsift.metrics._forms import mean_of_tokens
from stepsift.metrics._metric import Metric, both_passes

METRIC = both_passes(
    lambda scope: Metric("entropy", better="low", needs=scope, trace=mean_of_tokens(scope, "entropy")), "Mean entropy"
)
