"""`train.parquet`: the rows of `train.jsonl` as a table."""

from pathlib import Path

import polars as pl

from stepsift.core import disk
from stepsift.select.export.lines import ABOUT, LICENCE
from stepsift.select.step_masks import mask_columns
from stepsift.select.weights import extra_columns

FILE = "train.parquet"


def write(examples: pl.DataFrame, folder: Path) -> Path:
    """Write `messages`, a list of role and content, and what every row says of itself.

    Where steps are masked DETAIL is a column of its own, since messages of a table all have the same keys.
    """
    answer = pl.struct(pl.lit("assistant").alias("role"), pl.col("response").alias("content"))
    frame = examples.with_columns(LICENCE).select(
        *ABOUT,
        *extra_columns(examples),
        *mask_columns(examples),
        messages=pl.concat_list("prompt", answer.reshape((-1, 1)).arr.to_list()),
    )
    with disk.whole_file(folder / FILE) as temporary:
        frame.write_parquet(temporary, compression="zstd")
    return folder / FILE
