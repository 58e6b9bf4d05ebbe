"""Choices that must fill numbers: a mixture with quotas, and the controls that copy another selector's mix.

Which trace goes to which number is a transportation problem, solved exactly as a linear program: prompts lie in
domains and domains in the whole, teachers (or classes of length) part the whole, so its corners are whole numbers.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from stepsift import params
from stepsift.core.errors import SelectionError
from stepsift.core.text import count
from stepsift.metrics._metric import uniform
from stepsift.select.selection import key

Array = NDArray[np.float64]

LENGTH_CLASSES = 10
"""Classes of length, of equally many candidates each."""
_COPIED = {(True, False): "teachers", (False, True): "lengths", (True, True): "teachers and lengths"}
"""What a selector with mix_of, with lengths_of or with both takes from the other one."""
_TIES = 1e-6
"""Weight of the seeded draw that decides between equally good answers, as a share of the scores' spread."""
_SPREAD = 1e4
"""Spread of the values that the solver is given: its tolerances are absolute, about 1e-7."""
_BEYOND = 8
"""How far above the least number that cannot be had a larger one that can is looked for, for errors."""
_ROUNDING = 1e-9
"""What a share of a whole number may miss a whole number by, and still be one."""


@dataclass(frozen=True)
class Demand:
    """A share of all traces that those of `value` in `column` must have."""

    column: str
    value: str
    share: float

    def numbers(self, total: int) -> tuple[int, int]:
        """The share of `total`, rounded down and up."""
        number = self.share * total
        return math.floor(number + _ROUNDING), math.ceil(number - _ROUNDING)

    @property
    def name(self) -> str:
        """'teacher sym-1', for errors."""
        # A class of lengths is called by its longest.
        return f"{self.column} {'up to ' * (self.column == 'length')}{self.value}"

    def label(self, total: int) -> str:
        """'teacher sym-1: 30', for errors."""
        least, most = self.numbers(total)
        return f"{self.name}: {least}" + (f" or {most}" if most > least else "")


def mixture(candidates: pl.DataFrame, selector: params.Selector, seed: int) -> pl.DataFrame:
    """The traces that lose least against the best of their prompts, with the selector's shares of teachers and domains.

    The whole is `max_examples`, or all that `per_prompt` allows; shares of it are rounded down or up, whichever loses
    less. Raises SelectionError where it cannot be had: what was asked, the best possible, and what holds it.
    """
    usable = candidates.filter(pl.col(selector.by).is_not_null()).with_columns(pl.col("domain").fill_null("none"))
    room = int(usable.group_by("prompt_id").agg(pl.len().clip(upper_bound=selector.per_prompt))["len"].sum())
    total = room if selector.max_examples is None else min(room, selector.max_examples)
    demands = [
        Demand(column, value, share)
        for column in ("teacher", "domain")
        for value, share in sorted(getattr(selector.quotas, column).items())
    ]
    score = -key(selector.metric)
    loss = usable.select(score.max().over("prompt_id") - score).to_series().to_numpy()
    values = _TIES * _SPREAD * uniform(usable["trace_id"], seed).to_numpy() - _scaled(loss)
    per_prompt = dict.fromkeys(usable["prompt_id"].unique(), selector.per_prompt)
    is_taken = _solve(usable, values, per_prompt, demands, total, selector)
    reason = pl.format("fills a number of the mixture; place {} of {} by {}", "place", "n", pl.lit(selector.by))
    return _explained(usable, is_taken, selector, reason)


def matched(candidates: pl.DataFrame, reference: pl.DataFrame, selector: params.Selector, seed: int) -> pl.DataFrame:
    """As many traces of each teacher, or of each class of length, as `reference` (a curated set) has, on its prompts.

    With `mix_of` and `lengths_of` as many of each class of length of each teacher: rows per teacher are the same, and
    tokens per teacher nearly. Within that, by the selector's metric: a draw, or the best. Each prompt has as many
    traces as in `reference`. Raises SelectionError where traces of the reference have no score by the metric, so that
    the numbers cannot be filled.
    """
    what = _COPIED[selector.mix_of is not None, selector.lengths_of is not None]
    column = "teacher" if what == "teachers" else "length"
    usable = _with_classes(candidates, within_teachers=selector.mix_of is not None).join(
        reference, on="prompt_id", how="semi", maintain_order="left"
    )
    copied = usable.join(reference.select("trace_id"), on="trace_id", how="semi")
    usable = usable.filter(pl.col(selector.by).is_not_null())
    demands = [
        Demand(column, value, n / reference.height) for value, n in copied.group_by(column).len().sort(column).rows()
    ]
    per_prompt = dict(reference.group_by("prompt_id").len().rows())
    score = usable.select(-key(selector.metric)).to_series().to_numpy()
    other = selector.mix_of or selector.lengths_of
    try:
        is_taken = _solve(usable, _scaled(score), per_prompt, demands, reference.height, selector)
    except SelectionError as e:
        without = f"{count(copied[selector.by].null_count(), 'trace')} of {other} without a score by {selector.by}"
        raise SelectionError(f"{e}; for {without} no other could be taken") from None
    noun = pl.when(pl.col("n") == 1).then(pl.lit("candidate")).otherwise(pl.lit("candidates"))
    reason = pl.format("{} by {} within the {} of {}; {} {}", *map(pl.lit, _by(selector, what, other)), "n", noun)
    return _explained(usable, is_taken, selector, reason)


def _scaled(values: Array) -> Array:
    """`values` with a spread of _SPREAD."""
    spread = np.ptp(values) if len(values) else 0.0
    return values * (_SPREAD / spread) if spread > 0 else values


def _with_classes(candidates: pl.DataFrame, within_teachers: bool) -> pl.DataFrame:
    """Candidates with the column `length`: classes of all, or of each teacher's by itself."""
    if not within_teachers:
        return candidates.with_columns(_length_classes(candidates["n_tokens"]))
    numbered = candidates.with_row_index("row")
    parts = [
        rows.with_columns(pl.format("{} of {}", _length_classes(rows["n_tokens"]), "teacher").alias("length"))
        for rows in numbered.partition_by("teacher", maintain_order=True)
    ]
    return pl.concat(parts).sort("row").drop("row")


def _length_classes(n_tokens: pl.Series) -> pl.Series:
    """For each length the longest of its class, as text; classes are fewer where many lengths are equal."""
    ordered = n_tokens.sort().to_numpy()
    ends = -(-len(ordered) * np.arange(1, LENGTH_CLASSES + 1) // LENGTH_CLASSES) - 1
    longest = np.unique(ordered[ends])
    return pl.Series("length", longest[np.searchsorted(longest, n_tokens.to_numpy())]).cast(pl.String)


def _by(selector: params.Selector, what: str, other: str | None) -> tuple[str, str, str, str]:
    return "drawn" if selector.metric.draw else "chosen", selector.by, what, str(other)


def _explained(
    usable: pl.DataFrame, is_taken: NDArray[np.bool_], selector: params.Selector, reason: pl.Expr
) -> pl.DataFrame:
    """The chosen rows with place and number of candidates in their prompt, runner_up, margin (null) and reason."""
    marked = usable.with_columns(pl.Series("chosen", is_taken)).sort(
        "prompt_id", key(selector.metric), "content_hash", "trace_id"
    )
    left = marked.filter(~pl.col("chosen")).group_by("prompt_id", maintain_order=True)
    return (
        marked.with_columns(
            pl.int_range(1, pl.len() + 1).over("prompt_id").alias("place"), pl.len().over("prompt_id").alias("n")
        )
        .filter("chosen")
        .join(left.agg(pl.col("trace_id").first().alias("runner_up")), on="prompt_id", how="left")
        .with_columns(margin=pl.lit(None, dtype=pl.Float64), reason=reason)
    )


def _solve(  # noqa: PLR0913 - a problem and the words for its failure
    usable: pl.DataFrame,
    values: Array,
    per_prompt: dict[str, int],
    demands: list[Demand],
    total: int,
    selector: params.Selector,
) -> NDArray[np.bool_]:
    """Which rows to take: those of the largest sum of `values` [rows] under the numbers."""
    problem = _Problem.of(usable, per_prompt, demands)
    taken = problem.solve(values, demands, total)
    if taken is None:
        raise SelectionError(_why_not(problem, demands, total, selector))
    return taken


@dataclass(frozen=True)
class _Problem:
    """Constraints over the rows: at most `most` [prompts] of each prompt, and numbers of all and of each demand."""

    of_prompt: Any
    """[prompts, rows], sparse, 1 where a row belongs to the prompt."""
    most: list[int]
    of_demand: Array
    """[1 + demands, rows], 1 where a row counts; the first counts all."""

    @staticmethod
    def of(usable: pl.DataFrame, per_prompt: dict[str, int], demands: list[Demand]) -> "_Problem":
        from scipy.sparse import csr_array

        rows = np.arange(usable.height)
        prompt = usable["prompt_id"].rank("dense").to_numpy() - 1
        of_prompt = csr_array((np.ones(len(rows)), (prompt.astype(np.int64), rows)))
        most = [per_prompt[p] for p in usable["prompt_id"].unique().sort()]
        counts = [np.ones(len(rows)), *((usable[d.column] == d.value).to_numpy().astype(float) for d in demands)]
        return _Problem(of_prompt, most, np.stack(counts))

    def solve(self, values: Array, demands: list[Demand], total: int) -> NDArray[np.bool_] | None:
        """The `total` rows of the largest sum of `values`; None where the demands' numbers cannot be had."""
        from scipy.optimize import linprog
        from scipy.sparse import csr_array, vstack

        counts = csr_array(self.of_demand)
        upper = vstack([self.of_prompt, counts, -counts])
        answer = linprog(-values, upper, self._limits(demands, total), bounds=(0, 1), method="highs-ds")
        if answer.status not in (0, 2):
            raise SelectionError(f"the linear program behind a mixture could not be solved: {answer.message}")
        return None if answer.status == 2 else np.asarray(answer.x > 0.5)

    def _limits(self, demands: list[Demand], total: int) -> list[int]:
        """Right-hand sides: most of each prompt, most and minus the least of all and of each demand."""
        numbers = [(total, total), *(d.numbers(total) for d in demands)]
        return [*self.most, *(most for _, most in numbers), *(-least for least, _ in numbers)]

    def shortfalls(self, demands: list[Demand], total: int) -> Array:
        """[1 + demands] how much of each number is missing when as little as possible is missing in all."""
        from scipy.optimize import linprog
        from scipy.sparse import block_array, csr_array, eye_array

        n_numbers, rows = self.of_demand.shape
        counts, missing = csr_array(self.of_demand), eye_array(n_numbers)
        upper = block_array([[self.of_prompt, None], [counts, None], [-counts, -missing]])
        cost = np.concatenate([np.zeros(rows), np.ones(n_numbers)])
        bounds = [(0, 1)] * rows + [(0, None)] * n_numbers
        answer = linprog(cost, upper, self._limits(demands, total), bounds=bounds, method="highs-ds")
        return np.asarray(answer.x[rows:])


def _why_not(problem: _Problem, demands: list[Demand], total: int, selector: params.Selector) -> str:
    """What was asked, the best possible with these shares, and the bottleneck."""
    numbers = ", ".join(d.label(total) for d in demands)
    missing = problem.shortfalls(demands, total)[1:].round().astype(int)
    short = [
        f"{d.name} ({least - lacking} of {least} possible while the others are met)"
        for d, (least, _), lacking in zip(demands, (d.numbers(total) for d in demands), missing, strict=True)
        if lacking
    ]

    def is_possible(number: int) -> bool:
        return problem.solve(np.zeros(problem.of_demand.shape[1]), demands, number) is not None

    low, high = 0, total
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if is_possible(middle) else (low, middle)
    # Where one below is not possible a number may be: .3 of four is one or two, .3 of three at most one.
    low = next((n for n in range(min(high + _BEYOND, total - 1), high, -1) if is_possible(n)), low)
    return (
        f"selector '{selector.name}' asks for {count(total, 'trace')}, of them {numbers}; the best possible with these "
        f"shares is {count(low, 'trace')}; the bottleneck is {', '.join(short) or 'the number of all'}"
    )
