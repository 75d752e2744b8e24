"""Somewhere that blocks come from, and that is not trusted: a daemon, a gateway, a file.

Implementations: `kubo_client.KuboClient`, `gateway_client.GatewayClient`, `car_file.CarFile`. What they give is checked
against its CID before it leaves them. Whether a DAG came whole is not theirs to say: `dag_fetch` walks it.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import Protocol, TypeAlias

from storage.cid import CID, cid_text, verify_block
from storage.errors import BacalhauError, PeerError, UnavailableError, VerificationError

BlockStream: TypeAlias = Generator[tuple[CID, bytes], None, None]
"""Blocks that arrive; to be closed by whoever does not want the rest."""


class BlockSource(Protocol):
    """Gives blocks by CID. Used by several threads at once."""

    @property
    def name(self) -> str:
        """What a person calls it: an address without credentials, or a path."""
        ...

    def block(self, cid: CID) -> bytes:
        """Return one block, checked.

        Raises:
            BlockAbsentError: it is not to be had there, other blocks may be.
            UnavailableError: the source is out of reach or failed.
            PeerError: the bytes are not those of the CID.
        """
        ...

    def dag(self, root: CID) -> BlockStream:
        """Yield the blocks below `root`, checked; in any order, perhaps more than once, with others, not all of them.

        Raises:
            UnavailableError, PeerError: as `block` does.
        """
        ...

    def close(self) -> None:
        """Let go of connections and files."""
        ...


class BlockAbsentError(UnavailableError):
    """A source answered and does not have this block."""


def checked_from(source: str, cid: CID, data: bytes) -> bytes:
    """Return a block that `source` gave for `cid`.

    Raises:
        PeerError: it is another one.
        VerificationError: nobody here can tell, as the CID's hash function is not known.
    """
    try:
        verify_block(cid, data)
    except VerificationError as error:
        if "does not match" not in error.problem:
            raise
        raise lied_about(source, cid) from error
    return data


def lied_about(source: str, cid: CID) -> PeerError:
    """Return the error for bytes that are not what was asked for."""
    return PeerError(
        f"sent bytes that are not {cid_text(cid)}", peer=source, evidence=(cid,), fix="name another source"
    )


def nobody_gives(problem: str, cid: CID, faults: Sequence[BacalhauError]) -> BacalhauError:
    """Return the error for what no source gave: the only fault, or all of them in one.

    problem: what is not to be had. faults: of each source that was asked.
    """
    if not faults:
        fix = "name a source: --from kubo:URL, gateway:URL or car:FILE"
        return UnavailableError(problem, where=cid_text(cid), fix=fix)
    if len(faults) == 1:
        return faults[0]
    said = "; ".join(f"{fault.where}: {fault.problem}" for fault in faults)
    return UnavailableError(f"no source gave all of it ({said})", where=cid_text(cid), fix="name another source")
