"""Conflicts between the outputs of shards as JSON, bounded: they are kept in the row of their job."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any, Final

from storage.cid import cid_text
from verifier.shard_merge import Conflict

MAX_CONFLICT_BYTES: Final = 256 << 10
"""Of their JSON: a path alone may have 32 kB."""


def conflict_list(conflicts: Iterable[Conflict]) -> list[dict[str, Any]]:
    """Return conflicts as JSON, the first ones if all are more than MAX_CONFLICT_BYTES."""
    listed: list[dict[str, Any]] = []
    room = MAX_CONFLICT_BYTES
    for one in conflicts:
        versions = [{"cid": cid_text(version.cid), "shard": version.shard} for version in one.versions]
        entry = {"path": one.path, "versions": versions, "has_more": one.has_more}
        room -= len(json.dumps(entry))
        if room < 0:
            break
        listed.append(entry)
    return listed
