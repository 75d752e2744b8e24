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
        UnavailableError: it is cut off, or becomes something else: some servers write an error into the stream.
        PeerError: a block does not match its CID.
    """
    try:
        yield from read_car(stream).blocks
    except VerificationError as error:
        said = f"{error.where}: {error.problem}" if error.where else error.problem
        if "does not match" in error.problem:
            raise PeerError(f"sent wrong bytes ({said})", peer=source, fix="name another source") from error
        raise UnavailableError(
            f"CAR breaks off ({said})", where=source, fix="run it again: what came is kept"
        ) from error
