"""The process that asks math-verify. It is run as a file of its own and imports nothing of stepsift.

It reads lines of JSON, [[readings of the gold answer], [formulas], seconds], and writes a line for each: correct, wrong
or unparsed. Whoever reads them kills the process when one takes too long; an alarm ends it when nobody is there to
do so.
"""

import json
import logging
import resource
import signal
import sys
from functools import lru_cache
from typing import Any

from math_verify import parse, verify

MEMORY_BYTES = 4 * 2**30


def judge(golds: list[str], formulas: list[str]) -> str:
    """Whether one of the formulas is worth the same as one reading of the gold answer."""
    wanted = [value for value in map(parsed, golds) if value]
    found = [value for value in map(parsed, formulas) if value]
    if not wanted or not found:
        return "unparsed"
    # Their own time limits are signals, which sympy can ignore; the process is killed instead.
    same = any(verify(gold, value, timeout_seconds=None) for gold in wanted for value in found)
    return "correct" if same else "wrong"


@lru_cache(maxsize=1024)
def parsed(formula: str) -> list[Any]:
    """What math-verify makes of a formula: at most a sympy value and its text."""
    return parse(f"\\boxed{{{formula}}}", parsing_timeout=None)  # pyright: ignore[reportArgumentType]


def main() -> None:
    logging.disable(logging.CRITICAL)
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    # Libraries that print must not answer in our place.
    replies, sys.stdout = sys.stdout, sys.stderr
    print("ready", file=replies, flush=True)
    for line in sys.stdin:
        golds, formulas, seconds = json.loads(line)
        signal.setitimer(signal.ITIMER_REAL, seconds)
        try:
            verdict = judge(golds, formulas)
        except Exception:
            # math-verify and sympy meet arbitrary text: whatever they raise, the answer could not be read.
            verdict = "unparsed"
        signal.setitimer(signal.ITIMER_REAL, 0)
        print(verdict, file=replies, flush=True)


if __name__ == "__main__":
    main()
