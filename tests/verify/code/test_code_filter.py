"""The filter of system calls, run here on numbers and arguments as the kernel would run it."""

import re
import struct
from pathlib import Path

import pytest

from stepsift.verify.code.sandbox_filter import MACHINES, allowed, filter_program, ranges

ALLOW, KILL, ENOSYS, EPERM, EAFNOSUPPORT = 0x7FFF0000, 0x80000000, 0x50026, 0x50001, 0x50061
COMPARE = {
    0x15: lambda held, value: held == value,
    0x25: lambda held, value: held > value,
    0x35: lambda held, value: held >= value,
    0x45: lambda held, value: bool(held & value),
}


def verdict(machine: str, number: int, *arguments: int, architecture: int | None = None) -> int:
    """What a filter returns for a system call."""
    program = filter_program(machine)
    steps = [struct.unpack("=HBBI", program[at : at + 8]) for at in range(0, len(program), 8)]
    given = (*arguments, 0, 0, 0, 0, 0, 0)[:6]
    data = struct.pack("=IIQ6Q", number, architecture or MACHINES[machine][0], 0, *given)
    at = held = 0
    while True:
        code, yes, no, value = steps[at]
        at += 1
        if code == 0x20:
            (held,) = struct.unpack_from("=I", data, value)
        elif code == 0x06:
            return value
        else:
            at += yes if COMPARE[code](held, value) else no


@pytest.mark.parametrize(
    ("numbers", "arguments", "expected"),
    [
        ((0, 63), (), ALLOW),  # read
        ((59, 221), (), ALLOW),  # execve
        ((202, 98), (), ALLOW),  # futex
        ((101, 117), (), ENOSYS),  # ptrace
        ((438, 438), (), ENOSYS),  # pidfd_getfd
        ((319, 279), (), ENOSYS),  # memfd_create
        ((435, 435), (), ENOSYS),  # clone3
        ((272, 97), (), ENOSYS),  # unshare
        ((9_999, 9_999), (), ENOSYS),
        ((0x4000_0000, 0x4000_0000), (), ENOSYS),  # x32's read
        ((56, 220), (17,), ALLOW),  # clone: fork
        ((56, 220), (0x3D0F00,), ALLOW),  # a thread
        ((56, 220), (0x1000_0011,), EPERM),  # a user namespace
        ((56, 220), (0x0002_0000,), EPERM),
        ((56, 220), (0x0200_0000,), EPERM),
        ((302, 261), (0,), ALLOW),  # prlimit64 of itself
        ((302, 261), (2,), EPERM),
        ((41, 198), (1,), ALLOW),  # socket
        ((41, 198), (2,), ALLOW),
        ((41, 198), (10,), ALLOW),
        ((41, 198), (16,), EAFNOSUPPORT),
        ((41, 198), (38,), EAFNOSUPPORT),
        ((41, 198), (40,), EAFNOSUPPORT),
        ((16, 29), (0, 0x5401), ALLOW),  # ioctl
        ((16, 29), (0, 0x5412), EPERM),
        ((16, 29), (0, 0x541C), EPERM),
        ((250, 219), (1, 0), ALLOW),  # keyctl: a new session keyring without a name
        ((250, 219), (1, 1), EPERM),
        ((250, 219), (1, 1 << 32), EPERM),
        ((250, 219), (0, 0), EPERM),
    ],
)
def test_what_the_filter_says(numbers: tuple[int, int], arguments: tuple[int, ...], expected: int) -> None:
    for machine, number in zip(MACHINES, numbers, strict=True):
        assert verdict(machine, number, *arguments) == expected, machine


def test_every_call_of_the_list_is_allowed_and_no_other() -> None:
    by_argument = {"x86_64": {56, 302, 41, 16, 250}, "aarch64": {220, 261, 198, 29, 219}}
    for machine in MACHINES:
        numbers = set(allowed(machine).values())
        let = {number for number in range(600) if verdict(machine, number, 1, 1) == ALLOW}
        assert let - by_argument[machine] == numbers
        assert not numbers & by_argument[machine]


def test_the_numbers_of_another_architecture_kill() -> None:
    for machine in MACHINES:
        assert verdict(machine, 0, architecture=0x40000003) == KILL


@pytest.mark.parametrize(
    ("numbers", "runs"),
    [([], []), ([3], [(3, 3)]), ([5, 1, 2, 3], [(1, 3), (5, 5)]), ([0, 2, 4], [(0, 0), (2, 2), (4, 4)])],
)
def test_ranges(numbers: list[int], runs: list[tuple[int, int]]) -> None:
    assert ranges(numbers) == runs


def test_the_numbers_are_those_of_the_kernels_headers() -> None:
    tables = {
        "x86_64": Path("/usr/include/x86_64-linux-gnu/asm/unistd_64.h"),
        "aarch64": Path("/usr/include/asm-generic/unistd.h"),
    }
    for machine, file in tables.items():
        if not file.is_file():
            pytest.skip(f"no {file}, a file of the package linux-libc-dev")
        found = re.findall(r"#define __NR(?:3264)?_(\w+)\s+(\d+)", file.read_text())
        numbers = {name: int(number) for name, number in found}
        named = allowed(machine)
        assert {name: numbers[name] for name in named if name in numbers} == {
            n: named[n] for n in named if n in numbers
        }
        assert len(named.keys() & numbers.keys()) > 0.9 * len(named)
