"""The room for payloads: whatever some peers hold, there is some for the others."""

import pytest
import trio
import trio.testing
from hypothesis import given
from hypothesis import strategies as st

from network.transport import MAX_PAYLOAD_BYTES, PeerRefusedError, Transport
from network.transport_budget import MAX_EACH_BYTES, MAX_PEERS, OWN_BYTES, SHARED_BYTES, PayloadBudget
from network.transport_memory import MemoryNetwork
from storage.blocks import MemoryBlockStore
from tests.unit.network.transport_world import Echo, identity, on_trio
from verifier.peer_id import PeerId

PEERS = [identity(number).peer for number in range(10)]
MIB = 1 << 20


class Slow(Echo):
    """Is never done with what strangers send."""

    def __init__(self, friend: PeerId) -> None:
        super().__init__()
        self.friend = friend

    async def answer(self, peer: PeerId, payload: bytes) -> bytes:
        if peer != self.friend:
            self.asked += 1
            await trio.sleep_forever()
        return b"%d" % len(payload)


async def fill(transport: Transport, peer: PeerId, size: int) -> None:
    while True:
        try:
            await transport.request(peer, bytes(size), deadline_s=1e9)
        except PeerRefusedError:
            return


@on_trio
@pytest.mark.parametrize(
    ("strangers", "their_size", "honest_size"), [(4, MIB, MIB), (5, MIB // 4, MIB), (100, MIB // 16, OWN_BYTES)]
)
async def test_strangers_that_hold_all_they_may_keep_nobody_out(
    strangers: int, their_size: int, honest_size: int
) -> None:
    network, me, friend = MemoryNetwork(), identity(50), identity(51)
    slow = Slow(friend.peer)
    async with (
        network.join(me, slow, MemoryBlockStore()) as here,
        network.join(friend, Echo(), MemoryBlockStore()) as honest,
        trio.open_nursery() as nursery,
    ):
        for number in range(strangers):
            one = await nursery.start(stranger, network, number, me.peer, their_size)
            for _ in range(9):
                nursery.start_soon(fill, one, me.peer, their_size)
            await trio.testing.wait_all_tasks_blocked()  # it takes what it gets before the next one comes
        assert slow.asked * their_size > SHARED_BYTES // 2  # they do hold a lot
        await network.connect(friend.peer, me.peer)
        assert await honest.request(me.peer, bytes(honest_size), deadline_s=5) == b"%d" % honest_size
        assert friend.peer in here.connected()
        nursery.cancel_scope.cancel()


async def stranger(network, number, peer, size, *, task_status):
    async with network.join(identity(100 + number), Echo(), MemoryBlockStore()) as transport:
        await network.connect(identity(100 + number).peer, peer)
        task_status.started(transport)
        await trio.sleep_forever()


def test_who_is_refused_with_nothing_in_hand_is_not_to_blame():
    budget = PayloadBudget(shared=4 * MIB)
    for peer in PEERS[:3]:
        assert budget.take(peer, MIB)
    assert not budget.take(PEERS[3], MIB)
    assert [budget.holds(peer) for peer in PEERS[:4]] == [True, True, True, False]


def test_one_peer_has_its_bound_and_gets_back_what_it_gives_back():
    budget = PayloadBudget()
    assert budget.take(PEERS[0], MAX_EACH_BYTES - MAX_PAYLOAD_BYTES)
    assert budget.take(PEERS[0], MAX_PAYLOAD_BYTES)
    assert not budget.take(PEERS[0], 1)
    budget.give_back(PEERS[0], MAX_PAYLOAD_BYTES)
    assert budget.take(PEERS[0], 1)
    budget.give_back(PEERS[0], 1)
    budget.give_back(PEERS[0], MAX_EACH_BYTES - MAX_PAYLOAD_BYTES)
    assert not budget.holds(PEERS[0])
    assert budget.take(PEERS[0], MAX_EACH_BYTES)


def test_more_holders_than_there_can_be_connections_are_refused():
    budget = PayloadBudget()
    for number in range(MAX_PEERS):
        assert budget.take(PeerId(f"peer {number}"), 1)
    assert not budget.take(PEERS[0], 1)
    budget.give_back(PeerId("peer 0"), 1)
    assert budget.take(PEERS[0], 1)


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(1, MIB), st.booleans()), max_size=100))
def test_there_is_always_room_for_a_peer_that_holds_nothing(steps):
    budget = PayloadBudget(shared=2 * MIB)
    held: dict[PeerId, list[int]] = {peer: [] for peer in PEERS}
    for number, size, gives_back in steps:
        peer = PEERS[number]
        if gives_back and held[peer]:
            budget.give_back(peer, held[peer].pop())
        elif budget.take(peer, size):
            held[peer].append(size)
        assert sum(map(sum, held.values())) <= 2 * MIB + len(PEERS) * OWN_BYTES
        assert budget.take(identity(99).peer, OWN_BYTES)
        budget.give_back(identity(99).peer, OWN_BYTES)
