"""Whatever is heard of a node is an announcement of its own or held against it; whatever a node says fits."""

from hypothesis import given, settings
from hypothesis import strategies as st

from network.message_codec import encode, sign_capacity
from network.messages import Demand, EngineKind
from network.node.announcement import Announcement, announce, decode_announcement
from network.node.node_labels import MAX_ENCODED_BYTES, encoded_size, labels_problem, matches, parse_labels
from network.node.peer_address import address_problem
from network.protocol_errors import RemoteProtocolError
from network.transport import MAX_CAPACITY_BYTES
from storage import dag_cbor
from storage.errors import UserError
from tests.vectors.records.world import identity
from verifier.bounds import MAX_INTEGER

ME = identity(0)
ROOM = Demand(cpu_milli=2000, memory=4 << 30, disk=0, gpus=0)
CAPACITY = sign_capacity(
    ME, sequence=1, total=ROOM, free=ROOM, engines=(EngineKind(engine="pyodide-node", arch="x86_64"),)
)
NAMES = st.text("abcXYZ019._/-", min_size=1, max_size=63)
VALUES = st.text(st.characters(codec="utf-8", exclude_characters=","), max_size=20).filter(str.isprintable)
LABELS = st.dictionaries(NAMES, VALUES, max_size=32).filter(lambda labels: encoded_size(labels) <= MAX_ENCODED_BYTES)
PORTS = st.integers(1, 65535)
ADDRESSES = st.builds(lambda host, port: f"/ip{host.version}/{host}/tcp/{port}/p2p/{ME.peer}", st.ip_addresses(), PORTS)
COUNTS = st.integers(0, MAX_INTEGER)
DEMANDS = st.builds(Demand, cpu_milli=COUNTS, memory=COUNTS, disk=COUNTS, gpus=COUNTS)
WHOLE = encode(announce(CAPACITY, addresses=[f"/ip4/192.0.2.1/tcp/1/p2p/{ME.peer}"], labels={"zone": "eu"}))


def again(data):
    """Return the bytes of what was decoded, or whom it is held against."""
    try:
        return encode(decode_announcement(data, ME.peer))
    except RemoteProtocolError as error:
        return error.peer


@settings(deadline=None)
@given(DEMANDS, DEMANDS, COUNTS, st.lists(ADDRESSES, max_size=8), LABELS)
def test_what_a_node_says_fits_and_is_read_as_it_was_said(total, free, sequence, addresses, labels):
    engines = (EngineKind(engine="pyodide-node", arch="x86_64"),)
    capacity = sign_capacity(ME, sequence=sequence, total=total, free=free, engines=engines)
    said = announce(capacity, addresses=addresses, labels=labels)
    data = encode(said)
    assert len(data) <= MAX_CAPACITY_BYTES
    assert decode_announcement(data, ME.peer) == said
    assert set(said.addresses) <= set(addresses)
    left_out = [one for one in addresses if one not in said.addresses and not address_problem(one, ME.peer)]
    assert all(len(one) >= len(kept) for one in left_out for kept in said.addresses)


@st.composite
def mangled(draw):
    """The announcement with some bytes changed, put in or taken out."""
    data = bytearray(WHOLE)
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(data) - 1))
        data[at : at + draw(st.integers(0, 3))] = draw(st.binary(max_size=3))
    return bytes(data)


@settings(deadline=None)
@given(mangled() | st.binary(max_size=1200))
def test_decoding_gives_an_announcement_that_encodes_to_the_same_bytes_or_blames_the_node(data):
    assert again(data) in (data, ME.peer)


@settings(deadline=None)
@given(
    st.sampled_from(sorted(Announcement.from_node(dag_cbor.decode(WHOLE)).to_node())),
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.text(max_size=80) | st.lists(st.text())
    | st.dictionaries(st.text(), st.text() | st.none()),
)  # fmt: skip
def test_a_field_of_any_other_value_is_refused_or_read_as_it_is(key, value):
    changed = dag_cbor.encode(dag_cbor.decode(WHOLE) | {key: value})
    assert again(changed) in (changed, ME.peer)


@given(st.text(max_size=140))
def test_any_text_is_an_address_or_not(text):
    assert address_problem(text, ME.peer) != ""


@given(ADDRESSES)
def test_an_address_is_told_from_those_of_others(address):
    assert address_problem(address, identity(1).peer) != ""


@given(LABELS)
def test_labels_are_read_as_they_are_written(labels):
    assert parse_labels([f"{name}={value}" for name, value in labels.items()], where="--label") == labels
    assert matches(labels.items(), labels)


@given(st.lists(st.text(max_size=70), max_size=40))
def test_any_texts_are_labels_within_bounds_or_a_wrong_call(texts):
    try:
        labels = parse_labels(texts, where="--label")
    except UserError:
        return
    assert labels_problem(labels) == ""
