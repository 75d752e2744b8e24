"""Where the keys of a TOML file stand: `tomllib` does not tell, and an error without a line makes people search.

Reads what the grammar of TOML allows where no string goes over several lines, which `read_policy` refuses.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from typing import Final, TypeAlias

Path: TypeAlias = tuple[str | int, ...]
"""Keys from the outermost table inwards; an array of tables has the number of the table after its name."""

_TABLE: Final = re.compile(r"\s*\[(\[?)\s*([^\[\]]+?)\s*\]")
_KEY: Final = re.compile(r"""\s*((?:[\w-]+|"[^"]*"|'[^']*')(?:\s*\.\s*(?:[\w-]+|"[^"]*"|'[^']*'))*)\s*=""")


def key_lines(text: str) -> Mapping[Path, int]:
    """Return the line, from 1, of every table and key that begins one; keys inside of `{…}` are not among them."""
    found: dict[Path, int] = {}
    arrays: Counter[Path] = Counter()
    table: Path = ()
    for number, line in enumerate(text.splitlines(), 1):
        if header := _TABLE.match(line):
            table = _names(header[2])
            if header[1]:
                arrays[table] += 1
                table = (*table, arrays[table] - 1)
            found.setdefault(table, number)
        elif key := _KEY.match(line):
            names = _names(key[1])
            for count in range(1, len(names) + 1):
                found.setdefault((*table, *names[:count]), number)
    return found


def line_of(lines: Mapping[Path, int], path: Path) -> int:
    """Return the line of a key, or of the innermost table or key around it that has one."""
    return next((lines[path[:count]] for count in range(len(path), 0, -1) if path[:count] in lines), 1)


def _names(text: str) -> tuple[str, ...]:
    return tuple(part.strip().strip("\"'") for part in text.split("."))
