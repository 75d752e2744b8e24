"""Build a directory DAG from paths in any order: archives, uploads, a worker's outputs."""

from __future__ import annotations

from typing import TypeAlias

from storage.errors import VerificationError
from storage.unixfs_import import Entry, Importer, Readable
from storage.unixfs_names import MAX_DEPTH, check_name


class _Directory(dict[str, "_Child"]):
    """A directory that is being filled."""

    declared = False
    """True once it was added by name, False while it only exists because of what is in it."""


_Child: TypeAlias = Entry | _Directory


class TreeBuilder:
    """Collects files by path, then makes the directories. Trusts no path.

    Every method raises VerificationError for a path with '', '.', '..', NUL or a leading '/', one that is not UTF-8 or
    too deep, one that is there already, and one that leads through a file or symlink. After an error the builder is as
    it was before the call.
    """

    def __init__(self, importer: Importer) -> None:
        self._importer = importer
        self._root = _Directory()

    def add_file(self, path: str, content: bytes | Readable) -> Entry:
        """Import a file's content and place it at `path`."""
        self._check_free(path)
        entry = self._importer.bytes(content) if isinstance(content, bytes) else self._importer.file(content)
        return self.add_entry(path, entry)

    def add_symlink(self, path: str, target: str) -> Entry:
        """Place a symlink; the target is not checked here, export and readers do that."""
        self._check_free(path)
        return self.add_entry(path, self._importer.symlink(_check_target(path, target)))

    def add_entry(self, path: str, entry: Entry) -> Entry:
        """Place a DAG that is imported already."""
        names = self._check_free(path)
        self._make(names[:-1])[names[-1]] = entry
        return entry

    def add_directory(self, path: str) -> None:
        """Place a directory, empty or filled before or later; naming it twice is an error."""
        names = _split(path)
        found = self._find(path, names)
        if isinstance(found, Entry) or (found is not None and found.declared):
            raise VerificationError("path is there twice", where=repr(path))
        self._make(names).declared = True

    def finish(self) -> Entry:
        """Make every directory and return the root; the builder may be filled further and finished again."""
        return self._directory(self._root)

    def _directory(self, directory: _Directory) -> Entry:
        entries = {
            name: self._directory(child) if isinstance(child, _Directory) else child
            for name, child in directory.items()
        }
        return self._importer.directory(entries)

    def _check_free(self, path: str) -> list[str]:
        names = _split(path)
        if self._find(path, names) is not None:
            raise VerificationError("path is there twice", where=repr(path))
        return names

    def _find(self, path: str, names: list[str]) -> _Child | None:
        at: _Child | None = self._root
        for name in names:
            if isinstance(at, Entry):
                raise VerificationError("path leads through something that is no directory", where=repr(path))
            at = at.get(name) if at is not None else None
        return at

    def _make(self, names: list[str]) -> _Directory:
        at = self._root
        for name in names:
            child = at.setdefault(name, _Directory())
            if not isinstance(child, _Directory):
                raise VerificationError("path leads through something that is no directory", where=repr(name))
            at = child
        return at


def _split(path: str) -> list[str]:
    names = path.split("/")
    if len(names) > MAX_DEPTH:
        raise VerificationError(f"path is more than {MAX_DEPTH} directories deep", where=repr(path[:80]))
    try:
        return [check_name(name) for name in names]
    except VerificationError as error:
        raise VerificationError("unsafe path", where=repr(path)) from error


def _check_target(path: str, target: str) -> str:
    try:
        target.encode("utf-8")
    except UnicodeEncodeError as error:
        raise VerificationError("symlink target is not UTF-8", where=repr(path)) from error
    return target
