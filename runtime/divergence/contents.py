"""What two files differ in, by what they are: JSON, CSV, text, PNG, pickle, or bytes. Pure, and runs nothing of theirs.

Each difference is one line for a person; how many are listed is bounded, and what is left out is said.
"""

from __future__ import annotations

import csv
import difflib
import io
import json
import pickletools
from collections.abc import Iterator
from itertools import islice, zip_longest
from typing import Any, Final

from runtime.divergence.png import PNG_MAGIC, png_differences
from storage.counting import counted

MOST_LISTED: Final = 20
_MOST_SHOWN: Final = 80
_MOST_OPCODES: Final = 2_000_000
_MOST_TEXT: Final = 256 << 10
"""Bytes: difflib takes quadratic time where nothing fits; beyond it lines are compared one by one."""
_MOST_DEPTH: Final = 200


def compare_contents(name: str, one: bytes, two: bytes) -> tuple[str, list[str]]:
    """Return what two different contents were taken for, and what they differ in."""
    for kind, found in _readings(name, one, two):
        if found is not None:
            listed = list(islice(found, MOST_LISTED + 1))
            if len(listed) > MOST_LISTED:
                listed[MOST_LISTED:] = ["… and more"]
            if listed:
                return kind, listed
    return "bytes", list(byte_differences(one, two))


def _readings(name: str, one: bytes, two: bytes) -> Iterator[tuple[str, Iterator[str] | None]]:
    """Yield forms that both contents may have, the more telling first; None where they have not."""
    if one.startswith(PNG_MAGIC) and two.startswith(PNG_MAGIC):
        yield "png", png_differences(one, two)
    if one[:1] == two[:1] == b"\x80":
        yield "pickle", _pickle(one, two)
    texts = _text(one), _text(two)
    if texts[0] is None or texts[1] is None:
        return
    values = _json(texts[0]), _json(texts[1])
    if values[0] is not _NO_JSON and values[1] is not _NO_JSON:
        yield "json", _values(values[0], values[1], "", 0)
    if name.endswith(".csv") or (_is_table(texts[0]) and _is_table(texts[1])):
        yield "csv", _cells(texts[0], texts[1])
    yield "text", _lines(texts[0], texts[1])


def _text(data: bytes) -> str | None:
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        return None
    return None if "\0" in text else text


_NO_JSON: Final = object()


def _json(text: str) -> Any:
    if not text.lstrip().startswith(("{", "[", '"')):
        return _NO_JSON
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return _NO_JSON


def _values(one: Any, two: Any, path: str, depth: int) -> Iterator[str]:
    if type(one) is not type(two) or depth > _MOST_DEPTH:
        if one != two or type(one) is not type(two):
            yield f"{path or '/'}: {_shown(one)} against {_shown(two)}"
    elif isinstance(one, dict):
        for key in sorted({*one, *two}):
            where = f"{path}/{key}"
            if key not in two:
                yield f"{where}: only in A: {_shown(one[key])}"
            elif key not in one:
                yield f"{where}: only in B: {_shown(two[key])}"
            else:
                yield from _values(one[key], two[key], where, depth + 1)
    elif isinstance(one, list):
        if one != two and len(one) == len(two) and _same_elements(one, two):
            yield f"{path or '/'}: the same {counted(len(one), 'element')} in another order"
            return
        if len(one) != len(two):
            yield f"{path or '/'}: {len(one)} against {counted(len(two), 'element')}"
        for index, (left, right) in enumerate(zip(one, two, strict=False)):
            yield from _values(left, right, f"{path}/{index}", depth + 1)
    elif one != two:
        by = f" (by {two - one:.3g})" if isinstance(one, float) else ""
        yield f"{path or '/'}: {_shown(one)} against {_shown(two)}{by}"


def _same_elements(one: list[Any], two: list[Any]) -> bool:
    return sorted(json.dumps(part, sort_keys=True) for part in one) == sorted(
        json.dumps(part, sort_keys=True) for part in two
    )


def _is_table(text: str) -> bool:
    """Tell whether text looks like CSV: at least two lines, all with the same number of commas, and some."""
    counts = {line.count(",") for line in islice(text.splitlines(), 50)}
    return len(counts) == 1 and counts != {0} and "\n" in text.strip()


def _rows(text: str) -> list[list[str]] | None:
    try:
        return list(csv.reader(io.StringIO(text, newline=""), strict=True))
    except csv.Error:
        return None


def _cells(one: str, two: str) -> Iterator[str] | None:
    left, right = _rows(one), _rows(two)
    if left is None or right is None or left == right:
        return None
    return _cell_differences(left, right)


def _cell_differences(left: list[list[str]], right: list[list[str]]) -> Iterator[str]:
    if left[:1] == right[:1] and sorted(left) == sorted(right):
        yield f"the same {counted(len(left), 'row')} in another order"
        return
    if len(left) != len(right):
        yield f"{len(left)} against {counted(len(right), 'row')}"
    header = left[0] if left and left[:1] == right[:1] else []
    for number, (row, other) in enumerate(zip_longest(left, right), 1):
        if row is None or other is None:
            yield f"row {number}: only in {'A' if other is None else 'B'}: {_shown(','.join(row or other or []))}"
            continue
        for column, (cell, one) in enumerate(zip_longest(row, other)):
            if cell != one:
                name = header[column] if column < len(header) else str(column + 1)
                yield f"row {number}, column {name}: {_shown(cell)} against {_shown(one)}"


def _lines(one: str, two: str) -> Iterator[str]:
    left, right = one.splitlines(), two.splitlines()
    if left != right and sorted(left) == sorted(right):
        same = f"the same {counted(len(left), 'line')} in another order"
        yield f"{same}; the first that differs is line {_first(left, right) + 1}"
        return
    if len(one) + len(two) > _MOST_TEXT:
        number = _first(left, right)
        yield f"line {number + 1}: {_shown(_at(left, number))} against {_shown(_at(right, number))}"
        return
    for line in islice(difflib.unified_diff(left, right, "A", "B", lineterm="", n=1), 2, None):
        yield line if len(line) <= 2 * _MOST_SHOWN else f"{line[: 2 * _MOST_SHOWN]}…"
    if left == right:
        yield "the ends of lines differ"


def _first(left: list[str], right: list[str]) -> int:
    pairs = enumerate(zip(left, right, strict=False))
    return next((number for number, (a, b) in pairs if a != b), min(len(left), len(right)))


def _at(lines: list[str], number: int) -> str | None:
    return lines[number] if number < len(lines) else None


def _pickle(one: bytes, two: bytes) -> Iterator[str] | None:
    """Compare two pickles by their opcodes; nothing is unpickled."""
    try:
        left = list(islice(pickletools.genops(one), _MOST_OPCODES))
        right = list(islice(pickletools.genops(two), _MOST_OPCODES))
    except (ValueError, IndexError, OverflowError):
        return None
    return _opcodes(left, right)


def _opcodes(left: list[Any], right: list[Any]) -> Iterator[str]:
    if len(left) != len(right):
        yield f"{len(left)} against {counted(len(right), 'opcode')}"
    for (code, argument, at), (other, value, there) in zip(left, right, strict=False):
        if (code.name, argument) != (other.name, value):
            yield f"at {at}/{there}: {code.name} {_against(argument, value, other.name)}"


def _against(one: Any, two: Any, other: str) -> str:
    """Return what two opcodes carry; of long ones, such as arrays, from where they part."""
    for kind in (bytes, bytearray, str):
        if isinstance(one, kind) and isinstance(two, kind) and max(len(one), len(two)) > _MOST_SHOWN:
            at = _parting(one, two)
            parts = [f"{some[at : at + 16]!r}" for some in (one, two)]
            return f"of {len(one)} against {other} of {len(two)}, first at {at}: {' against '.join(parts)}"
    return f"{_shown(one)} against {other} {_shown(two)}"


def _parting(one: bytes | bytearray | str, two: bytes | bytearray | str) -> int:
    """Return the length of what both begin with."""
    low, high = 0, min(len(one), len(two))
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if one[:middle] == two[:middle] else (low, middle - 1)
    return low


def byte_differences(one: bytes, two: bytes) -> Iterator[str]:
    """Yield where bytes differ first, and how."""
    if len(one) != len(two):
        yield f"{len(one)} against {len(two)} bytes"
    at = _parting(one, two)
    if at == min(len(one), len(two)):
        yield f"equal up to {at}, where one ends"
        return
    yield f"first at offset {at}: {one[at : at + 16].hex(' ')} against {two[at : at + 16].hex(' ')}"


def _shown(value: Any) -> str:
    if value is None:
        return "nothing"
    text = value if isinstance(value, str) else repr(value)
    text = text if len(text) <= _MOST_SHOWN else f"{text[:_MOST_SHOWN]}…"
    return repr(text) if isinstance(value, str) else text
