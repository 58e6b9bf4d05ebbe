"""The command `setup`: what a fresh clone needs before the first run."""

import argparse

from stepsift import params
from stepsift.core.console import Voice


def add_arguments(_: argparse.ArgumentParser) -> None:
    """None but those of every command."""


def run(_: argparse.Namespace, voice: Voice) -> None:
    """Create the MLflow store."""
    from stepsift import tracking

    uri = tracking.setup(params.load().tracking)
    voice.lines([f"MLflow keeps its runs in {uri}"])
    voice.data({"tracking_uri": uri})
