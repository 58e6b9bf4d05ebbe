"""Gold answers: which spellings are one answer, and prompts that have several answers, each of which is right."""

import re
from decimal import Decimal

from stepsift import verify
from stepsift.ingest.identity import folded
from stepsift.ingest.record import ALTERNATIVES
from stepsift.verify.gold import short_gold

_LETTER = re.compile(r"(?:\\text(?:bf)?\{)?\(?([A-Ja-j])\)?\}?\.?")
_NUMBER = re.compile(
    r"([-+]?)\s*(?:\\?[$€£])?\s*([-+]?)((?:[0-9]{1,3}(?:,[0-9]{3})+|[0-9]+)(?:\.[0-9]*)?|\.[0-9]+)(e[-+]?[0-9]{1,3})?",
    re.IGNORECASE,
)
_BEST_FIRST = ("correct", "wrong", "timeout", "unparsed", "unchecked")


def normal_form(answer: str) -> str:
    """What the spellings of one gold answer have in common.

    Of a whole solution only the answer at its end counts. Numbers are compared by value, without currency sign and
    commas; a single letter A to J without case and parentheses; everything else as text without regard to white space.
    """
    # A solution that ends in an empty box says nothing: all of it counts.
    text = folded(short_gold(answer)) or folded(answer)
    letter = _LETTER.fullmatch(text)
    if letter:
        return letter[1].upper()
    return _number(text.removesuffix("$").rstrip()) or text


def alternatives(answer: str) -> list[str]:
    """The gold answers that a text names, which is one but where a source gave a list."""
    return answer.split(ALTERNATIVES)


def verdict(verifier: verify.Verifier, kind: str, response: str, answer: str | None) -> str:
    """The verdict on a response: correct where one of the gold answers says so, else the most that one of them says.

    `kind` is that of the first gold answer; the others may be of other kinds (`4` and `four`).
    """
    if answer is None or ALTERNATIVES not in answer:
        return verifier.verdict(kind, response, answer)
    first, *others = alternatives(answer)
    kinds = [(kind, first), *((kind if kind in ("code", "none") else verifier.kind_of(text), text) for text in others)]
    verdicts = {verifier.verdict(kind, response, text) for kind, text in kinds}
    return next(name for name in _BEST_FIRST if name in verdicts)


def _number(text: str) -> str | None:
    """A number without an exponent and zeros that say nothing; None where the text is none."""
    match = _NUMBER.fullmatch(text)
    if not match or (match[1] and match[2]):
        return None
    sign, digits, exponent = match[1] or match[2], match[3].replace(",", ""), match[4] or ""
    # Not normalize(): that would round to the 28 digits of the decimal context.
    plain = format(Decimal(sign + digits + exponent), "f")
    plain = plain.rstrip("0").rstrip(".") if "." in plain else plain
    return "0" if plain in ("-0", "") else plain
