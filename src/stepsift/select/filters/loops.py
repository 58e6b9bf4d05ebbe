"""Responses that repeat themselves without end.

Such a response was cut off in the middle of a repetition, so its end is one unit over and over, wherever in the unit it
was cut. At least five times and at least 400 characters, a rule without weights: what counts up on the way ("the next
square is 9800, the next is 9900") is kept, and so is whatever repeats itself but comes to an end.
"""

import polars as pl

MIN_REPEATS = 5
MIN_CHARS = 400
"""The repeated units must hold this many characters together: a sum of ones, a row of a table or dots are shorter."""
WINDOW_CHARS = 12_000
"""How much of the end is looked at, so a unit has at most a fifth of it."""
_NEEDLES_CHARS = (48, 400)


def endless(frame: pl.DataFrame) -> pl.DataFrame:
    """Columns trace_id and detail of the rows (trace_id, response) that end in a loop."""
    tails = frame.select("trace_id", tail=pl.col("response").str.strip_chars_end().str.tail(WINDOW_CHARS))
    units = pl.Series([repeated_unit_chars(tail) for tail in tails["tail"]], dtype=pl.Int64)
    detail = pl.format(
        "ends with a {}-character unit repeated at least {} times",
        "unit",
        pl.max_horizontal(pl.lit(MIN_REPEATS), (MIN_CHARS / pl.col("unit")).ceil().cast(pl.Int64)),
    )
    return tails.select("trace_id", unit=units).filter(pl.col("unit") > 0).select("trace_id", detail=detail)


def repeated_unit_chars(text: str) -> int:
    """Length of the unit that the end of `text` repeats, 0 where it repeats none."""
    if len(text) < MIN_CHARS:
        return 0
    for n_chars in _NEEDLES_CHARS:
        # Where the last characters stand once more tells the only unit that is possible, unless the unit itself holds a
        # small loop and was cut in it: then more of them do.
        before = text.rfind(text[-n_chars:], 0, -1)
        if before < 0:
            return 0
        unit = len(text) - n_chars - before
        if text.endswith(text[-unit:] * max(MIN_REPEATS, -(-MIN_CHARS // unit))):
            return unit
    return 0
