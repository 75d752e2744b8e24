"""A runtime like another one whose Python has booted with another hash seed: for trials, never for receipts.

One line of the host is another, so the runtime's CID is another; the ordinary one is not touched. Its images are made
once and kept beside the ordinary ones.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from storage.blocks import BlockStore
from storage.cid import CID
from storage.errors import VerificationError
from storage.unixfs_import import Importer
from storage.unixfs_read import UnixfsReader
from verifier.model import Runtime, load_node, store_node

_FILE: Final = "boot.mjs"
_LINE: Final = b'PYTHONHASHSEED: "0"'
_MOST: Final = 1 << 20


def with_hash_seed(runtime: CID, seed: int, store: BlockStore) -> CID:
    """Return the CID of the runtime with a hash seed, 1 to 2**32 - 1; puts its blocks into `store`.

    Raises:
        UnavailableError, VerificationError: the runtime's blocks are not here, or its boot is none that is known.
    """
    manifest = load_node(store, runtime, Runtime)
    files = []
    for file in manifest.files:
        if file.path == _FILE:
            source = UnixfsReader(store).read_bytes(file.cid, _MOST)
            if source.count(_LINE) != 1:
                raise VerificationError("does not set the hash seed where it is known to", where=_FILE)
            entry = Importer(store).bytes(source.replace(_LINE, b'PYTHONHASHSEED: "%d"' % seed))
            file = replace(file, size=entry.size, cid=entry.cid)
        files.append(file)
    return store_node(store, replace(manifest, files=tuple(files)))
