"""ASLEC-CASL in windows.

The formula of `aslec_casl`, over what the student says in each step's window (see `lalp`).
Nats a token; higher is better.
Source: a control of this project; the formula: arXiv 2604.06834.
"""

from stepsift.metrics import _casl
from stepsift.metrics._metric import Metric

METRIC = Metric("aslec_casl_local", better="high", needs="local", fit=_casl.local)
