"""What `-i` and `-v` name: CIDs, paths in them, local paths, URLs, lists. `content_import` brings them into the store.

Locating touches nothing but the store and the local disk, so that a typo is told before anything is fetched. What lies
behind a CID that is not here is found out next, from a few blocks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeAlias

from runtime.url_list import Inside, ListedUrl, read_url_list
from storage.blocks import BlockStore
from storage.cid import CID, is_cid_text, parse_cid
from storage.content_fetch import ContentFetcher
from storage.errors import UnavailableError, UserError
from storage.ipld_path import check_unixfs, content_at
from storage.unixfs_read import UnixfsReader
from storage.url_origin import Origin
from storage.url_text import Url, parse_ipfs_url, parse_url, scheme_of

Place: TypeAlias = CID | Path | Url | tuple[ListedUrl, ...]
Located: TypeAlias = Place | Inside
"""`Inside`, also in a list that has no CID for it: it cannot be followed with the blocks that are here."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Noted:
    """A download, and where the guest finds what it brought."""

    path: str
    origin: Origin


Note = Callable[[Noted], None]
"""Told of every URL that was fetched; must not raise or block."""


def forget(_noted: Noted) -> None:
    """Note nothing."""


def typed_cid(text: str) -> Inside | None:
    """Return the CID and the path in it, if that is what a text names, by itself or as an ipfs URL.

    Raises:
        UserError: it is a malformed ipfs URL.
    """
    if scheme_of(text) == "ipfs":
        head, path = parse_ipfs_url(text, where=text)
        return Inside(root=parse_cid(head), path=path)
    head, _, path = text.partition("/")
    return Inside(root=parse_cid(head), path=path) if is_cid_text(head) else None


def locate(text: str, flag: str, store: BlockStore) -> Located:
    """Find out what a text names, as far as this machine knows.

    Raises:
        UserError: nothing that can be read.
        VerificationError: a block on the way is malformed.
    """
    where = f"{flag} {text}"
    found = typed_cid(text)
    if found is not None:
        return _followed(found, where, store) or found
    if text.startswith("@"):
        return tuple(_located_line(line, store) for line in read_url_list(Path(text[1:]), flag))
    if scheme_of(text) is not None:
        return parse_url(text, where=where)
    if not Path(text).exists():
        fix = "check the path, or give the CID of something that was added with `bacalhau add`"
        raise UserError("is neither a CID nor an existing path", where=where, fix=fix)
    if not (Path(text).is_file() or Path(text).is_dir()):
        raise UserError("is neither a file nor a directory", where=where, fix="copy its content to a file")
    return Path(text).resolve()


def find(place: Located, where: str, fetcher: ContentFetcher) -> tuple[Place, BlockStore]:
    """Return the place that was located, and a store in which one can tell what it is; asks sources if need be.

    Raises:
        UserError: no source is named, or the path leads nowhere, to a symlink or to data.
        UnavailableError, PeerError: no source has the blocks on the way.
        VerificationError: a block on the way is malformed.
    """
    if isinstance(place, tuple):
        return tuple(_found_line(line, fetcher) for line in place), fetcher.store
    if not isinstance(place, Inside):
        return place, fetcher.store
    with told_of(where, fetcher):
        cid = fetcher.find(place.root, place.path).cid
        seen = fetcher.look(cid)
    check_kind(cid, where, seen)
    return cid, seen


@contextmanager
def told_of(where: str, fetcher: ContentFetcher) -> Iterator[None]:
    """Tell which flag it is for that something is not to be had."""
    try:
        yield
    except UnavailableError as error:
        if not fetcher.sources():
            fix = "name a source with --from, add it with `bacalhau add`, or give the path of a local file"
            raise UserError("is not in this store, or not all of it", where=where, fix=fix) from error
        said = f"{error.where}: {error.problem}" if error.where else error.problem
        raise UnavailableError(f"is not to be had: {said}", where=where, fix=error.fix) from error


def ipfs_url(text: str) -> str | None:
    """Return `ipfs://CID/path` for a text that names content by its CID, None for any other.

    Raises:
        UserError: it is a malformed ipfs URL.
    """
    found = typed_cid(text)
    return None if found is None else found.url


def is_directory(place: Place, store: BlockStore) -> bool:
    """Tell whether a place holds a directory; a URL is always a file, and a list of them a directory."""
    if isinstance(place, Path):
        return place.is_dir()
    if isinstance(place, bytes):
        return UnixfsReader(store).stat(place).kind == "directory"
    return isinstance(place, tuple)


def check_not_empty(place: Place, where: str, store: BlockStore) -> None:
    """Refuse an input of no bytes: mostly an accident, and `data` is empty anyway where there is no input.

    Raises:
        UserError: as said; of a URL it is not known before it is here.
    """
    empty = False
    if isinstance(place, Path):
        empty = place.is_file() and place.stat().st_size == 0
    elif isinstance(place, bytes):
        stat = UnixfsReader(store).stat(place)
        empty = stat.kind == "file" and stat.size == 0
    if empty:
        fix = "give a file with content, or leave -i out to run on no input"
        raise UserError("is empty (0 bytes)", where=where, fix=fix)


def check_not_around(place: Place, where: str, home: Path) -> None:
    """Refuse a local place in which this program keeps its own files: importing it would go on for ever.

    home: one of these, file or folder.

    Raises:
        UserError: as said.
    """
    if isinstance(place, Path) and home.resolve().is_relative_to(place):
        fix = "give a folder without it, or point BACALHAU_DIR elsewhere"
        raise UserError(f"holds {home.resolve()}, where blocks are kept", where=where, fix=fix)


def check_kind(cid: CID, where: str, store: BlockStore) -> None:
    """Refuse what no function can be given.

    Raises:
        UserError: it is a symlink, or data.
        UnavailableError, VerificationError: its root block is not here, or malformed.
    """
    check_unixfs(store, cid, where)
    reader = UnixfsReader(store)
    if reader.stat(cid).kind == "symlink":
        problem = f"is a symlink to {reader.read_link(cid)!r}"
        raise UserError(problem, where=where, fix="name what it points to")


def _followed(inside: Inside, where: str, store: BlockStore) -> CID | None:
    """Return where a path leads to, None if that cannot be told with the blocks that are here."""
    try:
        cid = content_at(store, inside.root, inside.path)
        check_kind(cid, where, store)
    except UnavailableError:
        return None
    return cid


def _located_line(line: ListedUrl, store: BlockStore) -> ListedUrl:
    return replace(line, cid=_followed(line.url, line.where, store)) if isinstance(line.url, Inside) else line


def _found_line(line: ListedUrl, fetcher: ContentFetcher) -> ListedUrl:
    """Return a line with what it leads to, which is not looked at before it comes: that would ask for a block more."""
    if line.cid is not None or not isinstance(line.url, Inside):
        return line
    with told_of(line.where, fetcher):
        cid = fetcher.find(line.url.root, line.url.path).cid
        check_unixfs(fetcher.store, cid, line.where)
        if not fetcher.sources():
            fetcher.look(cid)
    return replace(line, cid=cid)
