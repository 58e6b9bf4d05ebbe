"""The rule file of a source, read and written: what ingest has to be told and the rows do not say themselves."""

from pathlib import Path
from typing import Any

import yaml

from stepsift import params
from stepsift.sources.place import rule_file_of


def own_rule(target: Path) -> params.Rule:
    """What the rule file beside `target` says, nothing where there is none; raises ParamsError where it is wrong."""
    path = rule_file_of(target)
    return params.load_rule(path) if path.is_file() else params.Rule()


def as_keys(rule: params.Rule) -> dict[str, Any]:
    """What a rule says, as YAML and JSON hold it; its defaults are left out."""
    return rule.model_dump(mode="json", exclude_unset=True)


def as_yaml(rule: params.Rule) -> str:
    """A rule file's text, "" for a rule that says nothing."""
    keys = as_keys(rule)
    return yaml.safe_dump(keys, allow_unicode=True, sort_keys=False, width=100) if keys else ""


def over(rule: params.Rule, upper: params.Rule, name: str = "the rule") -> params.Rule:
    """`rule` with what `upper` says above it; raises ParamsError where that does not go together."""
    return params.rule(rule.model_dump(exclude_unset=True) | upper.model_dump(exclude_unset=True), name)


def without(rule: params.Rule, *keys: str) -> params.Rule:
    """`rule` as if it said nothing of these keys."""
    return params.rule({k: v for k, v in rule.model_dump(exclude_unset=True).items() if k not in keys}, "the rule")
