"""Strict DAG-CBOR on libipld.

libipld represents links and byte strings both as `bytes` and accepts some non-minimal forms. Two rules make it strict:
our schema has no byte strings (`encode` refuses bytes that are not a CID), and what is decoded must encode to the very
same bytes (`decode` refuses the rest). So every `bytes` that `decode` returns is a link.
Source: ipld/specs DAG-CBOR; measured pitfalls in docs/decisions/0003-dag-cbor.md.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeAlias

import libipld

from storage.cid import CID, check_cid
from storage.errors import VerificationError

Node: TypeAlias = bool | int | float | str | bytes | list["Node"] | dict[str, "Node"] | None
"""What a block can hold; bytes are always links (binary CIDs)."""

MAX_NODE_BYTES = 2 << 20
"""Blocks above 2 MiB do not travel between implementations (bitswap's limit)."""


def encode(node: Any) -> bytes:
    """Encode a node canonically.

    Raises:
        ValueError: bytes that are not a CID, or a type that DAG-CBOR does not have.
    """
    for _ in links(node):
        pass
    try:
        return bytes(libipld.encode_dag_cbor(node))
    except Exception as error:
        raise ValueError(f"not a DAG-CBOR value: {error}") from error


def decode(data: bytes) -> Any:
    """Decode one canonical node.

    Raises:
        VerificationError: malformed, not canonical, has a byte string, or is larger than 2 MiB.
    """
    if len(data) > MAX_NODE_BYTES:
        raise VerificationError("DAG-CBOR block is larger than 2 MiB")
    try:
        node = libipld.decode_dag_cbor(data)
        again = libipld.encode_dag_cbor(node)
    except Exception as error:
        raise VerificationError(f"not DAG-CBOR: {error}") from error
    if again != data:
        raise VerificationError("DAG-CBOR is not canonical")
    try:
        for _ in links(node):
            pass
    except ValueError as error:
        raise VerificationError(str(error)) from error
    except RecursionError as error:
        raise VerificationError("DAG-CBOR is nested too deeply") from error
    return node


def links(node: Any) -> Iterator[CID]:
    """Yield every link of a node, in the order of its encoding.

    Raises:
        ValueError: bytes that are not a CID.
    """
    if isinstance(node, bytes):
        try:
            yield check_cid(node)
        except VerificationError as error:
            raise ValueError("byte string in a DAG-CBOR node; only links are allowed") from error
    elif isinstance(node, Mapping):
        for key in sorted(node, key=lambda key: (len(key.encode()), key.encode())):
            yield from links(node[key])
    elif isinstance(node, Sequence) and not isinstance(node, str):
        for item in node:
            yield from links(item)
