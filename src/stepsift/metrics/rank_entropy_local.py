"""Rank by entropy in windows.

The formula of `rank_entropy`, over what the student says in each step's window (see `lalp`).
Ranks a nat; lower is better.
Source: a control of this project; the formula: arXiv 2601.14249, table 14.
"""

from stepsift.metrics._forms import mean_of_tokens
from stepsift.metrics._metric import Metric

METRIC = Metric(
    "rank_entropy_local",
    better="low",
    needs="local",
    trace=mean_of_tokens("local", "rank") / mean_of_tokens("local", "entropy"),
    teacher=(mean_of_tokens("local", "rank"), mean_of_tokens("local", "entropy")),
)
