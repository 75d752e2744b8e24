import pytest

from storage.errors import VerificationError
from tests.vectors.records.world import identity
from verifier.identity import Identity, check_signature, signing_preimage
from verifier.peer_id import peer_id_of, public_key_of
from verifier.signature import signature_bytes, signature_text

L = 2**252 + 27742317777372353535851937790883648493
"""Order of the ed25519 base point, RFC 8032."""

# RFC 8032, section 7.1, test 1.
SEED = bytes.fromhex("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60")
PUBLIC = bytes.fromhex("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a")
FOREIGN_PEER = "12D3KooWD3eckifWpRn9wQpMG9R9hX3sD158z7EqHWmweQAJU5SA"
"""The example of libp2p/specs, peer-ids."""

WEAK = [
    "0000000000000000000000000000000000000000000000000000000000000000",
    "0100000000000000000000000000000000000000000000000000000000000000",
    "0100000000000000000000000000000000000000000000000000000000000080",
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
]


def test_the_seed_is_that_of_rfc_8032():
    assert public_key_of(Identity.from_seed(SEED).peer) == PUBLIC


def test_a_peer_id_reads_back_and_begins_as_libp2ps_do():
    peer = peer_id_of(PUBLIC)
    assert peer.startswith("12D3Koo")
    assert len(peer) == 52
    assert public_key_of(peer) == PUBLIC


def test_a_peer_id_of_another_implementation_reads_back():
    assert peer_id_of(public_key_of(FOREIGN_PEER)) == FOREIGN_PEER


@pytest.mark.parametrize("key", WEAK)
def test_weak_and_uncanonical_keys_are_refused(key):
    with pytest.raises(VerificationError, match="weak"):
        peer_id_of(bytes.fromhex(key))


@pytest.mark.parametrize(
    "peer", ["", "12D3Koo", "Qm" + "a" * 44, peer_id_of(PUBLIC)[:-1] + "0", "1" + peer_id_of(PUBLIC)[:-1], "é" * 52]
)
def test_other_peer_ids_are_refused(peer):
    with pytest.raises(VerificationError):
        public_key_of(peer)


def test_a_signature_checks_and_covers_every_key():
    me = identity(1)
    signed = me.sign({"v": "x/1", "a": 1, "b": [2]})
    check_signature(signed, me.peer)
    for change in ({"v": "x/2"}, {"a": 2}, {"b": []}, {"c": 3}):
        with pytest.raises(VerificationError, match="not by this node"):
            check_signature(signed | change, me.peer)
    with pytest.raises(VerificationError):
        check_signature(signed, identity(2).peer)


def test_the_preimage_begins_with_the_domain_and_leaves_out_the_signature():
    assert signing_preimage({"v": "x/1", "signature": "u"}) == b"bacalhau-signature/1\0\xa1\x61v\x63x/1"


def test_a_malleable_signature_is_refused():
    me = identity(1)
    signed = me.sign({"v": "x/1"})
    raw = signature_bytes(signed["signature"])
    shifted = int.from_bytes(raw[32:], "little") + L
    signed["signature"] = signature_text(raw[:32] + shifted.to_bytes(32, "little"))
    with pytest.raises(VerificationError):
        check_signature(signed, me.peer)


def test_a_signature_has_one_spelling():
    text = signature_text(b"\xff" * 64)
    assert signature_bytes(text) == b"\xff" * 64
    last = "0123456789abcdef"
    for other in (
        text[1:],
        "U" + text[1:],
        text + "=",
        text[:-1],
        text[:-1] + "x",
        text.replace("_", "/"),
        last,
        "u" + "é" * 86,
    ):
        with pytest.raises(VerificationError):
            signature_bytes(other)


def test_an_identity_never_shows_its_key():
    me = Identity.from_seed(SEED)
    assert repr(me) == f"Identity({me.peer})"
