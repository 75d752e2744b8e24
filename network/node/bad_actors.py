"""Nodes that break the rules on purpose (section 8 of the design): for tests of a network, and for `devstack`."""

from __future__ import annotations

import hashlib
import random
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from network.message_codec import encode, sign_commit
from network.messages import Accepted, Assign, Bid, Cancel, Close, Commit, Failed, Message, Reveal, Settled
from network.node.back_room import VARIABLE, BackRoom
from network.node.bad_actor import GUESSED_STATE, BadActor, Clock, Say, Sessions, commit_to_guess, guess
from runtime.engine import Execution
from storage.blocks import BlockStore
from storage.errors import UserError
from storage.unixfs_graft import graft
from storage.unixfs_import import Importer
from verifier.commitment import list_cid
from verifier.identity import Identity
from verifier.model import Commitment, EngineInfo, PeerId, Receipt
from verifier.receipt import sign_receipt

LATE_S: Final = 30.0
EAVESDROP_S: Final = 2.0
"""How long a copycat waits for somebody to overhear: requesters repeat an assignment after one and three seconds."""
ECHOES: Final = 3
"""How often a flooder says everything."""


class Liar(BadActor):
    """Claims another result, the same as every other liar, and really has it, for whoever fetches it."""

    def alter(self, execution: Execution, store: BlockStore) -> Execution:
        """Return the execution with a result that the function did not give."""
        result = Importer(store).bytes(b"a lie about " + execution.task)
        output = graft(store, execution.output, "result", result.cid)
        return replace(execution, output=output, state_digest=hashlib.sha256(output).hexdigest())


class BaitAndSwitch(BadActor):
    """Commits to one output and reveals another."""

    def utter(self, peer: PeerId, said: Message, say: Say) -> None:
        """Sign a receipt that its commitment does not cover."""
        if isinstance(said, Reveal):
            node = said.receipt.to_node() | {"output": guess(said.receipt.task)}
            said = replace(said, receipt=Receipt.from_node(self.identity.sign(node)))
        super().utter(peer, said, say)


class Mute(BadActor):
    """Commits and never reveals."""

    def utter(self, peer: PeerId, said: Message, say: Say) -> None:
        """Say everything but the receipt."""
        if not isinstance(said, Reveal):
            super().utter(peer, said, say)


class Late(BadActor):
    """Commits when the session is over, or after half a minute; it knows no deadline."""

    def __init__(self, identity: Identity, room: BackRoom, clock: Clock = time.monotonic) -> None:
        super().__init__(identity, room, clock)
        self._held: Sessions[tuple[float, Commit]] = Sessions()

    def utter(self, peer: PeerId, said: Message, say: Say) -> None:
        """Hold a commitment back; the machine says it again until it is acknowledged."""
        if isinstance(said, Commit):
            since, _ = self._held.setdefault(said.session, (self.clock(), said))
            if self.clock() - since < LATE_S:
                return
        super().utter(peer, said, say)

    def listen(self, peer: PeerId, said: Message, say: Say) -> bool:
        """Send what was held back as soon as nobody waits for it."""
        if isinstance(said, Settled | Cancel) and (held := self._held.pop(said.session, None)) is not None:
            say(peer, encode(held[1]))
        return True


class Equivocator(BadActor):
    """Commits twice, to two outputs."""

    def utter(self, peer: PeerId, said: Message, say: Say) -> None:
        """Say a second commitment behind the first."""
        super().utter(peer, said, say)
        if isinstance(said, Commit):
            task = said.commitment.task
            other = commit_to_guess(self.identity, task, nonce="ab" * 32)
            super().utter(peer, sign_commit(self.identity, said.session, other), say)


class Flooder(BadActor):
    """Says everything many times, and nonsense in between."""

    def utter(self, peer: PeerId, said: Message, say: Say) -> None:
        """Send a message among junk."""
        data = encode(said)
        junk = [
            secrets.token_bytes(200),
            data[:-1],
            data.replace(b"/1", b"/9", 1),
            data + bytes(5_000),
            encode(Bid(session=secrets.token_hex(32), engine="x", arch="y")),
            encode(Failed(session=secrets.token_hex(32), reason="nonsense")),
        ]
        for _ in range(ECHOES):
            say(peer, random.choice(junk))  # noqa: S311
            say(peer, data)


@dataclass(slots=True, kw_only=True)
class _Theft:
    since_s: float
    nonce: str
    commit: Commit | None = None


class Copycat(BadActor):
    """Never executes: signs the digest that it overheard as its own, or commits to a guess; reveals the guess."""

    def __init__(self, identity: Identity, room: BackRoom, clock: Clock = time.monotonic) -> None:
        super().__init__(identity, room, clock)
        self._thefts: Sessions[_Theft] = Sessions()

    def listen(self, peer: PeerId, said: Message, say: Say) -> bool:
        """Answer in the place of its machine, which would execute, and would not reveal a guess."""
        if isinstance(said, Assign):
            self._commit(peer, said, say)
            return False
        if isinstance(said, Close) and (theft := self._thefts.get(said.session)) is not None:
            say(peer, encode(Reveal(session=said.session, receipt=self._receipt(said, theft.nonce))))
            return False
        return True

    def _commit(self, peer: PeerId, assign: Assign, say: Say) -> None:
        blank = _Theft(since_s=self.clock(), nonce=secrets.token_hex(32))
        theft = self._thefts.setdefault(assign.session, blank)
        if theft.commit is None:
            overheard = self.room.overheard(assign.task, but=self.identity.peer)
            if overheard is None and self.clock() - theft.since_s < EAVESDROP_S:
                return  # the assignment is said again, since it is not accepted
            mine = commit_to_guess(self.identity, assign.task, nonce=theft.nonce)
            if overheard is not None:
                mine = Commitment.from_node(self.identity.sign(mine.to_node() | {"digest": overheard.digest}))
            theft.commit = sign_commit(self.identity, assign.session, mine)
            self.room.tell([mine])
        say(peer, encode(Accepted(session=assign.session)))
        say(peer, encode(theft.commit))

    def _receipt(self, close: Close, nonce: str) -> Receipt:
        task = close.commitments.task
        return sign_receipt(
            self.identity,
            task=task,
            output=guess(task),
            exit_code=0,
            fuel=None,
            state_digest=GUESSED_STATE,
            engine=EngineInfo(name="copycat", version="1", arch="none", isolation=()),
            nonce=nonce,
            round=list_cid(close.commitments),
        )


PERSONAS: Final[Mapping[str, type[BadActor]]] = {
    "liar": Liar,
    "copycat": Copycat,
    "bait-and-switch": BaitAndSwitch,
    "mute": Mute,
    "late": Late,
    "equivocator": Equivocator,
    "flooder": Flooder,
}


def persona_of(name: str, environment: Mapping[str, str]) -> Callable[[Identity], BadActor]:
    """Return what makes the bad actor of this name out of a node's identity.

    environment: may name the back room, `BACALHAU_BACK_ROOM`.

    Raises:
        UserError: there is none of this name.
    """
    kind = PERSONAS.get(name)
    if kind is None:
        raise UserError("is no bad actor", where=repr(name), fix=f"there are {', '.join(PERSONAS)}")
    directory = environment.get(VARIABLE, "")
    room = BackRoom(Path(directory) if directory else None)
    return lambda identity: kind(identity, room)
