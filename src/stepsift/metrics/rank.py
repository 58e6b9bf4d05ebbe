"""Mean rank of the response's tokens among all that the student could have written.

    (1/T) * sum over t of min(r_t, 100), full context

Rank 1 is the student's first choice. Lower is better. Source: arXiv 2601.14249 (clipped rank, |Spearman| .59).
"""

from stepsift.metrics._forms import mean_of_tokens
from stepsift.metrics._metric import Metric, both_passes

METRIC = both_passes(
    lambda scope: Metric("rank", better="low", needs=scope, trace=mean_of_tokens(scope, "rank")), "Mean rank"
)
