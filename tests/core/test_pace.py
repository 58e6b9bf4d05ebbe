"""Words for seconds, and lines once in a while."""

import logging

import pytest

from stepsift.core import pace
from stepsift.core.pace import Pulse, duration


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
    pulse = Pulse()
    for now[0] in (101.0, 110.0, 111.0, 119.0, 120.5):
        pulse.say(f"at {now[0]:g}")
    assert caplog.messages == ["at 110", "at 120.5"]
    monkeypatch.setattr(pace.sys.stderr, "isatty", lambda: True)
    now[0] = 200.0
    pulse.say("on a terminal there is a bar")
    assert len(caplog.messages) == 2
