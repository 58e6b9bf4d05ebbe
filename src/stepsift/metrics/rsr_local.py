"""RSR in windows.

The formula of `rsr`, over what the student says in each step's window (see `lalp`). Ranks a nat; lower is better.
Source: a control of this project; the formula: arXiv 2601.14249, eq. 7.
"""

from stepsift.metrics._forms import mean_of_tokens, surprisal
from stepsift.metrics._metric import Metric

METRIC = Metric(
    "rsr_local",
    better="low",
    needs="local",
    trace=mean_of_tokens("local", "rank") / surprisal("local"),
    teacher=(mean_of_tokens("local", "rank"), surprisal("local")),
)
