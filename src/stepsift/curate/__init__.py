"""Curation: trace scores to a teacher ranking and one curated set for each selector.

`candidates` says which traces are in the running, `ranking` compares teachers, `selection` takes the best trace of
each prompt, `export` writes what trainers read; `select` does all of it and `write` puts it on disk.
"""

from stepsift.curate._select import Selection, select, write

__all__ = ["Selection", "select", "write"]
