"""Sum of log-probabilities: likelihood and length in one.

    sum over t of l_t, full context

Long responses have low sums, so at equal likelihood a token the shortest wins. Nats; higher is better.
Source: a control of this project.
"""

from stepsift.metrics._forms import of
from stepsift.metrics._metric import Metric, both_passes

METRIC = both_passes(
    lambda scope: Metric("sum_logprob", better="high", needs=scope, trace=of(scope, "logprob")),
    "Sum of log-probabilities",
)
