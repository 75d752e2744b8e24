"""The log's tree against a model that is written as the RFC states it, and logs that are grown and forked at will."""

import hashlib

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from storage.blocks import MemoryBlockStore
from storage.cid import RAW, make_cid
from storage.errors import VerificationError
from verifier.graph_log import (
    append,
    check_goes_on,
    check_head,
    compare_chains,
    read_chain,
    same_size_equivocation,
    sign_head,
)
from verifier.graph_tree import check_inclusion, consistency_proof, inclusion_proof, tree_hash
from verifier.identity import Identity

ALICE, BOB = (Identity.from_seed(bytes([number]) * 32) for number in (1, 2))


def naive_hash(leaves):
    """Return the Merkle tree hash of leaf bytes, word for word as RFC 9162, 2.1.1 defines it."""
    if not leaves:
        return hashlib.sha256().digest()
    if len(leaves) == 1:
        return hashlib.sha256(b"\0" + leaves[0]).digest()
    k = max(1 << power for power in range(64) if 1 << power < len(leaves))
    return hashlib.sha256(b"\1" + naive_hash(leaves[:k]) + naive_hash(leaves[k:])).digest()


leaves = st.lists(st.binary(max_size=8), min_size=1, max_size=40)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(leaves, st.data())
def test_proofs_prove_what_is_so_and_nothing_else(data, drawn):
    hashed = [hashlib.sha256(b"\0" + leaf).digest() for leaf in data]
    root = tree_hash(hashed)
    assert root == naive_hash(data)
    index = drawn.draw(st.integers(0, len(data) - 1))
    proof = inclusion_proof(hashed, index)
    check_inclusion(hashed[index], index=index, size=len(data), proof=proof, root=root)
    other = drawn.draw(st.integers(0, len(data) + 2))
    if other != index:
        with pytest.raises(VerificationError):
            _include_elsewhere(hashed, index, other, proof, root)
    first = drawn.draw(st.integers(1, len(data)))
    _check_growth(hashed, first, root)


def _include_elsewhere(hashed, index, other, proof, root):
    """The same proof at another place proves nothing, unless the same leaf is at both and both are mirror images."""
    check_inclusion(hashed[index], index=other, size=len(hashed), proof=proof, root=root)
    if hashed[index] == (hashed[other] if other < len(hashed) else None):
        raise VerificationError("the same leaf is there too: no lie")


def _check_growth(hashed, first, root):
    from verifier.graph_tree import check_consistency

    proof = consistency_proof(hashed, first)
    old = tree_hash(hashed[:first])
    check_consistency(sizes=(first, len(hashed)), roots=(old, root), proof=proof)
    changed = [b"\xff" * 32, *hashed[1:first]]
    with pytest.raises(VerificationError):
        check_consistency(sizes=(first, len(hashed)), roots=(tree_hash(changed), root), proof=proof)


def grow(identity, store, records, *, size=0, last=None, hashed=(), at=7):
    made = append(identity, records, size=size, last=last, at=at)
    store.put_many(made.blocks)
    hashed = (*hashed, *made.leaves)
    return sign_head(identity, hashed, made.entries[-1][0]), hashed


def record(number):
    return make_cid(RAW, str(number).encode())


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.integers(1, 12), st.integers(1, 12), st.booleans())
def test_a_log_that_grows_is_consistent_and_a_fork_is_proof(first, more, forks):
    store = MemoryBlockStore()
    old, hashed = grow(ALICE, store, [record(number) for number in range(first)])
    begins = (old.last, first, hashed)
    if forks:  # the last entry of the old log is another one
        cut = read_chain(store, old)
        begins = (cut.entries[-2][0] if first > 1 else None, first - 1, hashed[:-1])
    last, size, hashed = begins
    new, _ = grow(ALICE, store, [record(100 + number) for number in range(more)], size=size, last=last, hashed=hashed)
    chains = [read_chain(store, head) for head in (old, new)]
    for chain in chains:
        check_head(chain.head)
        chain.check_tree()
    found = compare_chains(*chains)
    assert compare_chains(*reversed(chains)) == found
    if forks:
        assert (found.number, {found.first, found.second}) == (first - 1, {old, new})
        assert (same_size_equivocation(old, new) is not None) == (old.size == new.size)
        with pytest.raises(VerificationError):
            check_goes_on(*(chain.head for chain in sorted(chains, key=lambda one: one.head.size)), ())
    else:
        assert found is None
        check_goes_on(old, new, consistency_proof(chains[1].leaves, first))


def test_two_heads_of_one_size_prove_it_by_themselves():
    store = MemoryBlockStore()
    one, _ = grow(ALICE, store, [record(1)])
    other, _ = grow(ALICE, store, [record(2)])
    same, _ = grow(ALICE, store, [record(1)])
    theirs, _ = grow(BOB, store, [record(2)])
    longer, _ = grow(ALICE, store, [record(1), record(3)])
    proof = same_size_equivocation(one, other)
    proof.check()
    assert same_size_equivocation(one, same) is None
    assert same_size_equivocation(one, theirs) is None
    assert same_size_equivocation(one, longer) is None


def test_a_forged_head_is_no_proof():
    import dataclasses

    store = MemoryBlockStore()
    one, _ = grow(ALICE, store, [record(1)])
    forged = dataclasses.replace(one, tree="00" * 32)
    with pytest.raises(VerificationError, match="signature"):
        check_head(forged)
    assert same_size_equivocation(one, forged) is None


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"size": 4}, "not 3"),
        ({"size": 2}, "not 1"),
        ({"size": 250_001}, "more than"),
        ({"publisher": BOB.peer}, "of 12D3"),
    ],
)
def test_a_head_that_is_not_of_its_chain_is_refused(change, problem):
    import dataclasses

    store = MemoryBlockStore()
    head, _ = grow(ALICE, store, [record(number) for number in range(3)])
    with pytest.raises(VerificationError, match=problem):
        read_chain(store, dataclasses.replace(head, **change))


def test_a_chain_whose_tree_is_another_is_refused():
    import dataclasses

    store = MemoryBlockStore()
    head, _ = grow(ALICE, store, [record(number) for number in range(3)])
    with pytest.raises(VerificationError, match="tree"):
        read_chain(store, dataclasses.replace(head, tree="00" * 32)).check_tree()


def test_a_first_entry_has_none_before_it():
    store = MemoryBlockStore()
    first, _ = grow(ALICE, store, [record(1)])
    made = append(ALICE, [record(2)], size=0, last=first.last, at=7)
    store.put_many(made.blocks)
    head = sign_head(ALICE, made.leaves, made.entries[0][0])
    with pytest.raises(VerificationError, match="one before it"):
        read_chain(store, head)
