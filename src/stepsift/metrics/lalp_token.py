"""LALP with tokens for weights: (1/T) * sum over t of the local l_t.

It separates the short window from the equal weight of steps. Nats per token; higher is better.
Source: a control; arXiv 2601.14249, eq. 11 (there as a surprisal).
"""

from stepsift.metrics._forms import mean_of_tokens
from stepsift.metrics._metric import Metric

METRIC = Metric("lalp_token", better="high", needs="local", trace=mean_of_tokens("local"))
