"""YAML of anybody is what it says or one kind of error."""

import pytest
import yaml

from stepsift.core import bounded_yaml


@pytest.mark.parametrize(
    "text",
    [
        *("a: !!bool maybe", "a: !!int ''", "a: !!int x", "a: !!float ''", "a: !!timestamp x", "a: 2024-99-99"),
        *("a: !!binary \u00e9", "a: !!timestamp {}", "? {a: 1}\n: 2", "a: [", "[" * 3_000, "\0"),
    ],
)
def test_what_no_value_can_be_made_of_is_an_error_of_yaml(text: str):
    with pytest.raises(yaml.YAMLError):
        bounded_yaml.loads(text)
