"""Strict DAG-CBOR on libipld.

libipld represents links and byte strings both as `bytes` and accepts some non-minimal forms. Two rules make it strict:
our schema has no byte strings (`encode` refuses bytes that are not a CID), and what is decoded must encode to the very
same bytes (`decode` refuses the rest). So every `bytes` that `decode` returns is a link.
Source: ipld/specs DAG-CBOR; measured pitfalls in docs/decisions/0003-dag-cbor.md.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, TypeAlias

import libipld

from storage.cid import CID, check_cid, is_plain_cid
from storage.errors import VerificationError

Node: TypeAlias = bool | int | float | str | bytes | list["Node"] | dict[str, "Node"] | None
"""What a block can hold; bytes are always links (binary CIDs)."""

MAX_NODE_BYTES = 2 << 20
"""Blocks above 2 MiB do not travel between implementations (bitswap's limit)."""
MAX_DEPTH = 128
"""Lists and maps inside one another. Fixed, so that what is accepted does not depend on the reader's stack."""
_SCALARS = frozenset({str, int, bool, float, type(None)})
_TEXT = frozenset({str})


def encode(node: Any) -> bytes:
    """Encode a node canonically.

    Raises:
        ValueError: bytes that are not a CID, a type that DAG-CBOR does not have, or more than 128 levels.
    """
    _check(node)
    return encode_checked(node)


def encode_checked(node: Any) -> bytes:
    """Encode a node canonically of which it is known that its bytes are CIDs, and how deep it is.

    Raises:
        ValueError: a type that DAG-CBOR does not have.
    """
    try:
        return bytes(libipld.encode_dag_cbor(node))
    except Exception as error:
        raise ValueError(f"not a DAG-CBOR value: {error}") from error


def decode(data: bytes) -> Any:
    """Decode one canonical node.

    Raises:
        VerificationError: malformed, not canonical, has a byte string, more than 128 levels or 2 MiB.
    """
    node = decode_unchecked(data)
    try:
        _check(node)
    except ValueError as error:
        raise VerificationError(str(error)) from error
    return node


def decode_unchecked(data: bytes) -> Any:
    """Decode one canonical node for somebody who looks at each of its values: they may be byte strings, nested deeply.

    Raises:
        VerificationError: malformed, not canonical, or more than 2 MiB.
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
    return node


def links(node: Any) -> Iterator[CID]:
    """Yield every link of a node, in the order of its encoding.

    Raises:
        ValueError: bytes that are not a CID, a key that is not text, or more than 128 levels.
    """
    todo: list[tuple[Any, int]] = [(node, 0)]
    while todo:
        item, depth = todo.pop()
        if isinstance(item, bytes):
            yield _link(item)
            continue
        children = _children(item)
        if children and depth >= MAX_DEPTH:
            raise ValueError(f"DAG-CBOR is nested more than {MAX_DEPTH} levels deep")
        todo.extend((child, depth + 1) for child in reversed(children))


def _check(node: Any) -> None:
    """Check what `links` checks, in no order: that is most of what every message costs.

    Depth first, so that what holds itself ends at the deepest level that is allowed, and not with the memory.

    Raises:
        ValueError: as `links`.
    """
    todo: list[tuple[Collection[Any], int]] = [((node,), 0)]
    while todo:
        items, depth = todo.pop()
        for item in items:
            kind = type(item)
            if kind in _SCALARS:
                continue
            if isinstance(item, bytes):
                if not is_plain_cid(item):
                    _link(item)
                continue
            is_plain = kind is list or (kind is dict and {*map(type, item)} <= _TEXT)
            below = _children(item) if not is_plain else item.values() if kind is dict else item
            if below and depth >= MAX_DEPTH:
                raise ValueError(f"DAG-CBOR is nested more than {MAX_DEPTH} levels deep")
            if below:
                todo.append((below, depth + 1))


def _link(data: bytes) -> CID:
    try:
        return check_cid(data)
    except VerificationError as error:
        raise ValueError("byte string in a DAG-CBOR node; only links are allowed") from error


def _children(item: Any) -> list[Any]:
    if isinstance(item, Mapping):
        if not all(isinstance(key, str) for key in item):
            raise ValueError("a key of a DAG-CBOR map is not text")
        # A lone surrogate cannot be encoded; the codec refuses it later.
        keys = sorted((len(raw), raw, key) for key in item for raw in [key.encode("utf-8", "surrogatepass")])
        return [item[key] for _, _, key in keys]
    if isinstance(item, Sequence) and not isinstance(item, str):
        return list(item)
    return []
