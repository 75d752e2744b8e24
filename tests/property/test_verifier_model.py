import string

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from storage import dag_cbor
from storage.cid import RAW, make_cid
from storage.errors import VerificationError
from verifier.model import Function, Input, Limits, Lock, OutputMount, Runtime, RuntimeFile, Task, Volume, Wheel

unhurried = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])

links = st.binary(max_size=4).map(lambda data: make_cid(RAW, data))
words = st.text(st.characters(exclude_categories=["Cc", "Cs", "Zl", "Zp"]), min_size=1, max_size=20)
names = words.map(lambda word: word.replace("/", "_")).filter(lambda name: name not in (".", ".."))
relative = st.lists(names, min_size=1, max_size=3).map("/".join)
absolute = relative.map(lambda path: "/" + path)
hex32 = st.binary(min_size=32, max_size=32).map(bytes.hex)
projects = st.text(string.ascii_lowercase + string.digits, min_size=1, max_size=8)
integers = st.integers(-(1 << 63), (1 << 63) - 1)
amounts = st.integers(1, (1 << 63) - 1)
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
json = st.recursive(
    st.none() | st.booleans() | integers | st.floats(allow_nan=False, allow_infinity=False) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)


def ordered(items, attribute):
    unique = {getattr(item, attribute): item for item in items}
    return tuple(unique[key] for key in sorted(unique, key=str.encode))


wheels = st.builds(Wheel, name=projects, version=words, file_name=names, sha256=hex32, wheel=links)
things = st.one_of(
    st.builds(Task, function=links, input=links),
    st.builds(Function, source=links, entry=st.sampled_from([None, "main", "Größe"]), lock=links, runtime=links),
    st.builds(Lock, python=words, platform=words, wheels=st.lists(wheels).map(lambda items: ordered(items, "name"))),
    st.builds(
        Runtime,
        profile=words,
        pyodide=words,
        files=st.lists(st.builds(RuntimeFile, path=relative, size=amounts, cid=links)).map(
            lambda x: ordered(x, "path")
        ),
    ),
    st.builds(
        Input,
        data=st.none() | links,
        volumes=st.lists(st.builds(Volume, path=absolute, cid=links)).map(lambda items: ordered(items, "path")),
        outputs=st.lists(st.builds(OutputMount, name=names, path=absolute)).map(lambda items: ordered(items, "name")),
        args=st.dictionaries(texts, json, max_size=3),
        env=st.dictionaries(projects, texts.filter(lambda text: "\0" not in text), max_size=3),
        seed=st.none() | hex32,
        epoch=st.integers(0, 253402300799),
        limits=st.builds(Limits, fuel=st.none() | amounts, memory=amounts, output=amounts),
    ),
)


@unhurried
@given(things)
def test_encoding_and_decoding_give_the_same_value_and_the_same_bytes(thing):
    data = dag_cbor.encode(thing.to_node())
    again = type(thing).from_node(dag_cbor.decode(data))
    assert again == thing
    assert dag_cbor.encode(again.to_node()) == data
    assert data[1:3] == b"\x61v"


def paths(node, at=()):
    yield at
    for key, value in node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ():
        yield from paths(value, (*at, key))


def replaced(node, at, value):
    if not at:
        return value
    copy = dict(node) if isinstance(node, dict) else list(node)
    copy[at[0]] = replaced(node[at[0]], at[1:], value)
    return copy


@unhurried
@given(things, st.data())
def test_any_other_node_is_refused_or_is_another_value(thing, data):
    node = thing.to_node()
    at = data.draw(st.sampled_from(list(paths(node))))
    changed = replaced(node, at, data.draw(json | links))
    try:
        read = type(thing).from_node(changed)
    except VerificationError:
        return
    assert dag_cbor.encode(read.to_node()) == dag_cbor.encode(changed)


@unhurried
@given(things, texts)
def test_an_unknown_key_is_always_refused(thing, key):
    node = thing.to_node()
    if key in node:
        del node[key]
    else:
        node[key] = None
    with pytest.raises(VerificationError):
        type(thing).from_node(node)


@unhurried
@given(json)
def test_junk_is_refused_and_never_crashes(node):
    for kind in (Task, Function, Lock, Runtime, Input):
        with pytest.raises(VerificationError):
            kind.from_node(node)


@pytest.mark.parametrize("depth", [800, 900, 950, 980, 1000, 5000])
def test_deep_nesting_is_an_answer_not_a_crash(depth):
    try:
        dag_cbor.decode(b"\x81" * depth + b"\xf6")
    except VerificationError:
        assert depth > 400
