"""Ingest's own reading of some files, with rules that are not written yet, in a scratch folder."""

import contextlib
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from stepsift import params
from stepsift.ingest.conflicts import resolve
from stepsift.ingest.counts import PoolCounts, pool_of
from stepsift.ingest.database import Spool
from stepsift.ingest.files.find import RULE_SUFFIX, SourceFile
from stepsift.ingest.fill import Sample, fill_database
from stepsift.sources.rules import as_yaml

RulesByName = Mapping[str, params.Rule]
"""Path of a file or folder below the sources folder to what its rule file says, or will say."""


@contextlib.contextmanager
def folder_of(files: list[SourceFile], rules: RulesByName) -> Iterator[Path]:
    """A sources folder of links to these files under their names, with rule files."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        for file in files:
            link = folder / file.name
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(file.path.resolve())
        for name, rule in rules.items():
            if text := as_yaml(rule):
                path = folder / f"{name}{RULE_SUFFIX}"
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text, encoding="utf-8")
        yield folder


@contextlib.contextmanager
def read(
    files: list[SourceFile], rules: RulesByName, settings: params.Ingest, sample: Sample | None = None
) -> Iterator[tuple[Spool, PoolCounts]]:
    """A spool of these files under their names, and its counts."""
    with folder_of(files, rules) as folder, Spool(folder, bodies=False) as spool:
        counts = fill_database(spool, folder, settings, *([sample] if sample else []))
        resolve(spool, settings)
        yield spool, pool_of(spool, counts)
