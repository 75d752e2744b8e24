"""From a URL to a CID: fetched once, whatever the number of processes, checked, imported, and noted.

The cache holds a note of the last download of each URL, so that a server that says "not modified" saves the bytes; and
partial files. It may be deleted at any time. Reads the clock and the environment (for S3's keys).
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from storage import file_lock
from storage.blocks import BlockStore
from storage.cid import CID
from storage.errors import BacalhauError, UnavailableError, VerificationError
from storage.partial_file import PartialFile, write_whole
from storage.s3_credentials import find_s3_settings
from storage.s3_request import object_request, object_url, split_s3
from storage.unixfs_import import Importer
from storage.url_client import Bounds, Came, UrlClient, Wanted
from storage.url_origin import Origin, kept_headers
from storage.url_text import Url, scheme_of

Report = Callable[[str, int, int | None], None]
"""Progress of bytes: (what, done, total or None if not known)."""

_S3_LOOKUP: Final = "https://s3.amazonaws.com"
"""Names the region of every bucket, also to those who may not read it."""


def _now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class UrlFetcher:
    """Fetches into `store`."""

    store: BlockStore
    directory: Path
    """For notes and partial files."""
    bounds: Bounds
    progress: Callable[[str], None]
    """Told a phrase when a step begins."""
    report: Report
    hold: Callable[[CID], None]
    """Keeps what is here below a CID from being collected while this process works, and raises a `BacalhauError` if
    not all of it is here (`sqlite_pins.hold`). What is imported needs none: the store keeps what was put."""
    make_client: Callable[[Bounds], UrlClient] = UrlClient
    now: Callable[[], datetime] = field(default=_now)

    def fetch(self, url: Url, *, where: str) -> Origin:
        """Return the content of a URL as a UnixFS file, whole in the store.

        where: the flag and the URL as typed, for errors.

        Raises:
            UserError: no such file, too large, or not to be reached from here.
            UnavailableError: cut off, out of reach, or the disk refuses.
            VerificationError: not the bytes that the checksum names, or a server that contradicts itself.
        """
        asked_at = self.now()
        key = hashlib.sha256(url.text.encode("utf-8")).hexdigest()[:32]
        try:
            self.directory.mkdir(parents=True, exist_ok=True)
            lock = self.directory / f"{key}.lock"
            with file_lock.hold(lock, lambda: self.progress(f"waiting for another process that fetches {url.text}")):
                origin = self._fetch(url, self.directory / f"{key}.note", asked_at, where)
        except OSError as error:
            reason = (error.strerror or str(error)).lower()
            fix = "make room there, or name another folder in BACALHAU_DIR"
            raise UnavailableError(f"cannot be written: {reason}", where=str(self.directory), fix=fix) from error
        _check_hash(origin.sha256, url, where)
        return origin

    def _fetch(self, url: Url, note: Path, asked_at: datetime, where: str) -> Origin:
        known = self._known(note, url)
        if known is not None and known.checked_at >= asked_at:
            return known  # somebody else fetched it while we waited
        with PartialFile(self.directory, url.text) as partial:
            try:
                came = self._download(url, partial, known, where)
            except OSError:
                partial.discard()  # what a full disk lacks is room
                raise
            if came.is_known and known is not None:
                origin = replace(known, checked_at=self.now())
            else:
                origin = self._imported(url, partial, came, where)
            write_whole(note, origin.to_json())
            partial.discard()
        return origin

    def _download(self, url: Url, partial: PartialFile, known: Origin | None, where: str) -> Came:
        self.progress(f"fetching {url.text}")
        shown = url.text.partition("?")[0]

        def advance(done: int, total: int | None) -> None:
            self.report(shown, done, total)

        wanted = Wanted(
            url=url.text, headers={}, known=_conditions(known), has_checksum=url.sha256 is not None, where=where
        )
        with self.make_client(self.bounds) as client:
            if scheme_of(url.text) == "s3":
                wanted = self._on_s3(wanted, client)
            return client.download(wanted, partial, advance)

    def _on_s3(self, wanted: Wanted, client: UrlClient) -> Wanted:
        """Return the request for an object by HTTP, in its bucket's own region."""
        bucket, key = split_s3(wanted.url, where=wanted.where)
        settings = find_s3_settings(os.environ)
        if settings.endpoint is None:
            region = client.peek(f"{_S3_LOOKUP}/{bucket}", where=wanted.where).get("x-amz-bucket-region")
            settings = replace(settings, region=region or settings.region)
        request = object_request(object_url(bucket, key, settings), settings, self.now())
        return replace(wanted, url=request.url, headers=request.headers)

    def _imported(self, url: Url, partial: PartialFile, came: Came, where: str) -> Origin:
        """Import the whole file, after its checksum has been compared."""
        if url.sha256 not in (None, partial.sha256):
            found = partial.sha256
            partial.discard()
            _check_hash(found, url, where)
        self.progress(f"importing {url.text}")
        entry = Importer(self.store).file(partial.read())
        fetched_at = self.now()
        return Origin(
            url=url.text,
            final_url=came.final_url,
            cid=entry.cid,
            size=entry.size,
            sha256=partial.sha256,
            fetched_at=fetched_at,
            checked_at=fetched_at,
            headers=kept_headers(came.headers),
        )

    def _known(self, note: Path, url: Url) -> Origin | None:
        """Return the note of an earlier download if what it brought is still here, whole, and is what is asked for.

        It may have been needed by nobody until now, and a collection may be going on: so it is held first, for what is
        found afterwards stays.
        """
        try:
            origin = Origin.from_json(json.loads(note.read_bytes()))
        except (OSError, ValueError):
            return None
        fits = origin.url == url.text and url.sha256 in (None, origin.sha256) and origin.size <= self.bounds.max_bytes
        if not fits:
            return None
        try:
            self.hold(origin.cid)
        except BacalhauError:
            return None
        return origin


def _conditions(known: Origin | None) -> tuple[tuple[str, str], ...]:
    """Return the header that asks "is it still the same?", if the server gave something to ask with."""
    if known is None:
        return ()
    # Not Last-Modified: it says nothing of two changes within a second.
    etag = known.header("etag")
    return () if etag is None else (("If-None-Match", etag),)


def _check_hash(found: str | None, url: Url, where: str) -> None:
    if url.sha256 not in (None, found):
        problem = f"its sha256 is {found}, not {url.sha256}"
        raise VerificationError(problem, where=where, fix="correct the checksum, or ask who publishes the file")
