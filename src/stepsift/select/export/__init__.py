"""Curated sets as files that trainers read without editing; one file of this package per format.

Every row of a data file carries its licence ("unknown" where it is not known), source file and line.
"""

from pathlib import Path

import polars as pl

from stepsift.core import disk
from stepsift.select.export import llamafactory, messages, parquet, prompt_completion, sharegpt
from stepsift.select.manifest import FileEntry

FORMATS = {
    "messages": messages.write,
    "prompt_completion": prompt_completion.write,
    "sharegpt": sharegpt.write,
    "llamafactory": llamafactory.write,
    "parquet": parquet.write,
}
"""Name of a format to what writes it: from the chosen traces and a folder to the path of the file."""


def write(examples: pl.DataFrame, formats: tuple[str, ...], folder: Path) -> dict[str, FileEntry]:
    """Write `examples` into `folder` in each of these FORMATS; return md5, bytes and rows by name of the file.

    `examples` has the columns prompt_id, trace_id, teacher, prompt (messages), response, licence, source and
    source_line, sorted by (prompt_id, trace_id). The same rows give the same bytes. A file that
    describes others has no rows.
    """
    files = {}
    for name in formats:
        path = FORMATS[name](examples, folder)
        rows = None if path.name == llamafactory.FILE else examples.height
        files[path.name] = entry(path, rows)
    return files


def entry(path: Path, rows: int | None) -> FileEntry:
    """What a manifest says of this file."""
    return FileEntry(md5=disk.file_md5(path), bytes=path.stat().st_size, rows=rows)
