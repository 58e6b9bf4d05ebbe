"""Runs tests in a process that holds nothing of the answer, and speaks with it through sandbox_wire.py.

The names that are the answer's, which the project's side has named, are proxies here; every other name is Python's own
or of the prompt's code. So what the answer makes of `abs`, `math.isclose` or its own `__eq__` changes nothing in here:
a comparison is made of values that came as data. An object that is no data can be called, read, measured and walked
through, each of which gives data; it equals no data, and compares with nothing.

Tests about classes need more: operators of the answer's objects, or objects of the tests' own that the answer is given.
Then `Together` ends the run, and the project's side decides to run such tests beside the answer.

This runs within the sandbox and imports nothing of stepsift but its neighbours (sandbox.PROGRAMS).
"""

import builtins
import contextlib
import importlib
import re
from collections.abc import Callable
from typing import Any

from stepsift.verify.code import sandbox_wire

OWN = frozenset({"class", "member", "instance"})
"""Kinds of objects that tests of a class are about: the class, what is read from it, and its instances."""
ROOTED = OWN | {"part"}
"""The kinds above, and whatever they gave."""
_AFTER = {("class", "call"): "instance", ("class", "get"): "member"}
_OPERATORS = """
lt le gt ge add sub mul matmul truediv floordiv mod divmod pow lshift rshift and or xor
radd rsub rmul rmatmul rtruediv rfloordiv rmod rdivmod rpow rand ror rxor
neg pos abs invert int float complex index round enter exit reversed delitem instancecheck subclasscheck
"""


class Together(BaseException):
    """These tests cannot be run apart from the answer."""


class Remote(sandbox_wire.Handle):
    """An object of the answer."""

    _peer: "Grader"
    _kind: str

    def __init__(self, peer: sandbox_wire.Peer, number: int, kind: str = "result"):
        """`kind`: class, member, instance, part (of one of them) or result (of anything else)."""
        self.__dict__.update(_peer=peer, _number=number, _kind=kind)

    def _do(self, operation: str, *arguments: Any, named: Any = None) -> Any:
        try:
            value = self._peer.request(operation, self._number, arguments, named)
        finally:
            self._peer.has_heard = True
        if isinstance(value, Remote) and value._kind == "result" and self._kind in ROOTED:
            value.__dict__["_kind"] = kind = _AFTER.get((self._kind, operation), "part")
            if kind in OWN:
                # One object stays one: `Color.RED is Color.RED`.
                return self._peer.known.setdefault(value._number, value)
        return value

    def __call__(self, *arguments: Any, **named: Any) -> Any:
        return self._do("call", *arguments, named=named)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or (name in sandbox_wire.PREDICATES and self._kind not in OWN):
            raise AttributeError(name)
        return self._do("get", name)

    def __setattr__(self, name: str, value: Any) -> None:
        self._do("set", name, value)

    def __len__(self) -> int:
        return self._do("len")

    def __bool__(self) -> bool:
        return bool(self._do("bool"))

    def __str__(self) -> str:
        return str(self._do("str"))

    def __repr__(self) -> str:
        return str(self._do("repr"))

    def __getitem__(self, key: Any) -> Any:
        return self._do("item", key)

    def __setitem__(self, key: Any, value: Any) -> None:
        self._do("setitem", key, value)

    def __iter__(self) -> Any:
        return self._do("iter")

    def __next__(self) -> Any:
        return self._do("next")

    def __hash__(self) -> int:
        if self._kind in OWN:
            self._peer.together()
        return id(self)

    def __eq__(self, other: object) -> bool:
        if self._kind in OWN or (isinstance(other, Remote) and {self._kind, other._kind} & ROOTED):
            self._peer.together()
        return self is other

    def __contains__(self, value: object) -> bool:
        # The answer's own `__contains__` would say yes to everything.
        return any(value is item or value == item for item in self)


def _refused(name: str) -> Callable[..., Any]:
    def method(self: Remote, *others: Any) -> Any:
        if self._kind in OWN or (self._kind in ROOTED and any(isinstance(other, Remote) for other in others)):
            self._peer.together()
        raise TypeError(f"an object of the answer is no data: {name}")

    return method


for _name in _OPERATORS.split():
    setattr(Remote, f"__{_name}__", _refused(_name))


class Grader(sandbox_wire.Peer):
    """The tests' end: it may ask for everything, and lets functions be called and iterators be advanced."""

    handle = staticmethod(Remote)

    def __init__(self, fd: int, reason: Callable[..., str]):
        operations: dict[str, Callable[..., Any]] = {"call": lambda target, *a, **k: target(*a, **k), "next": next}
        super().__init__(fd, operations, False, reason)
        self.needs_together = False
        self.words: frozenset[str] = frozenset()
        """Words of the tests' source and the prompt's."""
        self.has_heard = False
        """Whether anything in here may stem from what the answer returned."""
        self.known: dict[int, Remote] = {}

    def together(self) -> None:
        """End the run: the tests cannot be run apart."""
        self.needs_together = True
        raise Together

    def encode(self, value: Any) -> Any:
        try:
            return super().encode(value)
        except sandbox_wire.NotDataError as e:
            # No answer may bring this about, by returning what then cannot be sent back.
            if not self.has_heard or str(e) in self.words:
                self.together()
            raise TypeError(f"an object of the type {e} is no data") from None

    def answer(self, message: list[Any]) -> None:
        self.has_heard = True
        super().answer(message)


def grade(plan: dict[str, Any], fd: int, reason: Callable[[BaseException], str]) -> tuple[str | None, str | None]:
    """(reason, value): the reason that tests failed with, which the answer may have written, or a word of our own.

    That word is `passed`, `together` (they cannot be run apart) or `missing_module` (they import what is not there).

    `plan`: `tests` (source), `given` (sources of the prompt's own definitions), `subjects` (names of the answer, each
    with whether the tests are about it as a class) and `helpers` (other names, each as a module and a name in it).
    """
    peer = Grader(fd, reason)
    peer.words = frozenset(re.findall(r"\w+", "\n".join([plan["tests"], *plan["given"]])))
    try:
        names = _names(peer, plan)
        exec(compile(plan["tests"], "tests.py", "exec"), names)
    except BaseException as e:
        failure: BaseException | None = e
    else:
        failure = None
    if peer.needs_together:
        return None, "together"
    if peer.broken or failure is None:
        # Tests that catch everything do not see that the answer is gone.
        return (peer.broken, None) if peer.broken else (None, "passed")
    told = next((told for error, told in peer.raised if error is failure), None)
    if told is None and isinstance(failure, ModuleNotFoundError):
        return None, "missing_module"
    return told or reason(failure), None


def _names(peer: Grader, plan: dict[str, Any]) -> dict[str, Any]:
    """What the tests see."""
    names: dict[str, Any] = {"__builtins__": builtins, "__name__": "tests"}
    for name, (module, attribute) in plan["helpers"].items():
        with contextlib.suppress(ImportError, AttributeError):
            loaded = importlib.import_module(module)
            names[name] = getattr(loaded, attribute) if attribute else loaded
    for source in plan["given"]:
        with contextlib.suppress(Exception):
            exec(compile(source, "prompt.py", "exec"), names)
    answered = peer.request("names", 0, list(plan["subjects"]))
    for (name, is_class), (defined, value) in zip(plan["subjects"].items(), answered, strict=True):
        if defined:
            names[name] = value
            if isinstance(value, Remote):
                value.__dict__["_kind"] = "class" if is_class else "result"
    return names
