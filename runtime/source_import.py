"""Brings a function's source into the store: a directory, one file, or a piece of code.

What belongs to a function directory: every file but hidden ones, Python's caches, and what its `.bacalhauignore` names.
Data does not belong there (it would make a new function of every input): more than 10 MiB is refused.
"""

from __future__ import annotations

import fnmatch
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from storage.blocks import BlockStore
from storage.cid import CID
from storage.errors import UserError
from storage.unixfs_import import Importer
from storage.unixfs_tree import TreeBuilder

ENTRY_FILE: Final = "function.py"
REQUIREMENTS_FILE: Final = "requirements.txt"
IGNORE_FILE: Final = ".bacalhauignore"

MAX_SOURCE_BYTES: Final = 10 << 20
"""The 2022 command's limit for a context; enough for code, too little for data."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A function's source, read into memory: at most 10 MiB."""

    files: tuple[tuple[str, bytes], ...]
    """(relative path, content), by path."""
    where: str
    """What the user calls it, for messages."""

    def content(self, path: str) -> bytes | None:
        """Return a file's content, None if there is none."""
        return dict(self.files).get(path)


def read_source(function: Path | None, code: str | None, requirements: Path | None) -> Source:
    """Read the source of a request.

    Raises:
        UserError: nothing or too much was given, or it is not a function.
    """
    if (function is None) == (code is None):
        problem = "a function and -c are both given" if code is not None else "no function is given"
        raise UserError(problem, fix="give a directory, a file, or -c 'code'")
    if code is not None:
        files, where = {ENTRY_FILE: code.encode("utf-8", "surrogateescape")}, "-c"
    elif function is not None and function.is_dir():
        files, where = dict(_directory(function)), str(function / ENTRY_FILE)
    else:
        assert function is not None  # noqa: S101  checked above
        files, where = _single(function), str(function)
    if requirements is not None:
        files[REQUIREMENTS_FILE] = _read(requirements, "-r")
    return Source(files=tuple(sorted(files.items(), key=lambda item: item[0].encode())), where=where)


def import_source(source: Source, store: BlockStore) -> CID:
    """Import the source into the store and return the CID of its directory."""
    tree = TreeBuilder(Importer(store))
    for path, content in source.files:
        tree.add_file(path, content)
    return tree.finish().cid


def _single(function: Path) -> dict[str, bytes]:
    files = {ENTRY_FILE: _read(function, "FUNCTION")}
    beside = function.parent / REQUIREMENTS_FILE
    if function.name == ENTRY_FILE and beside.is_file():
        files[REQUIREMENTS_FILE] = _read(beside, "FUNCTION")
    return files


def _read(path: Path, flag: str) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise UserError(f"cannot be read: {reason}", where=f"{flag} {path}", fix="check the path") from error


def _directory(root: Path) -> Iterator[tuple[str, bytes]]:
    if not (root / ENTRY_FILE).is_file():
        fix = f"put the function into {root / ENTRY_FILE} as `def main(data):`, or name a Python file"
        raise UserError(f"has no {ENTRY_FILE}", where=str(root), fix=fix)
    ignored = _ignore_patterns(root)
    room = MAX_SOURCE_BYTES
    for path in sorted(root.rglob("*")):
        relative = path.relative_to(root)
        if _is_left_out(relative, ignored) or (path.is_dir() and not path.is_symlink()):
            continue
        _check_file(path, root)
        room -= path.stat().st_size
        if room < 0:
            fix = f"give data with -i or -v, or name what does not belong to the function in {root / IGNORE_FILE}"
            raise UserError("holds more than 10 MiB", where=str(root), fix=fix)
        yield relative.as_posix(), _read(path, "FUNCTION")


def _check_file(path: Path, root: Path) -> None:
    """Refuse what has no content of its own, links to files elsewhere, and names that no directory may hold.

    A directory may come from a stranger: a link in it must not bring a file of whoever runs it into the function.
    """
    fix = f"remove it or name it in {IGNORE_FILE}"
    if path.is_dir():
        raise UserError("is a link to a directory", where=str(path), fix=f"put the files themselves there, or {fix}")
    if not path.is_file():
        raise UserError("is neither a file nor a directory", where=str(path), fix=fix)
    if path.is_symlink() and not path.resolve().is_relative_to(root.resolve()):
        problem = "is a link that leads out of the function's directory"
        raise UserError(problem, where=str(path), fix=f"put the file itself there, or {fix}")
    try:
        path.name.encode("utf-8")
    except UnicodeEncodeError as error:
        raise UserError("has a name that is not UTF-8", where=ascii(str(path)), fix=fix) from error


def _ignore_patterns(root: Path) -> tuple[str, ...]:
    """Read shell patterns, one a line, '#' for comments; matched against the path and each of its directories."""
    file = root / IGNORE_FILE
    lines = _read(file, "FUNCTION").decode("utf-8", "replace").splitlines() if file.is_file() else []
    return tuple(line.strip().rstrip("/") for line in lines if line.strip() and not line.strip().startswith("#"))


def _is_left_out(relative: Path, patterns: tuple[str, ...]) -> bool:
    if any(part.startswith(".") or part == "__pycache__" for part in relative.parts) or relative.suffix == ".pyc":
        return True
    names = [relative.as_posix(), *(parent.as_posix() for parent in relative.parents)]
    return any(fnmatch.fnmatch(name, pattern) for name in names for pattern in patterns)
