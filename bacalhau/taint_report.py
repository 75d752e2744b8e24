"""What is said of a job whose inputs come from unverified results, and the refusal of them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from storage.blocks import BlockStore
from storage.cid import CID, cid_text
from storage.errors import UnavailableError, VerificationError
from verifier.taint import Taint, find_taint

FLAG: Final = "--require-verified"
_SHOWN: Final = 20
"""CIDs in a report; the walk can be made again."""


def taint_entry(taint: Taint) -> dict[str, Any]:
    """Return the keys `tainted` (true, false, null: cannot be told), `taint` and `taint_reason` of a report."""
    return {
        "tainted": taint.is_tainted,
        "taint": [cid_text(cid) for cid in taint.unverified[:_SHOWN]],
        "taint_reason": taint.reason or None,
    }


def taint_of(parents: Iterable[CID], store: BlockStore) -> dict[str, Any]:
    """Return the same of the records that a task's inputs come from."""
    return taint_entry(find_taint(store, parents))


def with_record(parents: Iterable[CID], record: CID | None) -> list[CID]:
    """Return what the taint of a job is to be looked for in: its inputs' records, and the one that it is answered with.

    A known record may name parents that this job's inputs, brought another way, are not known to have.
    """
    return [*parents, *(() if record is None else (record,))]


def require_verified(parents: Iterable[CID], store: BlockStore) -> None:
    """Refuse inputs that come from something unverified, as far back as records lead.

    Raises:
        VerificationError: they do.
        UnavailableError: it cannot be told.
    """
    taint = find_taint(store, parents)
    if taint.is_tainted:
        fix = "leave the flag out, or make this input with a tier that is verified"
        raise VerificationError(f"an input is tainted: {taint.reason}", where=FLAG, fix=fix)
    if taint.is_tainted is None:
        fix = "fetch it with `bacalhau fetch`, or leave the flag out"
        raise UnavailableError(f"whether an input is tainted cannot be told: {taint.reason}", where=FLAG, fix=fix)
