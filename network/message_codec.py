"""Messages to bytes and back: strict, bounded before anything is decoded, and signed where they are evidence.

Canonical DAG-CBOR puts the shortest key first and `v` is the only key of one letter, so the version stands at the start
of every message and says how long it may be.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Final

from network.messages import MESSAGES, Assign, Capacity, Close, Commit, Demand, EngineKind, Message, SignedAssign
from network.protocol_errors import RemoteProtocolError
from storage import dag_cbor
from storage.cid import CID
from storage.errors import VerificationError
from verifier.identity import Identity, check_signature
from verifier.model import Commitment, CommitmentList, PeerId

_KINDS: Final = {kind.VERSION: kind for kind in MESSAGES}
_KEY: Final = b"\x61v"
_MAX_VERSION_BYTES: Final = 0x17
"""Longest text whose length fits its first byte."""


def encode(message: Message) -> bytes:
    """Return the message's canonical bytes.

    Raises:
        ValueError: it is longer than its kind may be: the caller let it grow.
    """
    data = dag_cbor.encode_checked(message.to_node())  # a message was checked when it was made
    if len(data) > message.MAX_BYTES:
        raise ValueError(f"{message.VERSION} has {len(data)} bytes, its bound is {message.MAX_BYTES}")
    return data


def decode(data: bytes, sender: PeerId) -> Message:
    """Return the message that `sender` sent.

    Raises:
        RemoteProtocolError: of no kind or version known here, too long for its kind, not canonical, or out of bounds.
    """
    kind = _KINDS.get(version_of(data))
    if kind is None:
        raise RemoteProtocolError("sent a message of unknown kind or version", peer=sender)
    if len(data) > kind.MAX_BYTES:
        raise RemoteProtocolError(f"sent a {kind.VERSION} of {len(data)} bytes", peer=sender)
    try:
        return kind.from_node(
            dag_cbor.decode_unchecked(data)
        )  # it has no field of any type, so each value is looked at
    except VerificationError as error:
        raise RemoteProtocolError(f"sent a malformed message ({error})", peer=sender) from error


def version_of(data: bytes) -> str:
    """Return the version that stands at the start of a message; empty if none does. Nothing else is looked at."""
    if len(data) < 4 or not 0xA1 <= data[0] <= 0xB7 or data[1:3] != _KEY:
        return ""
    length = data[3] - 0x60
    return data[4 : 4 + length].decode("ascii", "replace") if 0 < length <= _MAX_VERSION_BYTES else ""


def session_id(requester: PeerId, job: str, task: CID) -> str:
    """Return the name of a session: nobody but `requester` can open it, and opening it twice is opening it once."""
    preimage = {"v": "session/1", "requester": requester, "job": job, "task": task}
    return hashlib.sha256(dag_cbor.encode(preimage)).hexdigest()


def sign_assign(identity: Identity, assign: Assign, *, resumes: bool) -> SignedAssign:
    """Return a requester's assignment with its word on whether the node may go on from a checkpoint of its own."""
    said = {"v": SignedAssign.VERSION, "requester": identity.peer, "resumes": resumes}
    return SignedAssign.from_node(identity.sign(assign.to_node() | said))


def sign_commit(identity: Identity, session: str, commitment: Commitment) -> Commit:
    """Return the signed message that carries a commitment."""
    node = {"v": Commit.VERSION, "session": session, "node": identity.peer, "commitment": commitment.to_node()}
    return Commit.from_node(identity.sign(node))


def sign_close(identity: Identity, session: str, round_number: int, commitments: CommitmentList) -> Close:
    """Return the requester's signed message that closes a round."""
    node = {
        "v": Close.VERSION,
        "session": session,
        "round": round_number,
        "requester": identity.peer,
        "commitments": commitments.to_node(),
    }
    return Close.from_node(identity.sign(node))


def sign_capacity(
    identity: Identity, *, sequence: int, total: Demand, free: Demand, engines: Iterable[EngineKind]
) -> Capacity:
    """Return a node's signed capacity record."""
    node = {
        "v": Capacity.VERSION,
        "node": identity.peer,
        "sequence": sequence,
        "total": total.to_node(),
        "free": free.to_node(),
        "engines": [engine.to_node() for engine in engines],
    }
    return Capacity.from_node(identity.sign(node))


def check_signed(message: SignedAssign | Commit | Close | Capacity, sender: PeerId) -> None:
    """Check that `sender` signed the message and that it speaks in its own name.

    Raises:
        RemoteProtocolError: it did not, or it does not.
    """
    signer = message.requester if isinstance(message, SignedAssign | Close) else message.node
    if signer != sender:
        raise RemoteProtocolError(f"sent a {message.VERSION} of {signer}", peer=sender)
    try:
        check_signature(message.to_node(), sender)
    except VerificationError as error:
        raise RemoteProtocolError(f"sent a forged {message.VERSION}", peer=sender) from error
