"""LARK's gain, taken trace by trace: loss that comes with a wide spread of what else the student would write.

    L = mean n_t;  Brier = mean(1 - 2 p_t(y_t) + sum over v of p_t(v)^2);  rho = Brier / L
    g_k = (L_k / sum L) * (2 rho_k - sum(rho_i L_i) / sum L)          sums over the candidates of the prompt

Full context and full vocabulary. Not the authors' rule, which takes the Brier score over the 50 likeliest tokens and
weighs 3 traces of a prompt in the loss: here the best g wins, hence the name. Sums over a prompt are constant, so it
ranks traces and no teachers; it depends on which traces are candidates. No unit; higher is better.
Source: arXiv 2605.30651.
"""

from stepsift.metrics._forms import lark_gain
from stepsift.metrics._metric import Fit, Metric, both_passes

METRIC = both_passes(
    lambda scope: Metric(
        "lark_g",
        better="high",
        needs=scope,
        fit=lambda candidates, _: Fit(lark_gain(scope)),
        ranks_teachers=False,
    ),
    "LARK's gain",
)
