"""Clocks, randomness, arguments, waiting and ending of a WASI guest; and what all of it costs."""

import struct

import pytest

from runtime.entropy_stream import EntropyStream
from runtime.wasi_abi import EVENT, Errno
from runtime.wasi_imports import CALL_FUEL
from runtime.wasi_system import GuestExitError
from runtime.wasm_streams import OutputExceededError
from tests.unit.runtime.wasi_world import Tree, make_guest, subscription

EPOCH_NS = 946_684_800 * 10**9
CLOCK, READ, WRITE = 0, 1, 2


@pytest.fixture
def guest():
    return make_guest()


def clock(guest, number=0):
    assert guest.call("clock_time_get", number, 0, 0) == 0
    return guest.u64()


def after(user_data, timeout_ns, number=1, absolute=0):
    return subscription(user_data, CLOCK, struct.pack("<I4xQQH", number, timeout_ns, 0, absolute))


def poll(guest, *subscriptions):
    """Return (user data, errno, kind, bytes) of what happened."""
    guest.put(b"".join(subscriptions))
    assert guest.call("poll_oneoff", 4096, 20000, len(subscriptions), 0) == 0
    return [EVENT.unpack_from(guest.memory, 20000 + 32 * number)[:4] for number in range(guest.u32())]


def test_clocks_start_at_the_epoch_and_move_when_they_are_read(guest):
    assert clock(guest) == EPOCH_NS + 1000
    assert clock(guest, 1) == 2000
    assert clock(guest, 2) == 3000
    assert clock(guest, 3) == 4000
    assert clock(guest) == EPOCH_NS + 5000
    assert guest.call("clock_time_get", 4, 0, 0) == Errno.INVAL
    assert guest.call("clock_res_get", 0, 0) == 0
    assert guest.u64() == 1000
    assert clock(guest) == EPOCH_NS + 6000


def test_a_call_that_is_refused_moves_no_clock(guest):
    assert guest.call("clock_time_get", 0, 0, -4) == Errno.FAULT
    assert clock(guest) == EPOCH_NS + 1000


def test_sleeping_is_done_at_once_and_the_first_timer_wins(guest):
    assert poll(guest, after(7, 3 * 10**9), after(8, 10**9), after(9, 10**9)) == [(8, 0, CLOCK, 0), (9, 0, CLOCK, 0)]
    assert clock(guest, 1) == 10**9 + 1000
    assert poll(guest, after(1, EPOCH_NS + 5 * 10**9, number=0, absolute=1)) == [(1, 0, CLOCK, 0)]
    assert clock(guest) == EPOCH_NS + 5 * 10**9 + 1000
    assert poll(guest, after(1, 5, absolute=1)) == [(1, 0, CLOCK, 0)]  # it is over
    assert clock(guest) == EPOCH_NS + 5 * 10**9 + 2000
    assert poll(guest, after(1, (1 << 64) - 1)) == [(1, 0, CLOCK, 0)]
    assert clock(guest) == (1 << 64) - 1


def test_descriptors_are_ready_before_any_timer():
    tree = Tree(data=b"12345")
    guest = make_guest(tree, stdin=tree.entry(0))
    stdin, stdout = subscription(2, READ, struct.pack("<I", 0)), subscription(3, WRITE, struct.pack("<I", 1))
    assert poll(guest, after(1, 10**9), stdin, stdout) == [(2, 0, READ, 5), (3, 0, WRITE, 0)]
    assert clock(guest, 1) == 1000
    assert poll(guest, subscription(4, READ, struct.pack("<I", 77))) == [(4, Errno.BADF, READ, 0)]
    assert poll(guest, after(5, 1, number=9)) == [(5, Errno.INVAL, CLOCK, 0)]
    assert guest.call("poll_oneoff", 4096, 20000, 0, 0) == Errno.INVAL
    guest.put(subscription(6, 3, b""))
    assert guest.call("poll_oneoff", 4096, 20000, 1, 0) == Errno.INVAL


def test_random_bytes_are_one_stream_however_they_are_asked_for():
    def drawn(*lengths):
        stream = EntropyStream("00" * 32)
        tree = Tree()
        tree.draw = stream.draw
        guest = make_guest(tree)
        got = b""
        for length in lengths:
            assert guest.call("random_get", 100, length) == 0
            got += bytes(guest.memory[100 : 100 + length])
        return got

    whole = drawn(9000)
    # RFC 8439 with key, nonce and counter of zero; as tests/unit/js_host/entropy.test.mjs has it.
    assert whole.hex().startswith("76b8e0ada0f13d90405d6ae55386bd28bdd219b8a08ded1aa836efcc8b770dc7")
    assert drawn(1, 0, 4095, 4096, 808) == whole
    assert drawn(5000, 4000) == whole
    assert make_guest().call("random_get", 100, -1) == Errno.FAULT


def test_arguments_and_variables_are_those_of_the_task(guest):
    assert guest.call("args_sizes_get", 0, 4) == 0
    assert (guest.u32(0), guest.u32(4)) == (3, len(b"main.wasm\0one\0zwei \xc3\xa9\0"))
    assert guest.call("args_get", 0, 100) == 0
    assert guest.memory[100:122] == b"main.wasm\0one\0zwei \xc3\xa9\0"
    assert [guest.u32(at) for at in (0, 4, 8)] == [100, 110, 114]
    assert guest.call("environ_get", 0, 100) == 0
    assert guest.memory[100:108] == b"A=1\0B=2\0"
    assert guest.call("args_get", 0, -4) == Errno.FAULT


def test_a_guest_ends_by_its_own_word(guest):
    for code, ended in ((0, 0), (7, 7), (256 + 9, 9), (-1, 255)):
        with pytest.raises(GuestExitError) as stopped:
            guest.call("proc_exit", code)
        assert stopped.value.code == ended
    with pytest.raises(GuestExitError) as stopped:
        guest.call("proc_raise", 6)
    assert stopped.value.code == 134
    assert guest.call("proc_raise", 0) == 0
    assert guest.call("proc_raise", 99) == Errno.INVAL


def test_there_are_no_sockets(guest):
    assert guest.call("sock_accept", 3, 0, 0) == Errno.NOTSOCK
    assert guest.call("sock_send", 1, 0, 0, 0, 0) == Errno.NOTSOCK
    assert guest.call("sock_recv", 55, 0, 0, 0, 0, 0) == Errno.BADF


def test_output_has_an_end_and_what_fits_is_kept():
    guest = make_guest(output_bytes=10)
    assert guest.write(2, b"123") == 0
    with pytest.raises(OutputExceededError):
        guest.write(1, b"0123456789")
    assert guest.world.stdout.content == b"0123456"


def test_what_a_call_costs_follows_what_the_host_does(guest):
    guest.host.spent()
    guest.call("sched_yield")
    assert guest.host.spent() == CALL_FUEL
    guest.call("random_get", 0, 10_000)
    assert guest.host.spent() == CALL_FUEL + 10_000
    fd = guest.opened("tmp/x", opening=1, rights=-1)
    guest.host.spent()
    guest.call("fd_filestat_set_size", fd, 500_000)
    assert guest.host.spent() >= CALL_FUEL + 500_000
    guest.call("fd_filestat_set_size", fd, 0)
    assert guest.host.spent() >= CALL_FUEL + 500_000
    guest.path("path_filestat_get", "tmp/../" * 300 + "tmp", 0, before=(3, 1))
    assert guest.host.spent() > 600 * 1000
