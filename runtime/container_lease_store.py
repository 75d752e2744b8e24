"""Who owns containers: an id of this home, and one lock file for each process that has some, held while it lives.

A kill releases a lock and no label, so whatever carries the label of a lock that is free was left behind. The id is
random: two machines that use one engine from the same path do not sweep each other's containers.
"""

from __future__ import annotations

import contextlib
import os
import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from storage.errors import UnavailableError
from storage.file_lock import hold, hold_if_free

_ID: Final = re.compile(r"[0-9a-f]{32}")
_ID_FILE: Final = "id"


class ContainerLeases:
    """The leases in a directory, which is made on first use. Every method raises UnavailableError if it cannot be."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def home(self) -> str:
        """Return the id of this home, 32 hex digits, made on first use."""
        path = self._directory / _ID_FILE
        with self._explained():
            self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            if not path.exists():
                draft = self._directory / f".{_ID_FILE}-{secrets.token_hex(8)}"
                draft.write_text(secrets.token_hex(16), "ascii")
                with contextlib.suppress(FileExistsError):  # of two at once the first one's stays
                    os.link(draft, path)
                draft.unlink()
            text = path.read_text("ascii", "replace")
        if not _ID.fullmatch(text):
            fix = "delete it when no container of this home is left"
            raise UnavailableError("is damaged", where=str(path), fix=fix)
        return text

    @contextmanager
    def owned(self) -> Iterator[str]:
        """Own what is labelled with the owner that is yielded, for the length of a block."""
        owner = secrets.token_hex(16)
        with contextlib.ExitStack() as stack:
            with self._explained():
                self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
                stack.enter_context(hold(self._path(owner), lambda: None))
            yield owner

    @contextmanager
    def left_behind(self, owner: str) -> Iterator[bool]:
        """Tell whether an owner is gone, and keep it so for the length of a block; a label of another form never is."""
        if not _ID.fullmatch(owner):
            yield False
            return
        with contextlib.ExitStack() as stack:
            with self._explained():
                self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
                is_free = stack.enter_context(hold_if_free(self._path(owner)))
            yield is_free

    def _path(self, owner: str) -> Path:
        return self._directory / f"{owner}.lock"

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            problem = f"leases of containers cannot be kept: {(error.strerror or str(error)).lower()}"
            raise UnavailableError(
                problem, where=str(self._directory), fix="check the disk and its permissions"
            ) from error
