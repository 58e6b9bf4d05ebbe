"""Numbers, names and names of metrics on the command line, each with a sentence for what is none."""

import argparse
import difflib

from stepsift.core.errors import ParamsError

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


def name(text: str) -> str:
    """A name that says something: an empty one is mostly a variable of the shell that was never set."""
    if not text.strip():
        raise argparse.ArgumentTypeError("is empty, must be a name; leave the option out if there is none")
    return text


def metric_names(text: str, ranking: bool = False) -> list[str]:
    """The metrics of a list such as "lalp,galp", each once; `ranking`: only those by which teachers can be ranked.

    Raises ParamsError where a name is no such metric, with the nearest names.
    """
    from stepsift.metrics import all_metrics

    known = {
        name: metric
        for name, metric in all_metrics().items()
        if not ranking or (metric.better and metric.ranks_teachers)
    }
    names = list(dict.fromkeys(name.strip() for name in text.split(",")))
    for name in names:
        if name in known and known[name].of_two_models:
            raise ParamsError(
                [
                    f"--metrics is '{text}': '{name}' compares the student with a second model, which the pipeline "
                    "alone scores with (score.references); leave it out here"
                ]
            )
        if name in known:
            continue
        if name in all_metrics():
            what = f"'{name}' ranks no teachers"
        else:
            near = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
            what = f"'{name}' is no metric" + (f", did you mean {' or '.join(near)}?" if near else "")
        raise ParamsError([f"--metrics is '{text}': {what}; known are {', '.join(known)}"])
    return names


def _number(text: str) -> float:
    """NaN, for which no limit holds, where it is none."""
    try:
        return float(text)
    except ValueError:
        return float("nan")
