"""Messages on their way to peers: what travels together, and what becomes of it where there is no room."""

import trio
import trio.testing

from network.message_bundle import MAX_BYTES, SURE_BYTES, split
from network.node.outbox import FULL_S, Outbox
from network.transport import PeerRefusedError
from tests.vectors.records.world import identity

PEER = identity(1).peer
MESSAGES = [bytes([0xA1]) + number.to_bytes(2, "big") + bytes(997) for number in range(100)]


class Narrow:
    """A transport to a peer that has room for payloads of some size."""

    def __init__(self, room):
        self.room = room
        self.sizes = []
        self.refused = 0
        self.arrived = []

    async def send(self, peer, payload, *, deadline_s):
        await trio.lowlevel.checkpoint()
        if len(payload) > self.room:
            self.refused += 1
            raise PeerRefusedError("peer has too much to do", where=peer)
        self.sizes.append(len(payload))
        self.arrived += split(payload, peer)


def played(transport, *pauses_s):
    """Send all messages at once, as often as there are pauses before."""

    async def main():
        async with trio.open_nursery() as nursery:
            outbox = Outbox(transport, nursery, reach=_reached)
            for pause_s in pauses_s:
                await trio.sleep(pause_s)
                for message in MESSAGES:
                    outbox.send(PEER, message)

    trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0.01))


async def _reached(peer):
    return True


def test_what_waits_travels_together_up_to_the_bound():
    transport = Narrow(1 << 20)
    played(transport, 0)
    assert transport.arrived == MESSAGES
    assert len(transport.sizes) == 2
    assert max(transport.sizes) <= MAX_BYTES + 4 * len(MESSAGES) + 1


def test_a_peer_that_has_no_room_for_much_is_sent_little_and_nothing_is_lost():
    transport = Narrow(SURE_BYTES + 100)
    played(transport, 0, 1)
    assert transport.arrived == MESSAGES * 2
    assert transport.refused == 1, "it is not tried again at once: refusals are held against us"


def test_after_a_while_much_is_sent_again():
    transport = Narrow(SURE_BYTES + 100)
    played(transport, 0, FULL_S + 1)
    assert transport.refused == 2
    assert transport.arrived == MESSAGES * 2


def test_a_peer_that_takes_nothing_is_not_tried_without_end():
    transport = Narrow(10)
    played(transport, 0)
    assert transport.arrived == []
    assert transport.refused == 2
