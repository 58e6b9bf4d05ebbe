"""`params.yaml`, typed: one frozen model for each section.

Every setting lives here and nowhere else (no environment variable: DVC could not see it). An unknown key is refused
with the nearest valid name, a value outside its limits with the limits, before anything heavy is loaded.
"""

from stepsift.params._audition import Audition, AuditionArm
from stepsift.params._evaluate import Evaluate
from stepsift.params._file import TRACKED_BY_DVC, Params, load, load_rule, missing_for_dvc, parse, rule
from stepsift.params._llm import Llm
from stepsift.params._rules import FieldName, FileRule, Layout, Rule, TraceColumns
from stepsift.params._section import Section
from stepsift.params._select import Filters, Quotas, Select, Selector, Weights, WeightsOrWord, Worst, random_each_epoch
from stepsift.params._stages import (
    REFERENCES_FOLDER,
    Ingest,
    Reference,
    Report,
    Score,
    Segment,
    Student,
    Tracking,
)
from stepsift.params._train import Budget, DroppedSteps, EarlyStop, Lora, Train

__all__ = [
    "REFERENCES_FOLDER",
    "TRACKED_BY_DVC",
    "Audition",
    "AuditionArm",
    "Budget",
    "DroppedSteps",
    "EarlyStop",
    "Evaluate",
    "FieldName",
    "FileRule",
    "Filters",
    "Ingest",
    "Layout",
    "Llm",
    "Lora",
    "Params",
    "Quotas",
    "Reference",
    "Report",
    "Rule",
    "Score",
    "Section",
    "Segment",
    "Select",
    "Selector",
    "Student",
    "TraceColumns",
    "Tracking",
    "Train",
    "Weights",
    "WeightsOrWord",
    "Worst",
    "load",
    "load_rule",
    "missing_for_dvc",
    "parse",
    "random_each_epoch",
    "rule",
]
