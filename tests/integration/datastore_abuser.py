"""A node's memory under a stream of commits, whose contents follow from their numbers, until somebody kills it.

After each commit it says the number on stdout, one JSON object a line, flushed.
"""

from __future__ import annotations

import json
import random
import sys
from collections.abc import Iterator
from pathlib import Path

from network.node.datastore import (
    AddEvent,
    Change,
    Finish,
    JobState,
    Machine,
    MarkCancelled,
    Move,
    NotePeer,
    Put,
    Remove,
    Submit,
)
from network.node.sqlite_datastore import SqliteDatastore
from tests.unit.network.node.datastore_world import address, finished, job_name, peer, submission

COUNT = "count"
"""Entry of the requester that every commit puts first: its number."""


def changes_of(number: int) -> Iterator[Change]:
    """Yield the changes of a commit: small and large ones, of the jobs before it as well."""
    choice = random.Random(number)
    yield Put(machine=Machine.REQUESTER, key=COUNT, value=b"%d" % number)
    yield Submit(submission=submission(number, created_at=float(number)))
    for _ in range(choice.randrange(8)):
        key = str(choice.randrange(100))
        yield Put(machine=Machine.COMPUTE, key=key, value=choice.randbytes(choice.choice((300, 20_000))))
        yield Remove(machine=Machine.COMPUTE, key=str(choice.randrange(100)))
        earlier = choice.randrange(number) + 1
        yield AddEvent(job=job_name(earlier), at=float(number), kind="step", detail={"by": number})
        yield Move(job=job_name(earlier), state=choice.choice(tuple(JobState)), outcome=choice.randbytes(10))
        yield MarkCancelled(job=job_name(choice.randrange(number) + 1))
    yield Finish(job=finished(choice.randrange(number) + 1, exit_code=number % 256))
    yield NotePeer(peer=peer(choice.randrange(50)), address=address(number % 65536), at=float(number))


def main(path: Path) -> None:
    with SqliteDatastore(path) as store:
        done = int(store.entries(Machine.REQUESTER).get(COUNT, b"0"))
        while True:
            done += 1
            store.commit(changes_of(done))
            print(json.dumps({"done": done}), flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
