"""An append-only log: making entries and heads, reading a chain back, and telling when a publisher said two things.

A head is signed; entries are bound to it twice, by the chain of links and by the Merkle tree. So whoever has two heads
of one publisher can tell whether the second only adds to the first, and if it does not, both signatures are the proof.
No clock, no store of its own: who appends hands in the leaves and the time (`network.graph_store` keeps them).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from storage import dag_cbor
from storage.blocks import BlockStore
from storage.cid import CID, DAG_CBOR, cid_text, make_cid
from storage.counting import counted
from storage.errors import VerificationError
from verifier.graph_tree import check_consistency, leaf_hash, tree_hash
from verifier.graph_types import MAX_ENTRIES, GraphHead, LogEntry
from verifier.identity import Identity, check_signature
from verifier.model import load_node


@dataclass(frozen=True, slots=True, kw_only=True)
class Appended:
    """Blocks that make a log longer."""

    entries: tuple[tuple[CID, LogEntry], ...]
    leaves: tuple[bytes, ...]
    """Hashes of the new entries, by number."""
    blocks: tuple[tuple[CID, bytes], ...]


def append(identity: Identity, records: Sequence[CID], *, size: int, last: CID | None, at: int) -> Appended:
    """Return entries for records, in their order, behind a log of `size` entries that ends in `last`.

    at: seconds since 1970, UTC.
    """
    entries: list[tuple[CID, LogEntry]] = []
    blocks: list[tuple[CID, bytes]] = []
    for number, record in enumerate(records, size):
        entry = LogEntry(publisher=identity.peer, number=number, previous=last, record=cid_text(record), at=at)
        data = dag_cbor.encode(entry.to_node())
        last = make_cid(DAG_CBOR, data)
        entries.append((last, entry))
        blocks.append((last, data))
    leaves = tuple(leaf_hash(data) for _, data in blocks)
    return Appended(entries=tuple(entries), leaves=leaves, blocks=tuple(blocks))


def sign_head(identity: Identity, leaves: Sequence[bytes], last: CID) -> GraphHead:
    """Return the signed head of a log; leaves: the hashes of all its entries, by number."""
    unsigned = {
        "v": GraphHead.VERSION,
        "publisher": identity.peer,
        "size": len(leaves),
        "last": last,
        "tree": tree_hash(leaves).hex(),
    }
    return GraphHead.from_node(identity.sign(unsigned))


def check_head(head: GraphHead) -> None:
    """Check that a head is signed by its publisher.

    Raises:
        VerificationError: it is not.
    """
    check_signature(head.to_node(), head.publisher)


@dataclass(frozen=True, slots=True, kw_only=True)
class LogChain:
    """A log, read back from its head: all entries, by number."""

    head: GraphHead
    entries: tuple[tuple[CID, LogEntry], ...]
    leaves: tuple[bytes, ...]

    def check_tree(self) -> None:
        """Check that the signed tree is the one over these entries.

        Raises:
            VerificationError: it is not.
        """
        if tree_hash(self.leaves).hex() != self.head.tree:
            raise VerificationError("the signed tree is not the one over the entries of the chain")


def read_chain(store: BlockStore, head: GraphHead) -> LogChain:
    """Read all entries of a log; its signature and its tree are for the caller to check.

    Raises:
        UnavailableError: an entry is not here.
        VerificationError: an entry is no entry, is another publisher's, or out of order; or there are too many.
    """
    if head.size > MAX_ENTRIES:
        raise VerificationError(f"a log of {counted(head.size, 'entry', 'entries')} is more than {MAX_ENTRIES}")
    found = list(_backwards(store, head))[::-1]
    return LogChain(
        head=head,
        entries=tuple((cid, entry) for cid, entry, _ in found),
        leaves=tuple(leaf for _, _, leaf in found),
    )


def _backwards(store: BlockStore, head: GraphHead) -> Iterator[tuple[CID, LogEntry, bytes]]:
    following: CID | None = head.last
    for number in reversed(range(head.size)):
        if following is None:
            raise VerificationError(f"the chain ends before entry {number}")
        entry = load_node(store, following, LogEntry)
        if (entry.publisher, entry.number) != (head.publisher, number):
            problem = f"is entry {entry.number} of {entry.publisher}, not {number} of {head.publisher}"
            raise VerificationError(problem, where=cid_text(following))
        yield following, entry, leaf_hash(store.get(following))
        following = entry.previous
    if following is not None:
        raise VerificationError("the first entry has one before it", where=cid_text(head.last))


@dataclass(frozen=True, slots=True, kw_only=True)
class Equivocation:
    """Proof against a publisher: two heads, both signed by it, that cannot be of one log."""

    first: GraphHead
    """The shorter one."""
    second: GraphHead
    number: int
    """Of the first entry in which they differ, or the size of both if no more is known."""

    def check(self) -> None:
        """Check what a third party can check with the two heads alone: same publisher, same size, other tree or entry.

        Raises:
            VerificationError: they prove nothing by themselves.
        """
        for head in (self.first, self.second):
            check_head(head)
        same = (self.first.publisher, self.first.size) == (self.second.publisher, self.second.size)
        if not same or (self.first.tree, self.first.last) == (self.second.tree, self.second.last):
            raise VerificationError("two heads prove something if they are of one publisher and size, and differ")


def same_size_equivocation(one: GraphHead, other: GraphHead) -> Equivocation | None:
    """Return the proof that two sound heads alone give, if they do."""
    found = Equivocation(first=one, second=other, number=one.size)
    try:
        found.check()
    except VerificationError:
        return None
    return found


def compare_chains(one: LogChain, other: LogChain) -> Equivocation | None:
    """Tell whether one of two sound chains of one publisher goes on from the other; the proof if neither does.

    Raises:
        ValueError: they are of different publishers.
    """
    if one.head.publisher != other.head.publisher:
        raise ValueError("logs of two publishers cannot be compared")
    first, second = sorted((one, other), key=lambda chain: (chain.head.size, chain.head.last))
    # The newest common entry binds all before it; only where it differs is the place looked for.
    if first.entries[-1][0] == second.entries[first.head.size - 1][0]:
        return None
    pairs = zip(first.entries, second.entries, strict=False)
    number = next(number for number, (left, right) in enumerate(pairs) if left[0] != right[0])
    return Equivocation(first=first.head, second=second.head, number=number)


def check_goes_on(first: GraphHead, second: GraphHead, proof: Sequence[bytes]) -> None:
    """Check with a consistency proof, and without the entries, that the second head's log begins with the first's.

    Raises:
        VerificationError: a signature is wrong, they are of different publishers, or the proof does not show it.
    """
    for head in (first, second):
        check_head(head)
    if first.publisher != second.publisher:
        raise VerificationError("the heads are of two publishers")
    check_consistency(
        sizes=(first.size, second.size),
        roots=(bytes.fromhex(first.tree), bytes.fromhex(second.tree)),
        proof=proof,
    )
