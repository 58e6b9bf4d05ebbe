"""One HTML file from everything: template, style, script, charts and traces, and a policy that lets nothing else in."""

import functools
import hashlib
from base64 import b64encode
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

import jinja2
import vl_convert
from markupsafe import Markup

from stepsift.core.text import count, script_json, visible
from stepsift.report import charts
from stepsift.report.context import page_context
from stepsift.report.explorer import explore
from stepsift.report.figures import Figure, all_figures
from stepsift.report.outputs import Outputs

CHANGES, CHANGES_END = "<!-- changes -->", "<!-- /changes -->"
"""Between them `stepsift report` puts what changed since a commit; each stands in every page once."""
_PNG_WIDTH, _PNG_SCALE = 640, 2
_BUNDLE = "window.vegaEmbed = vegaEmbed;"


@dataclass(frozen=True)
class Page:
    """The page as HTML, and its main charts as PNG files: name to bytes."""

    html: str
    pngs: dict[str, bytes]


def render(title: str, settings: dict[str, Any], outputs: Outputs) -> Page:
    """The page; `settings` are sections of params.yaml. The same outputs give the same bytes.

    Every value is escaped or inserted as text: a teacher's name comes from a file that somebody sent.
    """
    shown = all_figures(outputs)
    data = {
        "figures": {name: list(f.charts.values()) for name, f in shown.items()},
        "config": charts.config("currentColor", None),
        "explorer": explore(outputs.chosen, outputs.pool),
    }
    library, script = _library(), _own("page.js")
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True, finalize=_shown
    )
    environment.filters |= {"number": _number, "percent": _percent, "count_of": count}
    html = environment.from_string(_own("page.html.jinja")).render(
        title=title,
        figures=shown,
        settings=settings,
        policy=f"default-src 'none'; script-src {script_hash(library)} {script_hash(script)}; "
        "style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'",
        style=Markup(_own("page.css")),
        library=Markup(library),
        script=Markup(script),
        data=Markup(script_json(data)),
        changes=Markup(CHANGES),
        changes_end=Markup(CHANGES_END),
        **page_context(outputs),
    )
    return Page(html, {name: png(f) for name, f in shown.items()})


def png(figure: Figure) -> bytes:
    """The first chart of a figure, for places that show no HTML; black on white."""
    spec = next(iter(figure.charts.values()))
    fixed = {"width": _PNG_WIDTH, "title": figure.title, "config": charts.config("#222222", "#ffffff")}
    return bytes(vl_convert.vegalite_to_png(spec | fixed, scale=_PNG_SCALE, allowed_base_urls=[]))


@functools.cache
def _library() -> str:
    """Vega, and what draws a chart with it; bundling takes a second."""
    return str(vl_convert.javascript_bundle(_BUNDLE))


def _own(name: str) -> str:
    return files("stepsift.report").joinpath(name).read_text(encoding="utf-8")


def _shown(value: Any) -> Any:
    """What is missing is empty, and what is hidden in a name is spelt out."""
    return "" if value is None else visible(value) if type(value) is str else value


def _number(value: float | None, digits: int = 0) -> str:
    return "" if value is None else f"{value:,.{digits}f}"


def _percent(value: float | None, digits: int = 0) -> str:
    return "" if value is None else f"{100 * value:.{digits}f} %"


def script_hash(script: str) -> str:
    """The source expression that allows exactly this inline script in a Content-Security-Policy."""
    return f"'sha256-{b64encode(hashlib.sha256(script.encode()).digest()).decode()}'"
