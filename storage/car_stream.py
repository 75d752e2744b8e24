"""A CAR that arrives from a peer: its blocks, and whose fault it is when it is not right."""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO

from storage.car import read_car
from storage.cid import CID
from storage.errors import PeerError, UnavailableError, VerificationError


def received_blocks(source: str, stream: BinaryIO) -> Iterator[tuple[CID, bytes]]:
    """Yield the checked blocks of a CAR that `source` sends.

    Raises:
        UnavailableError: it ends in the middle of something, as when a server stops.
        PeerError: it is no CAR, or a block does not match its CID.
    """
    try:
        yield from read_car(stream).blocks
    except VerificationError as error:
        said = f"{error.where}: {error.problem}" if error.where else error.problem
        if "truncated" in error.problem:
            fix = "run it again: what came is kept"
            raise UnavailableError(f"CAR breaks off ({said})", where=source, fix=fix) from error
        raise PeerError(f"sent a CAR that is wrong ({said})", peer=source, fix="name another source") from error
