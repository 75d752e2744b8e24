"""Images as blocks: into a store, for others to read, and out of a store that others filled.

Trusts no store: each block is checked against its CID, whatever the store has checked, and sizes are bounded before
anything is written.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, BinaryIO, Final

from runtime.image_entry import OpenImage
from runtime.image_model import (
    MAX_STATE_BYTES,
    Image,
    ImageKey,
    decode_state,
    is_canonical,
    memory_problem,
)
from storage.blocks import BlockStore
from storage.cid import CID, cid_text, verify_block
from storage.errors import VerificationError
from storage.unixfs_import import Importer
from storage.unixfs_read import UnixfsReader
from verifier.model import load_node, store_node

_PIECE_BYTES: Final = 1 << 20


def store_image(opened: OpenImage, store: BlockStore) -> CID:
    """Put all blocks of an image into a store and return its CID; moves the position in its memory.

    Raises:
        VerificationError: the blocks are not those that the image's node names.
    """
    importer = Importer(store)
    opened.memory.seek(0)
    state, memory = importer.bytes(opened.state_text).cid, importer.file(opened.memory).cid
    opened.memory.seek(0)
    if (state, memory) != (opened.image.state, opened.image.memory):
        raise VerificationError("the image was changed while it was read", where=cid_text(opened.cid))
    return store_node(store, opened.image)


def load_image(key: ImageKey, cid: CID, source: BlockStore) -> Image:
    """Read an image's node.

    Raises:
        UnavailableError: it is not in the store.
        VerificationError: it is not what its CID says, no image, or one that was made from something else.
    """
    image = load_node(VerifyingBlockStore(source), cid, Image)
    if (image.runtime, image.lock, image.preload) != (key.runtime, key.lock, key.modules):
        raise VerificationError("is an image of another runtime, lock or preload", where=cid_text(cid))
    return image


def read_state(image: Image, source: BlockStore) -> dict[str, Any]:
    """Read an image's state.

    Raises:
        UnavailableError: a block is not in the store.
        VerificationError: a block is not what its CID says, or the state is too large or not canonical.
    """
    reader = UnixfsReader(VerifyingBlockStore(source))
    if _file_size(reader, image.state) > MAX_STATE_BYTES:
        raise VerificationError("the state of an image has more than 64 MiB", where=cid_text(image.state))
    with reader.open(image.state) as stream:
        data = stream.read()
    try:
        state = decode_state(data)
    except VerificationError as error:
        raise VerificationError(error.problem, where=cid_text(image.state)) from error
    if not is_canonical(state, data):
        raise VerificationError("the state is not canonical JSON", where=cid_text(image.state))
    return state


def copy_memory(image: Image, source: BlockStore, out: BinaryIO) -> None:
    """Write an image's memory to `out`.

    Raises:
        UnavailableError: a block is not in the store.
        VerificationError: a block is not what its CID says, or the size is not that of a memory.
    """
    reader = UnixfsReader(VerifyingBlockStore(source))
    size = _file_size(reader, image.memory)
    if problem := memory_problem(size):
        raise VerificationError(problem, where=cid_text(image.memory))
    with reader.open(image.memory) as stream:
        while piece := stream.read(_PIECE_BYTES):
            out.write(piece)


def _file_size(reader: UnixfsReader, cid: CID) -> int:
    found = reader.stat(cid)
    if found.kind != "file":
        raise VerificationError("part of an image is not a file", where=cid_text(cid))
    return found.size


class VerifyingBlockStore:
    """Reads another store and checks each block, for stores that may not."""

    def __init__(self, below: BlockStore) -> None:
        self._below = below

    def get(self, cid: CID) -> bytes:
        """Return the block, checked."""
        data = self._below.get(cid)
        verify_block(cid, data)
        return data

    def has(self, cid: CID) -> bool:
        """Tell whether the block is below."""
        return self._below.has(cid)

    def put(self, cid: CID, data: bytes) -> None:
        """Keep one block below."""
        self._below.put(cid, data)

    def put_many(self, blocks: Iterable[tuple[CID, bytes]]) -> None:
        """Keep many blocks below."""
        self._below.put_many(blocks)
