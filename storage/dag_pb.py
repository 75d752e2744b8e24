"""DAG-PB: the codec of UnixFS nodes, a list of named links and some bytes.

Encoding is canonical (links sorted by name, before the data; name and size always written, as every UnixFS
implementation does). Decoding is strict about everything but the order of links, which old directories lack.
Source: ipld/specs DAG-PB.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from operator import attrgetter
from typing import Final

from storage.cid import CID, check_cid
from storage.errors import VerificationError
from storage.protobuf import LENGTH_DELIMITED, VARINT, bytes_field, fields
from storage.varint import encode_varint

MAX_NODE_BYTES: Final = 2 << 20
"""Blocks above 2 MiB do not travel between implementations (bitswap's limit)."""

_NODE_DATA: Final = 1
_NODE_LINK: Final = 2
_LINK_CID: Final = 1
_LINK_NAME: Final = 2
_LINK_TSIZE: Final = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """An edge of the DAG."""

    cid: CID
    name: bytes = b""
    """Bytes, because foreign blocks hold anything; `unixfs_names.check_name` makes text of it."""
    tsize: int = 0
    """Bytes of all blocks below, as the maker of the node claims; never trusted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PbNode:
    """A decoded DAG-PB block."""

    links: tuple[Link, ...]
    data: bytes | None
    """None if the block has no data field, which is not the same block as an empty one."""


def encode_node(links: Iterable[Link], data: bytes | None) -> bytes:
    """Encode a node canonically; links of equal name keep their order."""
    out = [_encode_link(link) for link in sorted(links, key=attrgetter("name"))]
    if data is not None:
        out.append(bytes_field(_NODE_DATA, data))
    return b"".join(out)


def decode_node(block: bytes) -> PbNode:
    """Decode a node.

    Raises:
        VerificationError: malformed, an unknown or repeated field, a link without a CID, or larger than 2 MiB.
    """
    if len(block) > MAX_NODE_BYTES:
        raise VerificationError("DAG-PB block is larger than 2 MiB")
    links: list[Link] = []
    data: bytes | None = None
    links_ended = False
    for number, wire, value in fields(block):
        if (number, wire) == (_NODE_LINK, LENGTH_DELIMITED) and isinstance(value, bytes) and not links_ended:
            links.append(_decode_link(value))
        elif (number, wire) == (_NODE_DATA, LENGTH_DELIMITED) and isinstance(value, bytes) and data is None:
            data = value
            # Data may stand before the links or after them, not between them.
            links_ended = bool(links)
        else:
            raise VerificationError(f"DAG-PB field {number} is unknown, repeated or out of order")
    return PbNode(links=tuple(links), data=data)


_LINK_KEY: Final = encode_varint(_NODE_LINK << 3 | LENGTH_DELIMITED)
_CID_KEY: Final = encode_varint(_LINK_CID << 3 | LENGTH_DELIMITED)
_NAME_KEY: Final = encode_varint(_LINK_NAME << 3 | LENGTH_DELIMITED)
_TSIZE_KEY: Final = encode_varint(_LINK_TSIZE << 3 | VARINT)


def _encode_link(link: Link) -> bytes:
    # What `bytes_field` and `varint_field` give; of a large directory their calls are what takes the time.
    cid, name, tsize = link.cid, link.name, encode_varint(link.tsize)
    cid_size, name_size = encode_varint(len(cid)), encode_varint(len(name))
    size = 3 + len(cid_size) + len(cid) + len(name_size) + len(name) + len(tsize)
    return b"".join(
        (_LINK_KEY, encode_varint(size), _CID_KEY, cid_size, cid, _NAME_KEY, name_size, name, _TSIZE_KEY, tsize)
    )


def _decode_link(message: bytes) -> Link:
    found: dict[int, int | bytes] = {}
    for number, wire, value in fields(message):
        expected = {_LINK_CID: LENGTH_DELIMITED, _LINK_NAME: LENGTH_DELIMITED, _LINK_TSIZE: VARINT}.get(number)
        if wire != expected or (found and number <= max(found)):
            raise VerificationError(f"DAG-PB link field {number} is unknown, repeated or out of order")
        found[number] = value
    cid, name, tsize = found.get(_LINK_CID), found.get(_LINK_NAME, b""), found.get(_LINK_TSIZE, 0)
    if not isinstance(cid, bytes) or not isinstance(name, bytes) or not isinstance(tsize, int):
        raise VerificationError("DAG-PB link has no CID")
    return Link(cid=check_cid(cid), name=name, tsize=tsize)
