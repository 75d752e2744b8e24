"""The canonical form of return values."""

import collections
import dataclasses
import enum
import functools
import json
import math
import struct
from typing import NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.js_host.guest_modules import load_guest

encode_result = load_guest("_faas_result").encode_result


class Colour(enum.IntEnum):
    RED = 3


class Loud(str):
    __slots__ = ()

    def __str__(self):
        return "LOUD"


class Shy(dict):
    def items(self):
        return []

    def __iter__(self):
        return iter([])


class Own(str):
    """A key that equals only itself."""

    __slots__ = ()
    __hash__ = object.__hash__

    def __eq__(self, other):
        return self is other


@dataclasses.dataclass
class Dated:
    day: int


class Point(NamedTuple):
    x: int
    y: int


GOOD = [
    (None, b""),
    (b"\x00\xff", b"\x00\xff"),
    (bytearray(b"ab"), b"ab"),
    (memoryview(b"abcdef")[::2], b"ace"),
    ("é\n", "é\n".encode()),
    (Loud("a"), b"a"),
    ("", b""),
    (True, b"true"),
    (0, b"0"),
    (-(10**40), b"-1" + b"0" * 40),
    (1.0, b"1.0"),
    (-0.0, b"-0.0"),
    (1e16, b"1e+16"),
    (5e-324, b"5e-324"),
    (0.1 + 0.2, b"0.30000000000000004"),
    ([], b"[]"),
    ({}, b"{}"),
    ((1, [None, False]), b"[1,[null,false]]"),
    ({"b": 1, "a": {"d": 2, "c": 3}}, b'{"a":{"c":3,"d":2},"b":1}'),
    ([b"\x00\x01"], b'[{"/":{"bytes":"AAE"}}]'),
    ([b""], b'[{"/":{"bytes":""}}]'),
    (['"\\\n\x01\x7f/é😀'], '["\\"\\\\\\n\\u0001\x7f/é😀"]'.encode()),
    (Colour.RED, b"3"),
    ([Loud("a")], b'["a"]'),
    ({Loud("k"): 1}, b'{"k":1}'),
    (Shy(a=1), b'{"a":1}'),
    (collections.OrderedDict([("b", 1), ("a", 2)]), b'{"a":2,"b":1}'),
    (collections.Counter("aab"), b'{"a":2,"b":1}'),
    (Point(1, 2), b"[1,2]"),
]


@pytest.mark.parametrize(("value", "expected"), GOOD)
def test_canonical_form(value, expected):
    assert encode_result(value) == expected


def loop():
    value = []
    value.append({"a": value})
    return value


BAD = [
    (functools.reduce(lambda inner, _: [inner], range(5000), 1), "it is nested too deeply"),
    (Dated(day=1), r"return dataclasses.asdict\(…\)"),
    ([bytearray(b"a")], r"return bytes\(…\)"),
    (range(3), r"return list\(…\)"),
    (map(str, "ab"), r"return list\(…\)"),
    ({1, 2}, r"the return value has no canonical form: set has no order; return sorted\(…\)"),
    ({"a": [0, {3}]}, r"the return value\['a'\]\[1\] has no canonical form: set"),
    ([math.nan], r"the return value\[0\] has no canonical form: nan is not a JSON number"),
    (-math.inf, "-inf is not a JSON number"),
    ({1: 2}, "key 1 is a int; use str keys"),
    ({True: 2}, "key True is a bool; use str keys"),
    ({None: 2}, "key None is a NoneType"),
    ({"x": {"/": "y"}}, r"the return value\['x'\] .* reserved"),
    (object(), "object is not bytes, str, None or JSON"),
    (1j, "complex is not"),
    ("\ud800", "lone surrogate"),
    (["\ud800"], r"\[0\] .*lone surrogate"),
    ({"\ud800": 1}, "key .* lone surrogate"),
    (loop(), r"\[0\]\['a'\] has no canonical form: it contains itself"),
    (1 << 14_001, r"an int of more than 14,000 bits; return hex"),
    ([bytearray(b"a")], r"\[0\] .*bytearray is not"),
    ((x for x in ()), "generator is not"),
    ({Own("k"): 1, Own("k"): 2}, "two of its keys are the same text"),
]


@pytest.mark.parametrize(("value", "said"), BAD)
def test_what_has_no_canonical_form_is_named(value, said):
    with pytest.raises(TypeError, match=said) as caught:
        encode_result(value)
    assert "\n" not in str(caught.value)


def test_shared_parts_are_no_loops():
    part = [1]
    assert encode_result([part, part, {"a": part}]) == b'[[1],[1],{"a":[1]}]'


def test_what_looks_like_an_array_is_told_how_to_leave():
    class Array:
        def tolist(self):
            return []

    class Frame:
        def to_dict(self):
            return {}

    with pytest.raises(TypeError, match=r"Array is not JSON; return .tolist\(\)"):
        encode_result([Array()])
    with pytest.raises(TypeError, match=r"Frame is not JSON; return .to_dict\(\)"):
        encode_result(Frame())


def test_the_order_of_keys_is_that_of_their_bytes():
    keys = ["\U0001f600", "\uff5e", "b", "a", "", "ab", "ä", "B"]
    text = encode_result(dict.fromkeys(keys, 0)).decode()
    assert list(json.loads(text)) == sorted(keys, key=str.encode)


SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
VALUES = st.recursive(SCALARS, lambda inner: st.lists(inner) | st.dictionaries(st.text().filter("/".__ne__), inner))


@given(VALUES.filter(lambda value: not isinstance(value, str) and value is not None))
@settings(max_examples=200, deadline=None)
def test_reading_back_gives_the_value_and_one_form(value):
    text = encode_result(value)
    again = json.loads(text)
    assert again == value
    assert encode_result(again) == text


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_floats_read_back_to_the_same_bits(value):
    assert struct.pack(">d", json.loads(encode_result([value]))[0]) == struct.pack(">d", value)
