"""Logs as JSON: their entries, a proof that a record is in one, and what two of one publisher prove together."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from bacalhau.merging import equivocation_json
from storage.cid import cid_text, parse_cid
from storage.errors import UserError
from verifier.graph_log import LogChain, check_goes_on, compare_chains
from verifier.graph_tree import check_inclusion, consistency_proof, inclusion_proof
from verifier.model import node_cid


def log_json(chain: LogChain) -> dict[str, Any]:
    """Return a log that was found sound."""
    return {
        "publisher": chain.head.publisher,
        "size": chain.head.size,
        "head": cid_text(node_cid(chain.head)),
        "tree": chain.head.tree,
        "signature": chain.head.signature,
        "entries": [
            {
                "number": entry.number,
                "entry": cid_text(cid),
                "record": entry.record,
                "at": datetime.fromtimestamp(entry.at, UTC).isoformat(timespec="seconds"),
            }
            for cid, entry in chain.entries
        ],
    }


def inclusion_json(chain: LogChain, text: str) -> dict[str, Any]:
    """Return the proof that a record is in a log, which was checked: RFC 9162, 2.1.3, over the blocks of entries.

    Raises:
        UserError: it is not in it.
    """
    record = cid_text(parse_cid(text))
    numbers = [entry.number for _, entry in chain.entries if entry.record == record]
    if not numbers:
        raise UserError("is not in this log", where=text, fix="`bacalhau graph log` lists what is")
    number = numbers[0]
    proof = inclusion_proof(chain.leaves, number)
    check_inclusion(
        chain.leaves[number], index=number, size=chain.head.size, proof=proof, root=bytes.fromhex(chain.head.tree)
    )
    return {
        "record": record,
        "entry": cid_text(chain.entries[number][0]),
        "number": number,
        "leaf": chain.leaves[number].hex(),
        "proof": [one.hex() for one in proof],
        "head": {**chain.head.to_node(), "last": cid_text(chain.head.last)},
    }


def compared_json(one: LogChain, other: LogChain) -> dict[str, Any]:
    """Return whether one of two logs goes on from the other, with the proof either way.

    Raises:
        UserError: they are of two publishers.
    """
    if one.head.publisher != other.head.publisher:
        problem = f"is by {other.head.publisher}, not by {one.head.publisher}"
        raise UserError(problem, where="--against", fix="compare two logs of one publisher")
    first, second = sorted((one, other), key=lambda chain: chain.head.size)
    shown: dict[str, Any] = {
        "publisher": first.head.publisher,
        "sizes": [first.head.size, second.head.size],
        "trees": [first.head.tree, second.head.tree],
    }
    found = compare_chains(first, second)
    if found is not None:
        return {**shown, "consistent": False, "proof": None, "equivocation": equivocation_json(found)}
    proof = consistency_proof(second.leaves, first.head.size)
    check_goes_on(first.head, second.head, proof)
    return {**shown, "consistent": True, "proof": [hashed.hex() for hashed in proof], "equivocation": None}
