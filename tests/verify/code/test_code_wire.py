"""What tests and answer say to each other: data comes back as it was, and a lie on the wire ends the run."""

import collections
import datetime
import decimal
import fractions
import json
import math
import os
import socket
import threading
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stepsift.verify.code.sandbox_grader import Grader, Remote
from stepsift.verify.code.sandbox_wire import MOST_BYTES, Broken, NotDataError, Peer, renew

ATOMS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.complex_numbers(allow_nan=False)
    | st.text()
    | st.binary()
    | st.decimals(allow_nan=False)
    | st.fractions()
    | st.datetimes()
    | st.dates()
    | st.times()
    | st.timedeltas()
    | st.builds(range, st.integers(), st.integers(), st.integers(1, 9))
)
DATA = st.recursive(
    ATOMS,
    lambda inner: (
        st.lists(inner)
        | st.lists(inner).map(tuple)
        | st.frozensets(ATOMS)
        | st.sets(ATOMS)
        | st.dictionaries(ATOMS, inner)
        | st.lists(inner).map(collections.deque)
        | st.dictionaries(st.text(), st.integers()).map(collections.Counter)
        | st.dictionaries(st.text(), inner).map(collections.OrderedDict)
    ),
    max_leaves=20,
)


def peer(loose: bool = False) -> Peer:
    return Peer(-1, {}, loose, lambda error: type(error).__name__)


def types_of(value: Any) -> Any:
    """The types in a value, all the way down; 1, 1.0 and True are equal and not the same."""
    if isinstance(value, dict):
        return type(value), sorted(map(repr, [(types_of(k), types_of(v)) for k, v in value.items()]))
    if isinstance(value, list | tuple | set | frozenset | collections.deque):
        return type(value), sorted(map(repr, map(types_of, value)))
    return type(value)


@given(DATA)
def test_data_come_back_as_they_were(value: Any) -> None:
    for end in (peer(), peer(loose=True)):
        again = end.decode(json.loads(json.dumps(end.encode(value))))
        assert again == value
        assert types_of(again) == types_of(value)
        assert end.objects == []


@pytest.mark.parametrize(
    "array",
    [
        np.arange(6).reshape(2, 3),
        np.float32(0.1),
        np.array(7),
        np.zeros((0, 3)),
        np.array([True, False]),
        np.int8(-3),
    ],
)
def test_arrays_come_back_as_they_were(array: Any) -> None:
    again = peer().decode(json.loads(json.dumps(peer().encode(array))))
    assert type(again) is type(array) and again.dtype == array.dtype and again.shape == array.shape
    assert (again == array).all()


def test_what_only_one_end_can_hold() -> None:
    assert math.isnan(peer().decode(json.loads(json.dumps(peer().encode(math.nan)))))
    assert peer().decode(peer().encode(-0.0)).hex() == "-0x0.0p+0"
    for value in (int, str, type(None), object):
        assert peer().decode(peer().encode(value)) is value


@given(DATA)
def test_what_came_from_the_answer_can_be_sent_back(value: Any) -> None:
    """Else an answer could end the run of the tests apart by what it returns."""
    loose = peer(loose=True)
    named = collections.namedtuple("P", "x y")(value, 1)
    for sent in (value, named, {1: value}.values(), np.array(["a", "b"]), np.ones(2), Two(2)):
        strict = peer()
        strict.encode(strict.decode(loose.encode(sent)))


class Odd:
    pass


class Two(int):
    def __eq__(self, other: object) -> bool:
        return True

    __hash__ = None  # type: ignore[assignment]


@pytest.mark.parametrize("value", [Odd(), Odd, [Odd()], {1: Odd()}, Two(2), threading.Lock()])
def test_tests_send_no_objects_of_their_own(value: Any) -> None:
    with pytest.raises(NotDataError):
        peer().encode(value)


@pytest.mark.parametrize(
    ("value", "data"),
    [(Two(2), 2), (type("T", (list,), {})([1]), [1]), ({1: 2}.keys(), [1]), (type("S", (str,), {})("a"), "a")],
)
def test_an_answer_sends_instances_of_its_kinds_of_data_as_data(value: Any, data: Any) -> None:
    again = peer().decode(peer(loose=True).encode(value))
    assert type(again) is type(data) and again == data


@given(DATA, DATA)
def test_a_container_is_renewed_in_place(old: Any, new: Any) -> None:
    if type(old) is type(new) and isinstance(old, list | dict | set | collections.deque):
        held = old
        assert renew(old, new) is held
        assert held == new


def test_renewing_keeps_the_inner_containers_of_equal_shapes() -> None:
    row = [1, 2]
    rows = [row, [3]]
    renew(rows, [[5, 6], [7]])
    assert rows == [[5, 6], [7]] and row == [5, 6] and rows[0] is row


@pytest.fixture
def ends() -> Iterator[tuple[Grader, int]]:
    """A grader, and the answer's descriptor."""
    ours, theirs = socket.socketpair()
    yield Grader(ours.fileno(), lambda error: "error"), theirs.fileno()
    ours.close()
    theirs.close()


def frame(message: Any) -> bytes:
    text = message if isinstance(message, bytes) else json.dumps(message).encode()
    return len(text).to_bytes(4, "big") + text


LIES = [
    (b"\xff\xff\xff\xff", "output"),
    ((MOST_BYTES + 1).to_bytes(4, "big"), "output"),
    (b"", "exited"),
    (b"\0\0\0\x09{}", "exited"),
    (frame(b"\xff\xfe"), "error"),
    (frame(b"[" * 100_000), "error"),
    (frame(b"9" * 5_000), "error"),
    (frame([]), "error"),
    (frame({}), "error"),
    (frame(["="]), "error"),
    (frame(["=", 1]), "error"),
    (frame(["=", 1, 2]), "error"),
    (frame(["=", 1, [[0]]]), "error"),
    (frame(["=", 1, [[9, 1]]]), "error"),
    (frame(["=", 1, [["x", 1]]]), "error"),
    (frame(["=", ["o", 0], []]), "error"),
    (frame(["=", ["o", -1], []]), "error"),
    (frame(["=", ["h", {}], []]), "error"),
    (frame(["=", ["nothing"], []]), "error"),
    (frame(["=", [], []]), "error"),
    (frame(["=", ["s", [["l", []]]], []]), "error"),
    (frame(["=", ["i", "zz"], []]), "error"),
    (frame(["=", ["F", 1, 0], []]), "error"),
    (frame(["=", ["T", "exec"], []]), "error"),
    (frame(["=", ["x", "fold", "2024"], []]), "error"),
    (frame(["=", ["a", "no", [1], [1], False], []]), "error"),
    (frame(["=", ["a", "O", [1], [1], False], []]), "error"),
    (frame(["=", ["a", "V8", [1], [1], False], []]), "error"),
    (frame(["=", ["a", "i4,i4", [1], [1], False], []]), "error"),
    (frame(["=", ["a", "M8[s]", [1], [1], False], []]), "error"),
    (frame(["=", ["a", "<i8", [3], [1], False], []]), "error"),
    (frame(["=", ["n", "T", ["startswith"], ["l", [1]]], []]), "error"),
    (frame(["=", ["n", "T", ["a b"], ["l", [1]]], []]), "error"),
    (frame(["=", ["n", "import os", ["a"], ["l", [1]]], []]), "error"),
    (frame(["!", "exec", [], "error"]), "error"),
    (frame(["!", "print", [], "error"]), "error"),
    (frame(["!", "ValueError", 3, "error"]), "error"),
    (frame(["!", ["l", []], [], "error"]), "error"),
]


@pytest.mark.parametrize(("data", "reason"), LIES)
def test_a_lie_on_the_wire_ends_the_run(ends: tuple[Grader, int], data: bytes, reason: str) -> None:
    grader, answer = ends
    os.write(answer, data)
    socket.socket(fileno=os.dup(answer)).shutdown(socket.SHUT_WR)
    with pytest.raises(Broken) as caught:
        grader.request("call", 0, ([1],))
    assert (caught.value.reason, grader.broken) == (reason, reason)


@given(
    st.recursive(st.none() | st.integers() | st.text() | st.floats(), lambda x: st.lists(x, max_size=4), max_leaves=9)
)
def test_no_reply_raises_anything_else(reply: Any) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        grader = Grader(ours.fileno(), lambda error: "error")
        for message in (reply, ["=", reply, []], ["=", 1, reply], ["!", "ValueError", reply, "error"]):
            theirs.sendall(frame(message))
        theirs.shutdown(socket.SHUT_WR)
        for _ in range(5):
            try:
                grader.request("call", 0, ([1],))
            except (Broken, ValueError, StopIteration):
                continue


def asked(grader: Grader, answer: int, *request: Any) -> list[Any]:
    """The grader's reply to a request of the answer."""
    os.write(answer, frame(["?", *request]))
    grader.answer(grader.receive())
    size = int.from_bytes(os.read(answer, 4), "big")
    return json.loads(os.read(answer, size))


def test_an_answer_may_call_what_it_was_given_and_nothing_else(ends: tuple[Grader, int]) -> None:
    grader, answer = ends
    called = grader.hand_out(lambda x, *, more=0: x + more)
    walked = grader.hand_out(iter([5]))
    assert asked(grader, answer, "call", called, [1], [["more", 2]]) == ["=", 3, []]
    assert asked(grader, answer, "next", walked, [], []) == ["=", 5, []]
    assert asked(grader, answer, "next", walked, [], []) == ["."]
    for operation in ("get", "set", "item", "setitem", "names", "str", "len", "__getattribute__", "", None):
        assert asked(grader, answer, operation, called, ["__globals__"], [])[0] == "!", operation
    for number in (-1, 2, "a", None, [0]):
        assert asked(grader, answer, "call", number, [], [])[0] == "!", number
    assert asked(grader, answer, "call", walked, [], [])[0] == "!"


@pytest.mark.parametrize("kind", ["result", "part"])
def test_an_object_of_the_answer_is_no_data(kind: str) -> None:
    """No operator of it is asked; a grader without an answer would hang on a question."""
    grader = Grader(-1, lambda error: "error")
    it, other = Remote(grader, 1, kind), 4
    assert [it == other, other == it, it != other, it in [other]] == [False, False, True, False]
    for action in (
        lambda: it < other, lambda: it - other, lambda: other - it, lambda: abs(it), lambda: int(it),
        lambda: math.isclose(it, 4.0), lambda: float(it), lambda: [1][it], lambda: isinstance(other, it),
        lambda: round(it), lambda: -it, lambda: it @ it if kind == "result" else 1 / 0.0,
    ):  # fmt: skip
        with pytest.raises((TypeError, ZeroDivisionError)):
            action()
    for name in ("startswith", "isupper", "issubset", "equals", "all"):
        with pytest.raises(AttributeError):
            getattr(it, name)
    assert not grader.needs_together


def test_imported_types_are_those_of_the_wire() -> None:
    """Types that are recognised by name."""
    for value in (decimal.Decimal(1), fractions.Fraction(1), datetime.timedelta(1), datetime.date(1, 1, 1)):
        assert peer().encode(value)[0] in "DFwx"
