"""Side modules, and wheels around them, made by hand: what a compiler would not make and a packager would not pack.

Source: WebAssembly core specification 2.0, chapter 5; the tool conventions' DynamicLinking.md for `dylink.0`.
"""

from __future__ import annotations

import dataclasses
import hashlib
import io
import zipfile
from collections.abc import Iterable, Mapping
from typing import Final

from runtime.engine import Plan
from runtime.plan import make_plan
from runtime.release import PLATFORM, PYTHON_VERSION
from storage.blocks import BlockStore
from storage.unixfs_import import Importer
from verifier.model import Lock, Wheel, store_node

VOID, TO_INT, INT_TO_INT, FOUR_TO_INT = range(4)
"""Indices of the types that every module here has: () -> (), and () -> i32, with one and four parameters i32."""
_TYPES: Final = b"\x04\x60\0\0\x60\0\1\x7f\x60\1\x7f\1\x7f\x60\4" + b"\x7f" * 4 + b"\1\x7f"
_MEMORY, _TABLE, _BASE = b"\2\0\0", b"\1\x70\0\0", b"\3\x7f\0"
FUEL_IMPORT: Final = ("env", "__faas_fuel", b"\3\x7e\1")

DATA_ADDRESS: Final = b"\x23\0"
"""global.get of the place where the module's data begin: what scripts are passed by."""
CALL_FIRST: Final = b"\x10\0"
"""call of the first imported function."""
RETURN_7: Final = b"\x41\7"
ENDLESS: Final = b"\x03\x40\x0c\0\x0b"


def caught(code: bytes) -> bytes:
    """Return code that goes on behind `code`, whatever that throws."""
    return b"\x06\x40" + code + b"\x19\x0b"


def tell_refused(count: int) -> bytes:
    """Return code that calls the first imported functions and gives the address of a byte for each: 1 if it threw."""
    calls = (b"\x10" + _u32(n) + b"\x19\x23\0\x41\1\x3a\0" + _u32(n) for n in range(count))
    return b"".join(b"\x06\x40" + call + b"\x0b" for call in calls) + DATA_ADDRESS


def _u32(number: int) -> bytes:
    out = bytearray()
    while number >= 0x80:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*out, number])


def _sized(content: bytes) -> bytes:
    return _u32(len(content)) + content


def _section(number: int, content: bytes) -> bytes:
    return bytes([number]) + _sized(content)


def _vector(items: Iterable[bytes]) -> bytes:
    listed = list(items)
    return _u32(len(listed)) + b"".join(listed)


def _name(text: str) -> bytes:
    return _sized(text.encode())


def side_module(
    code: bytes,
    *,
    kind: int = TO_INT,
    imports: Iterable[tuple[str, str, bytes]] = (),
    export: str = "run",
    starts: bool = False,
    data: bytes = b"",
    data_export: str = "",
    custom: str = "",
) -> bytes:
    """Return a side module with one function of its own, called `export`.

    code: its body without the end. kind: its type. imports: (module, name, description) behind memory, table and the
    memory's base; functions are described by `function`. data_export: name of a global with the data's address.
    starts: it is the start function. custom: name of a section of no content.
    """
    base = [("env", "memory", _MEMORY), ("env", "__indirect_function_table", _TABLE), ("env", "__memory_base", _BASE)]
    wanted = [*base, *imports]
    own = sum(description[0] == 0 for _, _, description in wanted)
    exports = [_name(export) + b"\0" + _u32(own)]
    if data_export:
        exports.append(_name(data_export) + b"\3" + _u32(sum(description[0] == 3 for *_, description in wanted)))
    return b"".join([
        b"\0asm\1\0\0\0",
        _section(0, _name("dylink.0") + b"\1" + _sized(_u32(4096) + b"\2\0\0")),
        _section(0, _name(custom)) if custom else b"",
        _section(1, _TYPES),
        _section(2, _vector(_name(module) + _name(name) + description for module, name, description in wanted)),
        _section(3, _vector([_u32(kind)])),
        _section(6, _vector([b"\x7f\0\x41\0\x0b"])) if data_export else b"",
        _section(7, _vector(exports)),
        _section(8, _u32(own)) if starts else b"",
        _section(10, _vector([_sized(b"\0" + code + b"\x0b")])),
        _section(11, _vector([b"\0\x23\0\x0b" + _sized(data)])) if data else b"",
    ])  # fmt: skip


def function(kind: int) -> bytes:
    """Return the description of an imported function."""
    return b"\0" + _u32(kind)


def wheel(members: Mapping[str | zipfile.ZipInfo, bytes]) -> bytes:
    """Return a wheel with these members, stored, and its metadata."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, content in {**members, "evil-1.dist-info/RECORD": b""}.items():
            archive.writestr(name, content)
    return out.getvalue()


def with_wheel(plan: Plan, content: bytes, store: BlockStore) -> Plan:
    """Return the plan of the same function with one more package."""
    locked = Wheel(
        name="evil",
        version="1",
        file_name=f"evil-1-cp314-cp314-{PLATFORM}.whl",
        sha256=hashlib.sha256(content).hexdigest(),
        wheel=Importer(store).bytes(content).cid,
    )
    lock = Lock(python=PYTHON_VERSION, platform=PLATFORM, wheels=(*plan.lock.wheels, locked))
    renamed = dataclasses.replace(plan.function, lock=store_node(store, lock))
    return make_plan(renamed, plan.input, lock, store=store, wall_clock_s=plan.wall_clock_s)
