"""Finds the metrics: every module of this package without a leading underscore."""

import importlib
import pkgutil
from functools import cache

import stepsift.metrics as package
from stepsift.metrics._metric import Metric


@cache
def all_metrics() -> dict[str, Metric]:
    """Every metric by name, sorted by name."""
    names = sorted(m.name for m in pkgutil.iter_modules(package.__path__) if not m.name.startswith("_"))
    found = {name: importlib.import_module(f"{package.__name__}.{name}").METRIC for name in names}
    for name, metric in found.items():
        if metric.name != name:
            raise RuntimeError(f"metric file {name}.py holds a metric named '{metric.name}'; name both alike")
    return found


def selectable() -> list[str]:
    """Names of the metrics by which traces can be selected: those with a direction, and draws; sorted."""
    return [name for name, metric in all_metrics().items() if metric.selects]
