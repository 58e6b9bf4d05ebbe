"""Mean entropy of what the student expects at each token, whatever comes.

    (1/T) * sum over t of H_t, full context

Nats a token; lower is better. Source: arXiv 2601.14249.
"""

from stepsift.metrics._forms import mean_of_tokens
from stepsift.metrics._metric import Metric

METRIC = Metric("entropy", better="low", needs="full", trace=mean_of_tokens("full", "entropy"))
