"""How many bids a requester schedules in a second on one core: bytes in, choice, assignments out as bytes.

`python -m tests.adversary.simulator.bids [TASKS]`: a job of that many tasks on 1,000 nodes, of which each takes every
offer. Counted is the processor time of the requester's machine for bids alone: decoding, choosing, the session's step,
what is to be persisted, and the encoded assignments and refusals; sockets and disk are not here.
"""

from __future__ import annotations

import sys
import time
from collections import deque

from network.message_codec import decode, encode, sign_capacity
from network.messages import Bid, Demand, EngineKind, Offer
from network.protocol_events import Action, Heard, Received, Send, Submitted
from network.requester import Requester
from network.session_events import Phase
from storage.cid import RAW, make_cid
from tests.adversary.simulator.hosts import UNIT, identity
from verifier.compare import make_rule

NODES = 1_000
ROOM = Demand(cpu_milli=64_000, memory=64 << 30, disk=0, gpus=0)
KIND = EngineKind(engine="pyodide", arch="x86_64")


def measure(tasks: int) -> tuple[int, int, float]:
    """Return bids handled, tasks assigned, and seconds of processor time."""
    requester = Requester(identity("requester"))
    requester.__class__ = type("Wide", (Requester,), {"window": lambda self, job: tasks})
    for number in range(NODES):
        node = identity(f"bids {number}")
        record = sign_capacity(node, sequence=1, total=ROOM, free=ROOM, engines=(KIND,))
        requester.handle(Heard(message=encode(record), via=node.peer))
    job = Submitted(
        job="b1" * 16,
        tasks=tuple(make_cid(RAW, f"task {number}".encode()) for number in range(tasks)),
        rule=make_rule(),
        demand=UNIT,
        seed="b2" * 32,
    )
    bids = deque(bids_of(requester.handle(job), requester))
    count, began = len(bids), time.process_time()
    while bids:
        requester.handle(bids.popleft())
    spent_s = time.process_time() - began
    return count, sum(task.phase is Phase.COMMITTING for task in requester.tasks.values()), spent_s


def bids_of(actions: tuple[Action, ...], requester: Requester) -> list[Received]:
    """Answer every offer among the actions with a bid."""
    found = []
    for action in actions:
        message = decode(action.message, requester.identity.peer) if isinstance(action, Send) else None
        if isinstance(message, Offer):
            bid = Bid(session=message.session, engine=KIND.engine, arch=KIND.arch)
            found.append(Received(peer=action.peer, message=encode(bid)))
    return found


def main() -> int:
    tasks = int(sys.argv[1]) if len(sys.argv) > 1 else 4_000
    count, assigned, spent_s = measure(tasks)
    print(f"{count} bids for {assigned} tasks in {spent_s:.2f} s of one core: {count / spent_s:,.0f} bids/s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
