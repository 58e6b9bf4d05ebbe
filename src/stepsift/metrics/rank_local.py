"""Mean rank in windows.

The formula of `rank`, over what the student says in each step's window (see `lalp`). Lower is better.
Source: a control of this project; the formula: arXiv 2601.14249.
"""

from stepsift.metrics._forms import mean_of_tokens
from stepsift.metrics._metric import Metric

METRIC = Metric("rank_local", better="low", needs="local", trace=mean_of_tokens("local", "rank"))
