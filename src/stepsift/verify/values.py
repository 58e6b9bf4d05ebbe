"""Single values: whether sympy and math-verify call two formulas equal. Imported in the worker process alone.

math-verify compares numbers to six decimals and differences to fifteen, whatever the size of what it compares, so that
6.63e-34 "equals" 5.0e-34. Numbers are therefore compared here (numbers.py says how), and an equality of formulas that
math-verify finds is held against their values at a few points.
"""

import re
from fractions import Fraction
from functools import lru_cache
from typing import Any

import sympy
from latex2sympy2_extended.latex2sympy2 import ConversionConfig, NormalizationConfig, latex2sympy, normalize_latex
from math_verify import verify
from math_verify.grader import should_treat_as_complex

from stepsift.verify.compare import UnreadableError
from stepsift.verify.numbers import Number, read_number, same_number
from stepsift.verify.spelling import TEXT

_CONFIG = NormalizationConfig(
    basic_latex=True, units=False, malformed_operators=True, nits=False, boxed="none", equations=False
)
MAX_CHARS = 500
"""A longer formula is not read: the parser takes seconds for what a runaway response holds."""
_DIGITS = 40
_NEAR = sympy.Rational(1, 10**25)
_POINTS = (sympy.Rational(17, 7), sympy.Rational(-23, 11), sympy.Rational(5, 13), sympy.Rational(-31, 29))
_IMAGINARY = re.compile(r"(?<=[\d)}])i(?![A-Za-z])")
_LETTER = re.compile(r"\\[A-Za-z]+|[A-Za-z]")
"""A letter, or a command, which may be a letter of the Greek alphabet."""
_EXPONENT = re.compile(r"(?<![A-Za-z\\\d.])(\d+(?:\.\d*)?|\.\d+)[eE]([-+]?\d+)(?![A-Za-z\d])")


@lru_cache(maxsize=2048)
def parsed(formula: str, cased: bool = False) -> Any:
    """What a formula is for sympy, with small letters alone unless it is `cased`; raises UnreadableError."""
    text = _EXPONENT.sub(r"\1 \\times 10^{\2}", _IMAGINARY.sub(" i", formula)).replace("%", "\\%")
    if not text or len(text) > MAX_CHARS or TEXT.search(text):
        raise UnreadableError(formula)
    try:
        value = latex2sympy(
            normalize_latex(text, _CONFIG),
            is_real=not should_treat_as_complex(text),
            convert_degrees=False,
            normalization_config=None,
            conversion_config=ConversionConfig(lowercase_symbols=not cased),
        )
    except Exception as e:
        # The parser meets arbitrary text and raises whatever its grammar does.
        raise UnreadableError(formula) from e
    if value is None or value is sympy.zoo or value is sympy.nan:
        raise UnreadableError(formula)
    return _exact(value)


def _exact(value: Any) -> Any:
    """A value whose decimals are the fractions that they say."""
    if isinstance(value, sympy.Basic):
        floats = value.atoms(sympy.Float)
        if floats:
            return value.xreplace({f: sympy.Rational(str(f)) for f in floats})
    return value


def readable(formula: str) -> bool:
    """Whether sympy can read a formula."""
    if read_number(formula) is not None:
        return True
    try:
        parsed(formula)
    except UnreadableError:
        return False
    return True


@lru_cache(maxsize=16_384)
def same_value(gold: str, answer: str) -> bool:
    """Whether two formulas are equal; raises UnreadableError where one is none.

    2X is 2x, unless one of the two holds a letter in both cases: R/r is not r/r.
    """
    cased = _in_both_cases(gold) or _in_both_cases(answer)
    one, other = parsed(gold, cased), parsed(answer, cased)
    if _constant(one) and _constant(other):
        return _same_constant(one, other, read_number(gold), read_number(answer))
    if isinstance(one, sympy.Eq) and isinstance(other, sympy.Eq):
        return _same_equation(one, other)
    if isinstance(one, sympy.Expr) and isinstance(other, sympy.Expr):
        if one == other:
            return True
        at_points = _agree(one, other)
        return verify(one, other, timeout_seconds=None) if at_points is None else at_points
    return verify(one, other, timeout_seconds=None, allow_set_relation_comp=True)


def _in_both_cases(formula: str) -> bool:
    letters = set(_LETTER.findall(formula))
    return len({letter.lower() for letter in letters}) < len(letters)


def _constant(value: Any) -> bool:
    return isinstance(value, sympy.Expr) and not value.free_symbols and bool(value.is_number)


def _same_constant(one: Any, other: Any, gold: Number | None, answer: Number | None) -> bool:
    one, other = one.doit(), other.doit()
    if one == other:
        return True
    decimals = [number for number in (gold, answer) if number is not None and number.last is not None]
    if one.is_infinite or other.is_infinite or (one.is_Rational and other.is_Rational and not decimals):
        return False
    a, b = one.evalf(_DIGITS), other.evalf(_DIGITS)
    for number, value in ((gold, b), (answer, a)):
        if number is not None and number.last is not None and value.is_real:
            return same_number(number, Number(Fraction(str(value))))
    if abs(a - b) > _NEAR * max(abs(a), abs(b)) and max(abs(a), abs(b)) > _NEAR:
        return False
    # So near, and still two numbers: 1/3 and 1/3 + 3^-501.
    difference = sympy.nsimplify(one - other) if one.is_rational and other.is_rational else one - other
    return difference == 0 if difference.is_Rational else difference.equals(0) is not False


def _agree(one: Any, other: Any) -> bool | None:
    """Whether two expressions have the same values at a few points; None where they have none there."""
    compared = 0
    for a, b in _values_at_points(one, other):
        if abs(a - b) > _NEAR * max(abs(a), abs(b)):
            return False
        compared += 1
    return True if compared >= 3 else None


def _values_at_points(one: Any, other: Any) -> list[tuple[Any, Any]]:
    """The values of two expressions at those of some points where both have one."""
    symbols = sorted(one.free_symbols | other.free_symbols, key=str)
    pairs = []
    for shift in range(len(_POINTS)):
        point = {
            symbol: _POINTS[(i + shift) % len(_POINTS)] + sympy.Rational(i // len(_POINTS), 3)
            for i, symbol in enumerate(symbols)
        }
        a, b = _at(one, point), _at(other, point)
        if a is not None and b is not None:
            pairs.append((a, b))
    return pairs


def _at(expression: Any, point: dict[Any, Any]) -> Any:
    try:
        value = expression.subs(point).doit().evalf(_DIGITS)
    except Exception:
        # sympy has no value there, for whatever reason.
        return None
    return value if value.is_number and value.is_finite else None


def _same_equation(one: Any, other: Any) -> bool:
    """Whether two equations differ by a factor, or are solved by the same values."""
    left, right = one.lhs - one.rhs, other.lhs - other.rhs
    if one.free_symbols != other.free_symbols:
        return False
    ratio = _ratio(left, right)
    if ratio is not None:
        return ratio
    # math-verify calls two equations that nothing solves the same.
    return _has_solution(one) and verify(one, other, timeout_seconds=None)


def _has_solution(equation: Any) -> bool:
    try:
        return bool(sympy.solve(equation, equation.free_symbols))
    except NotImplementedError:
        return False


def _ratio(left: Any, right: Any) -> bool | None:
    """True where two expressions have one ratio at all points; None where that says nothing."""
    ratios = [a / b for a, b in _values_at_points(left, right) if a != 0 and b != 0]
    same = len(ratios) == len(_POINTS) and all(abs(r - ratios[0]) <= _NEAR * abs(r) for r in ratios)
    return True if same else None
