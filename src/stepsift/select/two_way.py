"""Teachers' scores where not everybody answered everything: score = prompt + teacher, fitted by least squares.

A prompt's own effect takes up how hard it is, so that a teacher that answered the hard ones alone does not lose for it,
and two teachers that never met are compared through others. A prompt adds to the normal equations what its teachers
differ by from its mean: over the set S of its m teachers, the Laplacian I - 11'/m of the complete graph, and on the
other side each score less the mean of S. Where everybody answered everything the solution is the teachers' means.

All of it is the same to the last bit on every machine: sums over prompts are taken on a binary grid on which they are
exact in any order (see `on_exact_grid`), and the equations are solved by elimination in a fixed order, made of single
additions, multiplications and divisions, which IEEE 754 rounds alike everywhere. Of a linear algebra library nothing
is used but sums of such exact numbers.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from stepsift.select.bootstrap import BLOCK_CELLS, Array, on_exact_grid, resample_counts

Flags = NDArray[np.bool_]
Numbers = NDArray[np.int64]
Adder = Callable[[Array], Array]
"""From columns [prompts, c] to their sums [rows, c], each row with its own weights of prompts."""

_DIGITS = 36
"""Binary digits of a score, against the largest, to which solutions are rounded: equal teachers stay equal."""
MOST_GROUPS = 500
"""Groups of prompts that are left out in turn: as many as make the spread of scores known to 3 %."""
_CELLS = 2**21
"""Matrix cells of resamples, or of pairs of teachers on prompts, that are in memory at once."""


def components(answered: Flags) -> list[list[int]]:
    """Teachers that can be compared with each other, for `answered` [prompts, teachers]: met on a prompt, or by chains.

    The component of most teachers comes first (then: of most prompts, then that of the first teacher). A teacher
    without an answer is in none.
    """
    met = meetings(answered) > 0
    left = [t for t in range(len(met)) if met[t, t]]
    parts = []
    while left:
        reached = _connected(met[None], left[0])[0]
        parts.append(np.flatnonzero(reached).tolist())
        left = [t for t in left if not reached[t]]
    return sorted(parts, key=lambda p: (-len(p), -answered[:, p].any(axis=1).sum(), p[0]))


def meetings(answered: Flags) -> Numbers:
    """[teachers, teachers] on how many prompts both have an answer, for `answered` [prompts, teachers]; a teacher's
    own prompts in the diagonal."""
    counts = answered.astype(np.float64)
    return np.asarray(counts.T @ counts).astype(np.int64)


class TwoWay:
    """K scores of T teachers on P prompts; every prompt has at least two teachers (T 1: one), and all are connected.

    `answered` is [P, T]; `values` [K, P, T], of which those that are not answered are not looked at.
    """

    def __init__(self, answered: Flags, values: Array):
        self.answered = answered
        self.complete = bool(answered.all())
        self._n_scores = len(values)
        self._reference = int(np.argmax(answered.sum(axis=0)))
        columns = [np.empty((len(answered), 0))]
        if self.complete:
            self._columns = np.hstack(columns + [on_exact_grid(v) for v in values])
            return
        present = answered.sum(axis=1).astype(np.float64)
        self._weight = on_exact_grid(1 / present[:, None])
        for value in values:
            means = (_total(np.where(answered, value, 0.0).T) / present)[:, None]
            columns += [on_exact_grid(np.where(answered, value - means, 0.0)), on_exact_grid(means)]
        self._columns = np.hstack(columns)

    def scores(self, weights: Array) -> Array:
        """Scores [rows, K, T] for weights [rows, P] of prompts, whole numbers of which a row adds up to at most P.

        A teacher's score is its effect plus the weighted mean of the prompts' effects: its mean, had it answered all
        of them. NaN where a row's prompts do not connect it with the best-covered teacher; the mean is then over the
        prompts that are.
        """
        block = max(1, _CELLS // self.answered.shape[1] ** 2)
        parts = [weights[i : i + block] for i in range(0, len(weights), block)] or [weights]
        return np.concatenate([self._scores(part.__matmul__, part.__getitem__) for part in parts])

    def resampled(self, resamples: int, seed: int) -> Array:
        """Scores [resamples, K, T] of prompts drawn with replacement; none of fewer than two prompts."""
        n = len(self.answered)
        blocks = list(resample_counts(n, resamples, seed)) if n > 1 else [np.empty((0, n))]
        return np.concatenate([self.scores(block) for block in blocks])

    def left_out(self) -> Array:
        """Scores [groups, K, T] without one group of prompts at a time; every prompt is a group, up to MOST_GROUPS.

        None where everybody answered everything: a mean needs no jackknife.
        """
        n = len(self.answered)
        groups = 0 if self.complete else min(n, MOST_GROUPS)
        of_prompt = np.arange(n) % max(1, groups)
        block = max(1, BLOCK_CELLS // n)
        parts = [self.scores(np.empty((0, n)))]
        for start in range(0, groups, block):
            numbers = np.arange(start, min(start + block, groups))
            parts.append(self.scores((of_prompt != numbers[:, None]).astype(np.float64)))
        return np.concatenate(parts)

    def of_first(self, order: Numbers, looks: Numbers) -> Array:
        """Scores [looks, K, T] of the first of the prompts in this order, `looks` of them, ascending."""
        starts, place = np.concatenate([[0], looks[:-1]]), np.argsort(order)
        return self._scores(
            lambda columns: np.add.reduceat(columns[order], starts, axis=0).cumsum(axis=0),
            lambda rows: (place < looks[rows][:, None]).astype(np.float64),
        )

    def worth(self) -> Array:
        """[T, T] for each pair: of how many direct meetings a comparison would have the same standard error.

        2 / (effective resistance between the two), for errors that are alike and independent: on a complete pool the
        number of prompts, for a chain of n and n prompts n / 2. Infinite in the diagonal.
        """
        n, teachers = self.answered.shape
        worth = np.full((teachers, teachers), float(n))
        if not self.complete:
            adjacent = self._sums(np.ones((1, n)).__matmul__)[0]
            unit = _solve(adjacent, np.eye(teachers)[None], self._reference)[0]
            own = np.diagonal(unit)
            with np.errstate(divide="ignore"):
                worth = 2 / (own[:, None] + own - unit - unit.T)
        np.fill_diagonal(worth, np.inf)
        return worth

    def _scores(self, add: Adder, weights_of: Callable[[Flags], Array]) -> Array:
        """Scores [rows, K, T] from what adds up columns; `weights_of` gives the weights of some of the rows."""
        total = add(np.ones((len(self.answered), 1)))
        if self.complete:
            return (add(self._columns) / total).reshape(len(total), self._n_scores, self.answered.shape[1])
        adjacent, shares, right, means = self._sums(add)
        connected = _connected(adjacent > 0, self._reference)
        apart: Flags = np.logical_not(connected.all(axis=1))
        if apart.any():
            # Prompts of others say nothing of the level of these.
            weights = weights_of(apart) * (connected[apart].astype(np.float64) @ self.answered.T > 0)
            total[apart] = weights.sum(axis=1, keepdims=True)
            adjacent[apart], shares[apart], right[apart], means[apart] = self._sums(weights.__matmul__)
        effects = _solve(adjacent, right, self._reference)
        with np.errstate(invalid="ignore", divide="ignore"):
            level = (means - _total(shares.T[:, :, None] * effects.transpose(2, 0, 1))) / total
        return _rounded(np.where(connected[:, None, :], effects + level[:, :, None], np.nan))

    def _sums(self, add: Adder) -> tuple[Array, Array, Array, Array]:
        """Sums over prompts: pairs [rows, T, T], shares of teachers in prompts [rows, T], scores less the prompts'
        means [rows, K, T], and the means [rows, K]."""
        teachers = self.answered.shape[1]
        shares = add(self.answered * self._weight)
        one, other = np.triu_indices(teachers, 1)
        adjacent = np.zeros((len(shares), teachers, teachers))
        block = max(1, _CELLS // len(self.answered))
        for start in range(0, len(one), block):
            i, j = one[start : start + block], other[start : start + block]
            adjacent[:, i, j] = adjacent[:, j, i] = add((self.answered[:, i] & self.answered[:, j]) * self._weight)
        of_scores = add(self._columns).reshape(len(shares), self._n_scores, teachers + 1)
        return adjacent, shares, of_scores[:, :, :teachers], of_scores[:, :, teachers]


def _connected(met: Flags, start: int) -> Flags:
    """[rows, T] who is connected with the teacher `start`, for `met` [rows, T, T]."""
    reached = met[:, start].copy()
    reached[:, start] = True
    while True:
        more = reached | (reached[:, :, None] & met).any(axis=1)
        if (more == reached).all():
            return reached
        reached = more


def _solve(adjacent: Array, right: Array, reference: int) -> Array:
    """x [rows, K, T] with L x = right, x 0 at the reference; L the Laplacian of `adjacent` [rows, T, T].

    `right` [rows, K, T] is 0 for teachers without a neighbour, and so is x.
    """
    kept = [t for t in range(adjacent.shape[1]) if t != reference]
    degree = adjacent.sum(axis=2)[:, kept]  # on the grid, hence exact
    matrix = -adjacent[:, kept][:, :, kept]
    diagonal = np.arange(len(kept))
    matrix[:, diagonal, diagonal] = np.where(degree > 0, degree, 1.0)
    solution = right[:, :, kept]
    for j in diagonal:
        factor = matrix[:, j + 1 :, j] / matrix[:, j, j, None]
        matrix[:, j + 1 :, j + 1 :] -= factor[:, :, None] * matrix[:, j, None, j + 1 :]
        solution[:, :, j + 1 :] -= factor[:, None, :] * solution[:, :, j, None]
    for j in diagonal[::-1]:
        solution[:, :, j] /= matrix[:, j, j, None]
        solution[:, :, :j] -= solution[:, :, j, None] * matrix[:, None, :j, j]
    x = np.zeros(right.shape)
    x[:, :, kept] = solution
    return x


def _total(terms: Array) -> Array:
    """The sum over the first axis, one term after another."""
    total = np.zeros(terms.shape[1:])
    for term in terms:
        total = total + term
    return total


def _rounded(scores: Array) -> Array:
    """[rows, K, T], each row of T to _DIGITS binary digits of its largest."""
    largest = np.nan_to_num(np.abs(scores)).max(axis=2, keepdims=True, initial=0.0)
    _, exponent = np.frexp(largest)
    return np.ldexp(np.rint(np.ldexp(scores, _DIGITS - exponent)), exponent - _DIGITS)
