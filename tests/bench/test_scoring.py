"""What bench/score.py computes from its measurements; the measuring itself is tried by running it."""

import gzip
import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scoring import traces as score_traces
from scoring.page import OTHERS, renewed
from scoring.tables import Cell, difference, growth_table, methods_table, ratio
from scoring.traces import Trace, end_to_end, pushed, real, step_means, windows, written_out
from stepsift.core.errors import SourceError


def trace(prompt: int, steps: list[int], first: int = 100) -> Trace:
    """A trace whose token ids count up from `first`, with steps of these numbers of tokens."""
    bounds = np.concatenate([[0], np.cumsum(steps)]).astype(int)
    return Trace(list(range(prompt)), list(range(first, first + bounds[-1])), bounds)


def test_windows_are_written_out_with_the_prompt_and_four_steps() -> None:
    found = windows(trace(2, [1, 2, 1, 0, 3, 1]))
    assert [(w.context, w.step, w.begin) for w in found] == [
        ([0, 1], [100], 0),
        ([0, 1, 100], [101, 102], 1),
        ([0, 1, 100, 101, 102], [103], 3),
        ([0, 1, 100, 101, 102, 103], [104, 105, 106], 4),
        ([0, 1, 101, 102, 103, 104, 105, 106], [107], 7),
    ]


def test_positions_by_hand() -> None:
    # Five steps are one row of 8 tokens; the sixth is a row of steps 2 to 6: 9 tokens.
    one = trace(3, [1, 2, 1, 1, 3, 2])
    assert pushed([one], full=False) == 2 + 8 + 9
    assert pushed([one], full=True) == 2 + 10
    assert written_out([one]) == 6 * 3 + (1 + 3 + 4 + 5 + 8 + 9)
    assert pushed([one, one], full=False) == 2 * 19


def test_traces_end_to_end_keep_their_steps() -> None:
    joined = end_to_end([trace(2, [2, 3], first=10), trace(5, [4, 4], first=50)], 10)
    assert joined.prompt == [0, 1]
    assert joined.response == [10, 11, 12, 13, 14, 50, 51, 52, 53, 54]
    assert joined.bounds.tolist() == [0, 2, 5, 9, 10]
    assert end_to_end([joined], 9).bounds.tolist() == [0, 2, 5, 9]


def test_traces_that_are_too_short_are_refused() -> None:
    with pytest.raises(SourceError, match="5 tokens, 6 are wanted"):
        end_to_end([trace(1, [5])], 6)


@given(
    st.lists(st.lists(st.integers(0, 5), min_size=1).filter(any), min_size=1, max_size=4), st.integers(1, 8), st.data()
)
def test_windows_cover_every_token_once(steps: list[list[int]], prompt: int, data: st.DataObject) -> None:
    traces = [trace(prompt, s) for s in steps]
    n_tokens = data.draw(st.integers(1, sum(len(t.response) for t in traces)))
    cut = end_to_end(traces, n_tokens)
    found = windows(cut)
    assert [i for w in found for i in range(w.begin, w.begin + len(w.step))] == list(range(n_tokens))
    assert [i for w in found for i in w.step] == cut.response
    assert pushed([cut], full=True) == prompt - 1 + n_tokens <= pushed([cut], full=False) <= written_out([cut])


def test_tokens_and_sums_give_the_same_means() -> None:
    traces = [trace(1, [2, 0, 3]), trace(1, [1])]
    tokens, sums = Cell(), Cell()
    tokens.keep(traces, [np.array([-1.0, -3.0, -1.0, -1.0, -4.0]), np.array([-5.0])])
    sums.keep(traces, [np.array([-4.0, -6.0]), np.array([-5.0])])
    assert tokens.means is not None and tokens.means.tolist() == [-2.0, -2.0, -5.0]
    assert sums.means is not None and sums.means.tolist() == [-2.0, -2.0, -5.0]
    assert tokens.logprobs is not None and sums.logprobs is None
    assert step_means(traces[0], np.array([-1.0, -3.0, -1.0, -1.0, -4.0])).tolist() == [-2.0, -2.0]


def test_table_of_methods_by_hand() -> None:
    fast = Cell([1.0, 9.0, 2.0], np.array([-1.0, -2.0]), np.array([-1.5]), 12.4)
    slow = Cell([8.0], None, np.array([-1.25]))
    half = Cell([0.5], np.array([-1.0, -2.5]), np.array([-1.75]))
    lost = Cell(failed="no memory")
    cells = {("us", "f"): fast, ("them", "f"): slow, ("us", "b"): half, ("them", "b"): Cell([3.0]), ("it", "b"): lost}
    lines = methods_table(cells, 4, "them", "us", useful=10.0, ceilings={"f": 20.0, "b": 50.0})
    assert lines[2:] == [
        "| us | f | 2 | 500 | 4.00 | 4.00 | 2.5e-01 |  | 25 % | 12 |",
        "| them | f | 8 | 2000 | 1.00 | 1.00 |  |  | 6 % |  |",
        "| us | b | 0.5 | 125 | 16.00 | 6.00 | 5.0e-01 | 5.0e-01 | 40 % |  |",
        "| them | b | 3 | 750 | 2.67 | 1.00 |  |  | 7 % |  |",
        "| it | b | no memory |  |  |  |  |  |  |  |",
    ]
    assert len({line.count("|") for line in lines}) == 1


def test_growth_by_hand() -> None:
    lines = growth_table(
        {500: (Cell([1.0, 3.0, 2.0], peak_mb=7), Cell([4.0])), 1_000: (Cell([4.0]), Cell(failed="lost"))}
    )
    assert lines[2:] == ["| 500 | 4 | 8 | 0.50 | 7 |  |", "| 1,000 | 4 | lost |  |  |  |"]


def test_what_is_missing_has_no_ratio_and_no_difference() -> None:
    assert ratio(None, Cell([1.0])) == ratio(Cell([1.0]), Cell()) == difference(None, np.zeros(1)) == ""


def test_differences_have_no_sign() -> None:
    assert difference(np.array([-3.0, 1.0]), np.zeros(2)) == difference(np.zeros(2), np.array([-3.0, 1.0])) == "3.0e+00"


def test_a_value_that_is_no_number_cannot_pass_for_agreement() -> None:
    assert difference(np.array([0.0, np.nan]), np.zeros(2)) == "NOT A NUMBER"


def test_real_traces_are_taken_from_each_file_in_turn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "a.jsonl.gz", [("p", "x" * 9), ("p", "y" * 12), ("p", "w" * 11), ("q", "z" * 11)])
    write(tmp_path / "b.jsonl.gz", [("r", "v" * 10)])
    monkeypatch.setattr(score_traces, "LENGTHS", {"short": (3, 10, 12)})
    monkeypatch.setattr(score_traces, "_encode", lambda _, prompt, text: trace_of(prompt, text))
    found = real(tmp_path, SimpleNamespace(), ["short"])
    texts = ["".join(map(chr, t.prompt + t.response)) for t in found["short"]]
    assert texts == ["r" + "v" * 10, "p" + "y" * 12, "q" + "z" * 11]
    monkeypatch.setattr(score_traces, "LENGTHS", {"short": (4, 10, 12)})
    with pytest.raises(SourceError, match=r"4 of 10 to 12 tokens \(short\)"):
        real(tmp_path, SimpleNamespace(), ["short"])


def write(path: Path, rows: list[tuple[str, str]]) -> None:
    with gzip.open(path, "wt", encoding="utf-8") as f:
        f.writelines(json.dumps({"prompt": prompt, "response": response}) + "\n" for prompt, response in rows)


def trace_of(prompt: str, response: str) -> Trace:
    return Trace([ord(c) for c in prompt], [ord(c) for c in response], np.array([0, len(response)]))


def test_a_student_measured_anew_leaves_the_others_of_the_page_as_they_are() -> None:
    page = f"# Old title\n\nold words\n\n## one\n\n1\n\n### Short\n\n2\n\n## two\n\n3\n\n{OTHERS}\n\n# More\n"
    once = renewed(page, {"two": ["## two", "", "4", ""], "three": ["## three", "", "5"]})
    assert once.startswith("# Scoring, measured\n")
    assert "old words" not in once
    assert once.endswith(f"\n\n## one\n\n1\n\n### Short\n\n2\n\n## two\n\n4\n\n## three\n\n5\n\n{OTHERS}\n\n# More\n")
    assert renewed(once, {}) == once


def test_parts_measured_alone_stand_beside_the_parts_of_another_day_and_say_what_made_them() -> None:
    page = f"# T\n\n## one\n\nmade by A\n\n### Short\n\n1\n\n### Long\n\n2\n\n## two\n\n3\n\n{OTHERS}\n"
    once = renewed(
        page, {"one": ["## one", "", "made by B", "", "on C", "", "### Long", "", "4", "", "### Growth", "", "5", ""]}
    )
    parts = "### Short\n\n1\n\n### Long\n\nmade by B on C\n\n4\n\n### Growth\n\nmade by B on C\n\n5"
    assert once.endswith(f"## one\n\nmade by A\n\n{parts}\n\n## two\n\n3\n\n{OTHERS}\n")
    whole = ["## one", "", "made by C", *("", "### Long", "", "6", "", "### Short", "", "7", "", "### Growth", "", "8")]
    assert renewed(once, {"one": whole}).count("made by") == 1
