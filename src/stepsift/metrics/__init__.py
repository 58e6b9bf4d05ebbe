"""Metrics: what makes one trace better than another, each in one small file of this package.

A module of this package whose name has no leading underscore holds one `METRIC`, named like its file; it is found by
itself, so that adding a metric touches no other file, and its twin over windows comes with it (`both_passes`). A metric
turns the sums over a trace's steps into one number; which traces are compared by it is decided in `stepsift.select`.
"""

from stepsift.metrics._metric import Fit, Metric
from stepsift.metrics._registry import all_metrics, selectable
from stepsift.metrics._sums import over_frames, trace_sums
from stepsift.metrics._trace_scores import Fits, finite, fit_all, score, to_table, trace_scores, with_fits

__all__ = [
    "Fit",
    "Fits",
    "Metric",
    "all_metrics",
    "finite",
    "fit_all",
    "over_frames",
    "score",
    "selectable",
    "to_table",
    "trace_scores",
    "trace_sums",
    "with_fits",
]
