"""Blocks and DAGs from a trustless gateway: it is asked for raw blocks or CARs only, and believed nothing.

Source: IPFS specifications, trustless gateway (2026-03-05).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Final

from storage.block_source import BlockAbsentError, BlockStream, checked_from
from storage.car import MAX_SECTION_BYTES
from storage.car_stream import received_blocks
from storage.cid import CID, cid_text
from storage.errors import UnavailableError
from storage.gateway_media import CAR_TYPE, RAW_TYPE
from storage.http_client import Answer, HttpClient

_ABSENT: Final = frozenset({404, 410, 412, 451})
"""Not there, or never given out: others may have it."""
_CAR_ACCEPT: Final = f"{CAR_TYPE}; version=1; order=dfs; dups=n"


class GatewayClient:
    """One gateway, a `BlockSource`."""

    def __init__(self, http: HttpClient) -> None:
        self._http = http
        self.name = http.name

    def block(self, cid: CID) -> bytes:
        """Return one block, checked.

        Raises:
            BlockAbsentError, UnavailableError, PeerError: as `BlockSource` says.
        """
        with self._get(cid, RAW_TYPE, {"format": "raw"}) as answer:
            return checked_from(self.name, cid, answer.read(MAX_SECTION_BYTES))

    def dag(self, root: CID) -> BlockStream:
        """Yield the blocks below `root` that the gateway sends, checked.

        Raises:
            BlockAbsentError, UnavailableError, PeerError: as `BlockSource` says.
        """
        with self._get(root, _CAR_ACCEPT, {"format": "car", "dag-scope": "all"}) as answer:
            yield from received_blocks(self.name, answer.file())

    def close(self) -> None:
        """Close all connections."""
        self._http.close()

    @contextmanager
    def _get(self, cid: CID, accept: str, params: Mapping[str, str]) -> Iterator[Answer]:
        # The format stands in both places: some gateways look at one, caches at the other.
        with self._http.send("GET", f"/ipfs/{cid_text(cid)}", params=params, headers={"Accept": accept}) as answer:
            wanted = accept.partition(";")[0]
            if answer.status in _ABSENT:
                raise BlockAbsentError(f"gateway does not give {cid_text(cid)} ({answer.status})", where=self.name)
            if answer.status != 200:
                raise UnavailableError(f"gateway answered {answer.status}", where=self.name, fix="name another one")
            if answer.media_type != wanted:
                fix = "name a trustless gateway"
                raise UnavailableError(f"answered {answer.media_type!r}, not {wanted}", where=self.name, fix=fix)
            yield answer
