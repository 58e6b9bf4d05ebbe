"""docs/OWN_TRACES.md lists all names that a rule can map, and all keys of a rule."""

import re
from typing import get_args

from helpers.doc_pages import ROOT
from stepsift import params
from stepsift.ingest.row import GUESSES

PAGE = (ROOT / "docs/OWN_TRACES.md").read_text(encoding="utf-8")


def test_every_name_stands_with_the_columns_that_are_tried_for_it():
    rows = re.findall(r"^\| `(\w+)` \| [^|]+ \| (`[^|]*|none) \|$", PAGE.partition("<!-- the names and")[2], re.M)
    listed = {name: tuple(re.findall(r"`([^`]+)`", tried)) for name, tried in rows}
    assert list(listed) == list(get_args(params.FieldName))
    assert listed == {name: tuple(GUESSES.get(name, ())) for name in listed}


def test_every_key_of_a_rule_is_explained():
    table = PAGE.partition("| key | says | example |")[2].partition("\n\n")[0]
    keys = {
        key for row in table.splitlines() for key in re.findall(r"`(\w+)`", row.split("|")[1] if "|" in row else "")
    }
    assert keys == set(params.Rule.model_fields)
    assert all(f"{key}:" in table for key in get_args(params.Rule.model_fields["traces"].annotation)[0].model_fields)
