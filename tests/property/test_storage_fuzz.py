"""The fuzz targets on bytes that hypothesis makes: any, and examples with a few bytes changed, cut or doubled."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fuzz.targets import EXAMPLES, TARGETS

changes = st.lists(
    st.tuples(st.sampled_from(["set", "cut", "insert", "repeat"]), st.integers(0, 400), st.binary(max_size=4))
)


def changed(example, steps):
    data = bytearray(example)
    for kind, at, piece in steps:
        at = at % (len(data) + 1)
        if kind == "set":
            data[at : at + len(piece)] = piece
        elif kind == "cut":
            del data[at : at + 1 + len(piece)]
        elif kind == "insert":
            data[at:at] = piece
        else:
            data += data[at:][:200]
    return bytes(data[:5000])


@pytest.mark.parametrize("name", TARGETS)
@settings(deadline=None, derandomize=True, max_examples=400)
@given(st.binary(max_size=600) | st.builds(changed, st.sampled_from(EXAMPLES), changes))
def test_a_target_keeps_its_promises(name, data):
    TARGETS[name](data)


@pytest.mark.parametrize("name", TARGETS)
@pytest.mark.parametrize("data", EXAMPLES, ids=range(len(EXAMPLES)))
def test_examples_are_fine(name, data):
    TARGETS[name](data)


@pytest.mark.parametrize("head", [0x9B, 0xBB, 0x5B, 0x7B, 0x9A, 0xBA, 0x5A, 0x7A])
@pytest.mark.parametrize("length", [1 << 31, (1 << 32) - 1, 1 << 40, (1 << 63) - 1, (1 << 64) - 1])
def test_a_length_that_cannot_be_takes_no_memory(head, length):
    size = 8 if head & 1 else 4
    TARGETS["dag-cbor"](bytes([head]) + (length & ((1 << 8 * size) - 1)).to_bytes(size, "big") + b"abc")
