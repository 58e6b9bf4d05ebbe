"""Branch openers: words such as "Wait", "But" or "Alternatively", with which a step turns away from the one before it.

The list is data, `branch_markers.json`: language to openers, in lower case. All languages are looked for at once; case
does not matter. An opener of a script that separates words ends where a word does ("but" is not in "Butter"); one whose
last character is of a script that does not (Chinese, Japanese, Korean) may be followed by anything.
"""

import json
import re
from functools import cache
from importlib.resources import files

import numpy as np

_LEAD = r"(?:\s|</?think>|[*_#>\-•\"'“”‘’«»„(\[¿¡])*+"
"""What may stand before an opener: white space, think tags, quotes, brackets and marks of emphasis and lists."""
_UNSEPARATED = re.compile("[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]")


@cache
def markers() -> dict[str, tuple[str, ...]]:
    """Language to its openers."""
    text = files("stepsift.segment").joinpath("branch_markers.json").read_text(encoding="utf-8")
    return {language: tuple(openers) for language, openers in json.loads(text).items()}


@cache
def _pattern() -> re.Pattern[str]:
    openers = sorted({o for every in markers().values() for o in every}, key=lambda o: (-len(o), o))
    ends = (re.escape(o) + ("" if _UNSEPARATED.fullmatch(o[-1]) else r"(?!\w)") for o in openers)
    return re.compile(rf"{_LEAD}(?:{'|'.join(ends)})", re.IGNORECASE)


def opens_branch(text: str, start: int = 0, end: int | None = None) -> bool:
    """Whether `text[start:end]` begins with a branch opener."""
    return _pattern().match(text, start, len(text) if end is None else end) is not None


def branches(response: str, ends: np.ndarray) -> np.ndarray:
    """Whether each step begins with a branch opener; bool [steps]. `ends` [steps] are end offsets in characters."""
    spans = zip([0, *ends[:-1].tolist()], ends.tolist(), strict=True) if len(ends) else ()
    return np.array([opens_branch(response, start, end) for start, end in spans], dtype=bool)
