"""`stepsift params` and docs/PARAMS.md, both from the models; params.yaml says of each of its keys what it is."""

import json
from collections.abc import Callable
from pathlib import Path

import yaml

from stepsift import params
from stepsift.commands.param_keys import all_keys

ROOT = Path(__file__).resolve().parents[2]


def test_a_key_by_hand(run_cli: Callable[..., tuple[object, list[str], list[str]]]) -> None:
    assert run_cli("params", "score.max_step") == (
        0,
        [
            "score.max_step_tokens: 4096  (whole number; tokens; at least 16, at most 100,000)",
            "    A trace with a longer step, in tokens, is rejected.",
        ],
        [],
    )
    code, _, err = run_cli("params", "scores")
    assert (code, err[0][:42]) == (1, "error: no key begins with 'scores'; sectio")
    [window] = json.loads("\n".join(run_cli("params", "score.window", "--json")[1]))
    assert (window["default"], window["limits"]) == ("4", "above 0, at most 10,000")


def test_every_key_of_every_model_is_listed_with_its_sentence_and_its_default() -> None:
    keys = {k.path: k for k in all_keys()}
    assert {k.partition(".")[0] for k in keys} == set(params.Params.model_fields)
    for section, field in params.Params.model_fields.items():
        for name in field.annotation.model_fields:  # type: ignore[union-attr]
            assert f"{section}.{name}" in keys
    assert [k.path for k in keys.values() if not k.about] == []
    # What is listed as default is what a file without the key gives.
    assert yaml.safe_load(keys["select.filters.near_duplicates"].default) == params.Filters().near_duplicates
    assert yaml.safe_load(keys["audition.seeds"].default) == list(params.Audition().seeds)
    assert keys["select.selectors[].name"].default == "required"
    assert keys["evaluate.verify_timeout_s"].unit == "seconds"


def test_the_page_is_what_the_models_say(run_cli: Callable[..., tuple[object, list[str], list[str]]]) -> None:
    _, page, _ = run_cli("params", "--markdown")
    kept = (ROOT / "docs/PARAMS.md").read_text(encoding="utf-8").rstrip().splitlines()
    assert kept == "\n".join(page).rstrip().splitlines(), "write it anew: stepsift params --markdown > docs/PARAMS.md"


def test_params_yaml_says_of_each_key_what_it_is() -> None:
    for line in (ROOT / "params.yaml").read_text(encoding="utf-8").splitlines():
        key = line.partition("#")[0].strip()
        if key and key != "filters:":
            assert "#" in line, f"{key} has no comment"
