"""Write the committed audit cases: `python -m tests.vectors.records.write_cases` from the top of the checkout.

A case is a JSON file: what it is, the record's CID, all blocks (base64 by CID), and what an audit by docs/audit.md must
give: the verdict, and the numbers of the checks that are false and unknown. Any implementation can run them. The end of
the file's name says the verdict: `_fail` is invalid, `_missing` is unchecked, anything else is valid.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from storage.blocks import MemoryBlockStore
from storage.cid import CID, cid_text
from tests.vectors.records.cases import BAD, GOOD, TOUCHED
from tests.vectors.records.world import KeptStore, World
from verifier.audit import audit_record

FOLDER = Path(__file__).parent / "audit"


def all_cases() -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield (file name, case)."""
    for name, (about, make) in GOOD.items():
        yield f"{name}.json", make_case(about, make(), lambda world, blocks: None)
    for name, (about, _, make) in BAD.items():
        yield f"{name}_fail.json", make_case(about, make(), lambda world, blocks: None)
    for name, (_, find) in TOUCHED.items():
        yield f"flipped-{name}_fail.json", make_case(f"one bit of a block is wrong: {name}", World(), flip(find))
        yield f"without-{name}_missing.json", make_case(f"a block is not here: {name}", World(), remove(find))


def flip(find: Callable[[World], CID]) -> Callable[[World, dict[CID, bytes]], None]:
    def damage(world: World, blocks: dict[CID, bytes]) -> None:
        data = bytearray(blocks[find(world)])
        data[len(data) // 2] ^= 1
        blocks[find(world)] = bytes(data)

    return damage


def remove(find: Callable[[World], CID]) -> Callable[[World, dict[CID, bytes]], None]:
    return lambda world, blocks: blocks.pop(find(world)) and None


def make_case(about: str, world: World, damage: Callable[[World, dict[CID, bytes]], None]) -> dict[str, Any]:
    """Build the world, damage its blocks, and write down what an audit says."""
    record = world.build()
    assert isinstance(world.store, KeptStore)
    blocks = dict(world.store.kept)
    damage(world, blocks)
    store = MemoryBlockStore()
    store.put_many(blocks.items())
    report = audit_record(store, record)
    return {
        "about": about,
        "record": cid_text(record),
        "verdict": report.verdict,
        "false": [check.n for check in report.checks if check.ok is False],
        "unknown": [check.n for check in report.checks if check.ok is None],
        "blocks": {cid_text(cid): base64.b64encode(data).decode() for cid, data in sorted(blocks.items())},
    }


def text_of(case: dict[str, Any]) -> str:
    """Return the file's content."""
    return json.dumps(case, indent=1, ensure_ascii=False) + "\n"


def main() -> None:
    FOLDER.mkdir(exist_ok=True)
    for old in FOLDER.glob("*.json"):
        old.unlink()
    for name, case in all_cases():
        (FOLDER / name).write_text(text_of(case), encoding="utf-8")


if __name__ == "__main__":
    main()
