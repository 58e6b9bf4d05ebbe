"""The lineage as a picture: from source files to exported sets, as boxes and bands whose width is a number of rows."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from stepsift.core.text import count

_COLUMN, _BOX, _GAP, _TOP = 216, 150, 14, 28
_FULL = 150.0
"""Height of a band that holds all rows."""
_LEAST = 34.0
"""Height of a box, which holds two lines of text."""
_MOST_FILES = 8
_MOST_CHARS = 21


@dataclass(frozen=True)
class Box:
    """A box at `x`, `y`; `lines` are its text, cut to fit, `full` what a pointer shows; `kind` is a CSS class."""

    x: float
    y: float
    height: float
    lines: tuple[str, ...]
    full: str
    kind: str
    width: float = _BOX

    @property
    def middle(self) -> float:
        """The height at which bands meet it."""
        return self.y + self.height / 2


@dataclass(frozen=True)
class Flow:
    """Boxes, bands (SVG path and width in pixels), column headings (x, text), and the picture's height."""

    boxes: tuple[Box, ...]
    bands: tuple[tuple[str, float], ...]
    headings: tuple[tuple[float, str], ...]
    height: float


@dataclass(frozen=True)
class _Item:
    """What a box shows of `n` rows: lines of text, what a pointer shows, and a CSS class."""

    lines: tuple[str, ...]
    full: str
    kind: str
    n: int


def draw_flow(sources: dict[str, Any], counts: dict[str, int], sets: dict[str, dict[str, Any]]) -> Flow:
    """The picture of `sources` (file to rows, kept and rejected), `counts` and `sets`.

    `counts` has prompts, traces, not scored, scored, dropped and candidates; `sets` maps a selector to `chosen` (rows)
    and `files` (name to rows).
    """
    traces = f"{counts['traces']:,} of {count(counts['prompts'], 'prompt')}"
    rejected = sum(int(s["rejected"]) for s in sources.values())
    columns = {
        "source files": _files(sources),
        "ingest": [_Item(("traces", traces), "after ingest", "stage", counts["traces"]), *_lost("rejected", rejected)],
        "score": [_stage("scored", "by the student, step by step", counts), *_lost("not scored", counts["not scored"])],
        "select": [_stage("candidates", "after the filters", counts), *_lost("dropped", counts["dropped"])],
        "curated sets and exports": [_set(name, int(s["chosen"]), s["files"]) for name, s in sets.items()],
    }
    most = max([counts["traces"], *(f.n for f in columns["source files"])])
    items = list(columns.values())
    boxes = [_stacked(column, i, most) for i, column in enumerate(items)]
    links = [(box, boxes[1][0], item.n) for box, item in zip(boxes[0], items[0], strict=True)]
    for i in (2, 3, 4):
        links += [(boxes[i - 1][0], box, item.n) for box, item in zip(boxes[i], items[i], strict=True)]
    return Flow(
        boxes=tuple(box for column in boxes for box in column),
        bands=tuple(_bands([(one, other, _thick(n, most)) for one, other, n in links])),
        headings=tuple((i * _COLUMN + 4.0, title) for i, title in enumerate(columns)),
        height=max(box.y + box.height for column in boxes for box in column) + 8,
    )


def _files(sources: dict[str, Any]) -> list[_Item]:
    """The largest files, and all others in one box."""
    items = [
        _file(name, int(s["kept"]), int(s["rows"]))
        for name, s in sorted(sources.items(), key=lambda item: (-item[1]["kept"], item[0]))
    ]
    if len(items) <= _MOST_FILES:
        return items
    rest = items[_MOST_FILES - 1 :]
    n = sum(item.n for item in rest)
    more = _Item((count(len(rest), "more file"), count(n, "trace")), "the smaller files", "source", n)
    return [*items[: _MOST_FILES - 1], more]


def _file(name: str, kept: int, rows: int) -> _Item:
    return _Item((name, count(kept, "trace")), f"{name}: {kept:,} of {count(rows, 'row')} kept", "source", kept)


def _stage(what: str, full: str, counts: dict[str, int]) -> _Item:
    return _Item((what, count(counts[what], "trace")), full, "stage", counts[what])


def _set(name: str, n_traces: int, files: dict[str, int]) -> _Item:
    lines = (name, f"{count(n_traces, 'trace')} chosen", *(f"{file} {n:,}" for file, n in files.items()))
    return _Item(
        lines, ", ".join([name, *(f"{file}: {count(n, 'row')}" for file, n in files.items())]), "set", n_traces
    )


def _lost(what: str, n: int) -> list[_Item]:
    full = f"{what}: their reasons are in the table of dropped rows"
    return [_Item((what, count(n, "row")), full, "lost", n)] if n else []


def _thick(n: int, most: int) -> float:
    return round(max(1.5, _FULL * n / most), 1)


def _stacked(column: Sequence[_Item], place: int, most: int) -> list[Box]:
    boxes: list[Box] = []
    y = float(_TOP)
    for item in column:
        height = max(_LEAST, 8 + 15.0 * len(item.lines), _thick(item.n, most))
        short = tuple(s if len(s) <= _MOST_CHARS else f"{s[: _MOST_CHARS - 1]}…" for s in item.lines)
        boxes.append(Box(place * _COLUMN + 4.0, y, height, short, item.full, item.kind))
        y += height + _GAP
    return boxes


def _bands(links: Sequence[tuple[Box, Box, float]]) -> list[tuple[str, float]]:
    """Paths from the right of one box to the left of another; those of one box lie side by side about its middle."""
    leaving, entering = (
        {b: -sum(w for *ends, w in links if ends[i] == b) / 2 for b in {k[i] for k in links}} for i in (0, 1)
    )
    bands = []
    for one, other, width in links:
        top, bottom = (b.middle + used[b] + width / 2 for b, used in ((one, leaving), (other, entering)))
        leaving[one] += width
        entering[other] += width
        x, end = one.x + one.width, other.x
        half = (x + end) / 2
        bands.append((f"M{x:.0f} {top:.1f}C{half:.0f} {top:.1f} {half:.0f} {bottom:.1f} {end:.0f} {bottom:.1f}", width))
    return bands
