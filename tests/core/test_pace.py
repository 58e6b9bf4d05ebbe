"""Words for seconds, and how far work is: on a bar, or in lines once in a while."""

import logging

import pytest

from stepsift.core import pace
from stepsift.core.pace import ProgressBar, duration


@pytest.mark.parametrize(
    ("seconds", "said"), [(0.4, "0 s"), (89, "89 s"), (91, "2 min"), (5_340, "89 min"), (12_000, "3 h 20 min")]
)
def test_durations_for_people(seconds: float, said: str):
    assert duration(seconds) == said


def test_long_work_is_told_of_once_in_a_while_where_there_is_no_terminal(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
):
    caplog.set_level(logging.INFO, logger="stepsift")
    now = [100.0]
    monkeypatch.setattr(pace.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(pace, "EVERY_S", 10.0)
    due = []
    with ProgressBar(30) as bar:
        for now[0] in (101.0, 110.0, 111.0, 119.0, 120.5):
            due.append(bar.update(int(now[0]) - 100, f"at {now[0]:g}"))
    assert caplog.messages == ["at 110", "at 120.5"]
    assert due == [False, True, False, False, True]


def test_a_terminal_has_a_bar_and_no_lines(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    caplog.set_level(logging.INFO, logger="stepsift")
    monkeypatch.setattr(pace.sys.stderr, "isatty", lambda: True)
    monkeypatch.setattr(pace, "EVERY_S", 0.0)
    with ProgressBar(4) as bar:
        assert bar.update(1, "one of four")
        bar._bar.refresh()
        shown = capsys.readouterr().err
        assert " 25 % " in shown and "one of four" in shown
    assert caplog.messages == []
    assert capsys.readouterr().err.rstrip(" \r") == ""  # nothing of it stays
