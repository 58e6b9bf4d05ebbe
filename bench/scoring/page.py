"""The page that bench/score.py writes: how to read it, and for each student what made its section, and its tables."""

import os
import platform
import re
from datetime import date
from importlib.metadata import version
from pathlib import Path

from scoring.methods import BATCH, HFLM, MATRIX, PLAIN_FULL, STEP, Facts
from scoring.tables import Cell, Cells, growth_table, methods_table
from scoring.traces import WINDOW, Trace, pushed, windows, written_out
from stepsift.core.text import count

OTHERS = "<!-- Below: tables of other benches, which bench/score.py leaves as they are. -->"
CELL_S = 300
"""A method that has taken so long on a set of traces is not called on it again, whatever `--repeat` says."""

NOTES = f"""\
- **Methods.** All run on the same token ids, k = {WINDOW}. The baselines: one forward pass a step; batches of {BATCH}
  padded windows; lm-evaluation-harness's `HFLM._loglikelihood_tokens` with batch size {BATCH}; for the full pass one
  forward pass. Each takes the logits of all positions and log-softmax over the whole vocabulary: in float32, but `HFLM`
  in the student's dtype, as it does by itself.
- **s** is for all traces of a set; a ratio **x A** of medians says how many times as fast as A a method is.
- **Differences** are absolute and in nats: the largest over steps of a step's mean per token, the largest over tokens.
- **Ceiling**: the share of the machine's floating-point operations a second that the scores need, the same for every
  method whatever it spends: 2 x the weights of the linear layers x the positions of nested windows (the prompt once a
  trace, no padding; in a full pass, all positions) + 2 x the weights of the output embedding x the response's tokens.
  Attention, norms, soft-max and sums are not counted. The machine's are the best of many products of matrices of
  {MATRIX} x {MATRIX} in that dtype with as many threads, measured before each round.
- **MB** (10^6 bytes): the peak of a process of its own less what it holds after loading and a forward pass of eight
  tokens. What a method makes of the model (packed weights) counts as its own.
- A method that has taken {CELL_S} s on a set is not called on it again.
- Of very long traces this engine alone is measured: no baseline is called on them.
"""


def section(  # noqa: PLR0913 - what a section shows, once each
    name: str, full: bool, traces: list[Trace], cells: Cells, facts: Facts | None, ceilings: dict[str, float]
) -> list[str]:
    """Heading, what the traces are, and the table of one set and pass."""
    n_tokens, positions = sum(len(t.response) for t in traces), pushed(traces, full)
    steps = sum(len(windows(t)) for t in traces)
    prompts = ", ".join(str(len(t.prompt)) for t in traces)
    needs = f"{positions:,} positions" + ("" if full else f" ({written_out(traces):,} with every window written out)")
    useful = 2.0 * (facts.body * positions + facts.head * n_tokens) if facts else 0.0
    reference, exact = (PLAIN_FULL, PLAIN_FULL) if full else (HFLM, STEP)
    return [
        f"### {name.capitalize()}: {'full pass' if full else 'LALP'}",
        "",
        f"Traces: {len(traces)}, {n_tokens:,} tokens in {steps:,} steps, prompts of {prompts} tokens; {needs}.",
        "",
        *methods_table(cells, n_tokens, reference, exact, useful, ceilings),
        "",
    ]


def preamble() -> list[str]:
    """How to read the page."""
    made = "The sections up to *Training* are written by `bench/score.py --write`: do not edit them."
    return ["# Scoring, measured", "", made, "", NOTES.rstrip("\n"), ""]


def made_by(arguments: list[str], rounds: int) -> list[str]:
    """What made a student's section, when, and on which machine."""
    model, info = platform.processor() or platform.machine(), Path("/proc/cpuinfo")
    if info.exists():
        lines = (line.partition(":") for line in info.read_text(encoding="utf-8").splitlines())
        model = next((value.strip() for key, _, value in lines if key.strip() == "model name"), model)
    packages = ", ".join(f"{name} {version(name)}" for name in ("torch", "transformers", "lm-eval"))
    return [
        *(f"Made on {date.today():%Y-%m-%d} by `{command(arguments)}` in {count(rounds, 'round')}.", ""),
        f"Machine: {model}, {os.cpu_count()} cores, {platform.system()}, Python {platform.python_version()}. "
        f"Packages: {packages}.",
        "",
    ]


def renewed(page: str, sections: dict[str, list[str]]) -> str:
    """The page with these sections, by the name of a student, in place of its own; those of other students stay.

    A section that measured some parts alone leaves the others too, and says under each of its own what made it.
    """
    before, mark, others = page.partition(OTHERS)
    _, known = _split(before, "## ")
    for name, lines in sections.items():
        new = "\n".join(lines).rstrip()
        known[name] = _merged(known[name], new) if name in known else new
    return "\n\n".join(["\n".join(preamble()).rstrip(), *known.values()]) + f"\n\n{mark}{others}"


def _merged(old: str, new: str) -> str:
    (top, was), (facts, parts) = _split(old, "### "), _split(new, "### ")
    if not was.keys() - parts.keys():
        return new
    said = " ".join(facts.split("\n")[1:]).strip().replace("  ", " ")
    for name, part in parts.items():
        heading, _, table = part.partition("\n")
        was[name] = f"{heading}\n\n{said}\n\n{table.strip()}"
    return "\n\n".join([top, *was.values()])


def _split(text: str, level: str) -> tuple[str, dict[str, str]]:
    """What stands before the first heading of a level, and what begins with each, by its words."""
    first, *rest = re.split(rf"^(?={level})", text, flags=re.MULTILINE)
    return first.rstrip(), {part.partition("\n")[0].removeprefix(level): part.rstrip() for part in rest}


def command(arguments: list[str]) -> str:
    """The command with the last part alone of every path that is absolute: others have other folders."""
    shown = [Path(a).name if Path(a).is_absolute() else a for a in arguments]
    return " ".join(["python", "bench/score.py", *shown])


def growth_section(dtype: str, cells: dict[int, tuple[Cell, Cell]]) -> list[str]:
    """Heading and table of cost against length."""
    note = "Traces are set end to end. Beyond the student's context only the cost means anything."
    return [f"### Growth with length, {dtype}", "", note, "", *growth_table(cells), ""]
