"""Metrics that are asked for by name, and the passes that they need."""

import difflib
from typing import Literal

from stepsift.errors import ParamsError
from stepsift.metrics import all_metrics

Pass = Literal["local", "full"]


def metric_names(text: str, ranking: bool = False) -> list[str]:
    """The metrics of a list such as "lalp,galp", each once; `ranking`: only those by which teachers can be ranked.

    Raises ParamsError where a name is no such metric, with the nearest names.
    """
    known = {
        name: metric
        for name, metric in all_metrics().items()
        if not ranking or (metric.better and metric.ranks_teachers)
    }
    names = list(dict.fromkeys(name.strip() for name in text.split(",")))
    for name in names:
        if name in known:
            continue
        if name in all_metrics():
            what = f"'{name}' ranks no teachers"
        else:
            near = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
            what = f"'{name}' is no metric" + (f", did you mean {' or '.join(near)}?" if near else "")
        raise ParamsError([f"--metrics is '{text}': {what}; known are {', '.join(known)}"])
    return names


def passes_of(metrics: list[str]) -> tuple[Pass, ...]:
    """The passes without which one of these metrics has no score; `local` where none needs a pass: one must be made."""
    needs = {all_metrics()[name].needs for name in metrics}
    passes: tuple[Pass, ...] = ("local", "full")
    return tuple(p for p in passes if p in needs) or ("local",)
