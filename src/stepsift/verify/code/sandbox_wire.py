"""What the tests and the answer say to each other: data by value, and handles for what is none.

Both ends of a socket are a `Peer`. A message is four bytes of length and JSON. A request names an operation on an
object that the other end has handed out; the reply holds the result as data. An object that is no data travels as the
number under which its owner keeps it. Nothing is ever unpickled, and no end can reach into the other: the tests hand
out functions that may be called and iterators that may be advanced, no more.

This runs within the sandbox and imports nothing of stepsift.
"""

import builtins
import collections
import functools
import importlib
import json
import os
import sys
import types
from collections.abc import Callable
from typing import Any

_read, _write = os.read, os.write
"""What an answer makes of them is its own business."""
MOST_BYTES = 8 * 2**20
"""The longest message."""
_EXACT = 2**53
"""Integers below this are JSON numbers."""
_ARRAY_KINDS = "biufU"
"""Kinds of arrays that are data: truth values, integers, decimals, text."""
DATA_TYPES = (int, float, str, bool, list, tuple, dict, set, frozenset, bytes, bytearray, complex, type(None), object)
"""Types that are sent by name, as arguments like `f(int)`."""
_CALLABLE = (types.FunctionType, types.BuiltinFunctionType, types.MethodType, functools.partial)
_CHANGING = (list, tuple, dict, set, bytearray, collections.deque)
"""Types whose instances, or what they hold, may change in place."""
_VIEWS: Any = (type({}.keys()), type({}.values()), type({}.items()))


_METHODS = """
startswith endswith isalnum isalpha isascii isdecimal isdigit isidentifier islower isnumeric isprintable isspace istitle
isupper issubset issuperset isdisjoint is_integer equals all any
"""
PREDICATES = frozenset(_METHODS.split())
"""Methods of data that answer yes or no: a test that calls one on a result means data."""


class NotDataError(Exception):
    """A value of the tests is no data."""


class Broken(BaseException):
    """The other end is gone or does not keep to the form; `reason` is one of judge.REASONS."""

    def __init__(self, reason: str):
        super().__init__(reason)
        self.reason = reason


class Handle:
    """An object of the other end, as the answer sees what the tests handed out."""

    def __init__(self, peer: "Peer", number: int):
        self._peer, self._number = peer, number

    def __call__(self, *arguments: Any, **named: Any) -> Any:
        return self._peer.request("call", self._number, arguments, named)

    def __iter__(self) -> "Handle":
        return self

    def __next__(self) -> Any:
        return self._peer.request("next", self._number)


class Peer:
    """One end; requests may be nested, since a function that is called may call a function of its caller."""

    handle: Callable[["Peer", int], Any] = Handle

    def __init__(self, fd: int, operations: dict[str, Callable[..., Any]], loose: bool, reason: Callable[..., str]):
        """`operations` on handed out objects that the other end may ask for; `loose`: hand out any object, and send
        instances of subclasses of data types as data; `reason` of an exception, in a word."""
        self.fd, self.operations, self.loose, self.reason = fd, operations, loose, reason
        self.objects: list[Any] = []
        self._numbers: dict[int, int] = {}
        self.broken: str | None = None
        """Why there is no more to be had from the other end, in a word."""
        self.raised: list[tuple[BaseException, str]] = []
        """Exceptions of the other end that were raised here, with their reasons."""

    def hand_out(self, value: Any) -> int:
        """The number of an object that the other end may name from now on; it is kept, so no other gets its id."""
        number = self._numbers.setdefault(id(value), len(self.objects))
        if number == len(self.objects):
            self.objects.append(value)
        return number

    def request(self, operation: str, number: int, arguments: Any = (), named: Any = None) -> Any:
        """The result of an operation on the other end's object; raises what it raised."""
        try:
            return self._request(operation, number, arguments, named or {})
        except Broken as e:
            self.broken = e.reason
            raise

    def _request(self, operation: str, number: int, arguments: Any, named: dict[str, Any]) -> Any:
        given = [self.encode(value) for value in arguments]
        self.send(["?", operation, number, given, [[k, self.encode(v)] for k, v in named.items()]])
        while True:
            reply = self.receive()
            if reply[0] == "?":
                self.answer(reply)
            elif reply[0] == ".":
                raise StopIteration
            elif reply[0] == "!":
                self.raised.append(_guarded(self._error, *reply[1:]))
                raise self.raised[-1][0]
            else:
                return _guarded(self._result, arguments, named, *reply[1:])

    def _result(self, arguments: Any, named: Any, data: Any, changes: Any) -> Any:
        """The value of a reply; arguments that the other end changed in place are changed here."""
        for place, now in changes:
            renew(arguments[place] if isinstance(place, int) else named[place], self.decode(now))
        return self.decode(data)

    def answer(self, message: list[Any]) -> None:
        """Do what a request asks for, and send the reply."""
        try:
            _, operation, number, given, named = message
            target = self.objects[number] if number >= 0 else None
            arguments = [self.decode(data) for data in given]
            more = {str(key): self.decode(data) for key, data in named}
            result = self.operations[operation](target, *arguments, **more)
            changed = [
                [n, now] for n, old in enumerate(given) if (now := self._renewed(arguments[n])) not in (None, old)
            ]
            changed += [[k, now] for k, old in named if (now := self._renewed(more[k])) not in (None, old)]
            reply = ["=", self.encode(result), changed]
        except StopIteration:
            reply = ["."]
        except Broken:
            raise
        except BaseException as e:
            reply = ["!", self._name(e), [self._short(value) for value in e.args], self.reason(e)]
        self.send(reply)

    def _renewed(self, value: Any) -> Any:
        """How a value that can be changed in place is sent; None for others."""
        return self.encode(value) if isinstance(value, _CHANGING) or _is_array(value) else None

    def _short(self, value: Any) -> Any:
        return self.encode(value) if isinstance(value, int | float | str) else self.encode(str(value))

    @staticmethod
    def _name(error: BaseException) -> str:
        """The nearest exception of Python's own that an error is."""
        return next(kind.__name__ for kind in type(error).__mro__ if kind.__module__ == "builtins")

    def _error(self, name: Any, arguments: Any, reason: Any) -> tuple[BaseException, str]:
        """An exception of Python's own, by its name, with its reason."""
        kind = vars(builtins)[name]
        if not (isinstance(kind, type) and issubclass(kind, BaseException)):
            raise ValueError("no exception")
        error = kind.__new__(kind)
        error.args = tuple(self.decode(data) for data in arguments)
        return error, str(reason)

    def send(self, message: list[Any]) -> None:
        data = json.dumps(message).encode()
        data = len(data).to_bytes(4, "big") + data
        try:
            while data:
                data = data[_write(self.fd, data) :]
        except OSError:
            raise Broken("exited") from None

    def receive(self) -> list[Any]:
        size = int.from_bytes(self._read(4), "big")
        if size > MOST_BYTES:
            raise Broken("output")
        message = _guarded(json.loads, self._read(size))
        if not isinstance(message, list) or not (message[:1] == ["."] or len(message) in (3, 4, 5)):
            raise Broken("error")
        return message

    def _read(self, size: int) -> bytes:
        parts = bytearray()
        while len(parts) < size:
            try:
                part = _read(self.fd, min(size - len(parts), 1 << 20))
            except OSError:
                part = b""
            if not part:
                raise Broken("exited")
            parts += part
        return bytes(parts)

    def encode(self, value: Any) -> Any:
        """A value as JSON; raises NotDataError."""
        kind = type(value)
        if value is None or kind in (bool, str, float) or (kind is int and -_EXACT < value < _EXACT):
            return value
        if isinstance(value, Handle) and value._peer is self:
            return ["o", value._number]
        if kind is type and value in DATA_TYPES:
            return ["T", value.__name__]
        write = _WRITE.get(kind) or _WRITE_BY_NAME.get(f"{kind.__module__}.{kind.__qualname__}")
        if write is not None:
            return write(self.encode, value)
        plain = _array(value) if kind.__module__ == "numpy" else None
        if plain is None:
            plain = self._plain(value) if self.loose else self._shaped(value)
        if plain is None and not (self.loose or isinstance(value, _CALLABLE) or hasattr(kind, "__next__")):
            raise NotDataError(kind.__name__)
        return ["h", self.hand_out(value)] if plain is None else plain

    def _shaped(self, value: Any) -> Any:
        """A view of a dict, or a named tuple, which keeps the names; None for others."""
        if isinstance(value, _VIEWS):
            return self.encode(list(value))
        fields = getattr(value, "_fields", None) if isinstance(value, tuple) else None
        if not isinstance(fields, tuple):
            return None
        return ["n", type(value).__name__, list(fields), self.encode(list(value))]

    def _plain(self, value: Any) -> Any:
        """An instance of a subclass of a data type, as data of that type."""
        shaped = self._shaped(value)
        if shaped is not None:
            return shaped
        for base in (*_WRITE, float, str):
            if isinstance(value, base):
                return self.encode(base(value))
        return None

    def decode(self, data: Any) -> Any:
        """The value that JSON stands for; any exception where it stands for none."""
        if not isinstance(data, list):
            return data
        tag = data[0]
        if tag == "o":
            if data[1] < 0:
                raise ValueError("no such object")
            return self.objects[data[1]]
        if tag == "h":
            return type(self).handle(self, int(data[1]))
        return _READ[tag](self.decode, *data[1:])


def _guarded(action: Callable[..., Any], *arguments: Any) -> Any:
    """What an action makes of a message that the other end may have forged."""
    try:
        return action(*arguments)
    except MemoryError:
        raise Broken("memory") from None
    except Exception:
        raise Broken("error") from None


def renew(old: Any, new: Any) -> Any:
    """`old` with the contents of its copy at the other end, in place as far as can be; else the copy."""
    if type(old) is not type(new):
        return new
    if isinstance(old, list | tuple) and len(old) == len(new):
        parts = [renew(before, after) for before, after in zip(old, new, strict=True)]
        if isinstance(old, list):
            old[:] = parts
            return old
        return tuple(parts) if type(old) is tuple else new
    if isinstance(old, dict) and list(old) == list(new):
        for key, value in new.items():
            old[key] = renew(old[key], value)
    elif isinstance(old, list | bytearray):
        old[:] = new
    elif isinstance(old, dict):
        old.clear()
        # A Counter's own update adds.
        for key, value in new.items():
            old[key] = value
    elif isinstance(old, set | collections.deque):
        old.clear()
        (old.update if isinstance(old, set) else old.extend)(new)
    elif _is_array(old) and old.shape == new.shape and old.dtype == new.dtype:
        old[...] = new
    else:
        return new
    return old


def _is_array(value: Any) -> bool:
    return type(value).__module__ == "numpy" and type(value).__name__ == "ndarray"


def _pairs(encode: Callable[[Any], Any], value: Any) -> list[Any]:
    return [[encode(key), encode(item)] for key, item in value.items()]


def _each(tag: str) -> Callable[[Any, Any], list[Any]]:
    return lambda encode, value: [tag, [encode(item) for item in value]]


def _array(value: Any) -> list[Any] | None:
    """An array of numbers or a single one of numpy's; None for others."""
    numpy = sys.modules["numpy"]
    if not isinstance(value, numpy.ndarray | numpy.generic) or value.dtype.kind not in _ARRAY_KINDS:
        return None
    return ["a", value.dtype.str, list(value.shape), value.ravel().tolist(), isinstance(value, numpy.generic)]


def _to_array(_: Any, kind: str, shape: list[int], items: list[Any], single: bool) -> Any:
    import numpy

    if numpy.dtype(kind).kind not in _ARRAY_KINDS:
        raise ValueError("no array that could be sent back")
    array = numpy.array(items, dtype=numpy.dtype(kind)).reshape(shape)
    return array[()] if single else array


def _of(module: str, name: str) -> Any:
    return getattr(importlib.import_module(module), name)


def _named(decode: Callable[[Any], Any], name: str, fields: list[str], items: Any) -> Any:
    if PREDICATES & set(fields):
        raise ValueError("a field that hides a method of data")
    return _named_type(name, tuple(fields))(*decode(items))


@functools.cache
def _named_type(name: str, fields: tuple[str, ...]) -> Any:
    return collections.namedtuple(name, fields)


_WRITE: dict[type, Callable[[Any, Any], list[Any]]] = {
    int: lambda _, value: ["i", hex(value)],
    list: _each("l"),
    tuple: _each("t"),
    set: _each("s"),
    frozenset: _each("f"),
    collections.Counter: lambda encode, value: ["C", _pairs(encode, value)],
    collections.OrderedDict: lambda encode, value: ["O", _pairs(encode, value)],
    dict: lambda encode, value: ["d", _pairs(encode, value)],
    collections.defaultdict: lambda encode, value: ["d", _pairs(encode, value)],
    collections.deque: lambda encode, value: ["q", [encode(item) for item in value], value.maxlen],
    bytes: lambda _, value: ["b", value.hex()],
    bytearray: lambda _, value: ["B", value.hex()],
    complex: lambda _, value: ["c", value.real, value.imag],
    range: lambda encode, value: ["r", encode(value.start), encode(value.stop), encode(value.step)],
}
_DATES = ("datetime", "date", "time")
_WRITE_BY_NAME: dict[str, Callable[[Any, Any], list[Any]]] = {
    "decimal.Decimal": lambda _, value: ["D", str(value)],
    "fractions.Fraction": lambda encode, value: ["F", encode(value.numerator), encode(value.denominator)],
    "datetime.timedelta": lambda _, value: ["w", value.days, value.seconds, value.microseconds],
    **{f"datetime.{name}": (lambda _, value: ["x", type(value).__name__, value.isoformat()]) for name in _DATES},
}
"""Types of modules that are slow to import; most answers do not need them."""
_READ: dict[str, Callable[..., Any]] = {
    "i": lambda _, text: int(text, 16),
    "l": lambda decode, items: [decode(item) for item in items],
    "t": lambda decode, items: tuple(decode(item) for item in items),
    "s": lambda decode, items: {decode(item) for item in items},
    "f": lambda decode, items: frozenset(decode(item) for item in items),
    "d": lambda decode, pairs: {decode(key): decode(item) for key, item in pairs},
    "C": lambda decode, pairs: collections.Counter({decode(key): decode(item) for key, item in pairs}),
    "O": lambda decode, pairs: collections.OrderedDict((decode(key), decode(item)) for key, item in pairs),
    "q": lambda decode, items, most: collections.deque([decode(item) for item in items], most),
    "b": lambda _, text: bytes.fromhex(text),
    "B": lambda _, text: bytearray.fromhex(text),
    "c": lambda _, real, imaginary: complex(real, imaginary),
    "r": lambda decode, *ends: range(*map(decode, ends)),
    "D": lambda _, text: _of("decimal", "Decimal")(text),
    "F": lambda decode, above, below: _of("fractions", "Fraction")(decode(above), decode(below)),
    "w": lambda _, days, seconds, micros: _of("datetime", "timedelta")(days, seconds, micros),
    "x": lambda _, name, text: _of("datetime", _DATES[_DATES.index(name)]).fromisoformat(text),
    "n": _named,
    "a": _to_array,
    "T": lambda _, name: {kind.__name__: kind for kind in DATA_TYPES}[name],
}
