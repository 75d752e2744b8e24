"""Directories too large for one block: a hash array mapped trie over the names, read strictly.

Every name must stand in the slot that its hash demands. This makes listing and look-up agree, makes names unique
without remembering them, and bounds the work on a hostile trie by its blocks: a shard linked twice is out of place.
Source: ipfs/specs UnixFS ("HAMT-sharded directories").
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Final

import mmh3

from storage.cid import CID, cid_text
from storage.dag_pb import Link
from storage.errors import VerificationError
from storage.unixfs_load import DagNode
from storage.unixfs_node import NodeType

MURMUR3_X64_64: Final = 0x22
FANOUT: Final = 256
"""Slots per shard that we write; other powers of two from 8 to 1024 are read."""
_HASH_BITS: Final = 64
MAX_SHARD_DEPTH: Final = _HASH_BITS // 3
"""Shards below one another in a trie of the smallest fanout, 8."""

Load = Callable[[CID], DagNode]


@dataclass(frozen=True, slots=True, kw_only=True)
class Slot:
    """A used slot of one shard: an entry of the directory, or a shard below."""

    index: int
    link: Link
    """Its name is the entry's, without the slot's prefix; empty for a shard below."""


def hash_name(name: bytes) -> int:
    """Return the 64-bit number that places a name: the first half of murmur3-x64-128."""
    return mmh3.hash64(name, 0, True, signed=False)[0]


def slot_of(hashed: int, depth: int, fanout: int = FANOUT) -> int:
    """Return the slot for a hash `depth` shards below the root; the most significant bits are used first.

    Raises:
        VerificationError: the hash has no bits left, which means that two names collide in all of them.
    """
    shift = _HASH_BITS - (fanout.bit_length() - 1) * (depth + 1)
    if shift < 0:
        raise VerificationError("sharded directory is too deep: names collide")
    return hashed >> shift & (fanout - 1)


def prefix_of(index: int, fanout: int = FANOUT) -> bytes:
    """Return what stands before the names in a slot: its number in upper-case hex, as wide as the largest."""
    return _prefixes(fanout)[index]


def bitfield_of(indices: Sequence[int]) -> bytes:
    """Return the bit field of used slots, big-endian without leading zero bytes."""
    bits = sum(1 << index for index in indices)
    return bits.to_bytes((bits.bit_length() + 7) // 8, "big")


def shard_slots(cid: CID, node: DagNode) -> list[Slot]:
    """Return the used slots of one shard.

    Raises:
        VerificationError: another hash function, a bad fanout, prefix or bit field, or a slot used twice.
    """
    fs = node.fs
    fanout = fs.fanout or 0
    if fs.type is not NodeType.SHARD or fs.hash_type != MURMUR3_X64_64:
        raise VerificationError("not a shard hashed with murmur3", where=cid_text(cid))
    if fanout.bit_count() != 1 or not 8 <= fanout <= 1024:
        raise VerificationError(f"shard has fanout {fanout}", where=cid_text(cid))
    slots = [_slot(cid, link, fanout) for link in node.links]
    indices = {slot.index for slot in slots}
    if len(indices) != len(slots) or bitfield_of(sorted(indices)) != (fs.data or b"").lstrip(b"\0"):
        raise VerificationError("shard's slots do not match its bit field", where=cid_text(cid))
    return slots


def list_entries(load: Load, root: CID) -> Iterator[Link]:
    """Yield every entry of a sharded directory, in the order of the hashes.

    Raises:
        VerificationError: any shard is malformed, empty below the root, or holds a name in the wrong slot.
    """
    fanout = load(root).fs.fanout
    todo: list[tuple[CID, tuple[int, ...]]] = [(root, ())]
    while todo:
        cid, path = todo.pop()
        node = load(cid)
        if node.fs.fanout != fanout or (path and not node.links):
            raise VerificationError("shard is empty or has another fanout than its root", where=cid_text(cid))
        for slot in reversed(shard_slots(cid, node)):
            place = (*path, slot.index)
            if slot.link.name:
                _check_place(cid, slot.link.name, place, fanout or 0)
                yield slot.link
            else:
                _check_depth(cid, place, fanout or 0)
                todo.append((slot.link.cid, place))


def find_entry(load: Load, root: CID, name: bytes) -> Link | None:
    """Return the entry called `name`, reading one shard a level; None if there is none.

    Raises:
        VerificationError: a shard on the way is malformed.
    """
    cid, hashed, fanout = root, hash_name(name), load(root).fs.fanout
    for depth in range(_HASH_BITS):
        node = load(cid)
        slots = shard_slots(cid, node)
        if node.fs.fanout != fanout:
            raise VerificationError("shard has another fanout than its root", where=cid_text(cid))
        index = slot_of(hashed, depth, fanout or 0)
        link = next((slot.link for slot in slots if slot.index == index), None)
        if link is None or link.name:
            return link if link is not None and link.name == name else None
        cid = link.cid
    return None


def _check_place(cid: CID, name: bytes, place: tuple[int, ...], fanout: int) -> None:
    hashed = hash_name(name)
    if any(slot_of(hashed, depth, fanout) != index for depth, index in enumerate(place)):
        raise VerificationError(f"name {name!r} is in the wrong slot of a shard", where=cid_text(cid))


def _check_depth(cid: CID, place: tuple[int, ...], fanout: int) -> None:
    if (len(place) + 1) * (fanout.bit_length() - 1) > _HASH_BITS:
        raise VerificationError("sharded directory is too deep", where=cid_text(cid))


def _slot(cid: CID, link: Link, fanout: int) -> Slot:
    width = len(_prefixes(fanout)[0])
    index = _indices(fanout).get(link.name[:width])
    if index is None:
        raise VerificationError("shard has a bad prefix", where=cid_text(cid))
    return Slot(index=index, link=Link(cid=link.cid, name=link.name[width:], tsize=link.tsize))


@cache  # of the eight fanouts that there are: every link has a prefix
def _prefixes(fanout: int) -> tuple[bytes, ...]:
    width = len(f"{fanout - 1:X}")
    return tuple(b"%0*X" % (width, index) for index in range(fanout))


@cache
def _indices(fanout: int) -> dict[bytes, int]:
    return {prefix: index for index, prefix in enumerate(_prefixes(fanout))}
