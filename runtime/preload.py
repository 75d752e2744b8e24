"""Which import statements an image is made with: those of the function itself, read from its text.

Every node must find the same ones, whatever Python it runs on, so this is no parser of Python but a fixed reading of
lines: statements that begin in the first column. What it takes for a statement and is none (a line in a docstring) can
do no harm: an import that fails is left out of the image, and one that succeeds is only there earlier.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from storage.cid import CID
from storage.errors import UserError
from storage.unixfs_read import UnixfsReader

Statement = tuple[str, tuple[str, ...]]
"""A module's dotted name, and the names that are imported from it (none for a plain import)."""

MOST_STATEMENTS: Final = 64
MOST_SOURCE_BYTES: Final = 1 << 20
"""Longer files are not read: they are data."""

STANDARD: Final[tuple[Statement, ...]] = tuple(
    (name, ())
    for name in (
        *("argparse", "array", "base64", "bisect", "calendar", "cmath", "collections.abc", "concurrent.futures"),
        *("copy", "csv", "dataclasses", "datetime", "decimal", "difflib", "enum", "fractions", "functools", "glob"),
        *("gzip", "hashlib", "heapq", "html.parser", "io", "itertools", "json", "logging", "math", "numbers"),
        *("operator", "pathlib", "pickle", "pprint", "random", "re", "secrets", "shutil", "sqlite3", "statistics"),
        *("string", "struct", "tarfile", "tempfile", "textwrap", "traceback", "typing", "unicodedata", "urllib.parse"),
        *("uuid", "xml.etree.ElementTree", "zipfile", "zlib", "zoneinfo"),
    )
)
"""What functions use of the standard library. Part of the profile: a change moves every state digest."""

_NAME: Final = r"[A-Za-z_][A-Za-z0-9_]*"
_DOTTED: Final = rf"{_NAME}(?:\.{_NAME})*"
_RENAMED: Final = rf"{_DOTTED}(?:[ \t]+as[ \t]+{_NAME})?"
_IMPORT: Final = re.compile(rf"import[ \t]+({_RENAMED}(?:[ \t]*,[ \t]*{_RENAMED})*)")
_FROM: Final = re.compile(rf"from[ \t]+({_DOTTED})[ \t]+import[ \t]+(\(?)")


def statements_of(reader: UnixfsReader, source: CID) -> tuple[Statement, ...]:
    """Return the import statements of a function's `function.py`, and of its own modules where it imports them.

    source: the function's directory. Names that the directory itself provides are followed, and not returned.
    """
    local = local_names(reader, source)
    found: dict[Statement, None] = {}
    seen = {"function"}

    def follow(text: str | None) -> None:
        for module, names in read_statements(text or ""):
            top = module.partition(".")[0]
            if top in seen:
                continue
            if top not in local:
                found.setdefault((module, names))
                continue
            seen.add(top)
            own = _read(reader, source, f"{top}.py")
            follow(own if own is not None else _read(reader, source, f"{top}/__init__.py"))

    follow(_read(reader, source, "function.py"))
    return tuple(found)[:MOST_STATEMENTS]


def local_names(reader: UnixfsReader, source: CID) -> frozenset[str]:
    """Return the names of modules that a function's directory provides, and that come before all others."""
    return frozenset(name.removesuffix(".py") for name, _ in reader.entries(source)) - {"function"}


def read_statements(text: str) -> Iterator[Statement]:
    """Yield the import statements of a text that begin in the first column."""
    lines = text.split("\n")
    for number, line in enumerate(lines):
        if match := _IMPORT.match(line):
            for part in match[1].split(","):
                yield part.split()[0], ()
        elif match := _FROM.match(line):
            rest = line[match.end() :]
            following = lines[number + 1 : number + 1 + MOST_STATEMENTS] if match[2] else []
            uncommented = " ".join(part.partition("#")[0] for part in (rest, *following))
            yield match[1], tuple(_imported_names(uncommented.partition(")")[0]))


def _imported_names(text: str) -> Iterator[str]:
    for part in text.split(","):
        words = part.split()
        if words and re.fullmatch(_NAME, words[0]):
            yield words[0]


def _read(reader: UnixfsReader, source: CID, path: str) -> str | None:
    """Return the text of a file, empty if it is not to be read; None if nothing is there."""
    try:
        file = reader.resolve(source, path)
    except UserError:
        return None
    stat = reader.stat(file)
    if stat.kind != "file" or stat.size > MOST_SOURCE_BYTES:
        return ""
    return reader.read_bytes(file, MOST_SOURCE_BYTES).decode("utf-8", "replace").replace("\r\n", "\n")
