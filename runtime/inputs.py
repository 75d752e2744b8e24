"""The data and the volumes of a request: found while that is cheap, brought into the store when all else is known."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from runtime import arguments
from runtime.content_import import Content, ContentImporter
from runtime.contents import Located, check_not_empty, find, ipfs_url, is_directory, locate
from runtime.mounts import nest
from runtime.quantity import parse_bytes
from runtime.request import Request
from storage.cid import CID
from storage.content_fetch import ContentFetcher
from storage.errors import UserError
from storage.url_client import Bounds
from verifier.model import Volume

MAX_URL_BYTES: Final = 1 << 40
"""The most that `--url-limit` may allow for one URL."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Inputs:
    """What a request names, found and not brought yet."""

    data: Content | None
    volumes: tuple[Content, ...]

    @property
    def all(self) -> tuple[Content, ...]:
        """Volumes and data."""
        return (*self.volumes, *([] if self.data is None else [self.data]))

    @property
    def paths(self) -> list[str]:
        """Where the volumes are mounted."""
        return [volume.path for volume in self.volumes]

    @property
    def data_path(self) -> str | None:
        """Where the data is mounted, if there is any."""
        return None if self.data is None else self.data.path


def url_bounds(request: Request) -> Bounds:
    """Return what downloads may do.

    Raises:
        UserError: the limit is out of range.
    """
    limit = parse_bytes(request.url_limit, where="--url-limit")
    if not 0 < limit <= MAX_URL_BYTES:
        raise UserError(f"{request.url_limit} is out of range", where="--url-limit", fix="choose up to 1024Gb")
    return Bounds(max_bytes=limit, allow_private=request.allow_private_urls)


def find_inputs(request: Request, fetcher: ContentFetcher) -> Inputs:
    """Find the data and the volumes. Asks sources only once all that this machine knows of has been found.

    Raises:
        UserError: a flag names nothing that can be read.
        UnavailableError, PeerError, VerificationError: as `contents.find`.
    """
    named = [("-v", text, *arguments.split_volume(text)) for text in request.volumes]
    if request.data is not None:
        named.append(("-i", request.data, request.data, ""))
    located = [(flag, typed, text, path, locate(text, flag, fetcher.store)) for flag, typed, text, path in named]
    found = [_found(*one, fetcher) for one in located]
    volumes = tuple(content for flag, content in found if flag == "-v")
    return Inputs(data=next((content for flag, content in found if flag == "-i"), None), volumes=volumes)


def _found(
    flag: str, typed: str, text: str, path: str, somewhere: Located, fetcher: ContentFetcher
) -> tuple[str, Content]:
    """Return the flag and its content; text: what names it; path: where it is mounted, if that was said."""
    where = f"{flag} {typed}"
    place, seen = find(somewhere, where, fetcher)
    if flag == "-i":
        check_not_empty(place, where, seen)
        path = "/inputs" if is_directory(place, seen) else "/inputs/data"
    return flag, Content(where=where, path=path, place=place, url=ipfs_url(text))


def bring_inputs(inputs: Inputs, importer: ContentImporter) -> tuple[CID | None, tuple[Volume, ...]]:
    """Return the CIDs of the data and of the volumes, nested ones put together; all is whole in the store.

    Raises:
        UserError: the data is empty, or a volume lies in a file.
        UnavailableError, PeerError, VerificationError: as `ContentImporter.bring`.
    """
    data = None if inputs.data is None else importer.bring(inputs.data)
    if inputs.data is not None and data is not None:
        check_not_empty(data, inputs.data.where, importer.store)  # of a URL it is known only now
    mounted = [Volume(path=volume.path, cid=importer.bring(volume)) for volume in inputs.volumes]
    return data, nest(mounted, importer.store)
