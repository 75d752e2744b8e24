"""What a node gossips of itself: which addresses it may name, what fits, and what is refused."""

import pytest

from network.message_codec import encode, sign_capacity
from network.messages import Demand, EngineKind
from network.node.announcement import MAX_ADDRESSES, Announcement, announce, decode_announcement
from network.node.peer_address import MAX_ADDRESS_BYTES, address_problem
from network.protocol_errors import RemoteProtocolError
from network.protocol_events import Heard
from network.requester import Requester
from network.transport import MAX_CAPACITY_BYTES
from storage import dag_cbor
from tests.unit.network.node.test_node_labels import FULL_LABELS
from tests.vectors.records.world import identity
from verifier.bounds import MAX_INTEGER
from verifier.model import ModelError

ME, OTHER = identity(0), identity(1)
ROOM = Demand(cpu_milli=2000, memory=4 << 30, disk=100 << 30, gpus=0)
FULL = Demand(cpu_milli=MAX_INTEGER, memory=MAX_INTEGER, disk=MAX_INTEGER, gpus=MAX_INTEGER)
ENGINES = tuple(EngineKind(engine=name, arch="x86_64") for name in ("pyodide-node", "pyodide-bun"))
CAPACITY = sign_capacity(ME, sequence=7, total=ROOM, free=ROOM, engines=ENGINES)
LONGEST = "/ip6/1111:2222:3333:4444:5555:6666:7777:8888/tcp/65535/p2p/" + ME.peer
LABELS = {"zone": "eu"}


def ip4(number: int, peer: str = ME.peer) -> str:
    return f"/ip4/192.0.2.{number}/tcp/4001/p2p/{peer}"


@pytest.mark.parametrize(
    "address",
    [ip4(1), f"/ip4/127.0.0.1/tcp/1/p2p/{ME.peer}", f"/ip6/::1/tcp/65535/p2p/{ME.peer}",
     f"/ip6/fe80::1/tcp/4001/p2p/{ME.peer}", LONGEST],
)  # fmt: skip
def test_addresses_that_may_be_named(address):
    assert address_problem(address, ME.peer) == ""
    assert len(address) <= MAX_ADDRESS_BYTES


@pytest.mark.parametrize(
    "address",
    [
        "", "/", ip4(1) + "/", ip4(1) + "\n", ip4(1)[1:], ip4(1, OTHER.peer), f"/ip4/192.0.2.1/tcp/4001/p2p/{'1' * 52}",
        "/ip4/192.0.2.1/tcp/4001", f"/ip4/192.0.2.1/udp/4001/p2p/{ME.peer}", f"/ip4/192.0.2.1/tcp/0/p2p/{ME.peer}",
        f"/ip4/192.0.2.1/tcp/04001/p2p/{ME.peer}", f"/ip4/192.0.2.1/tcp/65536/p2p/{ME.peer}",
        f"/ip4/192.0.2.1/tcp/4001/ws/p2p/{ME.peer}", f"/dns4/example.org/tcp/4001/p2p/{ME.peer}",
        f"/ip4/192.0.2.256/tcp/4001/p2p/{ME.peer}", f"/ip4/192.0.2.01/tcp/4001/p2p/{ME.peer}",
        f"/ip4/::1/tcp/4001/p2p/{ME.peer}", f"/ip6/192.0.2.1/tcp/4001/p2p/{ME.peer}",
        f"/ip6/0:0:0:0:0:0:0:1/tcp/4001/p2p/{ME.peer}", f"/ip6/FE80::1/tcp/4001/p2p/{ME.peer}",
        f"/ip6/fe80::1%eth0/tcp/4001/p2p/{ME.peer}", f"/ip4/0.0.0.0/tcp/4001/p2p/{ME.peer}",
        f"/ip6/::/tcp/4001/p2p/{ME.peer}", f"/ip4/224.0.0.1/tcp/4001/p2p/{ME.peer}",
        f"{ip4(1, OTHER.peer)}/p2p-circuit/p2p/{ME.peer}", f"/ip4/192.0.2.1/tcp/٤001/p2p/{ME.peer}",
    ],
)  # fmt: skip
def test_addresses_that_may_not(address):
    assert address_problem(address, ME.peer) != ""


def test_it_is_read_as_it_was_said():
    said = announce(CAPACITY, addresses=[ip4(1), LONGEST], labels=LABELS)
    assert (said.addresses, said.labels, said.capacity) == ((ip4(1), LONGEST), LABELS, CAPACITY)
    assert decode_announcement(encode(said), ME.peer) == said


def test_the_record_inside_is_what_the_machines_take():
    read = decode_announcement(encode(announce(CAPACITY, addresses=[], labels={})), ME.peer)
    assert encode(read.capacity) == encode(CAPACITY)
    requester = Requester(OTHER)
    assert requester.handle(Heard(message=encode(read.capacity), via=ME.peer)) == ()
    assert requester.book.sequence_of(ME.peer) == 7


def test_addresses_that_others_cannot_use_are_not_named():
    listens = [f"/ip4/0.0.0.0/tcp/4001/p2p/{ME.peer}", ip4(1), "/ip4/192.0.2.1/tcp/4001", ip4(1), ip4(2)]
    assert announce(CAPACITY, addresses=listens, labels={}).addresses == (ip4(1), ip4(2))


def test_of_more_than_four_the_longest_are_left_out_first_and_then_the_last():
    many = [ip4(1), LONGEST, ip4(100), ip4(2), ip4(3), ip4(200), ip4(4)]
    assert announce(CAPACITY, addresses=many, labels={}).addresses == (ip4(1), ip4(2), ip4(3), ip4(4))
    assert announce(CAPACITY, addresses=many[:5], labels={}).addresses == (ip4(1), ip4(100), ip4(2), ip4(3))
    even = [ip4(number) for number in range(1, 7)]
    assert announce(CAPACITY, addresses=even, labels={}).addresses == tuple(even[:MAX_ADDRESSES])


def test_what_does_not_fit_is_left_out_the_longest_first():
    offered = [LONGEST, ip4(1), ip4(2), ip4(100)]
    said = announce(CAPACITY, addresses=offered, labels=FULL_LABELS)
    assert 0 < len(said.addresses) < len(offered)
    assert len(encode(said)) <= MAX_CAPACITY_BYTES
    left_out = [address for address in offered if address not in said.addresses]
    assert min(map(len, left_out)) >= max(map(len, said.addresses))
    fuller = Announcement(capacity=CAPACITY, addresses=(*said.addresses, left_out[-1]), labels=FULL_LABELS)
    assert len(dag_cbor.encode(fuller.to_node())) > MAX_CAPACITY_BYTES


def test_with_all_labels_and_the_largest_numbers_there_is_room_for_an_address():
    capacity = sign_capacity(ME, sequence=MAX_INTEGER, total=FULL, free=FULL, engines=ENGINES)
    assert announce(capacity, addresses=[LONGEST], labels=FULL_LABELS).addresses == (LONGEST,)


def test_a_capacity_that_does_not_fit_by_itself_is_the_callers_mistake():
    many = tuple(EngineKind(engine=str(number) * 200, arch="x") for number in range(5))
    capacity = sign_capacity(ME, sequence=7, total=ROOM, free=ROOM, engines=many)
    with pytest.raises(ValueError, match=r"announcement/1 has \d+ bytes, its bound is 1024"):
        announce(capacity, addresses=[ip4(1)], labels={})


@pytest.mark.parametrize(
    "fields",
    [
        {"addresses": (ip4(1, OTHER.peer),)},
        {"addresses": tuple(ip4(number) for number in range(5))},
        {"labels": {"no good": "x"}},
        {"labels": {f"l{number}": "" for number in range(33)}},
    ],
)
def test_an_announcement_out_of_bounds_cannot_be_made_nor_read(fields):
    whole = {"capacity": CAPACITY, "addresses": (), "labels": {}}
    with pytest.raises(ModelError):
        Announcement(**(whole | fields))
    node = announce(CAPACITY, addresses=[], labels={}).to_node()
    data = dag_cbor.encode(node | {name: list(x) if type(x) is tuple else x for name, x in fields.items()})
    with pytest.raises(RemoteProtocolError, match=r"malformed announcement|announced itself in") as raised:
        decode_announcement(data, ME.peer)
    assert raised.value.peer == ME.peer


def test_it_is_about_the_node_that_signed_it():
    data = encode(announce(CAPACITY, addresses=[], labels={}))
    with pytest.raises(RemoteProtocolError, match="announced the capacity of") as raised:
        decode_announcement(data, OTHER.peer)
    assert raised.value.peer == OTHER.peer


def test_another_version_and_too_many_bytes_are_refused():
    node = announce(CAPACITY, addresses=[], labels={}).to_node()
    with pytest.raises(RemoteProtocolError, match="must be 'announcement/1'"):
        decode_announcement(dag_cbor.encode(node | {"v": "announcement/2"}), ME.peer)
    with pytest.raises(RemoteProtocolError, match="has an unknown key"):
        decode_announcement(dag_cbor.encode(node | {"more": 1}), ME.peer)
    with pytest.raises(RemoteProtocolError, match="announced itself in 1025 bytes"):
        decode_announcement(bytes(MAX_CAPACITY_BYTES + 1), ME.peer)
