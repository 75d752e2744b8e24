"""Content identifiers: CIDv1 (and CIDv0 when reading), kept in their binary form.

A `CID` is bytes, because that is what blocks, CAR files and DAG-CBOR links hold; `cid_text` and `parse_cid` are the
only way to and from the form people see. Source: multiformats/cid, multiformats/multihash, multicodec table.
"""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass
from typing import Final, NewType

import libipld

from storage.errors import UserError, VerificationError
from storage.varint import decode_varint, encode_varint

CID = NewType("CID", bytes)
"""Binary CID. Always valid when it came from this module's functions."""

RAW: Final = 0x55
DAG_PB: Final = 0x70
DAG_CBOR: Final = 0x71
SHA2_256: Final = 0x12
IDENTITY: Final = 0x00

_V0_PREFIX: Final = b"\x12\x20"
_SHA2_256_HEAD: Final = _V0_PREFIX
"""sha2-256, 32 bytes: a CIDv0 begins with it, a CIDv1 has it behind its version and codec."""
MAX_DIGEST_BYTES: Final = 128
"""Longest multihash digest accepted, the bound that other implementations use; ours are 32."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CidParts:
    """A CID taken apart."""

    version: int
    codec: int
    """Multicodec of the block: RAW, DAG_PB, DAG_CBOR or another."""
    hash_code: int
    digest: bytes
    end: int
    """Index of the first byte after the CID in the bytes it was read from."""


def make_cid(codec: int, data: bytes | memoryview) -> CID:
    """Return the CIDv1 with sha2-256 of a block."""
    return cid_of_digest(codec, hashlib.sha256(data).digest())


def cid_of_digest(codec: int, digest: bytes) -> CID:
    """Return the CIDv1 for a sha2-256 digest of 32 bytes."""
    if len(digest) != 32:
        raise ValueError("a sha2-256 digest has 32 bytes")
    return CID((_HEADS.get(codec) or _head(codec)) + digest)


def _head(codec: int) -> bytes:
    """Return what stands before the digest in a CIDv1 with sha2-256."""
    return b"\x01" + encode_varint(codec) + _SHA2_256_HEAD


_HEADS: Final = {codec: _head(codec) for codec in (RAW, DAG_PB, DAG_CBOR)}


def split_cid(data: bytes | memoryview, start: int = 0) -> CidParts:
    """Take apart the CID that begins at `start`; more bytes may follow it.

    Raises:
        VerificationError: not a CID.
    """
    head = bytes(data[start : start + 4])
    if head[2:] == _SHA2_256_HEAD and head[0] == 1 and head[1] < 0x80 and len(data) >= start + 36:
        # What nearly every CID looks like; the rules below read it as the same.
        digest = bytes(data[start + 4 : start + 36])
        return CidParts(version=1, codec=head[1], hash_code=SHA2_256, digest=digest, end=start + 36)
    if head[:2] == _V0_PREFIX:
        if len(data) < start + 34:
            raise VerificationError("CIDv0 is truncated")
        digest = bytes(data[start + 2 : start + 34])
        return CidParts(version=0, codec=DAG_PB, hash_code=SHA2_256, digest=digest, end=start + 34)
    version, at = decode_varint(data, start)
    if version != 1:
        raise VerificationError(f"CID version {version} is unknown")
    codec, at = decode_varint(data, at)
    hash_code, at = decode_varint(data, at)
    length, at = decode_varint(data, at)
    if length > MAX_DIGEST_BYTES or len(data) < at + length:
        raise VerificationError("CID has a bad digest length")
    digest = bytes(data[at : at + length])
    return CidParts(version=1, codec=codec, hash_code=hash_code, digest=digest, end=at + length)


def is_plain_cid(data: bytes) -> bool:
    """Tell whether this is what nearly every CID looks like, and nothing follows; the rules say the same, slower."""
    return len(data) == 36 and data[2:4] == _SHA2_256_HEAD and data[0] == 1 and data[1] < 0x80


def check_cid(data: bytes) -> CID:
    """Return `data` as a CID if it is exactly one.

    Raises:
        VerificationError: it is not, or bytes follow it.
    """
    if not is_plain_cid(data) and split_cid(data).end != len(data):
        raise VerificationError("bytes follow the CID")
    return CID(bytes(data))


def codec_of(cid: CID) -> int:
    """Return the multicodec of the block that `cid` names."""
    return split_cid(cid).codec


def cid_text(cid: CID) -> str:
    """Return the form people see: base32 lower case for CIDv1, base58 for CIDv0."""
    if cid[:2] == _V0_PREFIX:
        return str(libipld.encode_cid(cid))
    return "b" + base64.b32encode(cid).decode("ascii").lower().rstrip("=")


def inline_data(cid: CID) -> bytes | None:
    """Return the block that an identity CID carries inside itself, None for every other CID."""
    parts = split_cid(cid)
    return parts.digest if parts.hash_code == IDENTITY else None


def parse_cid(text: str) -> CID:
    """Read a CID as people write it, in any multibase that libipld knows.

    Raises:
        UserError: not a CID.
    """
    try:
        raw = libipld.decode_multibase(("z" if len(text) == 46 and text.startswith("Qm") else "") + text)[1]
        return check_cid(bytes(raw))
    except (ValueError, VerificationError) as error:
        raise UserError("not a CID", where=repr(text), fix="a CID looks like bafy… or Qm…") from error


def is_cid_text(text: str) -> bool:
    """Tell whether `text` reads as a CID."""
    try:
        parse_cid(text)
    except UserError:
        return False
    return True


def verify_block(cid: CID, data: bytes | memoryview) -> None:
    """Check a block against its CID.

    Raises:
        VerificationError: the bytes are not the ones named, or the hash function is not sha2-256 or identity.
    """
    parts = split_cid(cid)
    if parts.hash_code == SHA2_256:
        matches = hashlib.sha256(data).digest() == parts.digest
    elif parts.hash_code == IDENTITY:
        matches = bytes(data) == parts.digest
    else:
        raise VerificationError(f"hash function 0x{parts.hash_code:x} is not supported", where=cid_text(cid))
    if not matches:
        raise VerificationError("block does not match its CID", where=cid_text(cid))
