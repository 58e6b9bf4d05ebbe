"""Sum of log-probabilities in windows.

The formula of `sum_logprob`, over what the student says in each step's window (see `lalp`). Nats; higher is better.
Source: a control of this project; the formula: a control.
"""

from stepsift.metrics._forms import of
from stepsift.metrics._metric import Metric

METRIC = Metric("sum_logprob_local", better="high", needs="local", trace=of("local", "logprob"))
