import functools
import math

import pytest

from storage import dag_cbor
from storage.cid import RAW, make_cid
from storage.errors import VerificationError

A, B = make_cid(RAW, b"a"), make_cid(RAW, b"b")


def tag42(cid):
    return "d82a5825" + "00" + cid.hex()


def test_the_encoding_is_canonical():
    assert dag_cbor.encode({"bb": 1, "a": [None, True, -1, 1.5, "x"], "c": A}).hex() == (
        "a3" + "6161" + "85f6f520fb3ff80000000000006178" + "6163" + tag42(A) + "626262" + "01"
    )


def test_links_come_in_the_order_of_the_encoding():
    node = {"bb": A, "a": [B, {"x": A}], "c": "text"}
    assert list(dag_cbor.links(node)) == [B, A, A]


REFUSED = {
    "empty": "",
    "truncated": "82",
    "bytes after the end": "0100",
    "integer not minimal": "1801",
    "text length not minimal": "780161",
    "float of 4 bytes": "fa3fc00000",
    "float of 2 bytes": "f93e00",
    "NaN": "fb7ff8000000000000",
    "infinity": "fb7ff0000000000000",
    "indefinite list": "9f01ff",
    "indefinite text": "7f6161ff",
    "keys out of order": "a2626161016162" + "02",
    "key twice": "a2616101616102",
    "key that is a number": "a10101",
    "undefined": "f7",
    "another tag": "c000",
    "text that is not UTF-8": "61ff",
    "byte string": "43616263",
    "byte string that looks like a CID": "5824" + A.hex(),
    "link without the leading zero": "d82a5824" + A.hex(),
    "link that is not a CID": "d82a4400616263",
    "nothing": "ff",
}


@pytest.mark.parametrize("encoded", REFUSED.values(), ids=REFUSED.keys())
def test_what_is_not_canonical_dag_cbor_is_refused(encoded):
    with pytest.raises(VerificationError):
        pytest.fail(repr(dag_cbor.decode(bytes.fromhex(encoded))))


def test_deep_nesting_is_refused_without_harm():
    deepest = b"\x81" * dag_cbor.MAX_DEPTH + b"\x00"
    assert dag_cbor.encode(dag_cbor.decode(deepest)) == deepest
    for levels in (dag_cbor.MAX_DEPTH + 1, 900, 100_000):
        with pytest.raises(VerificationError):
            dag_cbor.decode(b"\x81" * levels + b"\x00")
    endless: list[object] = []
    endless.append(endless)
    with pytest.raises(ValueError, match="128 levels"):
        dag_cbor.encode(endless)
    endless.append(endless)  # 2**128 of them, if one went on
    with pytest.raises(ValueError, match="128 levels"):
        dag_cbor.encode({"x": (endless,)})


def test_a_block_of_more_than_2_mib_is_refused():
    text = "x" * (dag_cbor.MAX_NODE_BYTES)
    with pytest.raises(VerificationError, match="2 MiB"):
        dag_cbor.decode(dag_cbor.encode(text))


@pytest.mark.parametrize(
    "value", [b"bytes", b"", object(), {1: 2}, {"a": {1, 2}}, math.nan, math.inf, 1 << 64, "\ud800"]
)
def test_what_dag_cbor_cannot_say_is_not_encoded(value):
    with pytest.raises(ValueError):  # noqa: PT011 - the message comes from the codec
        dag_cbor.encode(value)


class Bytes(bytes):
    pass


@pytest.mark.parametrize(
    "value",
    [
        [A, {"x": B, "y": [1, "text", None, True, 1.5]}],
        (A, (B,)),
        {"x": A + b"tail"},
        [[b""]],
        {1: A},
        {"x": {b"y": 1}},
        Bytes(A),
        [Bytes(b"no")],
        [bytearray(b"ab")],
        {"x": object()},
        functools.reduce(lambda below, _: [below], range(128), 1),
        functools.reduce(lambda below, _: {"x": below}, range(129), 1),
        functools.reduce(lambda below, _: (below,), range(129), A),
        functools.reduce(lambda below, _: [below], range(128), []),
    ],
)
def test_what_is_encoded_is_what_links_can_be_told_of(value):
    said = []
    for look in (lambda: list(dag_cbor.links(value)), lambda: dag_cbor._check(value)):
        try:
            look()
        except ValueError as error:
            said.append(str(error))
        else:
            said.append(None)
    assert said[0] == said[1]


def test_links_are_the_only_bytes():
    assert dag_cbor.decode(dag_cbor.encode([A, {"x": B}])) == [A, {"x": B}]
    with pytest.raises(ValueError, match="only links"):
        dag_cbor.encode({"x": A + b"tail"})
