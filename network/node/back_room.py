"""Where bad actors of one `devstack` tell each other what they commit to and what they see: a directory.

Honest nodes talk over encrypted connections, so this is all that a copycat can overhear. Reads and writes small files
without a thread: it slows down nobody but a bad actor.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from runtime.wheel_store import write_whole
from storage import dag_cbor
from storage.cid import CID, cid_text
from storage.errors import VerificationError
from verifier.model import Commitment, PeerId

VARIABLE: Final = "BACALHAU_BACK_ROOM"
MAX_BYTES: Final = 1 << 10
"""Of a commitment; they have some 300."""
MAX_LOOKED_AT: Final = 1_000
"""Commitments to one task."""


@dataclass(frozen=True, slots=True)
class BackRoom:
    """One file for each commitment, `TASK/PEER`; None: there is nobody to talk to."""

    directory: Path | None = None

    def tell(self, commitments: Iterable[Commitment]) -> None:
        """Leave commitments for the others; a full disk keeps them a secret."""
        if self.directory is None:
            return
        for one in commitments:
            with contextlib.suppress(OSError):
                write_whole(self.directory / cid_text(one.task) / one.node, dag_cbor.encode(one.to_node()))

    def overheard(self, task: CID, *, but: PeerId) -> Commitment | None:
        """Return a commitment to the task that is not by `but`, the first by name; None if there is none."""
        if self.directory is None:
            return None
        with contextlib.suppress(OSError):
            for path in sorted((self.directory / cid_text(task)).iterdir())[:MAX_LOOKED_AT]:
                found = _read(path)
                if found is not None and found.task == task and found.node != but:
                    return found
        return None


def _read(path: Path) -> Commitment | None:
    try:
        with path.open("rb") as file:
            return Commitment.from_node(dag_cbor.decode(file.read(MAX_BYTES)))
    except (OSError, VerificationError):
        return None  # one that is being written has another name, so this is no commitment
