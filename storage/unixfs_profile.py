"""UnixFS profiles: the choices that, together with the bytes, decide a CID.

The CID of a file is a function of (bytes, profile), so a profile's rules never change: a new rule is a new profile.
Source: IPIP-499; checked against the constants of Kubo's own tests in tests/vectors/unixfs/.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Final

from storage.errors import UserError


class ShardEstimate(Enum):
    """What is compared with the threshold to decide that a directory becomes a HAMT."""

    BLOCK_BYTES = "block-bytes"
    """Length of the whole serialised directory node."""
    LINKS_BYTES = "links-bytes"
    """Sum of the lengths of names and CIDs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """How files and directories are cut into blocks. Hidden files are included, modes and times are not."""

    name: str
    cid_version: int
    """Of DAG-PB nodes; raw leaves are CIDv1 always."""
    chunk_bytes: int
    links_per_node: int
    raw_leaves: bool
    shard_estimate: ShardEstimate
    shard_threshold_bytes: int = 256 << 10
    """A directory whose estimate is strictly greater becomes a HAMT of fanout 256."""


V1_2025: Final = Profile(
    name="unixfs-v1-2025",
    cid_version=1,
    chunk_bytes=1 << 20,
    links_per_node=1024,
    raw_leaves=True,
    shard_estimate=ShardEstimate.BLOCK_BYTES,
)
"""The default: Kubo's `unixfs-v1-2025` profile with `ipfs add -r -H`."""

V0_2015: Final = Profile(
    name="unixfs-v0-2015",
    cid_version=0,
    chunk_bytes=256 << 10,
    links_per_node=174,
    raw_leaves=False,
    shard_estimate=ShardEstimate.LINKS_BYTES,
)
"""What `ipfs add` gave without options for ten years: the CIDs that begin with Qm."""

LEGACY: Final = Profile(
    name="legacy-cidv1",
    cid_version=1,
    chunk_bytes=256 << 10,
    links_per_node=174,
    raw_leaves=True,
    shard_estimate=ShardEstimate.LINKS_BYTES,
)
"""`ipfs add --cid-version=1` on a node with the old default profile; no published profile has these rules."""

PROFILES: Final = {"unixfs-v1-2025": V1_2025, "unixfs-v0-2015": V0_2015, "legacy": LEGACY}
"""By the names that the command line takes."""


def profile_named(name: str) -> Profile:
    """Return a profile by the name that the command line takes, or by its own.

    Raises:
        UserError: there is none.
    """
    known = PROFILES | {profile.name: profile for profile in PROFILES.values()}
    if name not in known:
        raise UserError("is no UnixFS profile", where=repr(name), fix=f"choose one of {', '.join(PROFILES)}")
    return known[name]
