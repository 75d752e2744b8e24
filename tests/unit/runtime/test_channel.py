"""A node's door and the channels behind it: strangers, frames that are none, and hanging up."""

import queue
import socket
import struct
import threading

import pytest

from runtime import door_transport
from runtime.channel_transport import MAX_BLOCK_BYTES, Channel
from runtime.cluster import LostWorkerError
from runtime.door_transport import MAX_GREETINGS, Door, dial
from storage.block_source import BlockAbsentError
from storage.blocks import MemoryBlockStore
from storage.cid import RAW, make_cid
from storage.errors import PeerError, UnavailableError, UserError

DATA = b"x" * MAX_BLOCK_BYTES
CID = make_cid(RAW, DATA)


@pytest.fixture
def door():
    door = Door("127.0.0.1")
    yield door
    door.close()


@pytest.fixture
def ends():
    """Two ends of a channel."""
    mine, other = (Channel(end, name) for end, name in zip(socket.socketpair(), ("other", "me"), strict=True))
    yield mine, other
    mine.close()
    other.close()


def place_of(door):
    return "127.0.0.1", int(door.contact.rpartition(":")[2])


def test_who_has_a_ticket_comes_in_as_often_as_it_likes_and_others_do_not(door):
    came = queue.SimpleQueue()
    with door.expecting(came.put) as ticket, door.expecting(came.put) as other:
        assert len(ticket) == 64
        assert ticket != other
        for _ in range(2):
            with dial(door.contact, ticket, None) as connection, came.get() as arrived:
                arrived.sendall(b"hello")
                assert connection.recv(5) == b"hello"
        for wrong in ("0" * 64, ticket[:63] + "x"):
            with dial(door.contact, wrong, None) as connection:
                assert connection.recv(1) == b""
    with dial(door.contact, ticket, None) as connection:
        assert connection.recv(1) == b""
    assert came.empty()


def test_strangers_that_say_nothing_are_few(door):
    with door.expecting(lambda connection: None):
        strangers = [socket.create_connection(place_of(door)) for _ in range(MAX_GREETINGS)]
        with socket.create_connection(place_of(door)) as one_too_many:
            assert one_too_many.recv(1) == b""
        for stranger in strangers:
            stranger.close()


def test_a_stranger_that_says_nothing_is_hung_up_on(door, monkeypatch):
    monkeypatch.setattr(door_transport, "GREETING_S", 0.01)
    with socket.create_connection(place_of(door)) as stranger:
        assert stranger.recv(1) == b""


def test_a_closed_door_cannot_be_dialled(door):
    door.close()
    with pytest.raises(UnavailableError, match="cannot be reached") as raised:
        dial(door.contact, "0" * 64, None)
    assert "--workers-contact" in raised.value.fix


def test_a_node_with_tls_is_not_dialled_without(door):
    with pytest.raises(UnavailableError, match="this worker has no certificate"):
        dial(door.contact.replace("tcp:", "tls:"), "0" * 64, None)


def test_an_address_of_another_machine_is_no_place_for_a_door():
    with pytest.raises(UserError, match="cannot listen there"):
        Door("192.0.2.1")


def test_blocks_are_asked_for_and_checked(ends):
    mine, other = ends
    store = MemoryBlockStore()
    store.put(CID, DATA)

    def answer():
        other.answer(other.hear(), store)
        other.answer(other.hear(), MemoryBlockStore())
        other.hear()
        other.tell({"type": "block"}, b"y")
        other.hear()
        other.tell({"type": "done"})

    thread = threading.Thread(target=answer)
    thread.start()
    assert mine.block(CID) == DATA
    with pytest.raises(BlockAbsentError, match="not in this store"):
        mine.block(CID)
    with pytest.raises(PeerError, match="sent bytes that are not"):
        mine.block(CID)
    with pytest.raises(PeerError, match="answered with 'done'"):
        mine.block(CID)
    assert list(mine.dag(CID)) == []
    thread.join()


@pytest.mark.parametrize(
    "junk",
    [
        b"",
        b"GET / HTTP/1.1\r\n\r\n",
        struct.pack("<II", 2, MAX_BLOCK_BYTES + 1) + b"{}",
        struct.pack("<II", 2, 0) + b"{}",
        struct.pack("<II", 2, 0) + b"[]",
        struct.pack("<II", 1 << 31, 0),
        struct.pack("<II", 16, 4) + b'{"type":"block"}' + b"abc",
    ],
)
def test_whoever_does_not_send_frames_is_lost(ends, junk):
    mine, other = ends
    other._connection.sendall(junk)
    other.hang_up()
    with pytest.raises(LostWorkerError):
        mine.hear()


def test_hanging_up_is_noticed_while_nothing_is_asked(ends):
    mine, other = ends
    gone = threading.Event()
    with mine.watched(gone.set):
        other.hang_up()
        gone.wait()


def test_answers_are_not_taken_for_hanging_up(ends):
    mine, other = ends
    store = MemoryBlockStore()
    store.put(CID, DATA)
    gone = threading.Event()

    def answer():
        for _ in range(5):
            other.answer(other.hear(), store)

    thread = threading.Thread(target=answer)
    thread.start()
    with mine.watched(gone.set):
        for _ in range(5):
            mine.block(CID)
    thread.join()
    assert not gone.is_set()


def test_whoever_waits_is_let_go_by_hanging_up(ends):
    mine, _ = ends
    failed = queue.SimpleQueue()

    def hear():
        try:
            mine.hear()
        except LostWorkerError as error:
            failed.put(error)

    thread = threading.Thread(target=hear)
    thread.start()
    mine.hang_up()
    assert failed.get().problem == "other is lost"
    thread.join()
