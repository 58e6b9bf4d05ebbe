"""An audition's result as Markdown: for a person, a pull request or a report."""

from typing import Any

from stepsift.audition.plan import AuditionPlan
from stepsift.audition.verdict import more_data
from stepsift.core.text import count, markdown_cell, markdown_code, markdown_prose


def as_markdown(plan: AuditionPlan, result: dict[str, Any]) -> str:
    """The page of one audition."""
    content = plan.content
    arms = content["arms"]
    tasks, seeds = ", ".join(map(markdown_code, content["tasks"])), content["seeds"]
    known = result["runs_known_before"]
    written = f"when {known} of its {result['runs']} runs were known" if known else "before its first run"
    lines = [
        "# Audition",
        "",
        f"Plan `{plan.digest}`, written {written}. {count(len(arms), 'arm')}, "
        f"{count(len(seeds), 'seed')} ({', '.join(map(str, seeds))}), {count(len(content['budgets']), 'budget')}: "
        f"{count(result['runs'], 'run')}, evaluated on {tasks}; arms that chose the same traces share their students.",
        "",
        f"Untrained, the student has {100 * result['untrained']:.1f} %.",
    ]
    if content["pilot"] is not None:
        lines += [
            "",
            f"**A pilot** on {100 * content['pilot']:g} % of the prompts, with one seed: it tells what the whole "
            "costs, and decides nothing.",
        ]
    for name, of_budget in result["budgets"].items():
        amount, unit = next((v, k) for k, v in content["budgets"][name].items())
        halves = "share" in content["budgets"][name]
        cut = ", of each trace the first half" if halves else ""
        lines += ["", f"## Equal {unit}: {amount:,} presented to every student{cut}", ""]
        lines += [f"- {markdown_prose(sentence)}" for sentence in of_budget["verdict"]]
        lines += ["", *_accuracies(arms, of_budget | {"halves": halves}, "teacher", "single teachers")]
        lines += ["", *_accuracies(arms, of_budget | {"halves": halves}, None, "selectors and controls")]
        lines += ["", *_comparisons(of_budget, content["statistics"])]
        if of_budget["foresight"]:
            lines += ["", *_foresight(of_budget, content["statistics"])]
    return "\n".join(lines) + "\n"


def _accuracies(arms: dict[str, Any], of_budget: dict[str, Any], kind: str | None, title: str) -> list[str]:
    """A table of the arms of one kind (None: all but teachers), best first."""
    of_kind = [a for a in arms if (arms[a]["kind"] == "teacher") == (kind == "teacher")]
    of_kind.sort(key=lambda a: -of_budget["accuracy"][a]["value"])
    rows = []
    for arm in of_kind:
        e, about = of_budget["accuracy"][arm], arms[arm]
        seeds = " ".join(_short(v) for v in of_budget["seeds"][arm])
        in_loss = (about["first_half"] if of_budget["halves"] else about)["response_tokens"]
        tokens = in_loss / about["examples"]
        passes = of_budget["presented_tokens"][arm] / in_loss
        rows.append(
            f"| {markdown_cell(arm)} | {_short(e['value'])} | {_short(e['low'])} to {_short(e['high'])} | {seeds} | "
            f"{about['examples']} | {tokens:.0f} | {passes:.2g} |"
        )
    if not rows:
        return []
    return [
        f"Measured by training, {title}:",
        "",
        "| arm | accuracy | interval | by seed | traces | tokens per trace | passes |",
        "|---|---|---|---|---|---|---|",
        *rows,
    ]


def _comparisons(of_budget: dict[str, Any], statistics: dict[str, Any]) -> list[str]:
    rows = []
    for c in of_budget["comparisons"]:
        d = c["difference"]
        p = "" if c["p"] is None else f"{c['p']:.2g}"
        adjusted = "" if c["p_adjusted"] is None else f"{c['p_adjusted']:.2g}"
        more = more_data(c["more_seeds"], c["more_questions"])
        verdict = "yes" if c["settled"] else f"no{f': {more}' if more else ''}"
        rows.append(
            f"| {c['arm']} - {c['other']} | {100 * d['value']:+.1f} | {100 * d['low']:+.1f} to "
            f"{100 * d['high']:+.1f} | {p} | {adjusted} | {verdict} |"
        )
    return [
        f"Measured by training, differences in points. Test: {statistics['test']}. Correction: "
        f"{statistics['correction']}; settled below {statistics['alpha']:g}. Intervals are of each difference alone. "
        "Beside what is open: how many in all would settle it if the difference is what it seems.",
        "",
        "| difference | points | interval | p | corrected | settled |",
        "|---|---|---|---|---|---|",
        *rows,
    ]


def _foresight(of_budget: dict[str, Any], statistics: dict[str, Any]) -> list[str]:
    rows = []
    for f in sorted(of_budget["foresight"], key=lambda f: -(f["rho"] or 0)):
        above = "" if f["share_above_first"] is None else f"{f['share_above_first']:.2f}"
        rho = "" if f["rho"] is None else f"{f['rho']:+.2f}"
        rho_range = " to ".join(f"{bound:+.2f}" for bound in f["rho_interval"] or ())
        regret_range = " to ".join(f"{100 * bound:.1f}" for bound in f["regret_interval"] or ())
        rows.append(
            f"| {f['metric']} | {rho} | {rho_range} | {above} | {markdown_cell(f['pick'])} | "
            f"{100 * f['regret']:.1f} | {regret_range} |"
        )
    first = of_budget["foresight"][0]
    return [
        f"Scores, for which nothing was trained, against what training on each of {first['n_teachers']} teachers gave "
        f"({statistics['foresight']}; teachers, questions, prompts and runs are drawn). Regret: points that the "
        f"metric's first pick lies below the best teacher.",
        "",
        f"| metric | rho | interval | above {first['metric']} | first pick | regret | interval |",
        "|---|---|---|---|---|---|---|",
        *rows,
    ]


def _short(value: float) -> str:
    return f"{value:.3f}"
