"""Which kind of answer a gold answer is: choice, math or exact."""

import re

_LETTER = re.compile(r"(?:\\text(?:bf)?\{)?\(?[A-J]\)?\}?")
_NUMBER = re.compile(
    r"[-+]?\s*(?:\\?[$€£])?\s*[-+]?(?:\d[\d,]*(?:\.\d+)?|\.\d+)(?:\s*/\s*\d+)?\s*\\?%?"
    r"|[-+]?\s*\\[dt]?frac\s*(?:\{\s*-?\d+\s*\}|\d)\s*(?:\{\s*\d+\s*\}|\d)"
)
_FORMULA = re.compile(r"(?:\d|(?<![a-zA-Z])[a-zA-Z](?![a-zA-Z])|[-+*/^=<>≤≥(),.|!:√π∞±\s])+")


def kind_of(gold: str) -> str:
    """`choice` for a single letter A-J, `math` for what reads as a number or a formula, else `exact`.

    A gold solution that ends in `\\\\boxed{..}` or `#### ..` is math. What begins like a Python list, dict or text is
    exact, so [0, 1] is a list and no interval: name the kind in params.yaml where it is not.
    """
    text = gold.strip()
    if _LETTER.fullmatch(text):
        return "choice"
    if text.startswith(("'", '"', "[", "{")) or text == "()":
        return "exact"
    if "\\" in text or "\n####" in text or (text.startswith("$") and text.endswith("$")):
        return "math"
    return "math" if is_number(text) or _FORMULA.fullmatch(text) else "exact"


def is_number(gold: str) -> bool:
    """Whether a gold answer is one number, fraction, percentage or amount of money."""
    return _NUMBER.fullmatch(gold.strip().strip("$")) is not None
