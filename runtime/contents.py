"""What `-i` and `-v` name, found and then brought into the store: CIDs, paths in them, local paths, URLs, lists.

Finding touches nothing but the store and the local disk, so that a typo is told before anything is fetched.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from runtime.engine import Progress
from runtime.url_list import ListedUrl, read_url_list
from storage.blocks import BlockStore
from storage.cid import CID, is_cid_text, parse_cid
from storage.errors import UnavailableError, UserError
from storage.unixfs_graft import finished_entry
from storage.unixfs_import import Importer
from storage.unixfs_read import UnixfsReader
from storage.unixfs_tree import TreeBuilder
from storage.url_fetch import UrlFetcher
from storage.url_origin import Origin
from storage.url_text import Url, parse_ipfs_url, parse_url, scheme_of

Place: TypeAlias = CID | Path | Url | tuple[ListedUrl, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """One content that a flag names."""

    where: str
    """The flag and its text, for errors."""
    path: str
    """Where the guest finds it."""
    place: Place


@dataclass(frozen=True, slots=True, kw_only=True)
class Noted:
    """A download, and where the guest finds what it brought."""

    path: str
    origin: Origin


Note = Callable[[Noted], None]
"""Told of every URL that was fetched; must not raise or block."""


def forget(_noted: Noted) -> None:
    """Note nothing."""


def typed_cid(text: str) -> tuple[CID, str] | None:
    """Return (CID, path in it) if that is what a text names, by itself or as an ipfs URL.

    Raises:
        UserError: it is a malformed ipfs URL.
    """
    if scheme_of(text) == "ipfs":
        head, path = parse_ipfs_url(text, where=text)
        return parse_cid(head), path
    head, _, path = text.partition("/")
    return (parse_cid(head), path) if is_cid_text(head) else None


def locate(text: str, flag: str, store: BlockStore) -> Place:
    """Find out what a text names, without bringing it here.

    Raises:
        UserError: nothing that can be read.
        VerificationError: a block on the way is malformed.
    """
    where = f"{flag} {text}"
    found = typed_cid(text)
    if found is not None:
        return _resolved(*found, where=where, store=store)
    if text.startswith("@"):
        return read_url_list(Path(text[1:]), flag)
    if scheme_of(text) is not None:
        return parse_url(text, where=where)
    if not Path(text).exists():
        fix = "check the path, or give the CID of something that was added with `bacalhau add`"
        raise UserError("is neither a CID nor an existing path", where=where, fix=fix)
    if not (Path(text).is_file() or Path(text).is_dir()):
        raise UserError("is neither a file nor a directory", where=where, fix="copy its content to a file")
    return Path(text).resolve()


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


@dataclass(frozen=True, slots=True, kw_only=True)
class ContentImporter:
    """Brings contents into `store`."""

    store: BlockStore
    fetcher: UrlFetcher
    progress: Progress
    note: Note

    def bring(self, content: Content) -> CID:
        """Return the CID of a content, whole in the store.

        Raises:
            UserError, UnavailableError, VerificationError: as `Importer.path` and `UrlFetcher.fetch`.
        """
        place = content.place
        if isinstance(place, bytes):
            return place
        if isinstance(place, Path):
            here = Path.cwd()
            self.progress(f"importing {place.relative_to(here) if place.is_relative_to(here) else place}")
            return Importer(self.store).path(place).cid
        if isinstance(place, Url):
            return self._fetch(place, content.path, content.where).cid
        return self._fetch_all(place, content.path)

    def _fetch(self, url: Url, path: str, where: str) -> Origin:
        origin = self.fetcher.fetch(url, where=where)
        self.note(Noted(path=path, origin=origin))
        return origin

    def _fetch_all(self, listed: tuple[ListedUrl, ...], path: str) -> CID:
        tree = TreeBuilder(Importer(self.store))
        for line in listed:
            origin = self._fetch(line.url, f"{path}/{line.path}", line.where)
            tree.add_entry(line.path, finished_entry(self.store, origin.cid))
        return tree.finish().cid


def _resolved(root: CID, path: str, *, where: str, store: BlockStore) -> CID:
    try:
        reader = UnixfsReader(store)
        cid = reader.resolve(root, path)
        stat = reader.stat(cid)
    except UnavailableError as error:
        fix = "add it with `bacalhau add`, or give the path of a local file"
        raise UserError("is not in this store", where=where, fix=fix) from error
    if stat.kind == "symlink":
        problem = f"is a symlink to {reader.read_link(cid)!r}"
        raise UserError(problem, where=where, fix="name what it points to")
    return cid
