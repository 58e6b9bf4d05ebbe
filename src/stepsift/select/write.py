"""A selection on disk: its tables, and a folder for each curated set that stands by itself."""

from collections.abc import Iterator
from pathlib import Path

import polars as pl

from stepsift import params
from stepsift.core import disk, table_files, tables
from stepsift.select import export
from stepsift.select.card import card_text
from stepsift.select.croissant import croissant_metadata
from stepsift.select.filters import check_clean
from stepsift.select.manifest import Inputs, describe
from stepsift.select.pool import ScoredPool
from stepsift.select.questions import Questions
from stepsift.select.run import Selection
from stepsift.select.selection import TURN
from stepsift.select.step_masks import masked_steps, with_masks
from stepsift.select.weights import extra_columns

TABLE = tables.CURATED.file


def write_selection(  # noqa: PLR0913 - what was chosen, and all that its manifest names
    selection: Selection,
    pool: ScoredPool,
    settings: params.Select,
    questions: Questions,
    inputs: Inputs,
    out: Path,
    steps: params.DroppedSteps | None = None,
) -> None:
    """Write the tables trace_scores, teachers and rejected into `out`, and a folder for each selector.

    `out/<selector>/` holds `curated.parquet`, the exports, `manifest.json`, a card (`README.md`) and `croissant.json`.
    With `steps` (`train.steps`) there is also `masked_steps.parquet`, and exports have spans that are not trained.
    `out/manifest.json` has the manifests' fingerprints. Metrics are left to the stage. Raises SelectionError where an
    evaluation question is among the prompts that were chosen.
    """
    table_files.write(tables.TRACE_SCORES, selection.trace_scores, out / tables.TRACE_SCORES.file)
    table_files.write(tables.TEACHERS, selection.teachers, out / tables.TEACHERS.file)
    table_files.write(tables.REJECTED, selection.rejected, out / tables.REJECTED.file)
    fingerprints = {}
    for selector in settings.selectors:
        curated = selection.curated[selector.name]
        rows = examples(curated, pool)
        check_clean(_frames(rows), questions)
        folder = out / selector.name
        table_files.write(tables.CURATED, curated, folder / TABLE)
        written = {TABLE: export.entry(folder / TABLE, curated.height)}
        if steps is not None:
            masked = masked_steps(curated["trace_id"], pool, steps, settings.seed)
            table_files.write(tables.MASKED_STEPS, masked, folder / tables.MASKED_STEPS.file)
            written[tables.MASKED_STEPS.file] = export.entry(folder / tables.MASKED_STEPS.file, None)
            rows = with_masks(rows, masked, steps)
        formats = ("messages", *(f for f in settings.exports if f != "messages"))
        files = written | export.write(rows, formats, folder)
        about = describe(selector, settings, inputs, selection, files)
        if steps is not None:
            about["train_steps"] = steps.model_dump(mode="json")
        disk.write_json(about, folder / "manifest.json")
        disk.write_text(card_text(about, rows), folder / "README.md")
        disk.write_json(croissant_metadata(about, rows), folder / "croissant.json")
        fingerprints[selector.name] = about["fingerprint"]
    disk.write_json({"inputs": {"tables": inputs.tables}, "selections": fingerprints}, out / "manifest.json")


def examples(curated: pl.DataFrame, pool: ScoredPool) -> pl.DataFrame:
    """The chosen traces with all that an export holds, sorted by (prompt_id, trace_id)."""
    about = pool.traces.select("trace_id", "licence", "source", "source_line", "verdict")
    return (
        curated.select("prompt_id", "trace_id", "teacher", "selector", "score", *extra_columns(curated))
        .cast({TURN: pl.Int64} if TURN in curated.columns else {})
        .sort("prompt_id", "trace_id")
        .join(about, on="trace_id", how="left", maintain_order="left")
        .join(pool.prompts.select("prompt_id", "prompt", "domain"), on="prompt_id", how="left", maintain_order="left")
        .join(pool.chosen_responses(curated["trace_id"]), on="trace_id", how="left", maintain_order="left")
    )


def _frames(rows: pl.DataFrame) -> Iterator[pl.DataFrame]:
    yield from rows.select("prompt_id", "prompt", "trace_id").iter_slices(50_000)
