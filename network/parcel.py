"""Small blocks of a task that travel with the word about it, so that nobody has to ask for them.

A byte 1, with which no message begins (each is a map), then each block: length of its CID (1 byte), the CID, length of
the block (2 bytes, big-endian), the block. The first block is the task's own node. What a parcel leaves out is asked
for as ever, so a parcel that is lost costs time and nothing else.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from contextlib import suppress
from itertools import islice
from typing import Final

from network.protocol_errors import RemoteProtocolError
from storage.blocks import BlockStore
from storage.cid import CID, inline_data, verify_block
from storage.dag_walk import links_of
from storage.errors import BacalhauError, VerificationError
from verifier.model import Input, Task, load_node
from verifier.peer_id import PeerId

MAX_BLOCKS: Final = 16
MAX_BYTES: Final = 4 << 10
"""Of a parcel. Larger tasks are worth a question, and many parcels are to fit into one payload."""
HEAD: Final = b"\1"
_LENGTH: Final = struct.Struct(">H")

Block = tuple[CID, bytes]


def seal(blocks: Sequence[Block]) -> bytes:
    """Return a parcel of blocks, the task's first."""
    return HEAD + b"".join(bytes([len(cid)]) + cid + _LENGTH.pack(len(data)) + data for cid, data in blocks)


def is_parcel(payload: bytes) -> bool:
    """Tell whether a payload is a parcel and no message."""
    return payload.startswith(HEAD)


def unseal(parcel: bytes, sender: PeerId) -> list[Block]:
    """Return the blocks of a parcel, each checked against its CID.

    Raises:
        RemoteProtocolError: it is none that `seal` makes, beyond the bounds, or a block is not what its CID says.
    """
    try:
        blocks = list(_blocks(parcel))
        for cid, data in blocks:
            verify_block(cid, data)
    except VerificationError as error:
        raise RemoteProtocolError(f"sent a malformed parcel ({error.problem})", peer=sender) from error
    return blocks


def _blocks(parcel: bytes) -> Iterator[Block]:
    if not len(HEAD) < len(parcel) <= MAX_BYTES:
        raise VerificationError(f"has {len(parcel)} bytes")
    at = len(HEAD)
    for _ in range(MAX_BLOCKS):
        if at == len(parcel):
            return
        begin = at + 1 + parcel[at]
        if begin + _LENGTH.size > len(parcel):
            raise VerificationError("ends in the middle of a block")
        cid = CID(parcel[at + 1 : begin])
        (length,) = _LENGTH.unpack_from(parcel, begin)
        at = begin + _LENGTH.size + length
        if at > len(parcel):
            raise VerificationError("ends in the middle of a block")
        yield cid, parcel[begin + _LENGTH.size : at]
    if at < len(parcel):
        raise VerificationError(f"has more than {MAX_BLOCKS} blocks")


def pack(task: CID, store: BlockStore) -> bytes:
    """Return a parcel of what a task alone has: its node, its input, and as much of its data as fits.

    What many tasks share (function, volumes) is left out: who works on them has it. Empty if nothing can be packed.
    """
    packed: list[Block] = []
    with suppress(BacalhauError):  # it is asked for, and then it is told what is wrong with it
        packed.extend(_own_blocks(task, store))
    return seal(packed) if packed else b""


def _own_blocks(task: CID, store: BlockStore) -> Iterator[Block]:
    parts = load_node(store, task, Task)
    todo, seen, room = [task, parts.input], {task, parts.input}, MAX_BYTES - len(HEAD)
    for cid in islice(todo, MAX_BLOCKS):  # it grows meanwhile
        data = store.get(cid)
        room -= 1 + len(cid) + _LENGTH.size + len(data)
        if room < 0:
            return
        yield cid, data
        for link in _next_below(cid, data, task, parts, store):
            if link not in seen and inline_data(link) is None:
                seen.add(link)
                todo.append(link)


def _next_below(cid: CID, data: bytes, task: CID, parts: Task, store: BlockStore) -> Sequence[CID]:
    """Return what is packed below a block: of an input its data and no volumes."""
    if cid == task:
        return ()
    if cid == parts.input:
        found = load_node(store, cid, Input).data
        return () if found is None else (found,)
    return links_of(cid, data)
