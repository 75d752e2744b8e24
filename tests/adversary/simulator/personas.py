"""Nodes that break the rules on purpose: an honest machine with a hand on its mouth (section 8 of the design)."""

from __future__ import annotations

from network.message_codec import decode, encode, sign_commit
from network.messages import Bid, Close, Failed, Reveal
from tests.adversary.simulator.hosts import NodeHost, lie
from verifier.commitment import list_cid, sign_commitment
from verifier.model import Commitment, Receipt


class BadNode(NodeHost):
    is_honest = False

    def send(self, peer, data):
        message = decode(data, self.peer)
        self.speak(peer, message, data)

    def speak(self, peer, message, data):
        """Send what this persona says instead; by default what the machine says."""
        act = getattr(self, f"on_{type(message).__name__.lower()}", None)
        if act is None:
            super().send(peer, data)
        else:
            act(peer, message)

    def say(self, peer, message):
        super().send(peer, encode(message))


class Liar(BadNode):
    """Plays by the rules with a wrong output, the same as every other liar."""

    def answer(self, task):
        return lie(task)


class Copycat(BadNode):
    """Sends on the first commitment it overhears, as its own."""

    def on_commit(self, peer, commit):
        overheard = self.referee.overheard.get(commit.session, ())
        others = [one for one in overheard if one.node != self.peer]
        if others:
            self.say(peer, sign_commit(self.identity, commit.session, others[0]))
        else:
            self.world.at(1.0, self.on_commit, peer, commit)


class Resigner(Copycat):
    """Puts its own name and signature on the digest that it overheard, then reveals what others reveal."""

    def __init__(self, *arguments, **options):
        super().__init__(*arguments, **options)
        self.stolen = set()

    def on_commit(self, peer, commit):
        others = [one for one in self.referee.overheard.get(commit.session, ()) if one.node != self.peer]
        if others:
            node = commit.commitment.to_node() | {"digest": others[0].digest}
            stolen = Commitment.from_node(self.identity.sign(node))
            self.say(peer, sign_commit(self.identity, commit.session, stolen))
            self.stolen.add(commit.session)
        else:
            self.world.at(1.0, self.on_commit, peer, commit)

    def receive(self, peer, data):
        """Reveal by hand: the honest machine would refuse a list that does not hold its own commitment."""
        message = decode(data, peer)
        if isinstance(message, Close) and message.session in self.stolen:
            theirs = self.machine.tasks.get(message.session)
            if theirs is not None and theirs.participant is not None:
                receipt = theirs.participant._sign(list_cid(message.commitments))
                self.say(peer, Reveal(session=message.session, receipt=receipt))
            return
        super().receive(peer, data)


class BaitAndSwitch(BadNode):
    """Commits to one output and reveals another."""

    def on_reveal(self, peer, reveal):
        node = reveal.receipt.to_node() | {"output": lie(reveal.receipt.task)}
        self.say(peer, Reveal(session=reveal.session, receipt=Receipt.from_node(self.identity.sign(node))))


class Mute(BadNode):
    """Commits and never reveals."""

    def on_reveal(self, peer, reveal):
        pass


class Late(BadNode):
    """Commits after the deadline."""

    def on_commit(self, peer, commit):
        self.world.at(45.0, self._commit, peer, commit)

    def _commit(self, peer, commit):
        if self.is_up:
            self.say(peer, commit)


class Quitter(BadNode):
    """Commits, and then says that its host failed."""

    def on_reveal(self, peer, reveal):
        pass

    def on_commit(self, peer, commit):
        self.say(peer, commit)
        self.world.at(self.world.random.uniform(0, 3), self.say, peer, Failed(session=commit.session, reason="oops"))


class Equivocator(BadNode):
    """Commits twice, to two outputs."""

    def on_commit(self, peer, commit):
        other = sign_commitment(
            self.identity,
            task=commit.commitment.task,
            nonce="ab" * 32,
            output=lie(commit.commitment.task),
            state_digest="00" * 32,
        )
        both = [commit, sign_commit(self.identity, commit.session, other)]
        self.world.random.shuffle(both)
        for one in both:
            self.say(peer, one)


class DoubleRevealer(BadNode):
    """Reveals two different receipts for one commitment, and each of them several times."""

    def on_reveal(self, peer, reveal):
        node = reveal.receipt.to_node() | {"exit_code": 1}
        second = Reveal(session=reveal.session, receipt=Receipt.from_node(self.identity.sign(node)))
        for one in (reveal, reveal, second, second):
            self.say(peer, one)


class DoubleVoter(Liar):
    """A liar that reveals its lie three times over, hoping that somebody counts messages."""

    def on_reveal(self, peer, reveal):
        for fuel in (reveal.receipt.fuel, 1, 2):
            node = reveal.receipt.to_node() | {"fuel": fuel}
            self.say(peer, Reveal(session=reveal.session, receipt=Receipt.from_node(self.identity.sign(node))))


class Flooder(BadNode):
    """Says everything many times, and nonsense in between."""

    def speak(self, peer, message, data):
        draw = self.world.random
        junk = [
            draw.randbytes(draw.randrange(1, 200)),
            data[:-1],
            data.replace(b"/1", b"/9", 1),
            data + b"\0" * 5000,
            encode(Bid(session=draw.randbytes(32).hex(), engine="x", arch="y")),
            encode(Failed(session=draw.randbytes(32).hex(), reason="nonsense")),
        ]
        for one in (*draw.sample(junk, 3), data, data):
            NodeHost.send(self, peer, one)


PERSONAS = (
    Liar, Copycat, Resigner, BaitAndSwitch, Mute, Late, Quitter, Equivocator, DoubleRevealer, DoubleVoter, Flooder,
)  # fmt: skip
