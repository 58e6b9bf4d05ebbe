"""A prompt with several gold answers, each of which is right."""

from stepsift import verify
from stepsift.ingest.record import ALTERNATIVES

_BEST_FIRST = ("correct", "wrong", "timeout", "unparsed", "unchecked")


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
