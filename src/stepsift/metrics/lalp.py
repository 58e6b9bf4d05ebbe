"""LALP, Local Average Log Probability: how natural each step is to the student, given only the steps just before it.

    local(s_i) = (1/|s_i|) * sum over t in s_i of log p( y_t | x, s_{i-k} .. s_{i-1}, tokens of s_i before t )
    LALP(y|x)  = (1/p) * sum over i of local(s_i)

Every step weighs the same, long or short. k is `score.window`. Nats per token; higher is better.
Source: Just, Ko, Jia, arXiv 2510.03988 v2.
"""

from stepsift.metrics._forms import mean_of_steps
from stepsift.metrics._metric import Metric

METRIC = Metric("lalp", better="high", needs="local", trace=mean_of_steps("local"))
