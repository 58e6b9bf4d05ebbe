"""ASLEC-DROP: mean log-probability without the first tokens of each step.

    mean l_t, full context, without the first 2 tokens of each step that hold a character that is not white space

The first token of a step is hard to guess, and long steps dilute it. Null where nothing remains. Two tokens as in the
authors' code (the text has one); steps are ours. Nats per token; higher is better. Source: arXiv 2604.06834.
"""

from stepsift.metrics._forms import without_first_two
from stepsift.metrics._metric import Metric, both_passes

METRIC = both_passes(
    lambda scope: Metric("aslec_drop", better="high", needs=scope, trace=without_first_two(scope)), "ASLEC-DROP"
)
