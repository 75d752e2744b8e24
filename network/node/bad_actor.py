"""What all bad actors have: a hand on an honest machine's mouth and ears, and what they remember.

A persona keeps nothing on disk: after a restart it has forgotten what it had begun, as liars do.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Final, Generic, TypeAlias, TypeVar

from network.message_codec import decode, encode
from network.messages import Close, Commit, Message
from network.node.back_room import BackRoom
from network.protocol_errors import RemoteProtocolError
from runtime.engine import Execution
from storage.blocks import BlockStore
from storage.cid import CID, RAW, make_cid
from verifier.commitment import sign_commitment
from verifier.identity import Identity
from verifier.model import Commitment, PeerId

Say: TypeAlias = Callable[[PeerId, bytes], None]
Clock: TypeAlias = Callable[[], float]
T = TypeVar("T")

MAX_SESSIONS: Final = 1_000
"""That a bad actor remembers, the oldest forgotten first."""
GUESSED_STATE: Final = "00" * 32


class BadActor:
    """Plays by the rules, but tells the back room of every commitment that it makes or sees. Others build on it."""

    def __init__(self, identity: Identity, room: BackRoom, clock: Clock = time.monotonic) -> None:
        """Make one. clock: seconds that never go back."""
        self.identity = identity
        self.room = room
        self.clock = clock

    def alter(self, execution: Execution, store: BlockStore) -> Execution:  # noqa: ARG002
        """Return what it claims that an execution gave; see `Persona`."""
        return execution

    def speak(self, peer: PeerId, message: bytes, say: Say) -> None:
        """Send what stands in for a message; see `Persona`."""
        said = decode(message, self.identity.peer)
        if isinstance(said, Commit):
            self.room.tell([said.commitment])
        self.utter(peer, said, say)

    def hear(self, peer: PeerId, message: bytes, say: Say) -> bool:
        """Look at what arrived; see `Persona`."""
        try:
            said = decode(message, peer)
        except RemoteProtocolError:
            return True
        if isinstance(said, Close):
            self.room.tell(said.commitments.commitments)
        return self.listen(peer, said, say)

    def utter(self, peer: PeerId, said: Message, say: Say) -> None:
        """Send what stands in for what the machine says."""
        say(peer, encode(said))

    def listen(self, peer: PeerId, said: Message, say: Say) -> bool:  # noqa: ARG002
        """Look at what a peer says; tell whether the machine is to have it."""
        return True


class Sessions(OrderedDict[str, T], Generic[T]):
    """What a bad actor remembers, by session: bounded, the oldest forgotten first."""

    def __setitem__(self, session: str, value: T) -> None:
        super().__setitem__(session, value)
        if len(self) > MAX_SESSIONS:
            self.popitem(last=False)


def guess(task: CID) -> CID:
    """Return an output that nobody has."""
    return make_cid(RAW, b"a guess about " + task)


def commit_to_guess(identity: Identity, task: CID, *, nonce: str) -> Commitment:
    """Return a commitment to the guess, without having executed anything."""
    return sign_commitment(identity, task=task, nonce=nonce, output=guess(task), state_digest=GUESSED_STATE)
