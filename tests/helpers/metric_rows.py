"""Step scores for the tests of metrics, from rows that say only what matters."""

import polars as pl

from stepsift.core import table_files, tables
from stepsift.metrics import fit_all, trace_scores, trace_sums, with_fits


def steps_of(rows: list[dict]) -> pl.DataFrame:
    """Table step_scores of rows with trace_id, step and n_tokens, and any of its other columns; these are null where
    they are not named, and n_first is 0. Behind them stand the columns of a reference, where a row names one."""
    of_reference = {f"reference_{c}": tables.STEP_SCORES.schema[c] for c in tables.OF_REFERENCE}
    beside = of_reference if any(of_reference.keys() & row.keys() for row in rows) else {}
    frame = pl.DataFrame([{"n_first": 0} | row for row in rows], schema=tables.STEP_SCORES.schema | beside)
    frame = frame.sort("trace_id", "step")
    table_files.validate(tables.STEP_SCORES, frame.drop(*beside))
    return frame


def traces_of(steps: pl.DataFrame, prompts: dict[str, str] | None = None, teachers: dict[str, str] | None = None):
    """Columns trace_id, prompt_id and teacher of the traces of `steps`; prompt p and teacher t where none is named."""
    ids = steps["trace_id"].unique().sort()
    about = {
        "prompt_id": [(prompts or {}).get(i, "p") for i in ids],
        "teacher": [(teachers or {}).get(i, "t") for i in ids],
    }
    return pl.DataFrame(
        {"trace_id": ids} | about, schema=dict.fromkeys(("trace_id", "prompt_id", "teacher"), pl.String)
    )


def score(steps: pl.DataFrame, seed: int = 0, fit: str = "pool", **about: dict[str, str]) -> pl.DataFrame:
    """Trace scores with those that are fitted; a fit that fails is null."""
    scored = trace_scores(trace_sums(steps), traces_of(steps, **about), seed)
    return with_fits(scored, fit_all(scored, fit))
