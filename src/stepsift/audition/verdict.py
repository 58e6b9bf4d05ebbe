"""The verdict: what the numbers allow to be said, in sentences."""

from dataclasses import dataclass

from stepsift.audition.compare import Comparison, Interval
from stepsift.audition.teachers import Foresight
from stepsift.core.text import count


@dataclass(frozen=True)
class Evidence:
    """The numbers of one budget.

    `accuracy` of each arm, and of which kind it is (selector, control or teacher); comparisons and foresights as they
    were made; `best` is the share of resamples in which each teacher's student was the best.
    """

    accuracy: dict[str, Interval]
    kinds: dict[str, str]
    comparisons: list[Comparison]
    foresights: list[Foresight]
    best: dict[str, float]
    n_seeds: int


def conclude(evidence: Evidence) -> list[str]:
    """Sentences on one budget, the most important first."""
    accuracy, kinds, compared = evidence.accuracy, evidence.kinds, evidence.comparisons
    by_pair = {(c.arm, c.other): c for c in compared}
    selectors = sorted((a for a in accuracy if kinds[a] == "selector"), key=lambda a: -accuracy[a].value)
    if evidence.n_seeds < 2:
        top = ", ".join(f"{a} {percent(accuracy[a])}" for a in selectors)
        return [
            f"With one seed nothing is distinguishable from chance in training; measured: {top}. Give audition.seeds "
            "two or more."
        ]
    sentences = [_leader(accuracy, selectors, by_pair), *_against_chance(accuracy, selectors, by_pair)]
    sentences += _controls(kinds, compared)
    sentences += _variants(kinds, compared)
    if evidence.best:
        sentences.append(_teachers(accuracy, selectors, evidence.best))
    if evidence.foresights:
        sentences.append(_foresight(evidence.foresights))
    sentences.append(_open(compared))
    return [s for s in sentences if s]


def percent(estimate: Interval) -> str:
    """An accuracy with its interval, in per cent: `52.0 % (47.9 to 56.1)`."""
    return f"{100 * estimate.value:.1f} % ({100 * estimate.low:.1f} to {100 * estimate.high:.1f})"


def points(estimate: Interval, sign: int = 1) -> str:
    """A difference in percentage points."""
    return f"{100 * sign * estimate.value:.1f} ± {100 * (estimate.high - estimate.low) / 2:.1f} points"


def listed(names: list[str]) -> str:
    """`a`, `a and b`, `a, b and c`."""
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _pair(comparisons: dict[tuple[str, str], Comparison], one: str, other: str) -> tuple[Comparison | None, int]:
    if (one, other) in comparisons:
        return comparisons[one, other], 1
    return comparisons.get((other, one)), -1


def _leader(accuracy: dict[str, Interval], selectors: list[str], comparisons: dict[tuple[str, str], Comparison]) -> str:
    top = selectors[0]
    level = [s for s in selectors if accuracy[s].value == accuracy[top].value]
    beaten, alike = [], []
    for other in selectors[len(level) :]:
        comparison, sign = _pair(comparisons, top, other)
        if comparison and comparison.settled:
            beaten.append(f"{other} by {points(comparison.difference, sign)}")
        else:
            alike.append(other)
    text = f"Of the selectors {listed(level)} trained best, {percent(accuracy[top])}"
    if beaten:
        text += f"; {top} beats {listed(beaten)}"
    if alike:
        text += f"; {top} is not distinguishable from {listed(alike)}"
    return text + "."


def _against_chance(
    accuracy: dict[str, Interval], selectors: list[str], comparisons: dict[tuple[str, str], Comparison]
) -> list[str]:
    pairs = [(s, comparisons[s, "random"]) for s in selectors if (s, "random") in comparisons]
    if not pairs:
        return []
    above = [f"{s} by {points(c.difference)}" for s, c in pairs if c.settled and c.difference.value > 0]
    below = [f"{s} by {points(c.difference, -1)}" for s, c in pairs if c.settled and c.difference.value < 0]
    open_ = [s for s, c in pairs if not c.settled]
    sentences = []
    if above:
        sentences.append(f"Random choice, {percent(accuracy['random'])}, is beaten by {listed(above)}.")
    if below:
        sentences.append(f"Random choice beats {listed(below)}.")
    if open_:
        verb = "is" if len(open_) == 1 else "are"
        sentences.append(
            f"{listed(open_)} {verb} not distinguishable from random choice, {percent(accuracy['random'])}."
        )
    return sentences


def _controls(kinds: dict[str, str], compared: list[Comparison]) -> list[str]:
    meaning = {
        "stratified": "a random choice with the same teacher mix",
        "length_matched": "a random choice with the same lengths",
        "teacher_and_length_matched": "a random choice with the same rows and tokens per teacher",
        "random_each_epoch": "a random choice that is made anew every epoch",
    }
    sentences = []
    for c in compared:
        if kinds[c.arm] != "selector" or kinds[c.other] != "control" or c.other == "random":
            continue
        what = meaning[c.other.partition(".")[0]]
        if not c.settled:
            sentences.append(
                f"{c.arm} is not distinguishable from {what} ({points(c.difference)}), so that may explain its gain."
            )
        elif c.difference.value > 0:
            sentences.append(f"{c.arm} beats {what} by {points(c.difference)}.")
        else:
            sentences.append(f"{c.arm} is worse than {what} by {points(c.difference, -1)}.")
    return sentences


def _variants(kinds: dict[str, str], compared: list[Comparison]) -> list[str]:
    sentences = []
    for c in (c for c in compared if kinds[c.arm] == "variant"):
        other = f"{c.other}, the same traces as they are" if kinds[c.other] == "selector" else f"its control {c.other}"
        if not c.settled:
            sentences.append(f"{c.arm} is not distinguishable from {other} ({points(c.difference)}).")
        elif c.difference.value > 0:
            sentences.append(f"{c.arm} beats {other}, by {points(c.difference)}.")
        else:
            sentences.append(f"{c.arm} is worse than {other}, by {points(c.difference, -1)}.")
    return sentences


def _teachers(accuracy: dict[str, Interval], selectors: list[str], best: dict[str, float]) -> str:
    teacher = max(best, key=lambda t: accuracy[t].value)
    top = accuracy[selectors[0]].value
    above = sum(accuracy[t].value > top for t in best)
    sure = f"in {100 * best[teacher]:.0f} % of resamples it is the best of {len(best)}"
    name = teacher.removeprefix("only ")
    order = "more than" if accuracy[teacher].value > top else "no more than"
    return (
        f"Training on {name} alone gave {percent(accuracy[teacher])}, {order} the best selector; {sure}; "
        f"{above} of {count(len(best), 'teacher')} alone gave more than it."
    )


def _foresight(foreseen: list[Foresight]) -> str:
    sure = [f for f in foreseen if f.rho_interval is not None and f.rho_interval[0] > 0]
    wrong = [f for f in foreseen if f.rho_interval is not None and f.rho_interval[1] < 0]
    text = "No metric's ranking of teachers is distinguishable from chance"
    if sure:
        ranked = sorted(sure, key=lambda f: -(f.rho or 0))
        text = f"What training on each teacher gave was foreseen by {listed([_rho(f) for f in ranked])}"
    if wrong:
        text += f"; {listed([_rho(f) for f in wrong])} ranked against it"
    first = foreseen[0]
    return f"{text}. The first pick of {first.metric} ({first.pick}) cost {100 * first.regret:.1f} points."


def _rho(f: Foresight) -> str:
    return f"{f.metric} (rho {f.rho:.2f})"


def _open(compared: list[Comparison]) -> str:
    undecided = [c for c in compared if not c.settled]
    if not undecided:
        return "Every comparison of the plan is settled."
    near = sorted((c for c in undecided if c.more_seeds or c.more_questions), key=_effort)
    hints = [f"{c.arm} and {c.other} with {more_data(c.more_seeds, c.more_questions)}" for c in near[:3]]
    text = f"{len(undecided)} of {count(len(compared), 'comparison')} are open"
    return f"{text}; if the differences are what they seem, {listed(hints)} would be settled." if hints else f"{text}."


def _effort(c: Comparison) -> float:
    return min(c.more_seeds or float("inf"), (c.more_questions or float("inf")) / 100)


def more_data(seeds: int | None, questions: int | None) -> str:
    """How many seeds or questions would settle a comparison, in words; nothing where neither would."""
    return " or ".join([count(n, noun) for n, noun in ((seeds, "seed"), (questions, "question")) if n])
