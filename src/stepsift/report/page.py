"""Fills `page.html.jinja` with the numbers that the stages wrote; decides nothing and computes next to nothing."""

from importlib.resources import files
from typing import Any

import jinja2
import polars as pl


def render_page(
    title: str, ingest: dict[str, Any], select: dict[str, Any], teachers: pl.DataFrame, evaluations: pl.DataFrame
) -> str:
    """The page as HTML, from the metrics of ingest and select and the tables teachers and evaluations.

    Every value is escaped: a teacher's name comes from a file that somebody sent.
    """
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    template = environment.from_string(files("stepsift.report").joinpath("page.html.jinja").read_text(encoding="utf-8"))
    overall = teachers.filter(pl.col("domain") == "all").sort("metric", "rank", "teacher", nulls_last=True)
    return template.render(
        title=title,
        ingest=ingest,
        select=select,
        rankings={metric: part.to_dicts() for (metric,), part in overall.group_by("metric", maintain_order=True)},
        tasks={task: part.to_dicts() for (task,), part in evaluations.group_by("task", maintain_order=True)},
    )
