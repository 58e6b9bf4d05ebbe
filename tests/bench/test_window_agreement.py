"""Agreement of choices against the window share: by hand, and a small pool from its file to the tables."""

import json
import sys

import pytest

import window_agreement
from helpers.places import DEMO
from window_agreement import by_pool, by_share, compare


def trace(n_tokens: list[int], full: list[float], **windows: list[float]) -> dict:
    return {
        "teacher": "t",
        "n_tokens": n_tokens,
        "logprob": {"full": full} | {w.strip("_"): v for w, v in windows.items()},
    }


def test_choices_by_hand():
    # Means over steps: -3 and -2.5 in full, -1 and -2.5 with k = 1; means over tokens: -12/10 and -13/6.
    long, short = trace([8, 1, 1], [-8, -2, -6], _1=[-8, -1, -1]), trace([4, 1, 1], [-8, -2, -3], _1=[-8, -2, -3.5])
    (one,) = compare([{"pool": "p", "prompt_id": "q", "traces": [long, short]}])
    assert (one.pool, one.window, one.as_galp, one.as_step_mean) == ("p", "1", True, False)
    # Second steps see all, the third one of nine tokens and one of five.
    assert one.share == pytest.approx((1 + 1 / 9 + 1 + 1 / 5) / 4)
    lines = by_share([one]).splitlines()
    assert lines[2:] == ["| 0.4 to 0.6 | 1 | 100% | 0% |"]
    assert by_pool([one]).splitlines()[2:] == ["| p, 1 (0.58) | 1 | 100% | 0% |"]


def test_steps_without_tokens_do_not_count():
    # With the empty step, the first would have a mean of -.5 and be chosen.
    first, second = trace([1, 0, 1], [-1, 0, -1], _2=[-1, 0, -1]), trace([1, 1], [-0.8, -0.8], _2=[-0.9, -0.9])
    (one,) = compare([{"pool": "p", "prompt_id": "q", "traces": [first, second]}])
    assert (one.share, one.as_galp, one.as_step_mean) == (1, True, True)
    assert by_share([one]).splitlines()[2] == "| all | 1 | 100% | 100% |"


def test_a_prompt_of_single_steps_is_left_out():
    assert compare([{"pool": "p", "prompt_id": "q", "traces": [trace([3], [-1], _1=[-1])] * 2}]) == []


@pytest.mark.slow
def test_a_pool_is_scored_once_and_goes_on_where_it_was_stopped(tmp_path, monkeypatch, capsys):
    responses = {
        "a": "3 + 4 = 7.\n7 + 1 = 8.\n8 - 2 = 6.\n6 * 2 = 12.\n#### 12",
        "b": "Twice 3 makes 6.\nTaking 1 from 6 leaves 5.\n5 and 7 more makes 12.\n#### 12",
        "c": "word " * 400,
    }
    rows = [
        {"prompt_id": f"p{i}", "prompt": f"Tom has {i} eggs.", "teacher": teacher, "response": text}
        for i in range(3)
        for teacher, text in responses.items()
    ]
    (tmp_path / "pool.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    out = tmp_path / "out.jsonl"
    command = ["x", str(tmp_path / "pool.jsonl"), "--student", str(DEMO / "student"), "--out", str(out)]
    monkeypatch.setattr(sys, "argv", [*command, "--most-tokens", "300"])
    assert window_agreement.main() == 0
    tables = capsys.readouterr().out
    lines = out.read_text().splitlines(keepends=True)
    assert [{t["teacher"] for t in json.loads(line)["traces"]} for line in lines] == [{"a", "b"}] * 3
    for line in lines:
        for scored in json.loads(line)["traces"]:
            full, windows = scored["logprob"]["full"], scored["logprob"]
            # A window of eight steps is the whole context; in a window of one, the first two steps have all there is.
            assert windows["8"] == full
            assert windows["1"][:2] == pytest.approx(full[:2], abs=1e-3)
            assert windows["1"] != full
    out.write_text("".join(lines[:2]) + lines[2][:40])
    monkeypatch.setattr(sys, "argv", [*command, "--most-tokens", "300"])
    assert window_agreement.main() == 0
    assert capsys.readouterr().out == tables
