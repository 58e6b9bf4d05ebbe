"""The command `metrics`: each metric with its direction, what it says and its source."""

import argparse

from stepsift.core.console import Voice

_DIRECTIONS = {"high": "higher is better", "low": "lower is better", None: "no direction"}


def add_arguments(_: argparse.ArgumentParser) -> None:
    """None but those of every command."""


def run(_: argparse.Namespace, voice: Voice) -> None:
    """Print a line per metric."""
    from stepsift.metrics import all_metrics

    width = max(map(len, all_metrics()))
    rows = []
    for name, metric in all_metrics().items():
        direction = _DIRECTIONS[metric.better]
        rows.append({"name": name, "direction": direction, "about": metric.about, "source": metric.source})
    voice.lines("{name:{0}} {direction:18} {about} Source: {source}".format(width, **row) for row in rows)
    voice.data(rows)
