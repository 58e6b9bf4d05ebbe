"""Metrics: what makes one trace better than another, each in one small file of this package.

A module of this package whose name has no leading underscore holds one `METRIC`, named like its file; it is found by
itself, so that adding a metric touches no other file. A metric turns the step scores of a trace into one number;
which traces are compared by it is decided in `stepsift.curate`.
"""

from stepsift.metrics._metric import Metric
from stepsift.metrics._registry import all_metrics, selectable
from stepsift.metrics._trace_scores import trace_scores

__all__ = ["Metric", "all_metrics", "selectable", "trace_scores"]
