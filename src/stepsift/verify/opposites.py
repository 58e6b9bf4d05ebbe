"""Words that make an amount another one: 5 m/s west is not 5 m/s east."""

import re

_AXES = tuple(
    {name: re.compile(rf"\b(?:{words})\b") for name, words in axis.items()}
    for axis in (
        {
            "east": "(?<!north-)(?<!south-)east(?:wards?|ern)?",
            "west": "(?<!north-)(?<!south-)west(?:wards?|ern)?",
            "north": "north(?:wards?|ern)?(?!-)",
            "south": "south(?:wards?|ern)?(?!-)",
            "northeast": "north-?east",
            "northwest": "north-?west",
            "southeast": "south-?east",
            "southwest": "south-?west",
        },
        {"up": "up(?:wards?)?", "down": "down(?:wards?)?"},
        {"left": "(?:units?|steps?|to the) left|leftwards?", "right": "(?:units?|steps?|to the) right|rightwards?"},
        {
            "clockwise": "(?<!counter)(?<!anti)(?<!counter[ -])(?<!anti[ -])clockwise",
            "counter": "(?:counter|anti)[ -]?clockwise",
        },
        {
            "rise": r"increas\w*|ris(?:e|es|en|ing)|rose|gain(?:s|ed)?|profit",
            "fall": r"decreas\w*|drop(?:s|ped)?|f[ae]ll(?:s|en)?|loss|lost|declin\w*",
        },
        {"older": "older", "younger": "younger"},
        {"higher": "higher|above", "lower": "lower|below"},
        {"later": "later?", "earlier": "earl(?:y|ier)"},
        {"more": "more", "fewer": "fewer|less"},
    )
)
"""Patterns of words in lower case, those that exclude each other beside each other."""


def opposed(gold: str, answer: str) -> bool:
    """Whether an answer says one of the words that exclude a word of the gold answer, and not that word itself."""
    gold, answer = gold.casefold(), answer.casefold()
    for axis in _AXES:
        one, other = ({name for name, word in axis.items() if word.search(text)} for text in (gold, answer))
        if one and other and not one & other:
            return True
    return False
