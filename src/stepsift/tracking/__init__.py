"""MLflow: what happened inside a stage (settings, numbers, curves), pointing at DVC for what it read and wrote.

DVC owns bytes, versions and the graph, and MLflow never gets data or weights. One `dvc repro` is a parent run, each
stage that it executes a child. Tracking never fails a stage: where the store cannot be reached, there is one warning.

How stages find their parent. DVC starts each stage as a process and sets DVC_STAGE in its environment, but hands down
no name of the whole run. The nearest ancestor process without DVC_STAGE is therefore DVC itself: machine and process
id are a tag of the parent, and a parent that began after that process did belongs to it (ids are used again). A stage
that was started by hand, or in a container that hides DVC, shares a parent with those of its commit and settings.
"""

from stepsift.tracking.registry import RegisteredStudent
from stepsift.tracking.runs import Run, runs_page, setup, stage
from stepsift.tracking.summary import summarise_metrics

__all__ = ["RegisteredStudent", "Run", "runs_page", "setup", "stage", "summarise_metrics"]
