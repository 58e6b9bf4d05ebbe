"""Metrics that are fitted to the candidates: LARK's gain and ASLEC-CASL."""

import polars as pl
import pytest

from helpers.metric_rows import score, steps_of, traces_of
from stepsift.core.errors import SelectionError
from stepsift.metrics import Fit, _casl, all_metrics, fit_all, trace_scores, trace_sums, with_fits

SCOPES = pytest.mark.parametrize(("scope", "suffix"), [("full", ""), ("local", "_local")])


def one_step(trace_id: str, n_tokens: int, scope: str, **sums: float) -> dict:
    """A trace of one step."""
    return {"trace_id": trace_id, "step": 1, "n_tokens": n_tokens} | {f"{scope}_{k}": v for k, v in sums.items()}


def lark(scope: str, **traces: tuple[int, float | None, float | None]) -> list[dict]:
    """Trace to tokens, log-probability and Brier score."""
    rows = traces.items()
    return [one_step(name, n, scope, logprob=logprob, brier=brier) for name, (n, logprob, brier) in rows]


@SCOPES
def test_lark_hand_worked(scope, suffix):
    # a: L = 2/2 = 1, Brier 1/2, rho 1/2. b: L = 12/4 = 3, Brier 2/4, rho 1/6. sum L = 4, sum rho L = sum Brier = 1.
    # g_a = 1/4 (2/2 - 1/4) = 3/16, g_b = 3/4 (2/6 - 1/4) = 1/16.
    rows = lark(scope, a=(2, -2.0, 1.0), b=(4, -12.0, 2.0))
    assert score(steps_of(rows))[f"lark_g{suffix}"].to_list() == pytest.approx([3 / 16, 1 / 16], rel=1e-14)


@SCOPES
def test_lark_depends_on_the_candidates_of_the_prompt_alone(scope, suffix):
    rows = lark(scope, a=(2, -2.0, 1.0), b=(4, -12.0, 2.0), c=(1, -4.0, 1.0), d=(2, None, None))
    # With c (L = 4, Brier 1): sum L = 8, sum Brier = 2.
    # g_a = 1/8 (1 - 1/4), g_b = 3/8 (1/3 - 1/4), g_c = 4/8 (1/2 - 1/4).
    # d has no such pass: no score, and no part in the sums.
    found = score(steps_of(rows))[f"lark_g{suffix}"].to_list()
    assert found == [*(pytest.approx(g, rel=1e-14) for g in (3 / 32, 1 / 32, 1 / 8)), None]
    elsewhere = score(steps_of(rows), prompts={"c": "q"})[f"lark_g{suffix}"].to_list()
    # Alone, c has sums of its own: 1 (2/4 - 1/4).
    assert elsewhere == [*(pytest.approx(g, rel=1e-14) for g in (3 / 16, 1 / 16, 1 / 4)), None]


# M = F M_first + (1 - F) M_nonfirst is linear in its parts where M_first - M_nonfirst = (c + g F) / (F + 1): then
# M = 2 M_nonfirst - M_first + g F + c.
TOKENS = 20
FIRST = (2, 4, 5, 8, 10)
OTHERS = (-0.5, -1.25, -0.75, -2.0, -0.25)


def linear(scope: str, name: str, g: float, c: float) -> list[dict]:
    """Five traces of one step each that obey the above."""
    rows = []
    for i, (n_first, other) in enumerate(zip(FIRST, OTHERS, strict=True)):
        share = n_first / TOKENS
        first = other + (c + g * share) / (share + 1)
        logprob = n_first * first + (TOKENS - n_first) * other
        rows += several_steps(f"{name}{i}", scope, n_first, logprob, n_first * first)
    return rows


def several_steps(trace_id: str, scope: str, n_first: int, logprob: float, first: float) -> list[dict]:
    """A trace of TOKENS tokens with `n_first` first ones, at most two of them a step; sums lie on the first step."""
    steps = -(-n_first // 2)
    rows = []
    for step in range(1, steps + 1):
        own = min(2, n_first - 2 * (step - 1))
        n = TOKENS - n_first + own if step == 1 else own
        sums = (
            {"logprob": logprob, "first_two_logprob": first}
            if step == 1
            else {"logprob": 0.0, "first_two_logprob": 0.0}
        )
        row = {"trace_id": trace_id, "step": step, "n_tokens": n, "n_first": own}
        rows.append(row | {f"{scope}_{k}": v for k, v in sums.items()})
    return rows


def fitted(steps: pl.DataFrame, name: str, how: str, **about: dict[str, str]) -> tuple[Fit, pl.DataFrame]:
    scored = trace_scores(trace_sums(steps), traces_of(steps, **about), 0)
    fit = all_metrics()[name].fit(scored, how)
    return fit, scored.with_columns(fit.score.alias(name))


@SCOPES
def test_casl_gives_back_the_coefficients_of_a_linear_pool(scope, suffix):
    steps = steps_of(linear(scope, "x", g=-2.0, c=-1.0))
    fit, scored = fitted(steps, f"aslec_casl{suffix}", "pool")
    expected = {"nonfirst": 2.0, "first": -1.0, "share_of_first": -2.0, "intercept": -1.0}
    assert fit.coefficients == {"all teachers": pytest.approx(expected, abs=1e-9)}
    # The score is M - g F.
    mean = scored[f"{scope}_logprob"] / TOKENS
    share = pl.Series(FIRST) / TOKENS
    assert scored[f"aslec_casl{suffix}"].to_list() == pytest.approx((mean + 2 * share).to_list(), abs=1e-9)


@SCOPES
def test_casl_is_fitted_for_each_teacher_or_for_all(scope, suffix):
    name = f"aslec_casl{suffix}"
    steps = steps_of(linear(scope, "x", g=-2.0, c=-1.0) + linear(scope, "y", g=-4.0, c=-0.5))
    teachers = {f"{t}{i}": f"all teachers{{{t}}}" for t in "xy" for i in range(5)}
    fit, scored = fitted(steps, name, "teacher", teachers=teachers)
    slopes = {t: c["share_of_first"] for t, c in fit.coefficients.items()}
    assert slopes == pytest.approx({"all teachers{x}": -2.0, "all teachers{y}": -4.0}, abs=1e-9)
    alone = pl.concat(
        fitted(steps_of(linear(scope, t, g, c)), name, "pool")[1][name]
        for t, g, c in (("x", -2.0, -1.0), ("y", -4.0, -0.5))
    )
    assert scored[name].to_list() == pytest.approx(alone.to_list(), abs=1e-9)
    both, _ = fitted(steps, name, "pool", teachers=teachers)
    assert both.coefficients.keys() == {"all teachers"}


def test_casl_leaves_out_what_has_only_first_tokens_or_none():
    odd = [
        {
            "trace_id": "only",
            "step": 1,
            "n_tokens": 2,
            "n_first": 2,
            "full_logprob": -9.0,
            "full_first_two_logprob": -9.0,
        },
        {"trace_id": "blank", "step": 1, "n_tokens": 2, "full_logprob": -9.0, "full_first_two_logprob": 0.0},
        {"trace_id": "long", "step": 1, "n_tokens": 9, "n_first": 2},
    ]
    rows = linear("full", "x", g=-2.0, c=-1.0)
    with_them, without = (fitted(steps_of(r), "aslec_casl", "pool") for r in (rows + odd, rows))
    assert with_them[0].coefficients == without[0].coefficients
    scores = dict(with_them[1].select("trace_id", "aslec_casl").rows())
    assert [scores[name] for name in ("only", "blank", "long")] == [None] * 3
    assert [scores[f"x{i}"] for i in range(5)] == without[1]["aslec_casl"].to_list()


def test_casl_that_is_not_determined_is_an_error_that_leaves_other_metrics_alone():
    steps = steps_of([r for i in range(6) for r in several_steps(f"x{i}", "full", 4, -60.0 - i, -40.0 + i * i)])
    message = r"aslec_casl cannot be fitted for \{t\}: in its 6 traces .* \(rank 3, needed is 4\).*casl_fit: pool"
    with pytest.raises(SelectionError, match=message):
        fitted(steps, "aslec_casl", "teacher", teachers={f"x{i}": "{t}" for i in range(6)})
    scored = trace_scores(trace_sums(steps), traces_of(steps), 0)
    fits = fit_all(scored, "pool")
    assert fits.failed.keys() == {"aslec_casl"}
    assert with_fits(scored, fits)["aslec_casl"].null_count() == 6
    three = steps_of(linear("full", "x", g=-2.0, c=-1.0)).filter(pl.col("trace_id").is_in(["x0", "x1", "x2"]))
    with pytest.raises(SelectionError, match=r"cannot be fitted for .*: in its 3 traces"):
        fitted(three, "aslec_casl", "teacher")


def test_casl_of_no_usable_trace_is_null_and_no_error():
    fit = _casl.fit("full", trace_scores(trace_sums(steps_of([])), traces_of(steps_of([])), 0), "teacher")
    assert fit.coefficients == {}
    assert score(steps_of(lark("full", a=(2, -2.0, 1.0))))["aslec_casl"].to_list() == [None]


def test_fits_hold_for_other_traces_than_they_were_made_from():
    """As the jackknife uses them: coefficients stay, sums differ."""
    steps = steps_of(linear("full", "x", g=-2.0, c=-1.0))
    scored = trace_scores(trace_sums(steps), traces_of(steps), 0)
    fits = fit_all(scored, "teacher")
    assert fits.coefficients["aslec_casl"].keys() == {"t"}
    half = with_fits(scored.with_columns(pl.col("full_logprob") / 2), fits)
    assert (half["aslec_casl"] - with_fits(scored, fits)["aslec_casl"]).to_list() == pytest.approx(
        (-scored["full_logprob"] / 2 / TOKENS).to_list()
    )
