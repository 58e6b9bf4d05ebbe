"""The `stepsift` command: one file per command, and nothing that a stage runs.

A command's file has `add_arguments(parser)` and `run(args, voice)`. What takes long to import (torch, transformers,
MLflow, DVC) is imported inside `run`, after params.yaml was checked; beside the commands lie their helpers.
"""

from pathlib import Path

LOCK = Path("dvc.lock")
PARAMS = Path("params.yaml")
SOURCES = Path("data/sources")
TASKS = Path("data/tasks")
"""Where a repository has them."""
