"""A CAR in a file: written whole or not at all, read by CID."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from storage.block_source import BlockAbsentError, BlockStream, checked_from
from storage.car import read_car, write_car
from storage.cid import CID, cid_text, inline_data
from storage.dag_walk import links_of, visit_key
from storage.errors import PeerError, UserError, VerificationError
from storage.new_file import check_free as check_free
from storage.new_file import new_file


def write_car_file(path: Path, root: CID, blocks: Iterable[tuple[CID, bytes]]) -> None:
    """Write a CAR to `path`, where nothing is yet; an error leaves nothing there.

    Raises:
        UserError: something is there, or its folder is not.
        UnavailableError: a block is not here, or the disk refuses.
        VerificationError: a block is not what its CID says.
    """
    with new_file(path) as stream:
        write_car(stream, [root], blocks)


class CarFile:
    """The blocks of a CAR, a `BlockSource`: checked once as it is opened and again as they are given."""

    def __init__(self, path: Path) -> None:
        """Open a CAR and find its blocks.

        Raises:
            UserError: the file cannot be read, or is no CAR.
            PeerError: a block in it does not match its CID, or it is cut off.
        """
        self.name = str(path)
        self._places: dict[tuple[int, int, bytes], tuple[int, int]] = {}
        try:
            self._file = path.open("rb")
        except OSError as error:
            reason = (error.strerror or str(error)).lower()
            raise UserError(f"cannot be read: {reason}", where=self.name, fix="name a CAR") from error
        try:
            self.roots = self._index()
            """What the file says it holds."""
        except BaseException:
            self._file.close()
            raise

    def block(self, cid: CID) -> bytes:
        """Return one block, checked.

        Raises:
            BlockAbsentError: it is not in the file.
            PeerError: the file was changed since it was opened.
        """
        place = self._places.get(visit_key(cid))
        if place is None:
            raise BlockAbsentError(f"{cid_text(cid)} is not in this file", where=self.name)
        start, size = place
        return checked_from(self.name, cid, os.pread(self._file.fileno(), size, start))

    def dag(self, root: CID) -> BlockStream:
        """Yield the blocks below `root` that the file has, parents first.

        Raises:
            BlockAbsentError, PeerError: as `block` does.
        """
        seen, todo = set(), [root]
        while todo:
            cid = todo.pop()
            if visit_key(cid) not in seen:
                seen.add(visit_key(cid))
                inline = inline_data(cid)
                data = self.block(cid) if inline is None else inline
                yield cid, data
                todo.extend(reversed(links_of(cid, data)))

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _index(self) -> tuple[CID, ...]:
        try:
            car = read_car(self._file)
        except VerificationError as error:
            raise UserError(str(error), where=self.name, fix="name a CAR") from error
        try:
            for cid, data in car.blocks:
                # Exactly one section was read, so its block ends here.
                self._places[visit_key(cid)] = (self._file.tell() - len(data), len(data))
        except VerificationError as error:
            raise PeerError(f"CAR is wrong ({error})", peer=self.name, fix="get it again") from error
        return car.roots
