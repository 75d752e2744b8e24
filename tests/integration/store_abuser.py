"""A process that adds, pins, unpins and collects, told what to do by a seed, until somebody kills it.

Before each step it says on stdout what it is about to take back, and after it what it has acknowledged; one JSON object
a line, flushed. What the two together allow is what must be found afterwards (test_store_kills.py).
"""

from __future__ import annotations

import json
import random
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

from storage import sqlite_log_writeback
from storage.cid import cid_text
from storage.errors import UserError
from storage.sqlite_block_store import SqliteBlockStore
from storage.sqlite_collection import collect
from storage.sqlite_pins import Pin, pin, pins, unpin
from storage.unixfs_import import Importer


def main(path: Path, seed: int) -> None:
    choice = random.Random(seed)
    sqlite_log_writeback.BESIDE_BYTES = 1 << 20  # so that each directory's log is written back beside the work
    for number in range(10_000):
        with SqliteBlockStore(path) as store:
            known = [one.name for one in pins(store)]
            step = choice.choices(("add", "unpin", "collect"), (6, 2, 1))[0]
            if step == "add":
                add(store, f"{seed}-{number}", choice)
            elif step == "unpin" and known:
                name = choice.choice(known)
                say(unpinning=name)
                with suppress(UserError):  # the other process was faster
                    unpin(store, name)
            elif step == "collect":
                collect(store, list, lambda _phrase: None)
                say(collected=number)


def add(store: SqliteBlockStore, name: str, choice: random.Random) -> None:
    """Import a directory: new files, one of several that all directories share, and one of three blocks."""
    importer = Importer(store)
    entries = {str(n): importer.bytes(choice.randbytes(choice.randrange(20_000))) for n in range(choice.randrange(5))}
    entries["shared"] = importer.bytes(b"shared %d" % choice.randrange(5))
    entries["large"] = importer.bytes(choice.randbytes((2 << 20) + 5))
    root = importer.directory(entries)
    pin(store, Pin(name=name, cid=root.cid, profile="unixfs-v1-2025", created_at=0))
    say(pinned=name, cid=cid_text(root.cid))


def say(**words: Any) -> None:
    print(json.dumps(words), flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
