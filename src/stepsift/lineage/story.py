"""What the tables say of the traces of one prompt: origin, scores, and what every selector made of them."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from stepsift.core import table_files, tables
from stepsift.core.errors import LineageError
from stepsift.lineage.history import CURATED
from stepsift.metrics import all_metrics
from stepsift.select.manifest import Manifest, read_manifests


@dataclass(frozen=True)
class TraceOrigin:
    """Where a trace comes from; `md5` is that of the whole source file, `published` where it was published."""

    source: str
    line: int
    licence: str | None
    md5: str | None
    published: str | None = None


@dataclass(frozen=True)
class Dropped:
    """A row of a table rejected: the stage that dropped the trace, and why."""

    stage: str
    reason: str
    detail: str


@dataclass(frozen=True)
class Choice:
    """What one selector made of a trace.

    `other` is the runner-up of a trace that was chosen, else the last of the prompt's traces that were; `margin` how
    far the two scores lie apart, in the metric's unit. `reason` says why the trace was chosen, or why not.
    """

    selector: str
    by: str
    chosen: bool
    reason: str
    score: float | None
    other: str | None
    other_teacher: str | None
    other_score: float | None
    margin: float | None
    stability: float | None


@dataclass(frozen=True)
class TraceStory:
    """One trace; `scores` by metric, null where a metric is not defined for it; empty where it was not scored.

    `copies` are the places (`FILE:LINE`) of exact duplicates that ingest dropped, `dropped` says what later stages did.
    """

    trace_id: str
    prompt_id: str
    teacher: str
    origin: TraceOrigin
    copies: tuple[str, ...]
    verdict: str
    label: bool | None
    n_steps: int | None
    n_tokens: int | None
    scores: dict[str, float | None]
    dropped: tuple[Dropped, ...]
    selectors: tuple[Choice, ...]


@dataclass(frozen=True)
class PromptStory:
    """A prompt and its traces, sorted by trace_id."""

    prompt_id: str
    prompt: list[dict[str, str]]
    domain: str | None
    answer: str | None
    answer_kind: str
    traces: tuple[TraceStory, ...]


@dataclass(frozen=True)
class Selected:
    """What one selector chose of a prompt: its settings, and its rows of table curated, the best first."""

    settings: dict[str, Any]
    rows: list[dict[str, Any]]

    @property
    def name(self) -> str:
        """The selector."""
        return str(self.settings["name"])

    @property
    def by(self) -> str:
        """Its metric."""
        return str(self.settings["by"])


def manifests(select: Path) -> dict[str, Manifest]:
    """Selector to its manifest, in the order of the parameters; raises LineageError where there is none."""
    by_name = read_manifests(select)
    if not by_name:
        raise LineageError(f"{select} holds no curated set with a manifest; run 'dvc repro select'")
    return by_name


def of_prompt(prompt_id: str, folders: Mapping[str, Path], selectors: Mapping[str, Manifest]) -> PromptStory:
    """All of a prompt; `folders` maps a stage to its output, `selectors` a selector to its manifest."""
    own = pl.col("prompt_id") == prompt_id
    prompt = table_files.read_part(tables.PROMPTS, folders["ingest"] / tables.PROMPTS.file, where=own).row(
        0, named=True
    )
    traces = table_files.read_part(tables.TRACES, folders["ingest"] / tables.TRACES.file, tables.TRACE_COLUMNS, own)
    ids = pl.col("trace_id").is_in(traces["trace_id"].implode())
    scores = table_files.read_part(tables.TRACE_SCORES, folders["select"] / tables.TRACE_SCORES.file, where=own)
    rejected = table_files.read_rejected(folders, ids)
    sources = json.loads((folders["ingest"] / "sources.json").read_bytes())
    scored: dict[str | None, dict[str, Any]] = {row["trace_id"]: row for row in scores.rows(named=True)}
    dropped: dict[str, list[Dropped]] = {}
    copies: dict[str, list[str]] = {}
    for row in rejected.rows(named=True):
        if row["stage"] == "ingest":
            copies.setdefault(row["trace_id"], []).append(f"{row['source']}:{row['source_line']}")
            continue
        drop = Dropped(row["stage"], row["reason"], row["detail"])
        # Training drops an example once for each seed.
        if drop not in dropped.setdefault(row["trace_id"], []):
            dropped[row["trace_id"]].append(drop)
    selected = [_selected(folders["select"], m["selector"], own) for m in selectors.values()]
    teachers: dict[str | None, str] = dict(zip(traces["trace_id"], traces["teacher"], strict=True))

    def trace(row: dict[str, Any]) -> TraceStory:
        name = row["trace_id"]
        numbers = scored.get(name, {})
        drops = tuple(dropped.get(name, []))
        return TraceStory(
            trace_id=name,
            prompt_id=prompt_id,
            teacher=row["teacher"],
            origin=_origin(row, sources.get(row["source"], {})),
            copies=tuple(copies.get(name, [])),
            verdict=row["verdict"],
            label=row["label"],
            n_steps=numbers.get("n_steps"),
            n_tokens=numbers.get("n_tokens"),
            scores={c: v for c, v in numbers.items() if c not in tables.TRACE_SCORES.schema},
            dropped=drops,
            selectors=tuple(_verdict(name, s, scored, teachers, drops) for s in selected),
        )

    return PromptStory(
        prompt_id,
        prompt["prompt"],
        prompt["domain"],
        prompt["answer"],
        prompt["answer_kind"],
        tuple(trace(row) for row in traces.rows(named=True)),
    )


def _origin(row: dict[str, Any], about: dict[str, Any]) -> TraceOrigin:
    """`about` is what sources.json says of the file."""
    published = " at revision ".join(about[key] for key in ("repository", "revision") if key in about) or None
    return TraceOrigin(row["source"], row["source_line"], row["licence"], about.get("md5"), published)


def _selected(select: Path, settings: dict[str, Any], own: pl.Expr) -> Selected:
    rows = table_files.read_part(tables.CURATED, select / settings["name"] / CURATED, where=own)
    low = settings["by"] in all_metrics() and all_metrics()[settings["by"]].better == "low"
    return Selected(settings, rows.sort("score", "trace_id", descending=[not low, False]).rows(named=True))


def _verdict(
    name: str,
    selected: Selected,
    scored: Mapping[str | None, dict[str, Any]],
    teachers: Mapping[str | None, str],
    dropped: tuple[Dropped, ...],
) -> Choice:
    own = next((r for r in selected.rows if r["trace_id"] == name), None)
    if own is not None:
        other, score, reason = own["runner_up"], own["score"], own["reason"]
        other_score = scored.get(other, {}).get(selected.by)
        margin, stability = own["margin"], own["stability"]
    else:
        other = selected.rows[-1]["trace_id"] if selected.rows else None
        score, other_score = (scored.get(t, {}).get(selected.by) for t in (name, other))
        margin = None if score is None or other_score is None else abs(score - other_score)
        stability = None
        reason = _why_not(selected, score, other_score, teachers[name], dropped)
    return Choice(
        selector=selected.name,
        by=selected.by,
        chosen=own is not None,
        reason=reason,
        score=score,
        other=other,
        other_teacher=teachers.get(other),
        other_score=other_score,
        margin=margin,
        stability=stability,
    )


def _why_not(
    selected: Selected, score: float | None, winner: float | None, teacher: str, dropped: tuple[Dropped, ...]
) -> str:
    """Why a trace of this teacher was not chosen, as a clause; `winner` is the score of the last that was."""
    if (drop := _drop_for(selected.name, dropped)) is not None:
        return drop
    only = selected.settings.get("teacher")
    if only == "best":
        only = selected.rows[0]["teacher"] if selected.rows else None
    if only not in (None, teacher):
        return f"it takes only traces of {only}"
    if not selected.rows:
        limits = _limits(selected.settings)
        return f"it took no trace of this prompt ({limits})" if limits else "it took no trace of this prompt"
    return _compared(selected, score, winner)


def _drop_for(selector: str, dropped: tuple[Dropped, ...]) -> str | None:
    """The first row that kept a trace from this selector; those of other selectors and of training did not."""
    prefix = f"selector {selector}: "
    for drop in dropped:
        if drop.detail.startswith(prefix):
            return f"{drop.reason}: {drop.detail.removeprefix(prefix)}"
        if not drop.detail.startswith("selector ") and drop.stage != "train":
            return f"no candidate: {drop.stage} dropped it as {drop.reason} ({drop.detail})"
    return None


def _compared(selected: Selected, score: float | None, winner: float | None) -> str:
    by = selected.by
    if score is None or winner is None:
        return f"no score by {by}"
    if score == winner and _has_numbers_to_fill(selected.settings):
        return f"as good by {by} as what was chosen ({selected.rows[-1]['reason']})"
    if score == winner:
        return f"as good by {by} as the one that was chosen, which comes first by content hash"
    if (score < winner) == (all_metrics()[by].better == "low"):
        return f"better by {by} than what was chosen ({selected.rows[-1]['reason']})"
    return f"behind by {by}"


def _has_numbers_to_fill(settings: dict[str, Any]) -> bool:
    return bool(settings.get("mix_of") or settings.get("lengths_of") or any((settings.get("quotas") or {}).values()))


def _limits(settings: dict[str, Any]) -> str:
    """The settings that may keep a whole prompt out, in words."""
    names = ("max_examples", "max_tokens", "min_margin", "min_stability", "mix_of", "lengths_of")
    given = [f"{n} {settings[n]}" for n in names if settings.get(n) is not None]
    if any((settings.get("quotas") or {}).values()):
        given.append("quotas")
    return ", ".join(given)
