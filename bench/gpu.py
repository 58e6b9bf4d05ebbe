"""The device check: are scores right on this GPU, how fast is the engine there, and where does the time go?

    python bench/gpu.py [--out gpu] [--seconds 330] [--small]

Needs torch, transformers and numpy alone, so that it runs where nothing else is installed; Triton and vLLM are measured
where they are. Weights are random: speed does not depend on them, and errors are measured against float64. Writes
OUT.json and OUT.md, the tables for docs/BENCH.md. `--small` runs every part in miniature, for a test on a CPU.
"""

import argparse
import json
import platform
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "src"))

from gpu_parts.exactness import check_exactness
from gpu_parts.head import measure_heads
from gpu_parts.speed import SHAPES, growth, measure_peak, measure_shape, profile


@dataclass
class Budget:
    """Seconds of the whole run; a part that begins after its share is left out, which is said."""

    seconds: float
    begun: float = field(default_factory=time.monotonic)

    def used(self) -> float:
        """Seconds since the run began."""
        return time.monotonic() - self.begun

    def has(self, share: float) -> bool:
        """Whether less than this share of the seconds is used."""
        return self.used() < share * self.seconds


def main() -> None:
    """Run all parts within the budget; what fails is a result, too, and ends nothing but its own part."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--out", type=Path, default=Path("gpu"), help="OUT.json and OUT.md (default: %(default)s)")
    parser.add_argument("--seconds", type=float, default=330.0, help="for everything (default: %(default)s)")
    parser.add_argument("--small", action="store_true", help="every part in miniature, on any device")
    parser.add_argument("--commit", default="", help="commit of the code, for the table's first line")
    args = parser.parse_args()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if device.type == "cpu" and not args.small:
        parser.error("there is no CUDA device here; --small runs every part in miniature on the CPU")
    budget = Budget(args.seconds)
    results: dict[str, Any] = {"machine": machine(device), "commit": args.commit, "small": args.small}
    for name, part in parts(device, args.small, budget):
        with guarded(results, name):
            results[name] = part()
        # Written after each part: a run that is killed leaves what it has.
        results["seconds"] = round(budget.used(), 1)
        write(results, args.out)
        print(f"{name}: done at {budget.used():.0f} s", flush=True)


def machine(device: torch.device) -> dict[str, str]:
    """What the figures depend on."""
    import transformers

    name = torch.cuda.get_device_name(device) if device.type == "cuda" else platform.processor() or platform.machine()
    return {
        "device": name,
        "torch": torch.__version__,
        "cuda": str(torch.version.cuda),
        "transformers": transformers.__version__,
        "python": platform.python_version(),
    }


def parts(device: torch.device, small: bool, budget: Budget) -> Iterator[tuple[str, Callable[[], Any]]]:
    """Name and work of each part, the most important first; later ones are left out when time is short."""
    yield "exactness", lambda: check_exactness(device, small)
    yield "peak_tflops", lambda: measure_peak(device, small)
    yield "head", lambda: measure_heads(device, small)
    for name in SHAPES if not small else ("tiny",):
        if budget.has(0.6):
            yield f"speed_{name}", partial(measure_shape, name, device, small)
    if budget.has(0.8):
        yield "growth", lambda: growth("tiny" if small else "0.5B", device, small)
    if budget.has(0.9):
        yield "profile", lambda: profile("tiny" if small else "1.5B", device, small)


@contextmanager
def guarded(results: dict[str, Any], name: str) -> Iterator[None]:
    """Put what goes wrong in a part into its result."""
    try:
        yield
    except Exception as e:  # a defect of one part must not cost the figures of the others
        results[name] = {"error": f"{type(e).__name__}: {str(e)[:500]}"}
    finally:
        if torch.cuda.is_available():
            torch.cuda.empty_cache()


def write(results: dict[str, Any], out: Path) -> None:
    """OUT.json with everything, OUT.md with the tables."""
    out.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps(results, indent=1, default=_plain) + "\n"
    out.with_suffix(".json").write_text(text, encoding="utf-8")
    out.with_suffix(".md").write_text("\n".join(page(json.loads(text))) + "\n", encoding="utf-8")


def _plain(value: object) -> object:
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(f"{type(value).__name__} is no JSON")


def page(results: dict[str, Any]) -> Iterator[str]:
    """The Markdown tables."""
    about = results["machine"]
    yield (
        f"{about['device']}, torch {about['torch']} (CUDA {about['cuda']}), transformers {about['transformers']}, "
        f"commit {results['commit'] or 'not given'}, {results.get('seconds', 0)} s in all. Random weights; compare "
        "figures of one run alone."
    )
    for name, value in results.items():
        if isinstance(value, dict) and "error" in value:
            yield f"\n**{name} failed**: `{value['error']}`"
        elif isinstance(value, list) and value:
            yield f"\n**{name}**\n"
            yield from table(value)
        elif name == "peak_tflops":
            yield f"\nProducts of bfloat16 matrices reach {value} TFLOP/s here: the ceiling of the shares below."


def table(rows: list[dict[str, Any]]) -> Iterator[str]:
    """A Markdown table of rows with the same keys."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    yield "| " + " | ".join(names) + " |"
    yield "|" + "---|" * len(names)
    for row in rows:
        yield "| " + " | ".join(cell(row.get(name)) for name in names) + " |"


def cell(value: object) -> str:
    """Numbers with three digits that count."""
    if isinstance(value, float):
        return f"{value:.3g}" if abs(value) < 1_000 else f"{value:,.0f}"
    return "" if value is None else str(value).replace("|", "/")


if __name__ == "__main__":
    main()
