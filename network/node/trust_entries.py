"""What a requester keeps of each node's record, as entries of its datastore: strict DAG-CBOR, one for each pass.

    pass/NODE/TASK      a task of which the node gave the agreed output
    dissent/NODE        that it gave another, how often, and what shows the last time
    counted             that the records of before there were such entries are counted

TASK is the multihash of its CID in hex. The rows are an index over records that were checked before: they are bounded,
so that neither a start of the node nor a job reads all records.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Final

from network.requester_entries import read, write
from storage.cid import CID
from storage.errors import VerificationError
from verifier.bounds import Amount, Count, Link
from verifier.model import PeerId
from verifier.peer_id import public_key_of
from verifier.schema import Schema

PASSED: Final = "pass"
DISSENT: Final = "dissent"
COUNTED: Final = "counted"


@dataclass(frozen=True, slots=True, kw_only=True)
class PassEntry(Schema):
    """One pass."""

    VERSION: ClassVar[str] = "pass-entry/1"

    number: Count
    """Of all passes that were ever counted here: the oldest are forgotten first."""
    task: Link
    record: Link


@dataclass(frozen=True, slots=True, kw_only=True)
class DissentEntry(Schema):
    """That a node gave something else than was agreed."""

    VERSION: ClassVar[str] = "dissent-entry/1"

    times: Amount
    record: Link
    """What was agreed the last time."""
    receipt: Link | None
    """Of the node, if the record does not name it: it answered a check."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptTrust:
    """All entries, sorted out."""

    passes: tuple[tuple[PeerId, PassEntry], ...]
    """The oldest first."""
    dissents: Mapping[PeerId, DissentEntry]


def pass_key(peer: PeerId, task: CID) -> str:
    """Return where a pass is kept."""
    return f"{passes_of(peer)}{task.hex()}"


def passes_of(peer: PeerId) -> str:
    """Return what the keys of a node's passes begin with."""
    return f"{PASSED}/{peer}/"


def dissent_key(peer: PeerId) -> str:
    """Return where a node's dissents are kept."""
    return f"{DISSENT}/{peer}"


def write_entry(entry: PassEntry | DissentEntry) -> bytes:
    """Return the bytes to keep."""
    return write(entry)


def read_trust(entries: Mapping[str, bytes]) -> KeptTrust:
    """Sort out the entries.

    Raises:
        VerificationError: the datastore holds something else.
    """
    passes: list[tuple[PeerId, PassEntry]] = []
    dissents: dict[PeerId, DissentEntry] = {}
    for key, value in entries.items():
        if key == COUNTED:
            continue
        kind, _, rest = key.partition("/")
        peer = PeerId(rest.partition("/")[0])
        public_key_of(peer)
        if kind == PASSED:
            passes.append((peer, read(PassEntry, value)))
        elif kind == DISSENT:
            dissents[peer] = read(DissentEntry, value)
        else:
            raise VerificationError(f"holds a {kind[:40]!r}", where="what is known of nodes")
    passes.sort(key=lambda one: one[1].number)
    return KeptTrust(passes=tuple(passes), dissents=dissents)
