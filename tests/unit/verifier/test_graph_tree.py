import hashlib

import pytest

from storage.errors import VerificationError
from verifier.graph_tree import (
    check_consistency,
    check_inclusion,
    consistency_proof,
    inclusion_proof,
    leaf_hash,
    tree_hash,
)

LEAVES = [
    bytes.fromhex(text)
    for text in (
        "", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f",
    )
]  # fmt: skip
"""The leaves and hashes that implementations of RFC 6962 and RFC 9162 share as test vectors."""
ROOTS = [
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]
HASHED = [leaf_hash(leaf) for leaf in LEAVES]
INCLUSION = {
    (0, 8): [
        "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
    ],
    (2, 3): ["fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125"],
}
CONSISTENCY = {
    (1, 8): [
        "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
    ],
    (6, 8): [
        "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
        "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    ],
}


@pytest.mark.parametrize("size", range(9))
def test_hashes_are_the_published_ones(size):
    assert tree_hash(HASHED[:size]).hex() == ROOTS[size]


@pytest.mark.parametrize(("index", "size"), INCLUSION)
def test_inclusion_proofs_are_the_published_ones(index, size):
    assert [one.hex() for one in inclusion_proof(HASHED[:size], index)] == INCLUSION[index, size]


@pytest.mark.parametrize(("first", "second"), CONSISTENCY)
def test_consistency_proofs_are_the_published_ones(first, second):
    assert [one.hex() for one in consistency_proof(HASHED[:second], first)] == CONSISTENCY[first, second]


def test_a_leaf_is_hashed_apart_from_a_node():
    assert leaf_hash(b"") == hashlib.sha256(b"\0").digest()


def test_there_is_no_proof_of_what_is_not_there():
    for call in (
        lambda: inclusion_proof(HASHED, 8),
        lambda: inclusion_proof(HASHED, -1),
        lambda: consistency_proof(HASHED, 0),
        lambda: consistency_proof(HASHED, 9),
    ):
        with pytest.raises(ValueError, match="no "):
            call()


@pytest.mark.parametrize(
    "change",
    [
        {"index": 1},
        {"size": 16},
        {"index": 8},
        {"index": -1},
        {"leaf": HASHED[1]},
        {"root": bytes.fromhex(ROOTS[7])},
        {"proof": ()},
        {"proof": (*inclusion_proof(HASHED, 0), HASHED[0])},
        {"proof": inclusion_proof(HASHED, 0)[:2]},
        {"proof": (b"short",)},
        {"proof": (HASHED[0],) * 65},
    ],
)
def test_a_wrong_inclusion_proof_is_refused(change):
    right = {
        "leaf": HASHED[0],
        "index": 0,
        "size": 8,
        "proof": inclusion_proof(HASHED, 0),
        "root": bytes.fromhex(ROOTS[8]),
    }
    check_inclusion(right.pop("leaf"), **right)
    wrong = {"leaf": HASHED[0], **right, **change}
    with pytest.raises(VerificationError):
        check_inclusion(wrong.pop("leaf"), **wrong)


@pytest.mark.parametrize(
    "change",
    [
        {"sizes": (5, 8)},
        {"sizes": (6, 16)},
        {"sizes": (8, 6)},
        {"sizes": (0, 8)},
        {"sizes": (6, 6)},
        {"sizes": (8, 8)},
        {"roots": (bytes.fromhex(ROOTS[5]), bytes.fromhex(ROOTS[8]))},
        {"roots": (bytes.fromhex(ROOTS[6]), bytes.fromhex(ROOTS[7]))},
        {"proof": ()},
        {"proof": (*consistency_proof(HASHED, 6), HASHED[0])},
        {"proof": consistency_proof(HASHED, 6)[:2]},
    ],
)
def test_a_wrong_consistency_proof_is_refused(change):
    right = {
        "sizes": (6, 8),
        "roots": (bytes.fromhex(ROOTS[6]), bytes.fromhex(ROOTS[8])),
        "proof": consistency_proof(HASHED, 6),
    }
    check_consistency(**right)
    with pytest.raises(VerificationError):
        check_consistency(**right | change)
