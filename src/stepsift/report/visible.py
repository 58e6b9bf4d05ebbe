"""Text that anybody may have written, made fit for a page: nothing invisible, nothing that ends a script."""

import hashlib
import json
import re
from base64 import b64encode

_HIDDEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f"
    "\u3164\ufeff\uffa0\ufff9-\ufffb\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e007f]"
)
"""Control and format characters that change how what follows is shown, or show nothing: bidirectional marks, zero
width, fillers, line separators, soft hyphens, tags. Tab and line feed are what they look like."""
_ZERO_WIDTH_JOINER = "\u200d"


def visible(text: str) -> str:
    """`text` with every hidden control or format character spelt out: U+202E becomes `⟨U+202E⟩`.

    A carriage return before a line feed is dropped; a zero-width joiner stays, since emoji are made with it.
    """
    spelt = text.replace("\r\n", "\n")
    return _HIDDEN.sub(lambda m: m[0] if m[0] == _ZERO_WIDTH_JOINER else f"⟨U+{ord(m[0]):04X}⟩", spelt)


def script_json(content: object) -> str:
    """JSON for a `<script type="application/json">`: no character in it can end the element or open a comment.

    Raises ValueError for NaN and infinity, which JSON does not have.
    """
    text = json.dumps(content, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    for sign in "<>&\u2028\u2029":
        text = text.replace(sign, f"\\u{ord(sign):04x}")
    return text


def script_hash(script: str) -> str:
    """The source expression that allows exactly this inline script in a Content-Security-Policy."""
    return f"'sha256-{b64encode(hashlib.sha256(script.encode()).digest()).decode()}'"
