"""A diff as lines for a terminal, as Markdown for a pull request, and as HTML for the report."""

from collections.abc import Callable, Iterable, Iterator, Sequence

from stepsift.core.text import count, markdown_cell, markdown_code
from stepsift.core.text import html as text
from stepsift.lineage.diff import REASONS, Diff, SelectorDiff

MOST_ROWS = 20
"""Changed prompts that are listed for a selector; the rest is counted."""
_SHORT_CHARS = 12
_MOST_WIDTH = 60
"""Of a column on a terminal: a longer name makes its own line longer, and no other."""


def terminal(comparison: Diff) -> Iterator[str]:
    """Tables of text, aligned."""
    yield f"{comparison.before} -> {comparison.after}"
    yield from _only(comparison, str)
    for name, change in comparison.selectors.items():
        yield ""
        yield f"{name}: {_summary(change, str)}"
        for title, rows in _tables(change):
            yield from _aligned([title, *rows])
        if (more := change.changes.height - MOST_ROWS) > 0:
            yield f"  and {more:,} more"


def markdown(comparison: Diff) -> Iterator[str]:
    """Headings and tables of GitHub's Markdown."""
    yield f"## Curated sets: {markdown_code(comparison.before)} -> {markdown_code(comparison.after)}"
    for line in _only(comparison, markdown_code):
        yield ""
        yield line
    for name, change in comparison.selectors.items():
        yield ""
        yield f"### {markdown_code(name)}"
        yield ""
        yield f"{_summary(change, markdown_code)}."
        for title, rows in _tables(change):
            yield ""
            yield _markdown_row(title)
            yield _markdown_row(["---"] * len(title))
            yield from (_markdown_row(map(_markdown_value, row)) for row in rows)
        if (more := change.changes.height - MOST_ROWS) > 0:
            yield ""
            yield f"and {more:,} more."


def html(comparison: Diff) -> Iterator[str]:
    """Headings and tables, every text escaped."""
    yield f"<p>{text(comparison.before)} &rarr; {text(comparison.after)}</p>"
    yield from (f"<p>{text(line)}</p>" for line in _only(comparison, str))
    for name, change in comparison.selectors.items():
        yield f"<h3>{text(name)}</h3><p>{text(_summary(change, str))}.</p>"
        for title, rows in _tables(change):
            yield '<div class="scroll"><table><thead>'
            yield _html_row(title, "th")
            yield "</thead><tbody>"
            yield from (_html_row(row, "td") for row in rows)
            yield "</tbody></table></div>"
        if (more := change.changes.height - MOST_ROWS) > 0:
            yield f"<p>and {more:,} more.</p>"


def _html_row(cells: Sequence[str], tag: str) -> str:
    return "<tr>" + "".join(f"<{tag}>{text(cell)}</{tag}>" for cell in cells) + "</tr>"


def _only(comparison: Diff, safe: Callable[[str], str]) -> Iterator[str]:
    for name, selectors in ((comparison.before, comparison.only_before), (comparison.after, comparison.only_after)):
        if selectors:
            yield f"only in {safe(name)}: {', '.join(map(safe, selectors))}"


def _summary(change: SelectorDiff, safe: Callable[[str], str]) -> str:
    """How many prompts changed, and what came and went."""
    n = change.changes["prompt_id"].n_unique()
    before, after = change.teachers["before"].sum(), change.teachers["after"].sum()
    settings = "".join(f"; {safe(k)} {safe(str(a))} -> {safe(str(b))}" for k, (a, b) in change.settings.items())
    counts = f"{count(int(before), 'trace')} before, {after:,} after, {change.n_same:,} in both"
    return f"{n:,} of {count(change.n_prompts, 'prompt')} changed; {counts}{settings}"


def _tables(change: SelectorDiff) -> Iterator[tuple[list[str], list[list[str]]]]:
    """(title, rows) of the tables of what changed: reasons, teachers, prompts; none where nothing did."""
    counts = dict(change.changes["reason"].value_counts().rows())
    if not counts:
        return
    yield ["why", "changes"], [[r, str(counts[r])] for r in REASONS if r in counts]
    rows = [[t, str(before), str(after), f"{after - before:+d}"] for t, before, after in change.teachers.rows()]
    yield ["teacher", "before", "after", "change"], rows
    yield (
        ["prompt", "before", "after", "why"],
        [
            [
                row["prompt_id"],
                _trace(row["before"], row["teacher_before"]),
                _trace(row["after"], row["teacher_after"]),
                f"{row['reason']}: {row['detail']}",
            ]
            for row in change.changes.head(MOST_ROWS).rows(named=True)
        ],
    )


def _trace(trace_id: str | None, teacher: str | None) -> str:
    return "-" if trace_id is None else f"{trace_id[:_SHORT_CHARS]} {teacher}"


def _aligned(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    widths = [min(_MOST_WIDTH, max(len(row[i]) for row in rows)) for i in range(len(rows[0]))]
    for row in rows:
        yield "  " + "  ".join(f"{cell:{width}}" for cell, width in zip(row, widths, strict=True)).rstrip()


def _markdown_row(cells: Iterable[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _markdown_value(cell: str) -> str:
    """Numbers as they are, everything else as code: teachers' names and prompt ids may hold anything."""
    return cell if cell.lstrip("+-").isdecimal() or cell == "-" else markdown_cell(cell)
