"""Bounds how deep a module may recurse, by counting: the end of the host's own stack differs by machine and compiler.

Every function that calls is put behind a small one of the same type, which takes what a frame of it is counted for from
a global, traps where there is not so much, calls it, and gives it back. The small one has the function's number, so all
calls, tables and exports lead to it; the function itself gets a new number. Instructions of the module are not looked
at: a body in which neither byte of a call stands cannot call.

Since nothing unwinds (no exceptions, no tail calls in this profile), what is taken is given back exactly. The host's
stack is `HOST_STACK_SHARE` times as large as what is counted, so that it ends later; where it does not, a run is
undetermined, never an output.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from runtime.wasm_module import (
    CODE,
    EXPORT,
    FUNCTION,
    GLOBAL,
    MAGIC,
    MAX_LOCALS,
    MODULE_VERSION,
    ORDER,
    ModuleError,
    Reader,
    WasmModule,
)

STACK_BYTES: Final = 128 << 20
"""Counted, of all frames together: 900,000 calls of a small function."""
HOST_STACK_SHARE: Final = 6
FRAME_BYTES: Final = 128
"""What a frame and that of its small function are counted for, without their values."""
VALUE_BYTES: Final = 8
"""Of a parameter or local; the compiler keeps most of them in registers."""
_LARGE_FRAME: Final = 16 << 10
"""Of a function that is counted though it calls nothing: so much fits into the host's share."""
LEFT_NAME: Final = "bacalhau: stack left"
MEMORY_NAME: Final = "bacalhau: memory"
"""Exports that are added; a module that has one of these names is refused."""
SPENT: Final = -1
"""What is left, when a function has found that there is not enough."""
_CALLS: Final = frozenset(b"\x10\x11\x12\x13\x14\x15")
"""First bytes of all instructions that call; those behind the second are not in this profile."""
_I32, _MUTABLE = 0x7F, 1


@dataclass(frozen=True, slots=True)
class _Body:
    """One function of the module."""

    content: memoryview
    frame_bytes: int
    is_counted: bool


def count_stack(module: WasmModule) -> bytes:
    """Return the module with its stack counted and its memory exported; custom sections are gone.

    Raises:
        ModuleError: functions and bodies do not match, or a name is one of ours.
    """
    taken = {export.name for export in module.exports}
    if taken & {LEFT_NAME, MEMORY_NAME}:
        raise ModuleError("exports a name that belongs to the runtime")
    bodies = list(_bodies(module))
    counted = [i for i, body in enumerate(bodies) if body.is_counted]
    first_moved = len(module.imports) + len(bodies)
    moved = {i: first_moved + position for position, i in enumerate(counted)}
    left = module.globals
    changed = {
        FUNCTION: _vector(map(_unsigned, [*module.functions, *(module.functions[i] for i in counted)])),
        CODE: _vector(
            [
                *(
                    _sized(_entrance(len(module.parameters[module.functions[i]]), body.frame_bytes, moved[i], left))
                    if body.is_counted
                    else _sized(bytes(body.content))
                    for i, body in enumerate(bodies)
                ),
                *(_sized(bytes(bodies[i].content)) for i in counted),
            ]
        ),
        GLOBAL: _appended(module.sections.get(GLOBAL), [bytes([_I32, _MUTABLE, 0x41, *_signed(STACK_BYTES), 0x0B])]),
        EXPORT: _appended(module.sections.get(EXPORT), _added_exports(module, left)),
    }
    sections = {**module.sections, **changed}
    if not bodies:
        sections = {number: content for number, content in sections.items() if number not in (FUNCTION, CODE)}
    written = (bytes([number]) + _sized(bytes(sections[number])) for number in ORDER if number in sections)
    return b"".join([MAGIC, MODULE_VERSION, *written])


def _bodies(module: WasmModule) -> Iterator[_Body]:
    reader = Reader(module.sections.get(CODE, memoryview(b"\0")), "code")
    if reader.number() != len(module.functions):
        raise ModuleError("code: not as many bodies as functions")
    for index in module.functions:
        content = reader.take(reader.number())
        values = len(module.parameters[index]) + _locals(content)
        frame_bytes = FRAME_BYTES + VALUE_BYTES * values
        calls = not _CALLS.isdisjoint(content)
        yield _Body(content, frame_bytes, calls or frame_bytes > _LARGE_FRAME)


def _locals(content: memoryview) -> int:
    reader = Reader(content, "code")
    found = 0
    for _ in range(reader.count(MAX_LOCALS, "groups of locals")):
        found += reader.number()
        reader.byte()
        if found > MAX_LOCALS:
            raise reader.wrong(f"more than {MAX_LOCALS} locals")
    return found


def _entrance(parameters: int, frame_bytes: int, target: int, left: int) -> bytes:
    """Return the body of the small function."""
    get, put = b"\x23" + _unsigned(left), b"\x24" + _unsigned(left)
    frame = b"\x41" + _signed(frame_bytes)
    return b"".join(
        (
            b"\0",  # no locals
            get + frame + b"\x49\x04\x40",  # left < frame (unsigned): if
            b"\x41" + _signed(SPENT) + put + b"\x00\x0b",  # left = SPENT; unreachable; end
            get + frame + b"\x6b" + put,  # left -= frame
            b"".join(b"\x20" + _unsigned(i) for i in range(parameters)),
            b"\x10" + _unsigned(target),
            get + frame + b"\x6a" + put,  # left += frame
            b"\x0b",
        )
    )


def _added_exports(module: WasmModule, left: int) -> Iterator[bytes]:
    yield _named(LEFT_NAME) + b"\x03" + _unsigned(left)
    if module.memory_pages is not None:
        yield _named(MEMORY_NAME) + b"\x02\x00"


def _appended(content: memoryview | None, entries: Iterable[bytes]) -> bytes:
    reader = Reader(memoryview(b"\0") if content is None else content, "section")
    count, added = reader.number(), list(entries)
    return _unsigned(count + len(added)) + bytes(reader.data[reader.at :]) + b"".join(added)


def _vector(entries: Iterable[bytes]) -> bytes:
    listed = list(entries)
    return _unsigned(len(listed)) + b"".join(listed)


def _sized(content: bytes) -> bytes:
    return _unsigned(len(content)) + content


def _named(name: str) -> bytes:
    return _sized(name.encode())


def _unsigned(value: int) -> bytes:
    """LEB128."""
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _signed(value: int) -> bytes:
    """LEB128, signed."""
    out = bytearray()
    while not -64 <= value < 64:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value & 0x7F)
    return bytes(out)
