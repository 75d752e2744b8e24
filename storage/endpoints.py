"""Where content goes to and comes from, as it is typed: `car:FILE`, `kubo:URL`, `gateway:URL`, `dir:PATH`."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self

from storage.errors import UserError

if TYPE_CHECKING:
    from storage.block_source import BlockSource
    from storage.kubo_client import KuboClient

KINDS: Final = ("car", "kubo", "gateway", "dir")


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """One place."""

    kind: str
    """One of `KINDS`."""
    place: str
    """A path or an address; empty for the daemon at its own default."""


def read_endpoint(text: str, kinds: Sequence[str], flag: str) -> Endpoint:
    """Read what was typed.

    kinds: those that make sense here.

    Raises:
        UserError: another kind, or no place.
    """
    kind, _, place = text.partition(":")
    if kind not in kinds:
        forms = {"car": "car:FILE", "kubo": "kubo:URL", "gateway": "gateway:URL", "dir": "dir:PATH"}
        fix = f"write {' or '.join(forms[one] for one in kinds)}"
        raise UserError(f"not a place: {text[:200]!r}", where=flag, fix=fix)
    if not place and kind != "kubo":
        raise UserError(f"{kind}: names nothing", where=flag, fix="write a file or an address behind it")
    return Endpoint(kind=kind, place=place)


def open_kubo(place: str) -> KuboClient:
    """Return a client for a daemon; nothing is sent yet.

    Raises:
        UserError: not an address.
    """
    from storage.http_client import HttpClient
    from storage.kubo_client import DEFAULT_URL, KuboClient

    return KuboClient(HttpClient(place or DEFAULT_URL))


class Sources:
    """Places that content comes from, in their order; opened when they are first needed. A context manager."""

    def __init__(self, endpoints: Sequence[Endpoint]) -> None:
        self._endpoints = tuple(endpoints)
        self._sources: list[BlockSource] = []
        self._opened = ExitStack()

    def __call__(self) -> Sequence[BlockSource]:
        """Return them, opened: the index of a CAR is made once.

        Raises:
            UserError: not an address, or a file that is no CAR.
            PeerError: a CAR that is wrong.
        """
        for endpoint in self._endpoints[len(self._sources) :]:
            source = _open(endpoint)
            self._opened.callback(source.close)
            self._sources.append(source)
        return tuple(self._sources)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self._opened.close()


def _open(endpoint: Endpoint) -> BlockSource:
    if endpoint.kind == "car":
        from storage.car_file import CarFile

        return CarFile(Path(endpoint.place))
    if endpoint.kind == "kubo":
        return open_kubo(endpoint.place)
    from storage.gateway_client import GatewayClient
    from storage.http_client import HttpClient

    return GatewayClient(HttpClient(endpoint.place))
