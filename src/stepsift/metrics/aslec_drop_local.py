"""ASLEC-DROP in windows.

The formula of `aslec_drop`, over what the student says in each step's window (see `lalp`).
Nats a token; higher is better.
Source: a control of this project; the formula: arXiv 2604.06834.
"""

from stepsift.metrics._forms import without_first_two
from stepsift.metrics._metric import Metric

METRIC = Metric("aslec_drop_local", better="high", needs="local", trace=without_first_two("local"))
