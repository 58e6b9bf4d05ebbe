"""Files of sources as somebody adds them, and what a project holds."""

import json
from pathlib import Path

PARAMS = """# settings
ingest:
  layout: auto     # six of them
  thinking: keep

report: {}
"""


def row(prompt: str, completion: str, **more: object) -> str:
    return json.dumps({"prompt": prompt, "completion": completion, **more}) + "\n"


def pool() -> str:
    return "".join(row(p, f"So \\boxed{{{n}}}", teacher="anna", answer=n) for p, n in zip("pqr", "123", strict=True))


def new() -> str:
    """Two known prompts, a new one, a broken row and one that says another gold answer of prompt r."""
    rows = [row("p", "Yes \\boxed{1}", answer="1"), row("q", "No \\boxed{9}", answer="2"), "{\n"]
    return "".join([*rows, row("s", "\\boxed{4}", answer="4", license="MIT"), row("r", "\\boxed{7}", answer="7")])


def held(project: Path) -> dict[str, bytes]:
    """Every file of the project that is no part of DVC's or git's own folders."""
    files = (p for p in project.rglob("*") if p.is_file())
    inside = {p: p.relative_to(project) for p in files}
    return {str(r): p.read_bytes() for p, r in inside.items() if r.parts[0] not in (".git", ".dvc")}


def refused(run_cli, *arguments: object) -> str:
    code, out, err = run_cli("add", *arguments)
    assert (code, out, len(err)) == (1, [], 1)
    return err[0]
