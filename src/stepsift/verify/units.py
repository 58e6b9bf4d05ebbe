"""Units at the end of an answer: which of them are the same, and how many of one are another.

An answer without a unit is taken to be in the one that was meant. Two answers with known units are compared after
conversion (120 cm is 1.2 m, 12 cm is not 12 m); a word that is no known unit (apples, students) says nothing. Degrees
Celsius and Fahrenheit are units of their own when they stand alone, and differences of temperature beside others.
"""

import re
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache

_TABLE = """
length: m meter metre 1; km kilometer kilometre 1000; cm centimeter centimetre 1/100; mm millimeter millimetre 1/1000;
length: nm nanometer 1/1000000000; μm micrometer micron 1/1000000; in inch inches 127/5000; ft foot feet 381/1250;
length: yd yard 1143/1250; mi mile 201168/125; nmi 1852; au 149597870700
length: å angstrom 1/10000000000; dm decimeter decimetre 1/10
mass: g gram gramme 1/1000; kg kilogram kilo 1; mg milligram 1/1000000; t ton tonne 1000; lb lbs 45359237/100000000
mass: oz ounce 45359237/1600000000
time: s sec second 1; min minute 60; h hr hour 3600; d day 86400; week wk 604800; ms millisecond 1/1000
time: μs microsecond 1/1000000; ns nanosecond 1/1000000000
calendar: month 1; year yr 12
morning: am 1
evening: pm 1
volume: l liter litre 1; ml milliliter millilitre 1/1000; dl 1/10; cl 1/100; cc 1/1000
volume: gallon gal 473176473/125000000; quart qt 473176473/500000000; pint pt 473176473/1000000000
volume: cup 473176473/2000000000; tablespoon tbsp 473176473/32000000000; teaspoon tsp 157725491/32000000000
angle: ° degree deg 1
turn: rad radian 1
money: $ dollar usd buck 1; ¢ cent penny pennies 1/100
euro: € euro eur 1
sterling: £ gbp 1
rupee: ₹ rs rupee 1
yen: ¥ yen yuan rmb 1
force: n newton 1; kn kilonewton 1000
energy: j joule 1; kj kilojoule 1000; mj megajoule 1000000; cal calorie 523/125; kcal kilocalorie 4184
energy: wh 3600; kwh 3600000
energy: ev electronvolt 1/6241509074460762624; kev 1000/6241509074460762624; mev 1000000/6241509074460762624
power: w watt 1; kw kilowatt 1000; megawatt 1000000
pressure: pa pascal 1; kpa kilopascal 1000; mpa megapascal 1000000; atm atmosphere 101325
pressure: hpa 100; bar 100000; mmhg torr 20265/152
charge: c coulomb 1; μc microcoulomb 1/1000000
current: a amp ampere 1; ma milliampere 1/1000; μa microampere 1/1000000
voltage: v volt 1; kv kilovolt 1000; mv millivolt 1/1000
resistance: ω ohm 1; kω kiloohm kilohm 1000
capacitance: f farad 1; μf microfarad 1/1000000; nf nanofarad 1/1000000000; pf picofarad 1/1000000000000
field: tesla 1
frequency: hz hertz 1; khz kilohertz 1000; mhz megahertz 1000000; ghz gigahertz 1000000000
loudness: db decibel 1
temperature: k kelvin 1
celsius: celsius 1
fahrenheit: fahrenheit 1
amount: mol mole 1; mmol millimole 1/1000
count: piece pcs 1
turning: rpm 1
pulse: bpm 1
typing: wpm 1
parts: ppm 1
frames: fps 1
dose: gy gray 1
activity: bq becquerel 1
consumption: mpg 1
information: bit 1; byte b 8; kb kilobyte 8000; mb megabyte 8000000; gb gigabyte 8000000000
"""


@dataclass(frozen=True)
class Unit:
    """A product of powers of dimensions, with what one of it is worth in their first units."""

    dimensions: tuple[tuple[str, int], ...]
    factor: Fraction
    money: Fraction = Fraction(1)
    """What its currency alone is worth: of cents per hour a hundredth."""

    def currency(self) -> tuple[tuple[str, int], ...]:
        """The part of its dimensions that is money."""
        return tuple(part for part in self.dimensions if part[0] in _CURRENCIES)

    def rest(self) -> tuple[tuple[str, int], ...]:
        """The part of its dimensions that is no money."""
        return tuple(part for part in self.dimensions if part[0] not in _CURRENCIES)

    def is_degree(self) -> bool:
        """Whether it is a degree alone, which may be one of an angle or of a temperature."""
        return self.dimensions == (("angle", 1),)

    def is_temperature(self) -> bool:
        """Whether it is a degree of a scale of temperature."""
        return self.dimensions in ((("celsius", 1),), (("fahrenheit", 1),))


def per(gold: Unit | None, answer: Unit | None) -> Fraction | None:
    """By what an answer is multiplied to be in the gold answer's unit; None where the two cannot be compared.

    A unit may be left out, and of a price per hour the currency or the hour.
    """
    if gold is None or answer is None:
        return Fraction(1)
    if gold.dimensions == answer.dimensions:
        return answer.factor / gold.factor
    if (gold.is_degree() and answer.is_temperature()) or (gold.is_temperature() and answer.is_degree()):
        return Fraction(1)
    money, rest = (gold.currency(), answer.currency()), (gold.rest(), answer.rest())
    if money[0] and money[0] == money[1] and not all(rest):
        return answer.money / gold.money
    if rest[0] and rest[0] == rest[1] and not all(money):
        return (answer.factor / answer.money) / (gold.factor / gold.money)
    return None


def _table() -> dict[str, tuple[str, Fraction]]:
    known = {}
    for line in _TABLE.strip().splitlines():
        dimension, _, entries = line.partition(":")
        for entry in filter(None, map(str.strip, entries.split(";"))):
            *names, factor = entry.split()
            known.update({name: (dimension, Fraction(factor)) for name in names})
    return known


_KNOWN = _table()
_CAPITALS = frozenset(("n", "j", "w", "v", "a", "c", "k", "kn", "ma", "kv", "mv", "kw", "pa", "ev"))
"""Symbols with a capital letter, without which they are variables: 5 N and 5n."""
_PREFIXES = {p: Fraction(10) ** n for p, n in zip("TGMkmμn", (12, 9, 6, 3, -3, -6, -9), strict=True)}
_PREFIXED = ("m", "g", "s", "N", "J", "W", "V", "A", "Pa", "Hz", "C", "F", "L", "mol", "eV", "Wh", "B", "bit", "bar")
"""Symbols of units before which a prefix stands that the table need not list: GeV, MW."""
_SPEEDS = {
    "mph": "mile/hour",
    "kmh": "km/hour",
    "kph": "km/hour",
    "mps": "m/s",
    "knot": "nmi/hour",
    "knots": "nmi/hour",
}
_CURRENCIES = frozenset(("money", "euro", "sterling", "rupee", "yen"))
_SCALE = re.compile(r"(?:°|\bdeg(?:ree)?s?\b)\s*(?:(c|celsius|centigrade)|f|fahrenheit)\b", re.IGNORECASE)
_SCALES = ("celsius", "fahrenheit")


@lru_cache(maxsize=4096)
def read_unit(text: str) -> Unit | None:
    r"""The unit that a text (`cm`, `\text{km/h}`, `square meters`, `m/s^2`) is; None where it is not known."""
    text = text.replace("\\text{", " ").replace("^{", "^").replace("}", " ").replace("\\circ", "°").replace("^°", "°")
    text = _SCALE.sub(lambda m: f" {_SCALES[0] if m[1] else _SCALES[1]} ", text)
    text = re.sub(r"\bper\b", "/", text).replace("\\cdot", "*").replace("\\mu", "μ").replace("\\Omega", "ω")
    words = re.findall(r"[A-Za-z°$€£¥₹¢μΩωÅ]+|\^\s*-?\d+|[/*]", text)
    if not words or len(words) > 12 or re.sub(r"[A-Za-z°$€£¥₹¢μΩωÅ^\d/*\s.()-]", "", text):
        return None
    words = [
        part for word in words for part in re.findall(r"[A-Za-zμΩÅ]+|[^A-Za-zμΩÅ]+", _SPEEDS.get(word.lower(), word))
    ]
    dimensions: dict[str, int] = {}
    factor, money, sign, power = Fraction(1), Fraction(1), 1, 1
    for i, word in enumerate(words):
        if word in "/*":
            sign = -1 if word == "/" else sign
        elif word.startswith("^"):
            continue
        elif word.lower() in ("square", "sq"):
            power = 2
        elif word.lower() in ("cubic", "cu"):
            power = 3
        elif word.lower() == "squared" or word.lower() == "cubed":
            continue
        else:
            entry = _entry(word)
            if entry is None:
                return None
            exponent = sign * power * _after(words[i + 1] if i + 1 < len(words) else "")
            dimensions[entry[0]] = dimensions.get(entry[0], 0) + exponent
            factor *= entry[1] ** exponent
            money *= entry[1] ** exponent if entry[0] in _CURRENCIES else 1
            power = 1
    if not dimensions:
        return None
    if len(dimensions) > 1:
        # J/°C is J/K.
        factor *= Fraction(9, 5) ** -dimensions.get("fahrenheit", 0)
        dimensions["temperature"] = sum(dimensions.pop(scale, 0) for scale in ("temperature", *_SCALES))
    return Unit(tuple(sorted((d, n) for d, n in dimensions.items() if n)), factor, money)


def _entry(word: str) -> tuple[str, Fraction] | None:
    lower = word.lower()
    if word in _CAPITALS:
        return None
    if word[:1] in _PREFIXES and word[1:] in _PREFIXED:
        dimension, factor = _KNOWN[word[1:].lower()]
        return dimension, factor * _PREFIXES[word[0]]
    return next(
        (_KNOWN[name] for name in (lower, lower.removesuffix("s"), lower.removesuffix("es")) if name in _KNOWN), None
    )


def _after(word: str) -> int:
    if word.startswith("^"):
        return int(word.lstrip("^").strip())
    return {"squared": 2, "cubed": 3}.get(word.lower(), 1)
