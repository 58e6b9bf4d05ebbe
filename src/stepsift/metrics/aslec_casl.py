"""ASLEC-CASL: mean log-probability, less what the share of steps' first tokens explains of it.

    M ~ b1 * M_nonfirst + b2 * M_first + g * F + c    (least squares; F: share of first tokens)
    score = M - g * F

M = F * M_first + (1 - F) * M_nonfirst holds exactly, so the coefficients are a linearisation; they stand in the
manifest. Fitted over the candidates of each teacher or of all (`select.casl_fit`); a fit that is not determined is an
error. First tokens are those that `aslec_drop` leaves out, the first two of each step. Full context. Nats per token;
higher is better. Source: arXiv 2604.06834.
"""

from functools import partial

from stepsift.metrics import _casl
from stepsift.metrics._metric import Metric, both_passes

METRIC = both_passes(
    lambda scope: Metric("aslec_casl", better="high", needs=scope, fit=partial(_casl.fit, scope)), "ASLEC-CASL"
)
