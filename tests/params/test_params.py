"""params.yaml: what is refused, and in which words."""

import datetime
import os
import re
from pathlib import Path
from typing import get_args

import pytest
import yaml
from pydantic import ValidationError

from stepsift import params
from stepsift.core.errors import ParamsError

SECTIONS = list(params.Params.model_fields)

# What pydantic says of itself, and no user of ours should read.
JARGON = re.compile(r"Input should|Value error|pydantic|https?://|validation error|tuple|dictionary|NoneType|\bstr\b")


def problems(raw: object) -> list[str]:
    with pytest.raises(ParamsError) as caught:
        params.parse(raw)
    for sentence in caught.value.problems:
        assert sentence.startswith("params.yaml")
        assert "\n" not in sentence
        assert not JARGON.search(sentence), sentence
    assert str(caught.value) == "\n".join(caught.value.problems)
    return caught.value.problems


def test_an_empty_mapping_gives_the_defaults_and_every_section_can_be_written_out():
    defaults = params.parse({})
    assert params.parse({section: {} for section in SECTIONS}) == defaults
    # What is printed of the defaults can be read back: none lies outside its own limits.
    assert params.parse(defaults.model_dump(mode="json")) == defaults


def test_params_are_frozen():
    with pytest.raises(ValidationError, match="frozen"):
        params.parse({}).score.window = 8


@pytest.mark.parametrize("section", SECTIONS)
def test_every_field_of_every_section_says_what_it_is(section: str):
    for name, field in type(getattr(params.Params(), section)).model_fields.items():
        assert field.description, f"{section}.{name}"


@pytest.mark.parametrize("section", SECTIONS)
def test_an_unknown_key_of_a_section_names_the_nearest_and_all(section: str):
    known = list(type(getattr(params.Params(), section)).model_fields)
    (sentence,) = problems({section: {known[0] + "s": 1}})
    assert sentence == (
        f"params.yaml: unknown key '{section}.{known[0]}s', did you mean '{known[0]}'?; known in '{section}' are "
        + ", ".join(known)
    )


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        ({"scoer": {}}, "unknown key 'scoer', did you mean 'score'?; known are student, ingest"),
        ({"xyzzy": {}}, "unknown key 'xyzzy'; known are student, ingest"),
        ({1: {}}, "unknown key '1'; known are student, ingest"),
        ({"score": {"windw": 4}}, "unknown key 'score.windw', did you mean 'window'?; known in 'score' are window"),
        ({"score": {4: 4}}, "unknown key 'score.4'; known in 'score' are window"),
        (
            {"ingest": {"files": [{"match": "*"}, {"match": "*", "mtch": 1}]}},
            "unknown key 'ingest.files.1.mtch', did you mean 'match'?; known in 'ingest.files.1' are preset, layout",
        ),
        (
            {"ingest": {"fields": {"promt": "x"}}},
            "unknown key 'ingest.fields.promt', did you mean 'prompt'?; known in 'ingest.fields' are prompt_id, prompt",
        ),
        (
            {"ingest": {"files": [{"match": "*", "fields": {"aswer": "x"}}]}},
            "unknown key 'ingest.files.0.fields.aswer', did you mean 'answer'?; known in 'ingest.files.0.fields' are",
        ),
        ({"ingest": {"files": [{"teacher": "x"}]}}, "key 'ingest.files.0.match' is missing"),
        ({"student": {"template_kwargs": {1: 2}}}, "'student.template_kwargs.1' is a key that is not text; put it in"),
    ],
)
def test_an_unknown_key_is_one_sentence_at_every_depth(raw: object, said: str):
    (sentence,) = problems(raw)
    assert f"params.yaml: {said}" in sentence


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        ({"ingest": None}, "'ingest' is empty: must hold keys and their values, or {} for all defaults"),
        ({"report": "x"}, "'report' is 'x': must hold keys and their values"),
        ({"ingest": {"files": ["*"]}}, "'ingest.files.0' is '*': must hold keys and their values"),
        ({"ingest": {"files": {"match": "*"}}}, "'ingest.files' is {'match': '*'}: must be a list"),
        ({"ingest": {"fields": ["prompt"]}}, "'ingest.fields' is ['prompt']: must hold keys and their values"),
        ({"ingest": {"fields": {"prompt": 3}}}, "'ingest.fields.prompt' is 3: must be text; put it in quotes"),
        ({"ingest": {"fields": {"prompt": ""}}}, "'ingest.fields.prompt' is '': must not be empty"),
        ({"ingest": {"strip_suffixes": "x, y"}}, "'ingest.strip_suffixes' is 'x, y': must be a list, as in ['x, y']"),
        ({"ingest": {"max_depth": 501}}, "'ingest.max_depth' is 501: must be at most 500"),
        ({"ingest": {"verify_timeout_s": 0}}, "'ingest.verify_timeout_s' is 0: must be above 0"),
        ({"segment": {"unit": "word"}}, "'segment.unit' is 'word': must be 'sentence', 'line', 'paragraph', 'mark"),
        ({"segment": {"unit": "offsets"}}, "unit is 'offsets' and offsets is empty; unit: offsets goes with a file in"),
        ({"segment": {"offsets": "data/offsets/a.jsonl"}}, "unit is 'sentence' and offsets is data/offsets/a.jsonl"),
        ({"segment": {"offsets": "a.jsonl"}}, "'a.jsonl': must be a .jsonl or .parquet file in data/offsets/"),
        (
            {"segment": {"min_step_chars": 90, "max_step_chars": 80}},
            "'segment.min_step_chars' is 90: must be below segment.max_step_chars, which is 80",
        ),
        (
            {"segment": {"min_step_chars": 1000}},
            "'segment.min_step_chars' is 1000: must be below segment.max_step_chars, which is 1000",
        ),
        ({"segment": {"max_step_chars": 15}}, "'segment.max_step_chars' is 15: must be at least 16"),
        ({"score": {"references": [{"name": "t"}]}}, "key 'score.references.0.path' is missing"),
        (
            {"score": {"references": [{"name": "t", "path": "demo/student"}]}},
            "'score.references.0.path' is 'demo/student': must lie below data/references/, where DVC sees it change",
        ),
        (
            {"score": {"references": [{"name": "t", "path": "data/references/../x"}]}},
            "must lie below data/references/, where",
        ),
        (
            {"score": {"references": [{"name": "a/b", "path": "data/references/a"}]}},
            "'score.references.0.name' is 'a/b'",
        ),
        (
            {"score": {"references": [{"name": "t", "path": f"data/references/{n}"} for n in "ab"]}},
            "'t' stands more than once; name each once",
        ),
        *(
            (raw, f"{key} names teacher_steps, which compares the student with a second model, and score.references")
            for key, raw in {
                "select.selectors": {"select": {"selectors": ["lalp", {"name": "x", "by": "teacher_steps"}]}},
                "select.filters.worst.by": {"select": {"filters": {"worst": {"by": "teacher_steps"}}}},
                "select.weights.by": {"select": {"weights": {"by": "teacher_steps"}}},
                "audition.selectors": {"audition": {"selectors": ["lalp", "teacher_steps"]}},
            }.items()
        ),
        (
            {"select": {"selectors": ["lalp"]}, "evaluate": {"rescore": ["lalpp"]}},
            "evaluate.rescore names 'lalpp', which is no selector, did you mean 'lalp'?; there are lalp",
        ),
        ({"select": {"reference": "t"}}, "select.reference is 't', which score.references does not name (it is empty)"),
        (
            {"score": {"references": [{"name": "t", "path": "data/references/t"}]}, "select": {"reference": "u"}},
            "select.reference is 'u', which score.references does not name (t); add it there",
        ),
        ({"score": {"window": 0}}, "'score.window' is 0: must be above 0"),
        ({"score": {"window": -4}}, "'score.window' is -4: must be above 0"),
        ({"score": {"window": -0.5}}, "'score.window' is -0.5: must be above 0"),
        ({"score": {"window": 10_001}}, "'score.window' is 10001: must be at most 10000"),
        ({"score": {"window": 1.5}}, "'score.window' is 1.5: a number of steps is whole (1, 2, ...); a fraction of"),
        ({"score": {"window": "x"}}, "'score.window' is 'x': must be a number"),
        ({"score": {"window": None}}, "'score.window' is empty: must be a number"),
        ({"score": {"window": [4]}}, "'score.window' is [4]: must be a number"),
        ({"score": {"window": True}}, "'score.window' is true: must be a number"),
        ({"score": {"window": float("nan")}}, "'score.window' is nan: must be a finite number"),
        ({"score": {"window": float("inf")}}, "'score.window' is inf: must be a finite number"),
        ({"score": {"passes": []}}, "'score.passes' is []: name 'local', 'full' or both, each once"),
        ({"score": {"passes": ["full", "full"]}}, "'score.passes' is ['full', 'full']: name 'local', 'full' or both"),
        ({"score": {"passes": ["locl"]}}, "'score.passes.0' is 'locl': must be 'local' or 'full'"),
        ({"score": {"passes": "local"}}, "'score.passes' is 'local': must be a list, as in ['local']"),
        ({"score": {"dtype": "float8"}}, "'score.dtype' is 'float8': must be 'float32', 'bfloat16' or 'float16'"),
        ({"score": {"batch_tokens": "2k"}}, "'score.batch_tokens' is '2k': must be a whole number"),
        ({"score": {"batch_tokens": 99.5}}, "'score.batch_tokens' is 99.5: must be a whole number"),
        ({"score": {"prompts": 0}}, "'score.prompts' is 0: must be at least 1"),
        ({"score": {"prompts": True}}, "'score.prompts' is true: must be a number"),
        (
            {"select": {"selectors": ["lalpp"]}},
            "'lalpp' is not a selector, did you mean 'lalp'?; known are aslec_casl, ",
        ),
        ({"select": {"selectors": ["length"]}}, "'length' is not a selector, it ranks nothing; known are aslec_casl, "),
        ({"select": {"selectors": ["lalp", "lalp"]}}, "'lalp' stands more than once; name each once"),
        ({"select": {"selectors": []}}, "'select.selectors' is []: must not be empty"),
        ({"select": {"selectors": "lalp"}}, "'select.selectors' is 'lalp': must be a list, as in ['lalp']"),
        ({"select": {"selectors": [3]}}, "'select.selectors.0' is 3: must hold keys and their values"),
        ({"select": {"selectors": [{"name": "x"}]}}, "key 'select.selectors.0.by' is missing"),
        ({"select": {"selectors": [{"name": "galp", "by": "lalp"}, "galp"]}}, "'galp' stands more than once"),
        ({"select": {"seed": -1}}, "'select.seed' is -1: must be at least 0"),
        (
            {"select": {"filters": {"min_tokens": 5, "max_tokens": 4}}},
            "must be at least select.filters.min_tokens, which is 5",
        ),
        ({"select": {"filters": {"near_duplicates": 0}}}, "'select.filters.near_duplicates' is 0: must be above 0"),
        ({"select": {"filters": {"decontaminate": 3}}}, "'select.filters.decontaminate' is 3: must be at least 4"),
        ({"select": {"weights": "lark"}}, "weights is 'lark', and no selector is by lark_g; add one"),
        ({"select": {"weights": {"by": "length"}}}, "'length' gives no weights"),
        ({"select": {"weights": {"by": "lalp", "temperature": 0}}}, "must be above 0"),
        ({"select": {"weights": {"by": "lalp", "per": "pool"}}}, "must be 'prompt'"),
        ({"select": {"weights": "all"}}, "select.weights"),
        ({"select": {"filters": {"worst": {"by": "hse"}}}}, "'hse' cannot be filtered by, did you mean 'hes'?"),
        ({"select": {"filters": {"worst": {"by": "lark_g"}}}}, "cannot be filtered by, it is fitted to the candidates"),
        ({"select": {"filters": {"worst": {"by": "hes", "share": 1}}}}, "must be below 1"),
        ({"select": {"filters": {"languages": []}}}, "'select.filters.languages' is []: must not be empty"),
        ({"select": {"exports": ["csv"]}}, "'select.exports.0' is 'csv': must be 'messages', 'prompt_completion', "),
        ({"select": {"stability": "most"}}, "'select.stability' is 'most': must be 'jackknife' or 'full'"),
        ({"select": {"bootstrap": 99}}, "'select.bootstrap' is 99: must be at least 100"),
        ({"train": {"seeds": 0}}, "'train.seeds' is 0: must be a list, as in [0]"),
        ({"train": {"seeds": []}}, "'train.seeds' is []: must not be empty"),
        ({"train": {"seeds": [0, -1]}}, "'train.seeds.1' is -1: must be at least 0"),
        ({"train": {"seeds": [-1]}}, "'train.seeds.0' is -1: must be at least 0"),
        ({"train": {"seeds": [1, 1]}}, "'1' stands more than once; name each once"),
        ({"train": {"learning_rate": 1.5}}, "'train.learning_rate' is 1.5: must be at most 1"),
        ({"train": {"warmup_ratio": 1}}, "'train.warmup_ratio' is 1: must be below 1"),
        ({"evaluate": {"tasks": []}}, "'evaluate.tasks' is []: must not be empty"),
        ({"evaluate": {"tasks": [""]}}, "'evaluate.tasks.0' is '': must not be empty"),
        ({"report": {"title": 2025}}, "'report.title' is 2025: must be text; put it in quotes"),
        ({"student": {"path": ""}}, "'student.path' is '': must not be empty"),
        ({"student": {"path": None}}, "'student.path' is empty: must be text"),
        ({"student": {"template_date": "soon"}}, "'student.template_date' is 'soon': must be a date such as"),
        ({"student": {"template_date": "2025-02-29"}}, "'student.template_date' is '2025-02-29': must be a date"),
        ({"student": {"template_date": "2025-W01-1"}}, "'student.template_date' is '2025-W01-1': must be a date"),
        ({"tracking": {"enabled": "maybe"}}, "'tracking.enabled' is 'maybe': must be true or false"),
    ],
)
def test_a_wrong_value_is_one_sentence_with_the_value_and_the_limit(raw: object, said: str):
    (sentence,) = problems(raw)
    assert said in sentence


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (
            {"name": "../x"},
            ".name' is '../x': must begin with a letter or a digit and hold only those, '.', '_' and '-'",
        ),
        ({"name": ""}, ".name' is '': must begin with a letter or a digit"),
        ({"name": "teachers.parquet"}, "'teachers.parquet' must not be named like a table"),
        ({"per_prompt": 0}, ".per_prompt' is 0: must be at least 1"),
        ({"per_promt": 1}, "did you mean 'per_prompt'?; known in 'select.selectors.1' are name, by, per_prompt"),
        ({"min_stability": 1.5}, ".min_stability' is 1.5: must be at most 1"),
        ({"mix_of": "later"}, "mix_of of 'x' is 'later', which must be a selector named before it (lalp)"),
        ({"lengths_of": "x"}, "lengths_of of 'x' is 'x', which must be a selector named before it (lalp)"),
        ({"mix_of": "lalp", "lengths_of": "y"}, "'x' has mix_of 'lalp' and lengths_of 'y'; both must name the same"),
        ({"each_epoch": True}, "'x' shows another trace of each prompt every epoch (each_epoch), for which it needs"),
        ({"each_epoch": True, "per_prompt": 2, "max_tokens": 9}, "and no mix_of, lengths_of, quotas, max_examples or"),
        *(
            ({"mix_of": "lalp"} | more, "'x' takes its prompts and numbers from mix_of; teacher, quotas, max_examples")
            for more in ({"teacher": "t"}, {"quotas": {"teacher": {"t": 1}}}, {"max_examples": 1}, {"max_tokens": 1})
        ),
        (
            {"lengths_of": "lalp", "min_margin": 0},
            "'x' must fill numbers, so min_margin and min_stability have no place",
        ),
        ({"quotas": {"teacher": {"t": 0.5}}, "min_stability": 0}, "'x' must fill numbers, so min_margin"),
        (
            {"quotas": {"teacher": {"t": 0.5}}, "max_tokens": 9},
            "'x' has quotas and max_tokens; quotas are shares of examples",
        ),
        (
            {"quotas": {"teacher": {"t": 0.7, "u": 0.4}}},
            ".quotas.teacher' is {'t': 0.7, 'u': 0.4}: shares add up to 1.1",
        ),
        ({"quotas": {"domain": {"maths": 0}}}, ".quotas.domain.maths' is 0: must be above 0"),
        ({"teacher": "best", "by": "lark_g"}, "'x' asks for the best teacher by lark_g, which ranks no teachers"),
        ({"teacher": "best"}, "'x' asks for the best teacher by random, which ranks no teachers"),
    ],
)
def test_a_selector_that_cannot_be_is_one_sentence(settings: dict, said: str):
    (sentence,) = problems({"select": {"selectors": ["lalp", {"name": "x", "by": "random"} | settings]}})
    assert said in sentence


def test_a_name_alone_is_a_selector_by_it():
    written = [
        {"name": "lalp", "by": "lalp", "per_prompt": 2},
        "galp",
        {"name": "x.1", "by": "random", "mix_of": "lalp"},
    ]
    select = params.parse({"select": {"selectors": written}}).select
    assert select.names == ("lalp", "galp", "x.1")
    assert [(s.by, s.per_prompt, s.mix_of) for s in select.selectors] == [
        *(("lalp", 2, None), ("galp", 1, None), ("random", 1, "lalp")),
    ]
    thirds = {"a": 1 / 3, "b": 1 / 3, "c": 1 / 3}
    shares = {"name": "x", "by": "lalp", "quotas": {"teacher": thirds}, "teacher": None}
    assert params.parse({"select": {"selectors": [shares]}}).select.selectors[0].quotas.teacher == thirds
    best = {"name": "x", "by": "rsr", "teacher": "best"}
    assert params.parse({"select": {"selectors": [best]}}).select.selectors[0].teacher == "best"


def test_a_long_value_is_cut():
    (sentence,) = problems({"score": {"dtype": "x" * 10_000}})
    assert len(sentence) < 200


@pytest.mark.parametrize(
    ("sections", "said"),
    [
        ({"select": {"filters": {"worst": {"by": "hes"}}}}, "without which hes of select.filters.worst.by have"),
        ({"select": {"weights": {"by": "galp"}}}, "without which galp of select.weights.by have"),
        ({"audition": {"selectors": ["lalp", "galp"]}}, "without which galp of audition.selectors have"),
        (
            {"audition": {"arms": [{"name": "a", "by": "galp", "steps": {"drop": "last"}}]}},
            "without which galp of audition.arms have",
        ),
        (
            {"audition": {"arms": [{"name": "a", "by": "lalp", "per_prompt": 2, "weights": {"by": "galp"}}]}},
            "without which galp of weights.by of 'a' in audition.arms have",
        ),
        (
            {"audition": {"arms": [{"name": "a", "by": "lalp", "steps": {"drop": "lowest", "by": "full"}}]}},
            "by which steps of 'a' in audition.arms drops the lowest steps",
        ),
    ],
)
def test_whatever_names_a_metric_needs_its_pass(sections: dict, said: str):
    raw = {**sections, "score": {"passes": ["local"]}}
    raw["select"] = {"selectors": ["lalp"], **raw.get("select", {})}
    (sentence,) = problems(raw)
    assert f"score.passes lacks 'full', {said}" in sentence
    assert params.parse({**raw, "score": {}})
    assert params.parse({"score": raw["score"], "select": {"selectors": ["lalp"]}})


@pytest.mark.parametrize(
    ("passes", "selectors", "said"),
    [
        (["full"], ["lalp", "random", "lalp_token"], "score.passes lacks 'local', without which lalp, lalp_token of"),
        (["local"], ["galp"], "score.passes lacks 'full', without which galp of select.selectors have no score"),
    ],
)
def test_a_selector_without_its_pass_is_refused_before_hours_of_scoring(passes, selectors, said: str):
    raw = {"score": {"passes": passes}, "select": {"selectors": selectors}}
    (sentence,) = problems(raw)
    assert sentence.startswith(f"params.yaml: {said}")
    params.parse(raw | {"select": {"selectors": ["random"]}})
    params.parse(raw | {"score": {}})


def test_every_problem_is_named_once():
    raw = {
        "scoer": {},
        "score": {"window": "x", "windw": 4, "dtype": "int8"},
        "train": {"epochs": -1, "seeds": [-1, -2]},
    }
    named = sorted(sentence.split("'")[1] for sentence in problems(raw))
    keys = ["dtype", "window", "windw"]
    assert named == ["scoer", *(f"score.{k}" for k in keys), "train.epochs", "train.seeds.0", "train.seeds.1"]


@pytest.mark.parametrize(("window", "read"), [(4, 4), (1.0, 1), (0.25, 0.25), ("4", 4), (10_000, 10_000)])
def test_a_window_is_a_number_of_steps_or_a_fraction(window: object, read: float):
    value = params.parse({"score": {"window": window}}).score.window
    assert value == read
    assert isinstance(value, type(read))


@pytest.mark.parametrize("text", ["2025-03-01", "'2025-03-01'"])
def test_a_date_is_read_with_and_without_quotes(tmp_path: Path, text: str):
    path = tmp_path / "params.yaml"
    path.write_text(f"student: {{template_date: {text}}}\n")
    assert params.load(path).student.template_date == "2025-03-01"


def test_a_number_that_old_yaml_takes_for_text_is_read(tmp_path: Path):
    path = tmp_path / "params.yaml"
    path.write_text("train: {learning_rate: 3e-3}\n")
    assert isinstance(yaml.safe_load("3e-3"), str)
    assert params.load(path).train.learning_rate == 0.003


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: [", "is not valid YAML: line 1, column 5: expected the node content"),
        ("score:\n\twindow: 4\n", "is not valid YAML: line 2, column 1: found character"),
        ("score: {}\nscore: {}\n", "is not valid YAML: line 1, column 1: key 'score' stands more than once"),
        ("score:\n  seed: 1\n  seed: 2\n", "is not valid YAML: line 2, column 3: key 'seed' stands more than once"),
        ("student: {template_date: 2025-13-01}\n", "is not valid YAML: month must be in 1..12"),
        ("a: \0\n", "is not valid YAML: unacceptable character"),
        ("? [a]\n: b\n", "is not valid YAML: line 1, column 3: found unhashable key"),
        ("!!python/object:os.system {}\n", "is not valid YAML: line 1, column 1: could not determine a constructor"),
        ("[" * 1000, "is not valid YAML: "),
        ("- 1\n", "is [1]: must hold sections (student, ingest, segment"),
        ("", "is empty: must hold sections (student, ingest, segment"),
        ("score\n", "is 'score': must hold sections (student, ingest, segment"),
    ],
)
def test_a_file_that_is_no_mapping_is_one_sentence(tmp_path: Path, text: str, said: str):
    path = tmp_path / "params.yaml"
    path.write_text(text)
    with pytest.raises(ParamsError) as caught:
        params.load(path)
    assert str(caught.value).startswith(f"{path} {said}")
    assert len(caught.value.problems) == len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "a: &a0 [x]\n" + "".join(f"b{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]\n" for i in range(1, 10)),
            "is not valid YAML: its aliases stand for more than 100,000 values",
        ),
        ("score: &s\n  <<: *s\n", "is not valid YAML: an alias stands within its own anchor, on line 1"),
        ("".join(f"k{i}: 0\n" for i in range(8_000)) + "k7999: 1\n", "is not valid YAML: line 8000, column 1: key"),
        ("#" * 600_000, "cannot be read: it has 600,000 bytes, at most 524,288 are read"),
        (None, "cannot be read: it is a pipe or a device, and no regular file"),
    ],
)
def test_a_file_that_would_take_for_ever_is_one_sentence(tmp_path: Path, text: str | None, said: str):
    path = tmp_path / "x.rule.yaml"
    path.write_text(text) if text is not None else os.mkfifo(path)
    for load in (params.load, params.load_rule):
        with pytest.raises(ParamsError) as caught:
            load(path)
        assert str(caught.value).startswith(f"{path} {said}")
        assert len(str(caught.value).splitlines()) == 1


def test_a_merged_key_may_be_overridden(tmp_path: Path):
    path = tmp_path / "params.yaml"
    path.write_text("score: &s {dtype: bfloat16}\ntrain:\n  <<: *s\n  epochs: 2\n")
    assert params.load(path).train.dtype == "bfloat16"
    path.write_text("score: &s {dtype: bfloat16}\ntrain:\n  <<: *s\n  dtype: float32\n")
    assert params.load(path).train.dtype == "float32"


def test_bytes_that_are_not_utf8_are_one_sentence(tmp_path: Path):
    path = tmp_path / "params.yaml"
    path.write_bytes(b"report: {title: \xff}")
    with pytest.raises(ParamsError, match="is not valid YAML: 'utf-8' codec can't decode byte 0xff in position 16"):
        params.load(path)


def test_a_missing_file_says_where_to_run_and_a_folder_is_no_file(tmp_path: Path):
    with pytest.raises(ParamsError, match="run stepsift in the repository's root folder"):
        params.load(tmp_path / "params.yaml")
    with pytest.raises(ParamsError, match="cannot be read: Is a directory"):
        params.load(tmp_path)


def test_keys_that_dvc_has_to_see_are_asked_for(tmp_path: Path):
    path = tmp_path / "params.yaml"
    sections = "".join(f"{s}: {{}}\n" for s in params.Params.model_fields if s not in ("tracking", "report"))
    path.write_text(sections)
    missing = params.missing_for_dvc(path)
    of_select = [f"select.{key}" for key in ("selectors", "seed", "stability", "stability_prompts")]
    of_others = ["report", "student.path", *of_select, "train.steps", "evaluate.tasks"]
    assert [s.split("'")[1] for s in missing] == of_others
    assert missing[0].endswith("write it out, the default is {}")
    for sentence in missing:
        key, default = sentence.split("'")[1], sentence.partition("the default is ")[2]
        section, _, name = key.partition(".")
        raw = {section: {name: yaml.safe_load(default)} if name else yaml.safe_load(default)}
        assert params.parse(raw) == params.Params()
    select = "select: {selectors: [lalp], seed: 0, stability: jackknife, stability_prompts: null}"
    train = "train: {steps: all}"
    path.write_text(sections.replace("select: {}", select).replace("train: {}", train) + "report:\n")
    assert [s.split("'")[1] for s in params.missing_for_dvc(path)] == ["student.path", "evaluate.tasks"]


def test_every_name_can_be_mapped_to_a_nested_field():
    every = {name: f"meta.{name}" for name in get_args(params.FieldName)}
    assert params.parse({"ingest": {"fields": every}}).ingest.fields == every


def test_values_and_limits_are_shown_as_yaml_has_them():
    (sentence,) = problems({"train": {"warmup_ratio": 1}})
    assert sentence == "params.yaml: 'train.warmup_ratio' is 1: must be below 1"
    (sentence,) = problems({"report": {"title": datetime.date(2025, 1, 2)}})
    assert sentence == "params.yaml: 'report.title' is 2025-01-02: must be text; put it in quotes"


def test_a_rule_file_is_a_rule_or_a_sentence_that_names_file_and_key(tmp_path: Path):
    path = tmp_path / "x.rule.yaml"
    path.write_text("teacher: anna\nfields: {prompt: question}\n")
    rule = params.load_rule(path)
    assert (rule.teacher, rule.fields["prompt"]) == ("anna", "question")
    path.write_text("techer: anna\n")
    with pytest.raises(ParamsError) as caught:
        params.load_rule(path)
    assert str(path) in str(caught.value)
    assert "'techer', did you mean 'teacher'?" in str(caught.value)


def test_a_rule_with_several_paths_is_written_without_a_warning(recwarn):
    rule = params.rule({"fields": {"answer": ["verification.truth", "answer"], "domain": None}}, "a rule")
    assert rule.fields["answer"] == ("verification.truth", "answer")
    written = rule.model_dump(mode="json", exclude_unset=True)
    assert written == {"fields": {"answer": ["verification.truth", "answer"], "domain": None}}
    assert [str(w.message) for w in recwarn] == []
