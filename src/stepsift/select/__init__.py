"""Curation: a pool to a teacher ranking and one curated set for each selector.

`filters` drops traces whatever their score, `candidates` says which are left in the running, `ranking` compares
teachers, `selection` takes the best of each prompt and `quotas` what fills numbers, `stability` says how sure a choice
is, `export`, `card`, `croissant` and `manifest` write what others read. `select` does all of it, `write` puts it on
disk.
"""

import sys
from importlib import import_module
from types import ModuleType
from typing import Any

from stepsift.select.manifest import Inputs
from stepsift.select.pool import ScoredPool
from stepsift.select.run import Selection, select
from stepsift.select.write import examples, write_selection

__all__ = ["Inputs", "ScoredPool", "Selection", "examples", "select", "write_selection"]


class _Callable(ModuleType):
    """`stepsift.select(frame, by=..)` is public (stepsift/library.py), and this package has the same name."""

    def __call__(self, *arguments: Any, **options: Any) -> Any:
        # By name: no stage depends on the library.
        return import_module("stepsift.library").select(*arguments, **options)


sys.modules[__name__].__class__ = _Callable
