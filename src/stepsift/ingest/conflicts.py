"""Gold answers of one prompt that differ: by spelling alone, or really."""

from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter

from stepsift import params, verify
from stepsift.core import text
from stepsift.ingest.database import Spool
from stepsift.ingest.gold import alternatives

SHOWN = 5
"""Conflicts that messages tell one by one."""
ANSWER_CHARS = 60


@dataclass(frozen=True)
class GoldOf:
    """A gold answer of a prompt, the first row that gives it, and how many traces do."""

    prompt_id: str
    answer: str
    source: str
    source_line: int
    traces: int


def resolve(spool: Spool, settings: params.Ingest) -> list[GoldOf]:
    """Join prompts, settle their gold answers and find duplicates; every gold answer of the prompts in conflict.

    Answers that the verifier calls the same are one. What happens to a prompt with others is `ingest.gold_conflicts`.
    """
    spool.join_prompts()
    conflicts: list[GoldOf] = []
    with verify.Verifier(settings.verify_timeout_s) as verifier:
        for _, rows in groupby(spool.different_golds(), key=itemgetter(0)):
            golds = [GoldOf(*row) for row in rows]
            shortest = min(golds, key=lambda g: (len(g.answer), g.answer))
            if not all(_same(verifier, shortest.answer, other.answer) for other in golds):
                conflicts += golds
    spool.settle({g.prompt_id: g.answer for g in reversed(conflicts)}, settings.gold_conflicts)
    spool.drop_copies(settings.duplicates)
    return conflicts


def _same(verifier: verify.Verifier, one: str, other: str) -> bool:
    return any(verifier.same_gold(a, b) for a in alternatives(one) for b in alternatives(other))


def conflict_lines(conflicts: list[GoldOf], settings: params.Ingest) -> list[str]:
    """Sentences on prompts whose gold answers differ, with both answers and their files."""
    if not conflicts:
        return []
    prompts = [list(golds) for _, golds in groupby(conflicts, key=lambda g: g.prompt_id)]
    became = {
        "unchecked": "their traces are kept and stay unchecked",
        "first": "the first by file and row is taken",
        "reject": "all their traces are rejected",
    }[settings.gold_conflicts]
    have = "has" if len(prompts) == 1 else "have"
    head = f"{text.count(len(prompts), 'prompt')} {have} gold answers that differ; {became} (ingest.gold_conflicts)"
    lines = [
        f"prompt {golds[0].prompt_id}: "
        + ", ".join(
            f"'{text.one_line(g.answer)[:ANSWER_CHARS]}' in {g.source} (row {g.source_line})" for g in golds[:SHOWN]
        )
        for golds in prompts[:SHOWN]
    ]
    return [head + ": " + "; ".join(lines) + (f"; and {len(prompts) - SHOWN} more" if len(prompts) > SHOWN else "")]
