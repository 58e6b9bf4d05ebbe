"""The report: one HTML page, self-contained, and its charts as pictures, from what the stages wrote."""

from stepsift.report.outputs import Places, read
from stepsift.report.page import CHANGES, CHANGES_END, Page, render

__all__ = ["CHANGES", "CHANGES_END", "Page", "Places", "read", "render"]
