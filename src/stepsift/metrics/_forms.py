"""Formulas that stand over the values of either pass; `scope` is `local` (windows) or `full` (the whole context).

T = tokens, p = steps that have tokens, l_t = log-probability, n_t = -l_t, r_t = rank, H_t = entropy, all in nats.
"""

from typing import Literal

import polars as pl

Scope = Literal["local", "full"]

T = pl.col("n_tokens")


def of(scope: Scope, name: str) -> pl.Expr:
    """A sum of one pass."""
    return pl.col(f"{scope}_{name}")


def mean_of_steps(scope: Scope) -> pl.Expr:
    """(1/p) * sum over steps of the step's mean l_t: every step weighs the same."""
    return of(scope, "step_logprob") / pl.col("n_filled")


def mean_of_tokens(scope: Scope, name: str = "logprob") -> pl.Expr:
    """(1/T) * sum over all tokens: every token weighs the same."""
    return of(scope, name) / T


def surprisal(scope: Scope) -> pl.Expr:
    """(1/T) * sum of n_t."""
    return -mean_of_tokens(scope)


def without_first_two(scope: Scope) -> pl.Expr:
    """Mean l_t without the first two tokens of each step that hold a character that is not white space."""
    n = T - pl.col("n_first_two")
    return pl.when(n > 0).then((of(scope, "logprob") - of(scope, "first_two_logprob")) / n)


def lark_gain(scope: Scope) -> pl.Expr:
    """g_k = (L_k / sum L) * (2 rho_k - sum(rho_i L_i) / sum L) over a prompt's candidates; rho = Brier / L."""
    loss, brier = surprisal(scope), mean_of_tokens(scope, "brier")
    # A candidate without values is null in both and takes no part in the sums.
    all_loss, all_brier = loss.sum().over("prompt_id"), brier.sum().over("prompt_id")
    return loss / all_loss * (2 * brier / loss - all_brier / all_loss)
