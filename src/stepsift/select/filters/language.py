"""Responses in a language that was not asked for.

py3langid knows 97 languages and says the likeliest for any text. It is asked about prose alone, without code, LaTeX,
digits and signs, and only where there is enough of it. It finds whole responses in another language, or ones that slip
into it for long; a few foreign words change nothing, and languages that are close to each other (Norwegian and Danish,
Croatian and Serbian) are taken for one another.
"""

import functools
from typing import Any

import polars as pl

from stepsift.core.errors import SelectionError

MIN_PROSE_CHARS = 60
"""A response with less prose is kept, whatever it is in; a CJK character counts as three."""
PIECE_CHARS = 750
"""How much prose is looked at, at the start and, by itself, at the end: each must be in a language that is kept."""

_DENSE = r"\p{Han}\p{Hiragana}\p{Katakana}\p{Hangul}"
# Cut-off responses leave fences and formulas open: those reach to the end.
_NO_PROSE = (
    r"(?s)```.*?(?:```|\z)|`[^`\n]*`|\$\$.*?(?:\$\$|\z)|\$[^$\n]*(?:\$|\z)|\\\[.*?(?:\\\]|\z)|\\\(.*?(?:\\\)|\z)"
    r"|\\begin\{.*?(?:\\end\{[a-z*]*\}|\z)|\\[A-Za-z]+|https?://\S+|</?[a-z_]+>"
)
_NO_LETTERS = r"[\d_\p{P}\p{S}\s]+"
# Variables and units: to the identifier a row of single letters is Albanian.
_SHORT_WORDS = rf"\b[\p{{L}}--{_DENSE}]{{1,2}}\b"


def other_language(frame: pl.DataFrame, languages: tuple[str, ...]) -> pl.DataFrame:
    """Columns trace_id and detail of the rows (trace_id, response) whose prose is in none of `languages`."""
    prose = pl.col("response")
    for pattern in (_NO_PROSE, _NO_LETTERS, _SHORT_WORDS, r"\s+"):
        prose = prose.str.replace_all(pattern, " ")
    texts = frame.select("trace_id", prose=prose.str.strip_chars()).filter(
        pl.col("prose").str.len_chars() + 2 * pl.col("prose").str.count_matches(f"[{_DENSE}]") >= MIN_PROSE_CHARS
    )
    ends = texts.filter(pl.col("prose").str.len_chars() > PIECE_CHARS)
    pieces = pl.concat(
        [
            texts.select("trace_id", place=pl.lit("start"), prose=pl.col("prose").str.head(PIECE_CHARS)),
            ends.select("trace_id", place=pl.lit("end"), prose=pl.col("prose").str.tail(PIECE_CHARS)),
        ]
    )
    languages_of = pl.Series("language", [_identifier().classify(text)[0] for text in pieces["prose"]], dtype=pl.String)
    detail = pl.format(
        "language {} at its {}, select.filters.languages: {}", "language", "place", pl.lit(", ".join(languages))
    )
    return (
        pieces.with_columns(languages_of)
        .filter(~pl.col("language").is_in(languages))
        .unique("trace_id", keep="first", maintain_order=True)
        .select("trace_id", detail=detail)
    )


def check_languages(languages: tuple[str, ...]) -> None:
    """Raise SelectionError where one of them is not known."""
    known = sorted(_identifier().nb_classes)
    for language in languages:
        if language not in known:
            raise SelectionError(
                f"select.filters.languages names '{language}', which is not known here; known are {', '.join(known)}"
            )


@functools.cache
def _identifier() -> Any:
    # Its model takes half a second to read, and the filter is off by default.
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    return LanguageIdentifier.from_pickled_model(MODEL_FILE)
