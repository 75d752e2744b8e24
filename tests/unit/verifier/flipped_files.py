"""Sound files to flip bits of, and `python -m tests.unit.verifier.flipped_files merge|record|graph [STEP]`.

The command flips every bit of every STEPth byte, one at a time, and has the whole audit look at each of these files, in
one process for each core: `make flip FILE=merge`. It ends with 1 if one of them is taken for the sound file.
"""

from __future__ import annotations

import io
import multiprocessing
import os
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from storage.car_block_store import CarBlockStore
from storage.cid import CID, DAG_CBOR, make_cid
from storage.varint import decode_varint
from tests.vectors.audit.car_writing import car, header, reachable
from tests.vectors.audit.graph_shelf import NOWHERE, Shelf
from tests.vectors.audit.merge_contents import TWO
from tests.vectors.audit.merge_shelf import JobShelf, shard_world
from tests.vectors.records.world import KeptStore, World, tree
from verifier.audit_car import audit_car

BITS: Final = [1 << n for n in range(8)]
Kept = tuple[list[CID], dict[CID, bytes]]
"""Roots and blocks."""


@dataclass(frozen=True)
class Found:
    """What an audit says of a file."""

    verdict: str
    open: frozenset[tuple[int, bool | None]]
    """Numbers of checks that are not true, with what they are."""
    first: int | None
    """The first of them."""

    def is_worse_than(self, sound: Found) -> bool:
        """Tell whether nobody could take the file for the sound one."""
        return self.verdict == "invalid" or (self.verdict == "unchecked" and self.open > sound.open)


def audited(data: bytes) -> Found:
    report = audit_car(CarBlockStore(io.BytesIO(data)))
    checks = [*report.of_file.checks, *(check for _, one in report.records for check in one.checks)]
    states = [(check.n, check.ok) for check in checks if check.ok is not True]
    return Found(report.verdict, frozenset(states), states[0][0] if states else None)


def flipped(data: bytes, at: int, bit: int) -> bytes:
    return data[:at] + bytes([data[at] ^ bit]) + data[at + 1 :]


def record_file() -> Kept:
    """Return a record over 168 files: 200 blocks."""
    store = KeptStore()
    files = {f"part-{number // 20}/{number:03}.txt": b"content %d" % number for number in range(167)}
    volume = tree(store, files)
    edits = {"input": lambda node: node.update(volumes=[{"path": "/more", "cid": volume}])}
    return [World(store=store, edits=edits).build()], store.kept


def graph_file() -> Kept:
    """Return a graph of three records, in a log that has 150 others: 200 blocks."""
    others = [make_cid(DAG_CBOR, b"%d" % number) for number in range(150)]
    shelf = Shelf(log=lambda records: [*others[:70], records[0], *others[70:], *records[1:]])
    return [shelf.build()], shelf.blocks


def merge_file() -> Kept:
    """Return a graph of two shards, with their merge, a rival of one of them, and a log that has another record."""

    def rivals(store: KeptStore) -> list[CID]:
        return [shard_world(store, 0, {"day": {"log.txt": b"a lie"}}, {}).build()]

    shelf, _ = JobShelf(shards=TWO, rivals=rivals, log=lambda records: [records[0], NOWHERE, records[1]]).made()
    return [shelf.build()], shelf.blocks


FILES: Final[Mapping[str, Callable[[], Kept]]] = {"record": record_file, "graph": graph_file, "merge": merge_file}


def evidence(kind: str) -> tuple[bytes, list[int]]:
    """Return a sound file, and the offsets of its sections."""
    roots, kept = FILES[kind]()
    data = car(roots, reachable(kept, roots))
    starts, at = [], len(header(roots))
    while at < len(data):
        starts.append(at)
        size, body = decode_varint(data, at)
        at = body + size
    return data, starts


def _of_byte(asked: tuple[str, int]) -> list[tuple[int, int, Found]]:
    """Audit the file with each bit of one byte flipped."""
    kind, at = asked
    data = _DATA.get(kind) or _DATA.setdefault(kind, evidence(kind)[0])
    return [(at, bit, audited(flipped(data, at, bit))) for bit in BITS]


_DATA: Final[dict[str, bytes]] = {}
"""In each process, made once."""


def each_flip(kind: str, size: int, step: int) -> Iterator[tuple[int, int, Found]]:
    places = [(kind, at) for at in range(0, size, step)]
    with multiprocessing.Pool(os.cpu_count()) as pool:
        for some in pool.imap(_of_byte, places, chunksize=8):
            yield from some


def main(kind: str, step: int = 1) -> int:
    """Flip the bits of a file and say what came of it."""
    began, (data, starts) = time.monotonic(), evidence(kind)
    sound, counts, missed = audited(data), Counter[str](), []
    for at, bit, found in each_flip(kind, len(data), step):
        counts[f"{found.verdict} by check {found.first}"] += 1
        if not found.is_worse_than(sound):
            missed.append((at, bit))
    unsound = f" but for checks {sorted(n for n, _ in sound.open)}" if sound.open else ""
    print(f"{kind}: {len(starts)} blocks, {len(data)} bytes, sound{unsound}")
    print(f"{sum(counts.values())} bits of {len(data) * 8} flipped in {time.monotonic() - began:.0f} s: {dict(counts)}")
    print(f"{len(missed)} not found {missed[:20] if missed else ''}")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 1))
