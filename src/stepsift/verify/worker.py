"""The process that judges answers. It is run as a file of its own, so that it works from any script.

It reads lines of JSON, [task, seconds, arguments..], and answers each with a line of JSON: `judge` with [verdict,
suspect], `accepts`, `kind_of` and `same_gold` with their value. Whoever reads them kills the process when one takes too
long; an alarm ends it when nobody is there to do so.
"""

import json
import logging
import resource
import signal
import sys
from collections.abc import Callable
from typing import Any

from stepsift.verify import judge

MEMORY_BYTES = 4 * 2**30


def _judge(kind: str, text: str, gold: str) -> list[Any]:
    answer = judge.judgement(kind, text, gold)
    return [answer.verdict, answer.suspect]


TASKS: dict[str, Callable[..., Any]] = {
    "judge": _judge,
    "accepts": judge.accepts,
    "kind_of": judge.kind_of,
    "same_gold": judge.same_gold,
    "compare": judge.compare,
}
FAILED: dict[str, Any] = {
    "judge": ["unparsed", False],
    "accepts": False,
    "kind_of": "exact",
    "same_gold": False,
    "compare": "unparsed",
}
"""What is answered where reading arbitrary text fails in a way that nobody thought of."""


def main() -> None:
    logging.disable(logging.CRITICAL)
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    # Libraries that print must not answer in our place.
    replies, sys.stdout = sys.stdout, sys.stderr
    print('"ready"', file=replies, flush=True)
    for line in sys.stdin:
        task, seconds, *job = json.loads(line)
        signal.setitimer(signal.ITIMER_REAL, seconds)
        try:
            reply = TASKS[task](*job)
        except Exception:
            # math-verify and sympy meet arbitrary text: whatever they raise, the answer could not be read.
            reply = FAILED[task]
        signal.setitimer(signal.ITIMER_REAL, 0)
        print(json.dumps(reply), file=replies, flush=True)


if __name__ == "__main__":
    main()
