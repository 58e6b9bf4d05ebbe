"""The error of this package."""

from stepsift.errors import StepsiftError


class LineageError(StepsiftError, ValueError):
    """What was asked about is not there, or not in a state in which anything can be said of it."""
