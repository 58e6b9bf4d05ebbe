"""LARK's gain in windows.

The formula of `lark_g`, over what the student says in each step's window (see `lalp`).
It ranks traces and no teachers. No unit; higher is better.
Source: a control of this project; the formula: arXiv 2605.30651.
"""

from stepsift.metrics._forms import lark_gain
from stepsift.metrics._metric import Fit, Metric

METRIC = Metric(
    "lark_g_local",
    better="high",
    needs="local",
    fit=lambda candidates, _: Fit(lark_gain("local")),
    ranks_teachers=False,
)
