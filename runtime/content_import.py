"""Brings what `-i` and `-v` name into the store, whole, and sees to it that it stays there while this process works."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from runtime.contents import Note, Noted, Place, check_kind, told_of
from runtime.url_list import ListedUrl
from storage.blocks import BlockStore
from storage.cid import CID, cid_text
from storage.content_fetch import ContentFetcher
from storage.dag_fetch import Fetched
from storage.errors import UnavailableError, VerificationError
from storage.unixfs_graft import finished_entry
from storage.unixfs_import import Importer
from storage.unixfs_tree import TreeBuilder
from storage.url_fetch import UrlFetcher
from storage.url_origin import Origin
from storage.url_text import Url


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """One content that a flag names."""

    where: str
    """The flag and its text, for errors."""
    path: str
    """Where the guest finds it."""
    place: Place
    url: str | None = None
    """`ipfs://CID/path` as asked for, of content that is named by its CID."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ContentImporter:
    """Brings contents into the store of its fetchers."""

    fetcher: UrlFetcher
    """For URLs."""
    content_fetcher: ContentFetcher
    """For what is below CIDs."""
    hold: Callable[[CID], None]
    """Keeps what is here below a CID from being collected while this process works, and raises a `BacalhauError` if
    not all of it is here (`sqlite_pins.hold`)."""
    note: Note

    @property
    def store(self) -> BlockStore:
        """Where contents go."""
        return self.fetcher.store

    def bring(self, content: Content) -> CID:
        """Return the CID of a content, whole in the store.

        Raises:
            UserError, UnavailableError, PeerError, VerificationError: as `Importer.path`, `UrlFetcher.fetch` and
                `ContentFetcher.fetch`.
        """
        place = content.place
        if isinstance(place, bytes):
            return self._whole(place, content)
        if isinstance(place, Path):
            here = Path.cwd()
            self.fetcher.progress(f"importing {place.relative_to(here) if place.is_relative_to(here) else place}")
            return Importer(self.store).path(place).cid
        if isinstance(place, Url):
            return self._fetch(place, content.path, content.where).cid
        return self._fetch_all(place, content.path)

    def _whole(self, cid: CID, content: Content) -> CID:
        """Hold what is below a CID first, and look whether it is all here afterwards: then nothing can go any more."""
        try:
            self.hold(cid)
        except (UnavailableError, VerificationError) as error:
            if isinstance(error, VerificationError) and not self.content_fetcher.sources():
                raise
            with told_of(content.where, self.content_fetcher):
                fetched = self.content_fetcher.fetch(cid)
                self.hold(cid)
            if fetched.blocks:  # else another process fetched it while we waited
                self._note_fetched(cid, content, fetched)
        return cid

    def _note_fetched(self, cid: CID, content: Content, fetched: Fetched) -> None:
        now = self.fetcher.now()
        origin = Origin(
            url=content.url or f"ipfs://{cid_text(cid)}",
            final_url=" ".join(fetched.givers),
            cid=cid,
            size=fetched.size,
            sha256=None,
            fetched_at=now,
            checked_at=now,
            headers=(),
        )
        self.note(Noted(path=content.path, origin=origin))

    def _fetch(self, url: Url, path: str, where: str) -> Origin:
        origin = self.fetcher.fetch(url, where=where)
        self.note(Noted(path=path, origin=origin))
        return origin

    def _fetch_all(self, listed: tuple[ListedUrl, ...], path: str) -> CID:
        tree = TreeBuilder(Importer(self.store))
        for line in listed:
            tree.add_entry(line.path, finished_entry(self.store, self._line(line, f"{path}/{line.path}")))
        return tree.finish().cid

    def _line(self, line: ListedUrl, path: str) -> CID:
        if isinstance(line.url, Url):
            return self._fetch(line.url, path, line.where).cid
        if line.cid is None:
            raise ValueError("a line was not found out yet")  # a mistake of ours: `contents.find` does it
        cid = self._whole(line.cid, Content(where=line.where, path=path, place=line.cid, url=line.url.url))
        check_kind(cid, line.where, self.store)
        return cid
