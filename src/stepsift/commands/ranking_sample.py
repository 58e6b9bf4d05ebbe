"""Which prompts a ranking is estimated from: such that every teacher can be compared, and each about equally often."""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import polars as pl

from stepsift.core.errors import SelectionError
from stepsift.core.text import count
from stepsift.score.plan import in_seeded_order
from stepsift.select.ranking import why_incomparable
from stepsift.select.two_way import Flags, components


@dataclass(frozen=True)
class RankingSample:
    """What a ranking is made from.

    `traces` are the candidates of the `teachers` on the sampled prompts; `n_comparing` prompts have candidates of at
    least two of these teachers, `n_common` of every one, and `n_prompts` are sampled. `left_out`: other teachers, and
    why they cannot be compared with these.
    """

    traces: pl.DataFrame
    teachers: list[str]
    n_comparing: int
    n_common: int
    n_prompts: int
    left_out: dict[str, str]

    def sentence(self, seed: int) -> str:
        """What was sampled."""
        teachers, traces = count(len(self.teachers), "teacher"), count(self.traces.height, "trace")
        if self.n_common == self.n_comparing or self.n_prompts <= self.n_common:
            pool = f"{count(self.n_common, 'prompt')} with a candidate of each of the {teachers}"
        else:
            pool = f"{count(self.n_comparing, 'prompt')} with candidates of at least two of the {teachers}"
        return f"{self.n_prompts} of {pool} (seed {seed}): {traces}"


def choose(candidates: pl.DataFrame, n_prompts: int, seed: int, n_dropped: int = 0) -> RankingSample:
    """RankingSample prompts on which teachers can be compared; `candidates` has trace_id, prompt_id and teacher.

    First come prompts that all of the teachers share, then those that connect teachers which met nowhere yet, then
    those of the teacher that has fewest so far; within that by a seeded order, so that a smaller sample is part of a
    larger one. Teachers that nothing connects with the others (see `rank_teachers`) are left out. For their verdict
    `n_dropped` traces are no candidates. Raises SelectionError where no two teachers have a candidate for one prompt.
    """
    names = candidates["teacher"].unique().sort().to_list()
    prompts = in_seeded_order(candidates["prompt_id"].unique(), seed)
    has = np.zeros((len(prompts), len(names)), bool)
    row, column = ({name: i for i, name in enumerate(some)} for some in (prompts, names))
    pairs = candidates.select("prompt_id", "teacher").unique().rows()
    has[[row[p] for p, _ in pairs], [column[t] for _, t in pairs]] = True
    parts = components(has)
    if len(parts[0]) < 2:
        raise SelectionError(_nothing_to_rank(names, has, n_dropped))
    ranked = parts[0]
    comparing = np.flatnonzero(has[:, ranked].sum(axis=1) > 1)
    answered = has[comparing][:, ranked]
    order = [*_in_order(answered)][:n_prompts]
    sampled = [prompts[comparing[i]] for i in order]
    teachers = [names[t] for t in ranked]
    own = pl.col("teacher").is_in(teachers) & pl.col("prompt_id").is_in(sampled)
    partners = [(t, [names[o] for o in part if o != t]) for part in parts[1:] for t in part]
    return RankingSample(
        traces=candidates.filter(own),
        teachers=teachers,
        n_comparing=len(comparing),
        n_common=int(answered.all(axis=1).sum()),
        n_prompts=len(sampled),
        left_out={names[t]: why_incomparable(int(has[:, t].sum()), others) for t, others in sorted(partners)},
    )


def _in_order(answered: Flags) -> Iterator[int]:
    """Rows of `answered` [prompts, teachers] as `choose` takes them, all of them once."""
    common: Flags = np.asarray(answered.all(axis=1))
    yield from np.flatnonzero(common).tolist()
    taken, seen = common.copy(), answered[common].sum(axis=0)
    group = np.arange(answered.shape[1]) if not common.any() else np.zeros(answered.shape[1], np.int64)
    for i in np.flatnonzero(~taken).tolist():
        own = group[answered[i]]
        if len(set(own.tolist())) > 1:
            group[np.isin(group, own)] = own[0]
            taken[i], seen = True, seen + answered[i]
            yield i
    waiting = [deque(np.flatnonzero(answered[:, t] & ~taken).tolist()) for t in range(answered.shape[1])]
    while any(waiting):
        teacher = min((t for t, rows in enumerate(waiting) if rows), key=lambda t: (seen[t], t))
        i = waiting[teacher].popleft()
        if not taken[i]:
            taken[i], seen = True, seen + answered[i]
            yield i


def _nothing_to_rank(names: list[str], has: Flags, n_dropped: int) -> str:
    counts = ", ".join(f"{name} {n}" for name, n in zip(names, has.sum(axis=0), strict=True))
    loosen = "set select.correct to ignore, " if n_dropped else ""
    if len(names) == 1:
        return (
            f"there is nothing to rank: only {names[0]} has candidates (prompts: {counts}); {loosen}"
            f"{'or ' * bool(loosen)}add traces of another teacher for the same prompts"
        )
    return (
        f"no two teachers have a candidate for the same prompt (prompts: {counts}), so they cannot be compared; "
        f"{loosen}add traces of one teacher for prompts of another, or map ingest.fields.prompt_id if prompts differ "
        "by teacher"
    )
