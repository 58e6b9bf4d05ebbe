"""Two expressions are compared by their values where both have one."""

import pytest
import sympy

from stepsift.verify.values import _POINTS, _agree, _values_at_points

x, y = sympy.symbols("x y")


def test_each_symbol_has_values_of_its_own_at_every_point() -> None:
    pairs = _values_at_points(x, y)
    assert [(sympy.nsimplify(a), sympy.nsimplify(b)) for a, b in pairs] == [
        (point, _POINTS[(i + 1) % len(_POINTS)]) for i, point in enumerate(_POINTS)
    ]
    assert {sympy.nsimplify(value) for value in _values_at_points(x + y, y + x)[0]} == {_POINTS[0] + _POINTS[1]}


def test_points_without_a_value_are_left_out() -> None:
    # Four points of which one is a pole of the second expression.
    assert len(_values_at_points(x, 1 / (x - _POINTS[0]))) == len(_POINTS) - 1
    assert _values_at_points(x, sympy.zoo) == []


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ((x + y) ** 2, x**2 + 2 * x * y + y**2, True),
        (x - y, y - x, False),
        (sympy.sin(x) ** 2 + sympy.cos(x) ** 2, sympy.Integer(1), True),
        (x, sympy.zoo, None),
    ],
)
def test_expressions_with_the_same_values_agree(one: sympy.Expr, other: sympy.Expr, same: bool | None) -> None:
    assert _agree(one, other) is same
