"""Text for the page: what is hidden is spelt out, and nothing in it ends a script."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stepsift.report.visible import script_hash, script_json, visible


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\tb\nc", "a\tb\nc"),
        ("a\r\nb", "a\nb"),
        ("a\rb", "a⟨U+000D⟩b"),
        ("abc\u202ecba", "abc⟨U+202E⟩cba"),
        ("\u2066x\u2069", "⟨U+2066⟩x⟨U+2069⟩"),
        ("zero\u200bwidth", "zero⟨U+200B⟩width"),
        ("\ufeffbom", "⟨U+FEFF⟩bom"),
        ("line\u2028end", "line⟨U+2028⟩end"),
        ("tag\U000e0041", "tag⟨U+E0041⟩"),
        ("filler\u3164", "filler⟨U+3164⟩"),
        ("joined\u034fby", "joined⟨U+034F⟩by"),
        ("nul\x00", "nul⟨U+0000⟩"),
        # A family of three is one sign, made with two joiners.
        ("\U0001f468\u200d\U0001f469\u200d\U0001f467", "\U0001f468\u200d\U0001f469\u200d\U0001f467"),
        ("漢字、かな", "漢字、かな"),
    ],
)
def test_hidden_characters_are_spelt_out(text: str, shown: str):
    assert visible(text) == shown


@given(st.text())
def test_what_is_visible_stays_so(text: str):
    assert visible(visible(text)) == visible(text)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(), lambda c: st.lists(c) | st.dictionaries(st.text(), c)
    )
)
def test_json_in_a_script_reads_back_and_cannot_end_it(content: object):
    text = script_json(content)
    assert json.loads(text) == content
    assert not set(text) & set("<>&\u2028\u2029")


def test_a_number_that_json_does_not_have_is_refused():
    with pytest.raises(ValueError, match="not JSON compliant"):
        script_json({"loss": float("nan")})


def test_the_hash_is_that_of_the_policy():
    # printf 'alert(1)' | openssl dgst -sha256 -binary | base64
    assert script_hash("alert(1)") == "'sha256-bhHHL3z2vDgxUt0W3dWQOrprscmda2Y5pLsLg4GF+pI='"
