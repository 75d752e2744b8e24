"""Parcels of blocks that travel with messages."""

import dataclasses

import pytest

from network.message_bundle import join, split
from network.message_codec import encode
from network.parcel import MAX_BLOCKS, MAX_BYTES, is_parcel, pack, seal, unseal
from network.protocol_errors import RemoteProtocolError
from storage.blocks import MemoryBlockStore
from storage.cid import DAG_PB, RAW, make_cid
from storage.unixfs_import import Importer
from tests.unit.network.protocol_world import one_of_each
from tests.vectors.records.world import World, identity, tree
from verifier.model import Input, Task, load_node, store_node

PEER = identity(1).peer


def block(number, size=10):
    data = bytes([number]) * size
    return make_cid(RAW, data), data


def task_with(store, data):
    """Return a task over some data, whose function is here as well."""
    world = World()
    world.build()
    parts = load_node(world.store, world.task, Task)
    whole = load_node(world.store, parts.input, Input)
    input_ = store_node(store, dataclasses.replace(whole, data=data))
    return store_node(store, Task(function=parts.function, input=input_)), input_


def test_what_is_sealed_is_what_comes_out():
    blocks = [block(number, size) for number, size in ((1, 0), (2, 1), (3, 1_000))]
    parcel = seal(blocks)
    assert is_parcel(parcel)
    assert unseal(parcel, PEER) == blocks


def test_no_message_is_a_parcel_and_parcels_travel_in_bundles():
    messages = [encode(message) for _, message in one_of_each()]
    assert not any(map(is_parcel, messages))
    parts = [seal([block(1)]), messages[0]]
    assert split(join(parts), PEER) == parts


@pytest.mark.parametrize("change", ["cut", "more", "bytes", "no blocks", "hash", "too many", "too long", "no cid"])
def test_what_seal_does_not_make_is_refused(change):
    parcel = seal([block(1), block(2)])
    _, data = block(3)
    wrong = {
        "cut": parcel[:-1],
        "more": parcel + b"\x24",
        "bytes": parcel[:-1] + b"x",
        "no blocks": b"\1",
        "hash": seal([(bytes([1, RAW, 0x1E, 32]) + bytes(32), data)]),
        "too many": seal([block(number, 1) for number in range(MAX_BLOCKS + 1)]),
        "too long": seal([block(1, MAX_BYTES)]),
        "no cid": seal([(b"\x05\x05", data)]),
    }[change]
    with pytest.raises(RemoteProtocolError, match="malformed parcel") as caught:
        unseal(wrong, PEER)
    assert caught.value.peer == PEER


def test_a_task_is_packed_with_its_input_and_its_data_and_without_its_function():
    store = MemoryBlockStore()
    data = tree(store, {"a.txt": b"line 1\n"})
    task, input_ = task_with(store, data)
    blocks = unseal(pack(task, store), PEER)
    assert [cid for cid, _ in blocks[:3]] == [task, input_, data]
    assert all(store.get(cid) == block for cid, block in blocks)


def test_what_does_not_fit_is_left_out():
    store = MemoryBlockStore()
    data = Importer(store).bytes(bytes(2 * MAX_BYTES)).cid
    task, input_ = task_with(store, data)
    assert [cid for cid, _ in unseal(pack(task, store), PEER)] == [task, input_]
    many = tree(store, {f"{number}.txt": f"{number}".encode() * 40 for number in range(40)})
    task, input_ = task_with(store, many)
    parcel = pack(task, store)
    assert len(parcel) <= MAX_BYTES
    assert [cid for cid, _ in unseal(parcel, PEER)][:2] == [task, input_]


def test_what_is_not_here_or_damaged_is_left_to_be_asked_for():
    store = MemoryBlockStore()
    task, input_ = task_with(store, make_cid(DAG_PB, b"not here"))
    assert [cid for cid, _ in unseal(pack(task, store), PEER)] == [task, input_]
    assert pack(make_cid(RAW, b"no task"), store) == b""
