"""Log-probabilities that a data set ships, by hand and against a forward pass."""

import json
import shutil
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from helpers.score_pool import PROMPTS, write_pool
from stepsift import params, student
from stepsift.core import table_files, tables
from stepsift.core.errors import ParamsError, ScoringError, TableError
from stepsift.score.pool import Pool
from stepsift.score.references import check_references, score_references
from stepsift.score.shipped import _bytes_before, score_shipped

# Steps of write_pool end after character 9 and at the end: "So x = 4." and the rest.
TEXT = "So x = 4. Yes!"
TOKENS, LOGPROBS = ["So", " x", " = ", "4", ".", " Yes", "!"], [-1.0, -2.0, -0.5, -0.25, -0.25, -3.0, -1.0]
SHIPPED = params.Reference(name="t", path="data/references/t.jsonl")


@pytest.fixture
def score(tmp_path: Path, monkeypatch):
    """`score(pool, rows)`: step scores by trace, and the counts; rows are lines of JSON or values."""
    monkeypatch.chdir(tmp_path)
    Path("data/references").mkdir(parents=True)

    def run(pool: dict[str, str], rows: list, reference: params.Reference = SHIPPED, made: Pool | None = None):
        Path(reference.path).write_text("".join(f"{json.dumps(row)}\n" for row in rows))
        out = tmp_path / "out"
        out.mkdir(exist_ok=True)
        counts, _ = score_shipped(reference, made or write_pool(tmp_path, pool), out)
        steps = table_files.read(tables.STEP_SCORES, out / tables.STEP_SCORES.file)
        return {t: of.select("n_tokens", "full_logprob").rows() for (t,), of in steps.group_by("trace_id")}, counts

    return run


HAND = {"a": [(5, -4.0), (2, -4.0)]}
CONTENT = [{"token": t, "logprob": p, "bytes": list(t.encode())} for t, p in zip(TOKENS, LOGPROBS, strict=True)]


@pytest.mark.parametrize(
    "row",
    [
        {"tokens": TOKENS, "logprobs": LOGPROBS},
        {"tokens": [*TOKENS, "<|im_end|>"], "logprobs": [*LOGPROBS, -9.0]},
        {"trace_id": "a", "tokens": TOKENS, "logprobs": LOGPROBS, "more": 1},
        {"logprobs": {"content": CONTENT}},
        {"logprobs": {"content": [{k: v for k, v in c.items() if k != "bytes"} for c in CONTENT]}},
        {"logprobs": {"tokens": TOKENS, "token_logprobs": LOGPROBS}},
    ],
)
def test_hand_worked(score, row):
    steps, counts = score({"a": TEXT}, [row])
    assert steps == HAND
    assert counts == {
        **{"traces": 1, "scored": 1, "response_tokens": 7, "rejected": {}, "rows": 1, "rows_ignored": {}},
    }


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ({"tokens": TOKENS[:-1], "logprobs": LOGPROBS[:-1]}, "no_such_trace"),
        ({"tokens": [*TOKENS, "."], "logprobs": [*LOGPROBS, -1.0]}, "no_such_trace"),
        ({"tokens": ["▁So", *TOKENS[1:]], "logprobs": LOGPROBS}, "no_such_trace"),
        ({"trace_id": "x", "tokens": TOKENS, "logprobs": LOGPROBS}, "no_such_trace"),
        ({"tokens": TOKENS, "logprobs": LOGPROBS[:-1]}, "malformed"),
        ({"tokens": TOKENS, "logprobs": [*LOGPROBS[:-1], 0.5]}, "malformed"),
        ({"tokens": TOKENS, "logprobs": [*LOGPROBS[:-1], float("nan")]}, "malformed"),
        ({"tokens": TOKENS, "logprobs": [*LOGPROBS[:-1], True]}, "malformed"),
        ({"tokens": TOKENS, "logprobs": [*LOGPROBS[:-1], -(10**400)]}, "malformed"),
        ({"tokens": TOKENS, "logprobs": [-1.7e308] * len(TOKENS)}, "malformed"),
        ({"tokens": [*TOKENS[:-1], "\ud800"], "logprobs": LOGPROBS}, "malformed"),
        ({"tokens": [*TOKENS[:-1], None], "logprobs": LOGPROBS}, "malformed"),
        ({"token_ids": [1] * 7, "logprobs": LOGPROBS}, "malformed"),
        ({"logprobs": {"content": [1]}}, "malformed"),
        ({"tokens": [10**15, *TOKENS[1:]], "logprobs": LOGPROBS}, "malformed"),
        ({"tokens": [[10**15], *TOKENS[1:]], "logprobs": LOGPROBS}, "malformed"),
        ({}, "malformed"),
        (7, "malformed"),
    ],
)
def test_a_row_that_does_not_give_the_response_is_ignored_and_counted(score, row, reason):
    steps, counts = score(
        {"a": TEXT, "b": "It is 7, I say."}, [row, {"tokens": ["It is 7, ", "I say."], "logprobs": [-1, -2]}]
    )
    assert steps == {"b": [(1, -1.0), (1, -2.0)]}
    assert (counts["rejected"], counts["rows"], counts["rows_ignored"]) == ({"no_logprobs": 1}, 2, {reason: 1})


def test_a_text_of_two_prompts_or_with_two_values_is_nobodys_without_a_trace_id(score, tmp_path):
    row, other = ({"tokens": [TEXT], "logprobs": [x]} for x in (-1.0, -2.0))
    with pytest.raises(
        ScoringError, match=r"not one of 1 trace has log-probabilities in data/references/t.jsonl \(2 rows"
    ):
        score({"a": TEXT}, [row, other])
    assert score({"a": TEXT}, [row, other, other | {"trace_id": "a"}])[0] == {"a": [(0, None), (1, -2.0)]}
    pool = write_pool(tmp_path, {"a": TEXT, "b": TEXT})
    traces = table_files.read(tables.TRACES, pool.traces).with_columns(prompt_id=pl.Series(["p", "q"]))
    table_files.write(tables.TRACES, traces, pool.traces)
    both = Pool(PROMPTS | {"q": PROMPTS["p"]}, pool.traces, pool.steps)
    with pytest.raises(ScoringError, match="not one of 2 traces"):
        score({}, [row], made=both)
    assert list(score({}, [row | {"trace_id": "b"}], made=both)[0]) == ["b"]


def test_a_token_belongs_to_the_step_that_holds_its_last_byte(score):
    """Two tokens that are halves of one character, as byte-level tokenizers make them."""
    text = "Das ist ä. Gut."  # the step ends behind "ä"
    whole = text.encode()
    cut = whole.index("ä".encode()) + 1
    pieces = [whole[:cut], whole[cut : cut + 1], whole[cut + 1 :]]
    content = [{"token": "?", "logprob": -float(i), "bytes": list(b)} for i, b in enumerate(pieces, start=1)]
    assert score({"a": text}, [{"logprobs": {"content": content}}])[0] == {"a": [(2, -3.0), (1, -3.0)]}


def test_ids_are_read_by_their_tokenizer(score, tokenizer_folder, tmp_path):
    shutil.copytree(tokenizer_folder("qwen2"), "data/references/tokenizer")
    with_ids = SHIPPED.model_copy(update={"tokenizer": "data/references/tokenizer"})
    renderer = student.load_renderer(student.StudentFiles(Path("data/references/tokenizer")), params.Student())
    rendered = renderer.render([{"role": "user", "content": "?"}], TEXT)
    ids, end = rendered.response_ids, renderer.tokenizer.eos_token_id
    values = [-float(i + 1) for i in range(len(ids))]
    first = int((np.array(rendered.last_char) < 9).sum())
    expected = {"a": [(first, sum(values[:first])), (len(ids) - first, sum(values[first:]))]}
    for row in (
        {"token_ids": ids, "logprobs": values},
        {"token_ids": [*ids, end], "logprobs": [*values, -1.0]},
    ):
        assert score({"a": TEXT}, [row], with_ids)[0] == expected
    # Ids of the same text that this tokenizer would not have made, ids of none, and no ids.
    letters = [i for c in TEXT for i in renderer.tokenizer.encode(c, add_special_tokens=False)]
    for wrong in (letters, [ids[0], end, *ids[1:]], [10**9], [-1], [], ["x"]):
        with pytest.raises(ScoringError, match="not one of 1 trace"):
            score({"a": TEXT}, [{"token_ids": wrong, "logprobs": [-1.0] * len(wrong)}], with_ids)


def test_it_is_a_reference_like_others(score, tmp_path):
    score({"a": TEXT}, [{"tokens": TOKENS, "logprobs": LOGPROBS}])
    settings = params.Score(references=(SHIPPED,))
    counts = score_references(settings, write_pool(tmp_path, {"a": TEXT}), tmp_path / "all", tmp_path / "cache", None)
    (about,) = json.loads((tmp_path / "all" / tables.REFERENCES).read_text())
    assert (about["name"], about["numerics"], counts["t"]["scored"]) == (
        "t",
        {"source": "shipped log-probabilities"},
        1,
    )
    assert check_references(settings).lines == [
        "reference   t: data/references/t.jsonl, log-probabilities that it ships"
    ]
    Path(SHIPPED.path).unlink()
    assert "there is no file data/references/t.jsonl" in check_references(settings).problems[0]
    with pytest.raises(TableError, match=r"t.jsonl cannot be read"):
        score_shipped(SHIPPED, write_pool(tmp_path, {"a": TEXT}), tmp_path)
    with pytest.raises(
        ParamsError, match=r"'score.references.0.tokenizer' is '/tmp/x': must lie below data/references/"
    ):
        params.parse({"score": {"references": [{"name": "t", "path": SHIPPED.path, "tokenizer": "/tmp/x"}]}})


@given(st.text())
def test_bytes_before_each_character(text):
    assert _bytes_before(text).tolist() == [len(text[:end].encode()) for end in range(len(text) + 1)]
