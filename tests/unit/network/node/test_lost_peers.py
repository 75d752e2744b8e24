import trio
from trio.testing import MockClock

from network.node.lost_peers import LOST_AFTER_S, LostPeers


class Nodes:
    """Nodes that are awaited, of which some are reached."""

    def __init__(self, *awaited):
        self.awaited = set(awaited)
        self.connected = set()
        self.lost = []

    async def reach(self, peer):
        await trio.lowlevel.checkpoint()
        return peer in self.connected

    def lose(self, peer):
        self.lost.append((peer, trio.current_time()))
        self.awaited.discard(peer)

    async def during(self, seconds, *changes):
        """Look after them for some virtual seconds; changes: what to do, each at a time."""
        looking = LostPeers(awaited=lambda: frozenset(self.awaited), reach=self.reach, lose=self.lose)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(looking.run)
            for at, change in changes:
                await trio.sleep_until(at)
                change()
            await trio.sleep_until(seconds)
            nursery.cancel_scope.cancel()


def play(nodes, seconds, *changes):
    trio.run(nodes.during, seconds, *changes, clock=MockClock(autojump_threshold=0))
    return nodes.lost


def test_who_is_not_reached_for_long_is_lost():
    assert play(Nodes("a"), 60) == [("a", LOST_AFTER_S)]


def test_who_is_connected_is_not():
    nodes = Nodes("a")
    nodes.connected.add("a")
    assert play(nodes, 600) == []


def test_who_comes_back_in_time_is_not():
    nodes = Nodes("a")
    assert play(nodes, 600, (LOST_AFTER_S - 2, lambda: nodes.connected.add("a"))) == []


def test_who_goes_later_is_lost_later():
    nodes = Nodes("a")
    nodes.connected.add("a")
    [(peer, at)] = play(nodes, 100, (50, nodes.connected.clear))
    assert peer == "a"
    assert 50 + LOST_AFTER_S <= at <= 52 + LOST_AFTER_S


def test_who_is_not_awaited_any_more_is_not_lost():
    nodes = Nodes("a")
    assert play(nodes, 600, (LOST_AFTER_S - 2, nodes.awaited.clear)) == []


def test_who_is_awaited_again_can_be_lost_again():
    nodes = Nodes("a", "b")
    nodes.connected.add("b")
    assert [peer for peer, _ in play(nodes, 100, (50, lambda: nodes.awaited.add("a")))] == ["a", "a"]
