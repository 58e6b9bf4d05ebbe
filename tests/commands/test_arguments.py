"""Numbers on the command line, at the edges of what is taken."""

import argparse
from collections.abc import Callable

import pytest

from stepsift.commands import arguments


@pytest.mark.parametrize(
    ("read", "taken", "refused"),
    [
        (arguments.port, ["1", "65535"], ["0", "65536", "-1", "80.0", ""]),
        (arguments.count, ["1", "1000000"], ["0", "-1", "1.0", "1e3", ""]),
        (arguments.positive, ["0.001", "1e9"], ["0", "-0.1", "inf", "nan", ""]),
        (arguments.share, ["0.001", "0.999"], ["0", "1", "-0.5", "nan", ""]),
    ],
)
def test_the_edges_of_each_kind_of_number(read: Callable[[str], float], taken: list[str], refused: list[str]):
    assert [read(text) for text in taken] == [float(text) for text in taken]
    for text in refused:
        with pytest.raises(argparse.ArgumentTypeError, match=f"^is {text}, must be a "):
            read(text)


def test_a_name_says_something():
    assert arguments.name("DeepSeek-R1") == "DeepSeek-R1"
    for text in ("", " ", "\t\n"):
        with pytest.raises(argparse.ArgumentTypeError, match=r"^is empty, must be a name; leave the option out"):
            arguments.name(text)
