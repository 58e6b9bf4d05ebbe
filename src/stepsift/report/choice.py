"""Which prompts a reader is shown: those where the choice was closest, clearest or contested, and some at random."""

import hashlib
from collections.abc import Iterator, Sequence
from itertools import zip_longest

import polars as pl

CLOSE, CLEAR, CONTESTED, AT_RANDOM = "closest choice", "clearest choice", "selectors disagree", "at random"
KINDS = (CLOSE, CLEAR, CONTESTED, AT_RANDOM)


def choose(curated: dict[str, pl.DataFrame], drawn: Sequence[str], most: int) -> dict[str, list[str]]:
    """At most `most` prompt ids, each with the KINDS that it is shown for; a quarter of them for each kind, if it has
    as many: the closer half of the margins can be close, the other half clear.

    `curated` maps a selector to its table. Margins are those of the first selector that has some; `drawn` are the
    selectors that draw at random, whose choice says nothing about agreement. The draw depends on the prompt ids alone,
    so the same prompts are shown from run to run.
    """
    if not curated:
        return {}
    with_margin = (f.filter(pl.col("margin").is_not_null()) for f in curated.values())
    margins = next((f for f in with_margin if f.height), None)
    lists: list[list[str]] = []
    if margins is None:
        lists += [[], []]
    else:
        ids = margins.sort("margin", "prompt_id")["prompt_id"].unique(maintain_order=True).to_list()
        half = (len(ids) + 1) // 2
        lists += [ids[:half], ids[half:][::-1]]
    lists.append(_contested({k: v for k, v in curated.items() if k not in drawn}))
    everything = pl.concat([f.select("prompt_id") for f in curated.values()])["prompt_id"].unique().to_list()
    lists.append(sorted(everything, key=lambda p: hashlib.sha256(p.encode()).digest()))
    reasons: dict[str, list[str]] = {}
    for kind, prompt in _in_turn(lists):
        if len(reasons) == most and prompt not in reasons:
            break
        reasons.setdefault(prompt, []).append(kind)
    return reasons


def _contested(curated: dict[str, pl.DataFrame]) -> list[str]:
    """Prompts of which two selectors chose different traces, those with the most different ones first."""
    if len(curated) < 2:
        return []
    # A selector may choose several traces of a prompt: what differs is its set of them.
    sets = [f.group_by("prompt_id").agg(pl.col("trace_id").sort().str.join(",")) for f in curated.values()]
    different = pl.concat(sets).group_by("prompt_id").agg(pl.col("trace_id").n_unique().alias("sets"))
    contested = different.filter(pl.col("sets") > 1).sort(["sets", "prompt_id"], descending=[True, False])
    return contested["prompt_id"].to_list()


def _in_turn(lists: list[list[str]]) -> Iterator[tuple[str, str]]:
    """Each kind's next prompt in turn, whether another kind had it or not."""
    for row in zip_longest(*lists):
        for kind, prompt in zip(KINDS, row, strict=True):
            if prompt is not None:
                yield kind, prompt
