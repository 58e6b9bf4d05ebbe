"""Curation: a pool to a teacher ranking and one curated set for each selector.

`filters` drops traces whatever their score, `candidates` says which are left in the running, `ranking` compares
teachers, `selection` takes the best of each prompt and `assign` what fills numbers, `stability` says how sure a choice
is, `export`, `card`, `croissant` and `manifest` write what others read. `select` does all of it, `write` puts it on
disk.
"""

from stepsift.curate._select import Selection, select
from stepsift.curate._write import examples, write
from stepsift.curate.manifest import Inputs
from stepsift.curate.pool import Pool

__all__ = ["Inputs", "Pool", "Selection", "examples", "select", "write"]
