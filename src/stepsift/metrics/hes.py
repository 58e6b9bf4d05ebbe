"""HES, high-entropy sum: how much the student hesitates at the few places where it hesitates most.

    HES = sum of H_t over the ceil(T / 200) tokens with the most entropy, full context

It grows with length. The authors drop the lowest 20 % by it (`select.filters.worst`). Nats; higher is better.
Source: arXiv 2605.22389, .5 % of the tokens; rounding up is our choice.
"""

from stepsift.metrics._forms import of
from stepsift.metrics._metric import Metric, both_passes

METRIC = both_passes(lambda scope: Metric("hes", better="high", needs=scope, trace=of(scope, "top_entropy")), "HES")
