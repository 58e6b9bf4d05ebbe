"""`stepsift why`: where a trace or a prompt comes from, what every selector made of it, and when it came and went."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import polars as pl

from stepsift.core import table_files, tables
from stepsift.core.errors import LineageError
from stepsift.lineage import lock as locks
from stepsift.lineage import story
from stepsift.lineage.history import History, history_of
from stepsift.lineage.resolve import Named, resolve_id
from stepsift.select.manifest import Manifest

STAGES = ("ingest", "segment", "score", "select")
"""Stages whose settings decide what is chosen."""


@dataclass(frozen=True)
class Why:
    """The answer, as facts; `why_lines` turns it into text.

    `prompt` holds the prompt with all its traces; None for a row that ingest rejected (`rows`), and for what only older
    revisions hold. `settings` are the sections of params.yaml with which the stages ran.
    """

    named: Named
    prompt: story.PromptStory | None
    rows: tuple[story.Dropped, ...]
    student: dict[str, Any]
    settings: dict[str, Any]
    history: History

    @property
    def trace(self) -> story.TraceStory | None:
        """The trace that was asked about, where it was one."""
        traces = self.prompt.traces if self.prompt is not None else ()
        return next((t for t in traces if self.named.kind == "trace" and t.trace_id == self.named.name), None)

    def as_json(self) -> dict[str, Any]:
        """All of it, for JSON: a prompt with its traces, or one trace alone."""
        content = asdict(self) | {"trace": None if self.trace is None else asdict(self.trace)}
        if self.trace is not None:
            content["prompt"] = {k: v for k, v in content["prompt"].items() if k != "traces"}
        return content


def explain(text: str, lock_file: Path, selector: str | None = None) -> Why:
    """What is known of the trace, the prompt or the source row that `text` names, for all selectors or for one.

    `lock_file` is the `dvc.lock` of the working folder. Raises LineageError where there is no such thing, or no such
    selector; TableError where a table is missing or broken.
    """
    lock = locks.read(lock_file)
    folders = lock.folders()
    written = {k: v for s in STAGES if s in lock for k, v in lock.settings(s).items()}
    # A key by itself (`select.seed`) is in its section, where that is there.
    settings = {k: v for k, v in written.items() if "." not in k or k.partition(".")[0] not in written}
    manifests = _one(story.manifests(folders["select"]), selector)
    student = next(iter(manifests.values()))["student"]
    try:
        named = resolve_id(text, folders)
    except LineageError:
        past = history_of(text, lock_file)
        if not past.events:
            raise
        return Why(Named("gone", text), None, (), student, settings, _of(past, selector))
    if named.kind == "row":
        here = (pl.col("source") == named.source) & (pl.col("source_line") == named.source_line)
        rows = table_files.read_rejected({"ingest": folders["ingest"]}, here).rows(named=True)
        dropped = tuple(story.Dropped(r["stage"], r["reason"], r["detail"]) for r in rows)
        return Why(named, None, dropped, student, settings, History((), ()))
    prompt = story.of_prompt(_prompt_of(named, folders), folders, manifests)
    return Why(named, prompt, (), student, settings, _of(history_of(named.name, lock_file), selector))


def _one(manifests: dict[str, Manifest], selector: str | None) -> dict[str, Manifest]:
    if selector is None:
        return manifests
    if selector not in manifests:
        raise LineageError(f"there is no curated set '{selector}'; there are {', '.join(manifests)}")
    return {selector: manifests[selector]}


def _of(past: History, selector: str | None) -> History:
    """The events of one selector, or all."""
    return History(tuple(e for e in past.events if selector in (None, e.selector)), past.unread)


def _prompt_of(named: Named, folders: Mapping[str, Path]) -> str:
    if named.kind == "prompt":
        return named.name
    columns = ["trace_id", "prompt_id"]
    own = table_files.read_part(
        tables.TRACES, folders["ingest"] / tables.TRACES.file, columns, pl.col("trace_id") == named.name
    )
    return str(own["prompt_id"][0])
