"""Assemble a seccomp filter: a table of rules for system calls becomes a classic BPF program.

Knows the instruction set and the layout of `struct seccomp_data`, not which calls a worker needs; that is
`seccomp_policy`. Pure: the same rules give the same bytes.

Formats: https://docs.kernel.org/userspace-api/seccomp_filter.html, linux/filter.h, linux/audit.h.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

ALLOW: Final = 0x7FFF0000
KILL_PROCESS: Final = 0x80000000
_ERRNO: Final = 0x00050000

MAX_INSTRUCTIONS: Final = 4096
"""BPF_MAXINSNS."""

AUDIT_ARCH: Final = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
"""What the kernel calls the architectures this module knows, both little-endian."""

_X32_BIT: Final = 0x40000000
"""Set in the numbers of the x32 calls, which share their architecture with x86-64."""

_NUMBER, _ARCH, _ARGUMENTS = 0, 4, 16
_LOAD, _AND, _JUMP_EQUAL, _JUMP_AT_LEAST, _RETURN = 0x20, 0x54, 0x15, 0x35, 0x06

Instruction = tuple[int, int, int, int]
"""code, jump if true, jump if false, constant."""


def refusal(errno: int) -> int:
    """Return the action that makes a call fail with this error number."""
    return _ERRNO | errno


@dataclass(frozen=True, slots=True, kw_only=True)
class Test:
    """Holds if 32 bits of an argument, masked, are one of the values."""

    __test__ = False  # not a test of pytest's

    argument: int
    """0 to 5."""
    values: tuple[int, ...]
    mask: int = 0xFFFFFFFF
    high: bool = False
    """Look at the upper half; the kernel reads most arguments as 32 bits, pointers are the exception."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """What happens to one system call: `action` if all tests hold, else `otherwise`."""

    action: int
    tests: tuple[Test, ...] = ()
    otherwise: int = KILL_PROCESS


def assemble(arch: str, rules: Mapping[int, Rule], *, last_known: int, default: int, newer: int) -> bytes:
    """Return the program as an array of `struct sock_filter`.

    arch: a key of AUDIT_ARCH; calls of any other architecture end the process.
    rules: by number of the call.
    default: for numbers up to `last_known` that have no rule; newer: for those above.

    Raises:
        KeyError: unknown architecture.
        ValueError: the program is too long for the kernel, or a block for a jump.
    """
    program = [*_load(_ARCH), *_unless_equal(AUDIT_ARCH[arch], KILL_PROCESS), *_load(_NUMBER)]
    if arch == "x86_64":
        program += _if_at_least(_X32_BIT, KILL_PROCESS)
    program += _if_at_least(last_known + 1, newer)
    # Calls with tests come last: a block overwrites the loaded number, and so must end in a return.
    for number, rule in sorted(rules.items(), key=lambda item: (bool(item[1].tests), item[0])):
        program += _guarded(number, _block(rule))
    program += _return(default)
    if len(program) > MAX_INSTRUCTIONS:
        raise ValueError(f"the filter has {len(program)} instructions, {MAX_INSTRUCTIONS} are allowed")
    return b"".join(struct.pack("<HBBI", *instruction) for instruction in program)


def _guarded(number: int, block: list[Instruction]) -> list[Instruction]:
    return [(_JUMP_EQUAL, 0, _distance(len(block)), number), *block]


def _block(rule: Rule) -> list[Instruction]:
    """All tests in turn, then the return; each failed test returns at once."""
    block: list[Instruction] = []
    for test in rule.tests:
        block += _load(_ARGUMENTS + 8 * test.argument + (4 if test.high else 0))
        if test.mask != 0xFFFFFFFF:
            block.append((_AND, 0, 0, test.mask))
        block += _unless_one_of(test.values, rule.otherwise)
    return [*block, *_return(rule.action)]


def _unless_one_of(values: Iterable[int], action: int) -> list[Instruction]:
    wanted = tuple(values)
    # From the comparison of index i, the instruction after the return lies len - i steps ahead.
    jumps: list[Instruction] = [
        (_JUMP_EQUAL, _distance(len(wanted) - index), 0, value) for index, value in enumerate(wanted)
    ]
    return [*jumps, *_return(action)]


def _unless_equal(value: int, action: int) -> list[Instruction]:
    return _unless_one_of((value,), action)


def _if_at_least(value: int, action: int) -> list[Instruction]:
    return [(_JUMP_AT_LEAST, 0, 1, value), *_return(action)]


def _load(offset: int) -> list[Instruction]:
    return [(_LOAD, 0, 0, offset)]


def _return(action: int) -> list[Instruction]:
    return [(_RETURN, 0, 0, action)]


def _distance(steps: int) -> int:
    if steps > 255:  # a jump has eight bits
        raise ValueError("a rule has too many values for one jump")
    return steps
