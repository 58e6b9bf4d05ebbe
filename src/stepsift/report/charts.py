"""The page's charts as Vega-Lite, by Altair: each takes a small frame and decides only how it looks.

Text and lines are in `currentColor`, so a chart follows the page's theme without being drawn again.
"""

import math
from collections.abc import Sequence
from typing import Any

import altair as alt
import polars as pl

from stepsift.core.text import visible
from stepsift.report.numbers import OTHERS

Spec = dict[str, Any]
PALETTE = ["#4e79a7", "#f28e2b", "#59a14f", "#e15759", "#76b7b2", "#b07aa1"]
PALETTE += ["#edc948", "#ff9da7", "#9c755f", "#8d99ae", "#499894", "#d37295"]
CONTEXTS = {"full": "in the whole context", "windowed": "in its window"}
"""Column of `along` -> what the chart calls it."""
MAIN = PALETTE[0]
_ROW = 22
"""Pixels of a row of marks."""
INK = "currentColor"
"""The colour of text around the chart; black where nothing is around it."""


def config(ink: str, background: str | None) -> Spec:
    """Vega-Lite's configuration: text and lines in one colour, on a background or none."""
    axis = {"labelColor": ink, "titleColor": ink, "domainColor": ink, "tickColor": ink, "gridColor": ink}
    return {
        "background": background,
        "font": "Liberation Sans, Arial, Helvetica, sans-serif",
        "axis": axis | {"gridOpacity": 0.15, "domainOpacity": 0.4, "tickOpacity": 0.4, "labelLimit": 160},
        "legend": {"labelColor": ink, "titleColor": ink, "labelLimit": 160},
        "title": {"color": ink},
        "text": {"color": ink},
        "view": {"stroke": None},
        "range": {"category": PALETTE},
    }


def ranking(teachers: pl.DataFrame, metric: str, better: str) -> Spec:
    """Teachers' means with intervals, the best on top; rows of table teachers of one metric and domain."""
    columns = ["teacher", "mean", "ci_low", "ci_high", "rank_low", "rank_high", "n_met"]
    ranked = teachers.filter(pl.col("mean").is_not_null()).sort("rank", "mean", "teacher", nulls_last=True)
    base = _base(ranked.select(columns).with_columns(_ranks())).encode(
        y=alt.Y("teacher:N", sort=None, title=None),
        tooltip=[
            alt.Tooltip("teacher:N"),
            alt.Tooltip("mean:Q", format=".4f"),
            alt.Tooltip("ci_low:Q", format=".4f", title="2.5 %"),
            alt.Tooltip("ci_high:Q", format=".4f", title="97.5 %"),
            alt.Tooltip("ranks:N", title="possible ranks"),
            alt.Tooltip("n_met:Q", title="prompts with others"),
        ],
    )
    title = f"mean {metric} ({'higher' if better == 'high' else 'lower'} is better)"
    rule = base.mark_rule(strokeWidth=3, opacity=0.5, color=MAIN).encode(x=_value("ci_low", title), x2="ci_high:Q")
    return _spec(
        rule + base.mark_point(filled=True, size=70, opacity=1, color=MAIN).encode(x=_value("mean", title)),
        _ROW * ranked.height,
    )


def _ranks() -> pl.Expr:
    same = pl.col("rank_low") == pl.col("rank_high")
    both = pl.format("{} to {}", "rank_low", "rank_high")
    return pl.when(same).then(pl.col("rank_low").cast(pl.String)).otherwise(both).alias("ranks")


def accuracy(points: list[dict[str, Any]]) -> Spec:
    """Students' accuracies with intervals, of one task; keys student, accuracy, low and high, shares from 0 to 1."""
    base = _base(points).encode(
        y=alt.Y("student:N", sort=None, title=None),
        tooltip=[alt.Tooltip("student:N"), *(alt.Tooltip(f"{c}:Q", format=".1%") for c in ("accuracy", "low", "high"))],
    )
    x = alt.X("low:Q", title="accuracy, with 95 % interval over questions", axis=alt.Axis(format="%"))
    rule = base.mark_rule(strokeWidth=3, opacity=0.5, color=PALETTE[2]).encode(x=x, x2="high:Q")
    return _spec(
        rule + base.mark_point(filled=True, size=70, opacity=1, color=PALETTE[2]).encode(x="accuracy:Q"),
        _ROW * len(points),
    )


def distribution(frame: pl.DataFrame, metric: str) -> Spec:
    """Quantiles of a metric by teacher and domain: 5 to 95 % as a line, 25 to 75 % as a bar, the median as a tick."""
    domains = [_name(d) for d in frame["domain"].unique().sort()]
    extra: Spec = {}
    if len(domains) > 1:
        extra = {"yOffset": alt.YOffset("domain:N", sort=domains), "color": _colour("domain", domains)}
    base = _base(frame).encode(
        y=alt.Y("teacher:N", sort=None, title=None),
        tooltip=[
            *(alt.Tooltip(f"{c}:N") for c in ("teacher", "domain")),
            alt.Tooltip("n:Q", title="traces"),
            *(alt.Tooltip(f"{c}:Q", format=".3f") for c in ("p05", "p25", "p50", "p75", "p95")),
        ],
        **extra,
    )
    plain = {} if extra else {"color": MAIN}
    layers = (
        base.mark_rule(opacity=0.6, strokeWidth=1.5, **plain).encode(x=_value("p05", metric), x2="p95:Q"),
        base.mark_bar(opacity=0.75, **plain).encode(x=_value("p25", metric), x2="p75:Q"),
        base.mark_tick(thickness=2).encode(x=_value("p50", metric), color=alt.value(INK)),
    )
    row = 9 * len(domains) + 6 if extra else _ROW
    return _spec(alt.layer(*layers), row * frame["teacher"].n_unique())


def agreement(pairs: pl.DataFrame, order: Sequence[str]) -> Spec:
    """Heat map of the share of prompts on which two metrics like the same candidate best."""
    axis = alt.Axis(labelAngle=-90, title=None)
    base = _base(pairs).encode(
        x=alt.X("one:N", sort=list(order), axis=axis),
        y=alt.Y("other:N", sort=list(order), title=None),
        tooltip=[
            alt.Tooltip("one:N"),
            alt.Tooltip("other:N"),
            alt.Tooltip("share:Q", format=".1%", title="same trace"),
            alt.Tooltip("changed:Q", title="prompts that change"),
            alt.Tooltip("n:Q", title="of prompts"),
        ],
    )
    cells = base.mark_rect(color=MAIN).encode(opacity=_shade(None, [0, 1]))
    text = base.mark_text(fontSize=9, color=INK).encode(text=alt.Text("share:Q", format=".0%"))
    return _spec(cells + text if len(order) <= 12 else cells, _ROW * len(order))


def meetings(pairs: pl.DataFrame, order: Sequence[str]) -> Spec:
    """Heat map of the number of prompts on which two teachers met; the diagonal has each teacher's own."""
    base = _base(pairs).encode(
        x=alt.X("one:N", sort=list(map(_name, order)), axis=alt.Axis(labelAngle=-90, title=None)),
        y=alt.Y("other:N", sort=list(map(_name, order)), title=None),
        tooltip=[alt.Tooltip("one:N"), alt.Tooltip("other:N"), alt.Tooltip("n:Q", title="prompts")],
    )
    shade = alt.Opacity("share:Q", scale=alt.Scale(domain=[0, 1], range=[0.06, 1]), legend=None)
    text = base.mark_text(fontSize=9, color=INK).encode(text="n:Q")
    return _spec(base.mark_rect(color=MAIN).encode(opacity=shade) + text, _ROW * len(order))


def lengths(shares: pl.DataFrame, what: str, score: str) -> Spec:
    """Heat map of scores by length: how the traces or steps of one length spread."""
    base = _base(shares).encode(
        x=alt.X("length:Q", scale=alt.Scale(type="log", base=2), title=f"tokens of a {what}"),
        x2="length_end:Q",
        y=_axis_y("low", score),
        y2="high:Q",
        opacity=_shade("of a length", None),
        tooltip=[
            alt.Tooltip("length:Q", format=".0f", title="tokens from"),
            alt.Tooltip("length_end:Q", format=".0f", title="to below"),
            alt.Tooltip("low:Q", format=".2f", title="score from"),
            alt.Tooltip("high:Q", format=".2f", title="to"),
            alt.Tooltip("n:Q", title=f"{what}s"),
        ],
    )
    return _spec(base.mark_rect(color=MAIN), height=260)


def composition(counts: pl.DataFrame, by: str, selectors: Sequence[str]) -> Spec:
    """Shares of teachers or domains in each curated set; `by` is the column."""
    summed = counts.group_by("selector", by).agg(pl.col("n").sum()).sort("selector", by)
    summed = summed.with_columns(share=pl.col("n") / pl.col("n").sum().over("selector"))
    names = summed.group_by(by).agg(pl.col("n").sum()).sort(["n", by], descending=[True, False])[by].to_list()
    base = _base(summed).encode(
        y=alt.Y("selector:N", sort=list(selectors), title=None),
        x=alt.X(
            "share:Q",
            stack="zero",
            axis=alt.Axis(format="%"),
            scale=alt.Scale(domain=[0, 1]),
            title="of the curated set",
        ),
        color=_colour(by, sorted(names, key=lambda n: n == OTHERS)),
        tooltip=[
            alt.Tooltip("selector:N"),
            alt.Tooltip(f"{by}:N"),
            alt.Tooltip("n:Q", title="traces"),
            alt.Tooltip("share:Q", format=".1%"),
        ],
    )
    return _spec(base.mark_bar(), 30 * len(selectors))


def rejections(counts: pl.DataFrame) -> Spec:
    """Rows that were dropped, by stage and reason."""
    base = _base(counts.with_columns(what=pl.format("{}: {}", "stage", "reason"))).encode(
        y=alt.Y("what:N", sort=None, title=None),
        x=alt.X("n:Q", title="rows"),
        tooltip=[alt.Tooltip("stage:N"), alt.Tooltip("reason:N"), alt.Tooltip("n:Q", title="rows")],
    )
    return _spec(base.mark_bar(color=PALETTE[3]), _ROW * counts.height)


def curves(points: list[dict[str, Any]]) -> Spec:
    """Training losses; keys student, update and loss (nats per token)."""
    base = _base(points).encode(
        x=alt.X("update:Q", title="update"),
        y=alt.Y("loss:Q", scale=alt.Scale(zero=False), title="loss (nats per token)"),
        color=alt.Color("student:N", title=None, legend=alt.Legend(orient="top", columns=2)),
        tooltip=[alt.Tooltip("student:N"), alt.Tooltip("update:Q"), alt.Tooltip("loss:Q", format=".4f")],
    )
    return _spec(base.mark_line(strokeWidth=1.5), height=280)


def along(means: pl.DataFrame) -> Spec:
    """Mean log-probability along a teacher's traces; columns part, n_tokens, full and windowed (nats per token)."""
    long = means.unpivot([*CONTEXTS], index=["part", "n_tokens"], variable_name="context", value_name="mean")
    named = long.with_columns(pl.col("context").replace_strict(CONTEXTS))
    base = _base(named).encode(
        x=_tenths("part"),
        y=_axis_y("mean", "log-probability (nats per token)"),
        color=_colour("context", list(CONTEXTS.values())),
        tooltip=[
            *(alt.Tooltip("context:N"), alt.Tooltip("part:O", title="tenth")),
            *(alt.Tooltip("mean:Q", format=".3f"), alt.Tooltip("n_tokens:Q", title="tokens")),
        ],
    )
    return _spec(base.mark_line(point=True, strokeWidth=1.5), height=240)


def gained_from_afar(means: pl.DataFrame) -> Spec:
    """What the whole context adds along traces, a line per teacher; columns as for `along`, and teacher."""
    gains = means.select("teacher", "part", gain=pl.col("full") - pl.col("windowed"))
    base = _base(gains).encode(
        x=_tenths("part"),
        y=_axis_y("gain", "whole context less window (nats per token)"),
        color=_colour("teacher", gains["teacher"].unique().sort().to_list()),
        tooltip=[alt.Tooltip("teacher:N"), alt.Tooltip("part:O", title="tenth"), alt.Tooltip("gain:Q", format="+.3f")],
    )
    return _spec(base.mark_line(point=True, strokeWidth=1.5), height=280)


def _tenths(field: str) -> Any:
    return alt.X(f"{field}:O", title="tenth of the trace", axis=alt.Axis(labelAngle=0))


def learned(means: pl.DataFrame) -> Spec:
    """Mean log-probability of steps by the tenth of their trace, before and after training; columns tenth, n, before
    and after (nats per token)."""
    long = means.unpivot(["before", "after"], index=["tenth", "n"], variable_name="when", value_name="mean")
    base = _base(long).encode(
        x=_tenths("tenth"),
        y=_axis_y("mean", "mean over steps (nats per token)"),
        color=_colour("when", ["before", "after"]),
        tooltip=[
            *(alt.Tooltip("when:N", title="training"), alt.Tooltip("tenth:O")),
            *(alt.Tooltip("mean:Q", format=".3f"), alt.Tooltip("n:Q", title="steps")),
        ],
    )
    return _spec(base.mark_line(point=True, strokeWidth=1.5), height=240)


def _base(data: pl.DataFrame | list[dict[str, Any]]) -> Any:
    rows = data.to_dicts() if isinstance(data, pl.DataFrame) else data
    values = [
        {k: float(f"{v:.6g}") if isinstance(v, float) and math.isfinite(v) else _name(v) for k, v in row.items()}
        for row in rows
    ]
    return alt.Chart(alt.InlineData(values=values))


def _name(value: Any) -> Any:
    """What is hidden in a name is spelt out, as everywhere on the page."""
    return visible(value) if isinstance(value, str) else value


def _value(field: str, title: str) -> Any:
    return alt.X(f"{field}:Q", scale=alt.Scale(zero=False), title=title)


def _axis_y(field: str, title: str) -> Any:
    return alt.Y(f"{field}:Q", scale=alt.Scale(zero=False), title=title)


def _shade(title: str | None, domain: list[float] | None) -> Any:
    """A share as the strength of one colour, which reads on light and on dark."""
    shades = [0.06, 1]
    scale = alt.Scale(type="sqrt", range=shades) if domain is None else alt.Scale(domain=domain, range=shades)
    return alt.Opacity("share:Q", scale=scale, legend=alt.Legend(format="%", title=title))


def _colour(field: str, names: Sequence[str]) -> Any:
    return alt.Color(
        f"{field}:N",
        scale=alt.Scale(domain=[_name(n) for n in names], range=[PALETTE[i % len(PALETTE)] for i in range(len(names))]),
        legend=alt.Legend(
            title=None, orient="top", columns=4, symbolType="square", symbolOpacity=1, symbolStrokeWidth=0
        ),
    )


def _spec(chart: Any, height: int) -> Spec:
    """As wide as its place; `height` in pixels, without axes.

    That it is right by Vega-Lite's schema is asked in a test: here it would take a quarter of the page's time.
    """
    # Not Vega-Lite's steps: with a width that fits its place they give a warning for each chart in the browser.
    fit = alt.AutoSizeParams(type="fit-x", contains="padding")
    return dict(chart.properties(width="container", height=height, autosize=fit).to_dict(validate=False))
