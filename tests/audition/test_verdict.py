"""What the numbers allow to be said, in sentences."""

from stepsift.audition.compare import Comparison, Interval
from stepsift.audition.teachers import Foresight
from stepsift.audition.verdict import Evidence, conclude, listed

KINDS = {"lalp": "selector", "galp": "selector", "rsr": "selector", "random": "control", "stratified": "control"}


def estimate(value: float, half: float = 0.03) -> Interval:
    return Interval(value, value - half, value + half, half / 2)


def compared(arm: str, other: str, difference: float, settled: bool, seeds: int | None = None) -> Comparison:
    return Comparison(arm, other, estimate(difference), 0.01, 0.02, settled, seeds, None)


ACCURACY = {"lalp": estimate(0.5), "galp": estimate(0.52), "rsr": estimate(0.3), "random": estimate(0.41)}
COMPARED = [
    compared("lalp", "random", 0.09, True),
    compared("galp", "random", 0.11, True),
    compared("rsr", "random", -0.11, True),
    compared("lalp", "stratified", 0.02, False, seeds=40),
    compared("lalp", "galp", -0.02, False),
    compared("lalp", "rsr", 0.2, True),
    compared("galp", "rsr", 0.22, True),
]


def test_who_is_best_and_who_beats_chance() -> None:
    said = conclude(Evidence(ACCURACY | {"stratified": estimate(0.48)}, KINDS, COMPARED, [], {}, 3))
    assert said[0] == (
        "Of the selectors galp trained best, 52.0 % (49.0 to 55.0); galp beats rsr by 22.0 ± 3.0 points; galp is "
        "not distinguishable from lalp."
    )
    assert said[1] == (
        "Random choice, 41.0 % (38.0 to 44.0), is beaten by galp by 11.0 ± 3.0 points and lalp by 9.0 ± 3.0 points."
    )
    assert said[2] == "Random choice beats rsr by 11.0 ± 3.0 points."
    assert said[3].startswith(
        "lalp is not distinguishable from a random choice with the same teacher mix (2.0 ± 3.0 points)"
    )
    assert said[-1] == (
        "2 of 7 comparisons are open; if the differences are what they seem, lalp and stratified with 40 seeds would "
        "be settled."
    )


def test_the_length_control_of_a_metric_of_two_models_is_said_to_be_one() -> None:
    control = "length_matched.teacher_steps"
    kinds = {"teacher_steps": "selector", control: "control"}
    accuracy = {name: estimate(0.5) for name in kinds}
    said = conclude(Evidence(accuracy, kinds, [compared("teacher_steps", control, 0.01, False)], [], {}, 3))
    assert "teacher_steps is not distinguishable from a random choice with the same lengths (1.0" in " ".join(said)


def test_selectors_that_are_level_share_the_first_place() -> None:
    level = {arm: estimate(0.4) for arm in ("lalp", "galp")} | {"rsr": estimate(0.3)}
    said = conclude(Evidence(level, KINDS, [compared("lalp", "rsr", 0.1, True)], [], {}, 3))
    assert said[0].startswith("Of the selectors lalp and galp trained best, 40.0 %")


def test_single_teachers_and_what_metrics_foresaw() -> None:
    accuracy = ACCURACY | {"only a": estimate(0.9), "only b": estimate(0.1)}
    kinds = KINDS | {"only a": "teacher", "only b": "teacher"}
    foreseen = [
        Foresight("lalp", 5, 0.1, (-0.5, 0.6), "b", 0.8, (0.7, 0.9), None),
        Foresight("rsr", 5, 0.9, (0.4, 1.0), "a", 0.0, (0.0, 0.1), 0.97),
    ]
    said = conclude(Evidence(accuracy, kinds, COMPARED[:3], foreseen, {"only a": 0.98, "only b": 0.02}, 3))
    assert said[3] == (
        "Training on a alone gave 90.0 % (87.0 to 93.0), more than the best selector; in 98 % of resamples it is the "
        "best of 2; 1 of 2 teachers alone gave more than it."
    )
    assert said[4] == (
        "What training on each teacher gave was foreseen by rsr (rho 0.90). The first pick of lalp (b) cost 80.0 "
        "points."
    )
    assert said[5] == "Every comparison of the plan is settled."


def test_one_seed_decides_nothing() -> None:
    [said] = conclude(Evidence(ACCURACY, KINDS, COMPARED, [], {}, 1))
    assert said.startswith("With one seed nothing is distinguishable from chance in training")


def test_listed() -> None:
    assert [listed(n) for n in (["a"], ["a", "b"], ["a", "b", "c"])] == ["a", "a and b", "a, b and c"]
