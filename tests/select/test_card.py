"""The card and the Croissant metadata of a curated set say what is known, and read back."""

import json
from types import SimpleNamespace

import polars as pl
import pytest
import yaml
from transformers import AutoTokenizer

from helpers.export_rows import TEXT, chosen_rows
from stepsift import params
from stepsift.core import disk
from stepsift.core.text import CLOSE, OPEN
from stepsift.metrics import all_metrics
from stepsift.render import Renderer
from stepsift.score.rendering import in_words
from stepsift.select import export
from stepsift.select.card import card_text
from stepsift.select.compared import compared_section, compared_teachers
from stepsift.select.croissant import croissant_metadata
from stepsift.select.how_to_train import training_section
from stepsift.select.manifest import Inputs, Manifest, code_hash, describe, fingerprint
from stepsift.select.ranking import rank_teachers

SELECTOR = params.Selector(name="two", by="lalp", per_prompt=2, min_margin=0.1)
SOURCES = {
    "a.jsonl": {
        "md5": "0" * 32,
        "bytes": 9,
        "rows": 12,
        "kept": 10,
        "rejected": 2,
        "licences": {"MIT": 9, "unknown": 1},
    }
}
METRICS = {
    "n_traces": 10,
    "n_scored": 9,
    "n_candidates": 5,
    "rejected": {"loop": {"a": 1, "b": 1}, "not_correct": {"a": 2}, "not_scored": {"a": 1}, "low_margin": {"a": 1}},
}


def ranked(by: dict[str, dict[str, float]], bootstrap: int = 200) -> pl.DataFrame:
    """Table teachers by lalp: teacher to prompt to score."""
    rows = [(f"{t}{p}", t, p, score) for t, scores in by.items() for p, score in scores.items()]
    frame = pl.DataFrame(rows, schema=["trace_id", "teacher", "prompt_id", "lalp"], orient="row")
    empty = {m: pl.lit(None, pl.Float64).alias(m) for m in all_metrics() if m != "lalp"}
    sums = {
        c: pl.lit(0.0).alias(c) for m in all_metrics().values() for e in m.teacher or () for c in e.meta.root_names()
    }
    candidates = frame.with_columns(**{**sums, **empty}, domain=pl.lit(None, pl.String))
    return rank_teachers(candidates, candidates.select("teacher", "domain"), bootstrap, 0)


TWENTY_FIVE = [f"p{i:02}" for i in range(25)]
RANKED = ranked(
    {
        "a": {p: -1.0 - 0.01 * i for i, p in enumerate(TWENTY_FIVE)},
        "b|c": {p: -1.5 - 0.01 * i for i, p in enumerate(TWENTY_FIVE)},
        "few": dict.fromkeys(TWENTY_FIVE[:3], -2.0),
        "carl": {f"q{i}": -0.1 for i in range(12)},
        "x`y": {"r": -0.1},
        "zoe": {"r": -0.2},
    }
)
"""a and b|c on 25 prompts, `few` on three of them; carl met nobody, and two met each other alone."""


def about(chosen: pl.DataFrame, files: dict) -> Manifest:
    inputs = Inputs(
        SOURCES, {"traces.parquet": "1" * 32}, {"path": "models/s", "student": "f" * 64, "numerics": {"k": 1}}
    )
    settings = params.Select(selectors=(SELECTOR,))
    dropped = [("low_margin", "selector two: margin 0.05, min_margin is 0.1"), ("loop", "the same 9 words 40 times")]
    selection = SimpleNamespace(
        metrics=METRICS,
        curated={"two": chosen},
        rejected=pl.DataFrame(dropped, schema=["reason", "detail"], orient="row"),
        fits=SimpleNamespace(coefficients={"aslec_casl": {"a": {}}}),
        teachers=RANKED,
    )
    return describe(SELECTOR, settings, inputs, selection, files)


def test_the_counts_of_a_manifest_are_a_tree():
    chosen = chosen_rows(3)
    found = about(chosen, {})
    assert found["counts"] == {
        "traces": 10, "scored": 9, "filtered": {"loop": 2}, "not_correct": 2, "candidates": 5,
        "dropped": {"low_margin": 1},
        "prompts": 3, "chosen": 3
    }  # fmt: skip
    assert found["counts"]["scored"] == 2 + 2 + 5
    assert found["fingerprint"] == fingerprint(["t2", "t0", "t1"]) != fingerprint(["t0", "t1"])
    assert found["code"] == code_hash() and len(found["code"]) == 64
    assert (found["selector"]["per_prompt"], found["parameters"]["correct"]) == (2, "prefer")
    json.dumps(found, allow_nan=False)


@pytest.mark.parametrize(
    ("licences", "shown"),
    [
        (["MIT", "MIT", "MIT"], "mit"),
        (["MIT", "Apache-2.0", "MIT"], ["apache-2.0", "mit"]),
        (["MIT", None, "MIT"], ["mit", "unknown"]),
        ([None, None, None], "unknown"),
        (["MIT", "Odd: terms #1", "Mine, all mine"], ["mit", "other"]),
        (["null", "null", "null"], "null"),
    ],
)
def test_front_matter(licences, shown):
    chosen = chosen_rows(3).with_columns(licence=pl.Series(licences, dtype=pl.String))
    _, front, text = card_text(about(chosen, {}), chosen).split("---\n", 2)
    said = yaml.safe_load(front)
    assert said["license"] == shown
    assert said.get("license_name") == ("Mine, all mine, Odd: terms #1" if "other" in shown else None)
    assert said["configs"] == [{"config_name": "default", "data_files": [{"split": "train", "path": "train.jsonl"}]}]
    unknown = licences.count(None) / 3
    assert f"The licence of {unknown:.1%} of the rows is not known" in text


def test_the_card_says_how_it_was_chosen_and_from_what():
    chosen = chosen_rows(4).with_columns(
        verdict=pl.Series(["correct", "wrong", "unchecked", "timeout"]), teacher=pl.Series(["a", "a", "b|c", "a"])
    )
    text = card_text(about(chosen, {}), chosen)
    for said in (
        "by `lalp`, per_prompt: 2; min_margin: 0.1",
        "`models/s`, fingerprint `" + "f" * 64,
        "2 dropped by the filter `loop`",
        "2 dropped for their verdict",
        "1 left out by this selector: `low_margin`",
        "| `a` | 3 | 75.0% | 33.3% |",
        "| <code>b&#124;c</code> | 1 | 25.0% | 0.0% |",
        "| `none` | 4 | 100.0% |",
        "| `a.jsonl` | `MIT` | 4 |",
        "25.0% of the rows are wrong, 50.0% could not be judged",
    ):
        assert said in text, said
    odd = about(chosen, {})
    odd["student"] = odd["student"] | {"path": "models/`s` <i>"}
    assert "(``models/`s` <i>``, fingerprint" in card_text(odd, chosen)


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"teacher": "a `b` <i>"}, "- by `lalp`, teacher: ``a `b` <i>``\n"),
        ({"quotas": {"teacher": {"[x](y)": 0.5}}}, """- by `lalp`, quotas: `{"teacher": {"[x](y)": 0.5}}`\n"""),
        ({"per_prompt": 2, "each_epoch": True}, "- by `lalp`, per_prompt: 2; each_epoch: true\n"),
        ({}, "- by `lalp`, the best trace of each prompt\n"),
    ],
)
def test_the_card_gives_the_rules_as_params_yaml_has_them(settings, says):
    chosen = chosen_rows(2)
    selector = params.Selector.model_validate({"name": "two", "by": "lalp"} | settings).model_dump(mode="json")
    assert says in card_text(about(chosen, {}) | {"selector": selector}, chosen)


def test_the_card_says_which_teachers_were_compared_and_which_could_not_be():
    chosen = chosen_rows(3)
    manifest = about(chosen, {})
    section = card_text(manifest, chosen).split("## How the teachers compare\n")[1].split("\n## ")[0]
    lines = section.strip().splitlines()
    assert lines[0].startswith("By `lalp` (high is better), on 25 prompts for which at least two")
    first, second, third = (line.split(" | ") for line in lines[4:7])
    assert (first[0], first[1], first[2], first[4]) == ("| 1", "`a`", "-1.1200", "25")
    assert first[5] == "1.00, who met it on 25 prompts |"
    assert second[1] == "<code>b&#124;c</code>"
    # Three prompts are few, and nothing is certain: .95 is the most that is said.
    assert second[5] == "0.95, who met it on 3 prompts, few |"
    assert (third[1], third[4], third[5]) == ("`few`", "3", " |")
    assert lines[7:] == [
        "",
        "Not compared:",
        "",
        "- `carl`: no other teacher was on any of its 12 prompts",
        "- ``x`y``: its only prompt connects it with `zoe` alone",
        "- `zoe`: its only prompt connects it with ``x`y`` alone",
    ]
    assert [t["teacher"] for t in manifest["ranking"]["incomparable"]] == ["carl", "x`y", "zoe"]


def test_where_nobody_met_the_card_says_so_of_everybody():
    nobody = compared_teachers(ranked({"a": {"p": -1.0}, "b": {"q": -1.0}, "c": {"r": -1.0}}), all_metrics()["lalp"])
    assert compared_section(nobody, "lalp").splitlines() == [
        "No teachers were compared by `lalp`: no two of them have a candidate for the same prompt.",
        "",
        "Not compared:",
        "",
        *(f"- `{name}`: no other teacher was on its only prompt" for name in "abc"),
    ]
    assert compared_teachers(RANKED, all_metrics()["random"]) is None
    assert compared_section(None, "random") == "`random` ranks no teachers: it says nothing of who wrote a trace."


@pytest.mark.slow
def test_datasets_takes_the_folder_for_train_jsonl_alone(tmp_path):
    import datasets

    chosen = chosen_rows(3)
    files = export.write(chosen, tuple(export.FORMATS), tmp_path / "set")
    disk.write_text(card_text(about(chosen, files), chosen), tmp_path / "set" / "README.md")
    disk.write_json(about(chosen, files), tmp_path / "set" / "manifest.json")
    disk.write_json(croissant_metadata(about(chosen, files), chosen), tmp_path / "set" / "croissant.json")
    found = datasets.load_dataset(str(tmp_path / "set"), cache_dir=str(tmp_path / "cache"))
    assert {name: rows.num_rows for name, rows in found.items()} == {"train": 3}
    assert found["train"][0]["messages"][-1] == {"role": "assistant", "content": TEXT}


def test_mlcroissant_reads_every_row(tmp_path, monkeypatch):
    import mlcroissant

    chosen = chosen_rows(3).with_columns(licence=pl.Series(["MIT", None, "MIT"]))
    files = export.write(chosen, ("messages",), tmp_path)
    disk.write_json(croissant_metadata(about(chosen, files), chosen), tmp_path / "croissant.json")
    found = mlcroissant.Dataset(jsonld=str(tmp_path / "croissant.json"))
    assert not found.metadata.issues.errors
    # Neither a citation nor a date is known here; nothing else may be amiss.
    assert all("citeAs" in w or "datePublished" in w for w in found.metadata.issues.warnings)
    rows = list(found.records("examples"))
    assert len(rows) == 3
    first = rows[0]
    assert first["examples/messages_content"][-1].decode() == TEXT
    assert first["examples/messages_role"] == [b"system", b"user", b"assistant"]
    assert (first["examples/licence"], rows[1]["examples/licence"]) == (b"MIT", b"unknown")
    assert first["examples/source_line"] == 1


def test_croissant_says_where_it_comes_from(tmp_path):
    chosen = chosen_rows(1)
    found = croissant_metadata(about(chosen, export.write(chosen, ("messages",), tmp_path)), chosen)
    assert found["prov:wasDerivedFrom"] == [
        {"@type": "prov:Entity", "name": "a.jsonl", "md5": "0" * 32, "license": ["MIT", "unknown"]}
    ]
    assert "f" * 64 in found["prov:wasGeneratedBy"]["description"]
    assert found["license"] == ["MIT"]


def test_where_a_source_was_published_stands_in_card_and_croissant(tmp_path):
    chosen = chosen_rows(1)
    found = about(chosen, export.write(chosen, ("messages",), tmp_path))
    assert "| file | licence | rows |\n" in card_text(found, chosen)
    found["inputs"]["sources"]["a.jsonl"] |= {"repository": "org/set|x", "revision": "1234"}
    text = card_text(found, chosen)
    assert "| file | licence | rows | published as | revision |\n" in text
    assert "<code>org&#47;set&#124;x</code> | `1234` |" in text
    [derived] = croissant_metadata(found, chosen)["prov:wasDerivedFrom"]
    assert derived["prov:hadPrimarySource"] == "org/set|x@1234"


THOUGHT = f"{OPEN}\nso\n{CLOSE}\n\n7"


@pytest.mark.parametrize(
    ("name", "student", "responses", "words"),
    [
        (
            "qwen2",
            {},
            [THOUGHT, "7"],
            ["1 of 2 responses hold reasoning", "generation prompt, the response", "the same text"],
        ),
        ("plain", {}, ["7"], ["0 of 1 response", "the prompt as plain text and a newline"]),
        ("qwen3", {}, [THOUGHT], ["1 of 1", "Scored and trained", "loses the reasoning**"]),
        ("qwen3", {}, ["7"], ["0 of 1", "Scored and trained", "trains the same text"]),
        (
            "qwen3",
            {"template_kwargs": {"enable_thinking": True}},
            ["7"],
            ["0 of 1", "Scored and", "`</think>` stands before an answer without reasoning", "trains other text**"],
        ),
        (
            "qwen3",
            {"template_kwargs": {"enable_thinking": False}},
            [THOUGHT],
            ["1 of 1", "Scored and", "answers alone are trained", "trains other text**"],
        ),
        (
            "qwen2",
            {"thinking": "drop"},
            [THOUGHT],
            ["1 of 1", "Scored and", "`student.thinking: drop`", "other text**"],
        ),
        (
            "channels",
            {},
            [THOUGHT],
            ["1 of 1", "Scored and", "student's template: `<|channel|>analysis<|message|>`", "other text**"],
        ),
    ],
)
def test_the_card_says_how_the_set_must_be_trained(tokenizer_folder, name, student, responses, words):
    rendering = in_words(Renderer(AutoTokenizer.from_pretrained(tokenizer_folder(name)), params.Student(**student)))
    assert json.loads(json.dumps(rendering)) == rendering
    lines = training_section(rendering, pl.DataFrame({"response": responses})).splitlines()
    assert len(lines) == len(words), lines
    for line, word in zip(lines, words, strict=True):
        assert word in line


def test_a_pool_that_an_older_version_scored_says_less():
    text = card_text(about(chosen_rows(3), {}), chosen_rows(3))
    assert "## How to train on it" in text
    assert "may lose the reasoning: many templates drop it" in text
