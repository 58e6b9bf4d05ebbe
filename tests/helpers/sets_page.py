"""docs/SETS.md from the presets; run it as a program to write the page anew."""

from pathlib import Path

from stepsift.ingest.preset import Preset, presets

PAGE = Path(__file__).parents[2] / "docs" / "SETS.md"
BEGIN = "<!-- from here on made from the presets by tests/helpers/sets_page.py -->"


def section(name: str, preset: Preset) -> str:
    """What the page says of a set."""
    rule = preset.rule
    by = preset.recognised_by
    known = f"columns {', '.join(f'`{c}`' for c in by.columns)}" + (" and no others" if by.only else "")
    if by.like:
        known += "; " + ", ".join(f"`{path}` holds `{pattern}`" for path, pattern in by.like.items())
    known += "".join(f"; `{path}` is `{other}` once more" for path, other in by.same.items())
    if by.named:
        known += f"; the path or repository holds `{by.named}`"
    read = [f"{ours} from {_paths(paths)}" for ours, paths in rule.fields.items() if paths]
    read += [
        f"{t.teacher}: response from `{t.response}`"
        + (f", reasoning from `{t.reasoning}`" if t.reasoning else "")
        + (f", label from `{t.label}`" if t.label else "")
        for t in rule.traces
    ]
    lines = [
        f"## {name}",
        "",
        f"`{preset.repository}`, licence {preset.licence}. Teachers: {', '.join(preset.teachers)}.",
        "",
        f"- Recognised by: {known}",
        f"- Read: {'; '.join(read) or f'layout {rule.layout}'}",
    ]
    if rule.where:
        lines.append(f"- Rows: `{rule.where}`")
    lines.append(f"- Lost: {'; '.join(preset.lost) or 'nothing'}")
    lines += [f"- {quirk}" for quirk in preset.quirks]
    return "\n".join(lines) + "\n"


def _paths(paths: str | tuple[str, ...]) -> str:
    return f"`{paths}`" if isinstance(paths, str) else " or ".join(f"`{path}`" for path in paths)


def body() -> str:
    """All sections, by name."""
    return "\n".join(section(name, preset) for name, preset in sorted(presets().items()))


if __name__ == "__main__":
    before, _, _ = PAGE.read_text(encoding="utf-8").partition(BEGIN)
    PAGE.write_text(f"{before}{BEGIN}\n\n{body()}", encoding="utf-8")
