"""What a container finds mounted: directories, as that is all that an engine can mount of a volume.

A file is put into a directory of its own, so `-v CID:/ref/model.bin` mounts `/ref` with one file in it. What would lie
in another mount is put into that one's tree, so mounts stand side by side.
"""

from __future__ import annotations

import posixpath
from dataclasses import dataclass

from storage.blocks import BlockStore
from storage.cid import CID
from storage.errors import UserError
from storage.unixfs_graft import graft
from storage.unixfs_import import Importer
from storage.unixfs_read import UnixfsReader
from verifier.model import Input

DATA_DIRECTORY = "/inputs"
DATA_FILE = "data"
"""What the data is called in DATA_DIRECTORY if it is a file, as it is for functions."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mount:
    """A directory, mounted read-only."""

    path: str
    cid: CID


def input_mounts(input_: Input, store: BlockStore) -> tuple[Mount, ...]:
    """Return what is mounted for an input, none inside another, by path; directories made for it are in `store`.

    Raises:
        UserError: a file would be mounted at the root, or one lies in a file.
        UnavailableError, VerificationError: a block is not here, or malformed.
    """
    reader = UnixfsReader(store)
    wanted = [(volume.path, volume.cid) for volume in input_.volumes]
    if input_.data is not None:
        is_file = reader.stat(input_.data).kind == "file"
        wanted.append((f"{DATA_DIRECTORY}/{DATA_FILE}" if is_file else DATA_DIRECTORY, input_.data))
    roots: dict[str, CID] = {}
    # By names, so that what lies in a mount comes after it; a file opens a mount where its directory is.
    placed = sorted((_root_of(path, cid, reader), path, cid) for path, cid in wanted)
    for root, path, cid in sorted(placed, key=lambda one: one[0].split("/")):
        holder = next((known for known in roots if root == known or root.startswith(f"{known}/")), None)
        if holder is None:
            roots[root] = cid if root == path else Importer(store).directory({}).cid
            holder = root
        if path != holder:
            roots[holder] = graft(store, roots[holder], path.removeprefix(f"{holder}/"), cid)
    return tuple(Mount(path=path, cid=roots[path]) for path in sorted(roots))


def _root_of(path: str, cid: CID, reader: UnixfsReader) -> str:
    if reader.stat(cid).kind == "directory":
        return path
    root = posixpath.dirname(path)
    if root == "/":
        fix = "give it a directory, such as /inputs/x/FILE"
        raise UserError("a file cannot be mounted at the root of a container", where=f"-v {path}", fix=fix)
    return root
