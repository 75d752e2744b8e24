"""The UnixFS `Data` message: what a DAG-PB node means as a file, directory, shard or symlink.

Modification times are not kept: they are outside every profile we write, and nothing reads them.
Source: ipfs/specs UnixFS.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from storage.errors import VerificationError
from storage.protobuf import VARINT, bytes_field, fields, varint_field
from storage.varint import decode_varint

_TYPE: Final = 1
_DATA: Final = 2
_FILESIZE: Final = 3
_BLOCKSIZES: Final = 4
_HASH_TYPE: Final = 5
_FANOUT: Final = 6
_MODE: Final = 7

_SCALARS: Final = {_TYPE: "type", _FILESIZE: "filesize", _HASH_TYPE: "hash_type", _FANOUT: "fanout", _MODE: "mode"}


class NodeType(IntEnum):
    """Kinds of UnixFS node, with their numbers on the wire."""

    RAW = 0
    """A leaf, written by old importers; reads like FILE."""
    DIRECTORY = 1
    FILE = 2
    METADATA = 3
    SYMLINK = 4
    SHARD = 5
    """A node of a directory kept as a HAMT."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UnixfsNode:
    """One `Data` message."""

    type: NodeType
    data: bytes | None = None
    """Bytes of a leaf, target of a symlink, bit field of a shard."""
    filesize: int | None = None
    """Bytes of the file below and in this node."""
    blocksizes: tuple[int, ...] = ()
    """Bytes of the file below each link, in the order of the links."""
    hash_type: int | None = None
    fanout: int | None = None
    mode: int | None = None
    """POSIX mode bits; our profiles do not write them."""


def encode_unixfs(node: UnixfsNode) -> bytes:
    """Encode the message, fields in the order of their numbers."""
    out = [varint_field(_TYPE, node.type)]
    if node.data is not None:
        out.append(bytes_field(_DATA, node.data))
    if node.filesize is not None:
        out.append(varint_field(_FILESIZE, node.filesize))
    out += [varint_field(_BLOCKSIZES, size) for size in node.blocksizes]
    for number, value in ((_HASH_TYPE, node.hash_type), (_FANOUT, node.fanout), (_MODE, node.mode)):
        if value is not None:
            out.append(varint_field(number, value))
    return b"".join(out)


def decode_unixfs(message: bytes) -> UnixfsNode:
    """Decode the message; unknown fields are skipped, as protobuf readers do.

    Raises:
        VerificationError: malformed, a known field of the wrong kind or repeated, or no known type.
    """
    scalars: dict[str, int] = {}
    blocksizes: list[int] = []
    data: bytes | None = None
    for number, wire, value in fields(message):
        if number == _BLOCKSIZES:
            blocksizes += _sizes(wire, value)
        elif number == _DATA and isinstance(value, bytes) and data is None:
            data = value
        elif number in _SCALARS and wire == VARINT and isinstance(value, int) and _SCALARS[number] not in scalars:
            scalars[_SCALARS[number]] = value
        elif number == _DATA or number in _SCALARS:
            raise VerificationError(f"UnixFS field {number} is repeated or of the wrong kind")
    return UnixfsNode(
        type=_node_type(scalars),
        data=data,
        filesize=scalars.get("filesize"),
        blocksizes=tuple(blocksizes),
        hash_type=scalars.get("hash_type"),
        fanout=scalars.get("fanout"),
        mode=scalars.get("mode"),
    )


def _node_type(scalars: dict[str, int]) -> NodeType:
    try:
        return NodeType(scalars["type"])
    except (KeyError, ValueError) as error:
        raise VerificationError("UnixFS node has no known type") from error


def _sizes(wire: int, value: int | bytes) -> list[int]:
    """Read block sizes in either form: one number a field, or packed."""
    if isinstance(value, int):
        return [value]
    if wire != 2:
        raise VerificationError("UnixFS block sizes are of the wrong kind")
    sizes, at = [], 0
    while at < len(value):
        size, at = decode_varint(value, at)
        sizes.append(size)
    return sizes
