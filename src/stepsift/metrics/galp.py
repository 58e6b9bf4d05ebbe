"""GALP, global average log probability, also known as GRAPE's score: how natural the whole response is to the student.

    GALP(y|x) = (1/T) * sum over t of log p( y_t | x, all earlier tokens )

Null for a trace longer than the student's context. Nats per token; higher is better.
Source: arXiv 2502.04194 (GRAPE) and 2510.03988 (GALP).
"""

from stepsift.metrics._forms import mean_of_tokens
from stepsift.metrics._metric import Metric

METRIC = Metric("galp", better="high", needs="full", trace=mean_of_tokens("full"))
