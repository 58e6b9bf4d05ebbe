"""Numbers on the command line, each with a sentence for what is none."""

import argparse

LAST_PORT = 65_535


def count(text: str) -> int:
    """A whole number, at least 1; raises ArgumentTypeError, as all of these do."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"is {text}, must be a whole number, at least 1")
    return int(text)


def positive(text: str) -> float:
    """A finite number above 0."""
    number = _number(text)
    if not 0 < number < float("inf"):
        raise argparse.ArgumentTypeError(f"is {text}, must be a number above 0")
    return number


def share(text: str) -> float:
    """A number above 0 and below 1."""
    number = _number(text)
    if not 0 < number < 1:
        raise argparse.ArgumentTypeError(f"is {text}, must be a number above 0 and below 1")
    return number


def port(text: str) -> int:
    """The number of a TCP port."""
    if not text.isdecimal() or not 1 <= int(text) <= LAST_PORT:
        raise argparse.ArgumentTypeError(f"is {text}, must be a whole number from 1 to {LAST_PORT}")
    return int(text)


def _number(text: str) -> float:
    """NaN, for which no limit holds, where it is none."""
    try:
        return float(text)
    except ValueError:
        return float("nan")
