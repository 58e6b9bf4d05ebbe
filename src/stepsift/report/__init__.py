"""The report: one HTML page, self-contained, from metrics and the teacher ranking."""

from stepsift.report.page import render_page

__all__ = ["render_page"]
