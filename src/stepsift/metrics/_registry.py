"""Finds the metrics: every module of this package without a leading underscore, and their twins over windows."""

import importlib
import pkgutil
import re
from dataclasses import replace
from functools import cache

import stepsift.metrics as package
from stepsift.metrics._metric import Metric


@cache
def all_metrics() -> dict[str, Metric]:
    """Every metric by name, sorted by name."""
    metrics: dict[str, Metric] = {}
    for module in pkgutil.iter_modules(package.__path__):
        if not module.name.startswith("_"):
            metric = _described(module.name)
            metrics |= {m.name: m for m in (metric, metric.local) if m is not None}
    return dict(sorted(metrics.items()))


def selectable() -> list[str]:
    """Names of the metrics by which traces can be selected: those with a direction, and draws; sorted."""
    return [name for name, metric in all_metrics().items() if metric.selects]


def _described(name: str) -> Metric:
    """The metric of a file, and its twin, with what the file's docstring says of them."""
    module = importlib.import_module(f"{package.__name__}.{name}")
    metric: Metric = module.METRIC
    if metric.name != name:
        raise RuntimeError(f"metric file {name}.py holds a metric named '{metric.name}'; name both alike")
    doc = module.__doc__ or ""
    source = " ".join(doc.rpartition("Source: ")[2].split())
    local = metric.local
    if local is not None:
        # What is said in parentheses was found with the metric itself.
        of_formula = re.sub(r" \(.*?\)", "", source.replace("a control of this project", "a control"))
        local = replace(local, source=f"a control of this project; the formula: {of_formula}")
    return replace(metric, about=doc.partition("\n")[0], source=source, local=local)
