"""Reads a WebAssembly module as far as its host must know it: sections, imports, exports, sizes. Pure.

Trusts nothing. What the instructions mean is for the engine's own validation; nothing here looks at them.

Source: https://webassembly.github.io/spec/core/binary/modules.html.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

MAGIC: Final = b"\0asm"
MODULE_VERSION: Final = b"\1\0\0\0"
COMPONENT_VERSION: Final = b"\x0d\0\1\0"
MAX_MODULE_BYTES: Final = 64 << 20
"""A Go program has 2 to 20 MiB, an interpreter with its library 30; the compiler takes some hundred times as much."""
MAX_FUNCTIONS: Final = 200_000
MAX_LOCALS: Final = 50_000
"""Of one function: the limit of all engines."""
PAGE_BYTES: Final = 65_536

CUSTOM, TYPE, IMPORT, FUNCTION, TABLE, MEMORY, GLOBAL, EXPORT, START, ELEMENT, CODE, DATA, DATA_COUNT = range(13)
TAG: Final = 13
ORDER: Final = (TYPE, IMPORT, FUNCTION, TABLE, MEMORY, TAG, GLOBAL, EXPORT, START, ELEMENT, DATA_COUNT, CODE, DATA)
"""In which sections stand, each at most once; custom ones anywhere."""
KINDS: Final = ("function", "table", "memory", "global", "tag")
_VALUE_TYPES: Final = frozenset(b"\x7f\x7e\x7d\x7c\x7b\x70\x6f")
"""i32, i64, f32, f64, v128, funcref, externref."""


class ModuleError(Exception):
    """Bytes that are no module, or none of this profile; says what and where."""


@dataclass(frozen=True, slots=True)
class Import:
    """One import."""

    module: str
    name: str
    kind: int
    """Index into KINDS."""
    type_index: int
    """Of a function."""


@dataclass(frozen=True, slots=True)
class Export:
    """One export."""

    name: str
    kind: int
    index: int


@dataclass(frozen=True, slots=True, kw_only=True)
class WasmModule:
    """A module, taken apart."""

    sections: dict[int, memoryview]
    """Contents by number, without the custom ones, in the order of `ORDER`."""
    parameters: tuple[bytes, ...]
    """Value types that functions of each type take."""
    results: tuple[bytes, ...]
    imports: tuple[Import, ...]
    functions: tuple[int, ...]
    """Types of the module's own functions."""
    memory_pages: int | None
    """At the beginning; None without a memory."""
    table_elements: int
    """Of all tables together, at the beginning."""
    globals: int
    exports: tuple[Export, ...]


class Reader:
    """Reads numbers and names from a part of a module."""

    def __init__(self, data: memoryview, where: str) -> None:
        self.data = data
        self.at = 0
        self._where = where

    @property
    def is_done(self) -> bool:
        """Nothing is left."""
        return self.at == len(self.data)

    def wrong(self, problem: str) -> ModuleError:
        """Return the error for a problem here."""
        return ModuleError(f"{self._where}, byte {self.at}: {problem}")

    def byte(self) -> int:
        """Read one byte."""
        return self.take(1)[0]

    def take(self, count: int) -> memoryview:
        """Read some bytes.

        Raises:
            ModuleError: there are fewer.
        """
        if count > len(self.data) - self.at:
            raise self.wrong("ends too early")
        part = self.data[self.at : self.at + count]
        self.at += count
        return part

    def number(self) -> int:
        """Read an unsigned integer of at most 32 bits."""
        value = shift = 0
        while True:
            byte = self.byte()
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                break
            if shift >= 35:
                raise self.wrong("a number is too long")
        if value >= 1 << 32:
            raise self.wrong("a number is too large")
        return value

    def count(self, most: int, what: str) -> int:
        """Read how many there are of something."""
        found = self.number()
        if found > most:
            raise self.wrong(f"{found} {what} are more than the {most} that are taken")
        return found

    def name(self) -> str:
        """Read a text."""
        data = self.take(self.number())
        try:
            return str(data, "utf-8")
        except UnicodeDecodeError as error:
            raise self.wrong("a name is not UTF-8") from error

    def value_types(self) -> bytes:
        """Read a list of value types."""
        types = bytes(self.take(self.count(1000, "values")))
        if not _VALUE_TYPES.issuperset(types):
            raise self.wrong("a type that this profile does not have (WebAssembly 2.0 alone)")
        return types

    def limits(self, what: str) -> int:
        """Read limits, and return the lower one."""
        flags = self.byte()
        if flags not in (0, 1):
            raise self.wrong(f"a {what} that is shared, of 64 bits, or of pages of its own size")
        low = self.number()
        if flags:
            self.number()
        return low


def read_module(data: bytes) -> WasmModule:
    """Take a module apart.

    Raises:
        ModuleError: it is none, or not one of WebAssembly 2.0 as far as this looks.
    """
    sections = _sections(data)
    parameters, results = _types(_reader(sections, TYPE, "types"))
    exports = tuple(_exports(_reader(sections, EXPORT, "exports")))
    if len({export.name for export in exports}) != len(exports):
        raise ModuleError("exports: a name is there twice")
    return WasmModule(
        sections=sections,
        parameters=parameters,
        results=results,
        imports=tuple(_imports(_reader(sections, IMPORT, "imports"))),
        functions=tuple(_functions(_reader(sections, FUNCTION, "functions"), len(parameters))),
        memory_pages=_memory(_reader(sections, MEMORY, "memories")),
        table_elements=_tables(_reader(sections, TABLE, "tables")),
        globals=_reader(sections, GLOBAL, "globals").number() if GLOBAL in sections else 0,
        exports=exports,
    )


def _sections(data: bytes) -> dict[int, memoryview]:
    if len(data) > MAX_MODULE_BYTES:
        raise ModuleError(f"{len(data)} bytes are more than the {MAX_MODULE_BYTES} that are taken")
    if data[:4] != MAGIC:
        raise ModuleError("is no WebAssembly module: it does not begin with \\0asm")
    if data[4:8] == COMPONENT_VERSION:
        raise ModuleError("is a component (WASI 0.2), and only core modules for WASI preview 1 are run")
    if data[4:8] != MODULE_VERSION:
        raise ModuleError("is of a version of WebAssembly that is not known")
    reader = Reader(memoryview(data), "module")
    reader.take(8)
    found: dict[int, memoryview] = {}
    while not reader.is_done:
        number = reader.byte()
        content = reader.take(reader.number())
        if number == CUSTOM:
            continue
        if number not in ORDER or number == TAG:
            raise reader.wrong(f"a section {number}, which this profile does not have")
        if any(ORDER.index(before) >= ORDER.index(number) for before in found):
            raise reader.wrong(f"section {number} is out of order")
        found[number] = content
    return found


def _reader(sections: dict[int, memoryview], number: int, where: str) -> Reader:
    return Reader(sections.get(number, memoryview(b"\0")), where)


def _types(reader: Reader) -> tuple[tuple[bytes, ...], tuple[bytes, ...]]:
    parameters, results = [], []
    for _ in range(reader.count(MAX_FUNCTIONS, "types")):
        if reader.byte() != 0x60:
            raise reader.wrong("a type that this profile does not have (WebAssembly 2.0 alone)")
        parameters.append(reader.value_types())
        results.append(reader.value_types())
    return tuple(parameters), tuple(results)


def _imports(reader: Reader) -> Iterator[Import]:
    for _ in range(reader.count(MAX_FUNCTIONS, "imports")):
        module, name, kind = reader.name(), reader.name(), reader.byte()
        if kind >= len(KINDS):
            raise reader.wrong("an import of an unknown kind")
        if kind != 0:
            raise ModuleError(f"imports the {KINDS[kind]} {module}.{name}, and nothing but functions can be had")
        yield Import(module, name, kind, reader.number())


def _functions(reader: Reader, types: int) -> Iterator[int]:
    for _ in range(reader.count(MAX_FUNCTIONS, "functions")):
        index = reader.number()
        if index >= types:
            raise reader.wrong("a function of a type that is not there")
        yield index


def _memory(reader: Reader) -> int | None:
    return reader.limits("memory") if reader.count(1, "memories") else None


def _tables(reader: Reader) -> int:
    """Add up the tables; one with an expression for its elements is of a later WebAssembly."""
    found = 0
    for _ in range(reader.count(100, "tables")):
        if reader.byte() not in b"\x70\x6f":
            raise reader.wrong("a table of a type that this profile does not have")
        found += reader.limits("table")
    return found


def _exports(reader: Reader) -> Iterator[Export]:
    for _ in range(reader.count(MAX_FUNCTIONS, "exports")):
        name, kind = reader.name(), reader.byte()
        if kind >= len(KINDS):
            raise reader.wrong("an export of an unknown kind")
        yield Export(name, kind, reader.number())
