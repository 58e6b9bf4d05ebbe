"""Mean entropy in windows.

The formula of `entropy`, over what the student says in each step's window (see `lalp`). Nats a token; lower is better.
Source: a control of this project; the formula: arXiv 2601.14249.
"""

from stepsift.metrics._forms import mean_of_tokens
from stepsift.metrics._metric import Metric

METRIC = Metric("entropy_local", better="low", needs="local", trace=mean_of_tokens("local", "entropy"))
