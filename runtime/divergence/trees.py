"""What two outputs, or any two DAGs of files, differ in: entry by entry, each file by what it is."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from runtime.divergence.contents import MOST_LISTED, compare_contents
from storage.cid import CID
from storage.errors import UnavailableError
from storage.unixfs_read import UnixfsReader

MOST_ENTRIES: Final = 200
"""Entries that are listed; all are compared."""
MOST_BYTES: Final = 16 << 20
"""Of one file that are read; of larger ones the first difference is looked for in pieces."""
MOST_DEPTH: Final = 150
"""An output has a hundred levels at most."""
_PIECE: Final = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One entry that is not the same."""

    path: str
    """Empty: the whole."""
    kind: str
    """`only-in-a`, `only-in-b`, `kind`, `symlink`, `missing` (a block is not here), `unread`, or what the files are."""
    details: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """Return the entry of `outputs`."""
        return {"path": self.path, "kind": self.kind, "details": list(self.details)}


def tree_differences(one: CID, two: CID, reader: UnixfsReader, path: str = "") -> Iterator[Difference]:
    """Yield the differences of two DAGs, directories before what is behind them, by name."""
    if one == two:
        return
    if path.count("/") >= MOST_DEPTH:
        yield Difference(path=path, kind="unread", details=("is deeper than is looked at",))
        return
    try:
        kinds = reader.stat(one).kind, reader.stat(two).kind
        if kinds[0] != kinds[1]:
            yield Difference(path=path, kind="kind", details=(f"a {kinds[0]} against a {kinds[1]}",))
        elif kinds[0] == "directory":
            yield from _directories(one, two, reader, path)
        elif kinds[0] == "symlink":
            targets = f"leads to {reader.read_link(one)!r} against {reader.read_link(two)!r}"
            yield Difference(path=path, kind="symlink", details=(targets,))
        else:
            yield _files(one, two, reader, path)
    except UnavailableError as error:
        yield Difference(path=path, kind="missing", details=(str(error),))


def _directories(one: CID, two: CID, reader: UnixfsReader, path: str) -> Iterator[Difference]:
    left = {name: link.cid for name, link in reader.entries(one)}
    right = {name: link.cid for name, link in reader.entries(two)}
    for name in sorted({*left, *right}, key=str.encode):
        below = f"{path}/{name}".lstrip("/")
        if name not in right:
            yield Difference(path=below, kind="only-in-a", details=())
        elif name not in left:
            yield Difference(path=below, kind="only-in-b", details=())
        else:
            yield from tree_differences(left[name], right[name], reader, below)


def _files(one: CID, two: CID, reader: UnixfsReader, path: str) -> Difference:
    sizes = reader.stat(one).size, reader.stat(two).size
    if max(sizes) > MOST_BYTES:
        return Difference(path=path, kind="bytes", details=tuple(_large(one, two, reader, sizes)))
    kind, details = compare_contents(path, reader.read_bytes(one, MOST_BYTES), reader.read_bytes(two, MOST_BYTES))
    return Difference(path=path, kind=kind, details=tuple(details[: MOST_LISTED + 1]))


def _large(one: CID, two: CID, reader: UnixfsReader, sizes: tuple[int, int]) -> Iterator[str]:
    if sizes[0] != sizes[1]:
        yield f"{sizes[0]} against {sizes[1]} bytes"
    with reader.open(one) as left, reader.open(two) as right:
        at = 0
        while True:
            a, b = left.read(_PIECE), right.read(_PIECE)
            if a != b:
                shortest = min(len(a), len(b))
                inside = next((i for i in range(shortest) if a[i] != b[i]), shortest)
                yield f"first at offset {at + inside}: {a[inside:][:16].hex(' ')} against {b[inside:][:16].hex(' ')}"
                return
            if not a:
                return
            at += len(a)
