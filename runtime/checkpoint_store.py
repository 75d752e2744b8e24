"""Checkpoints on the disk: written whole or not at all, checked piece by piece as they are read, the oldest go first.

    <key>/<steps>-<answers>    one checkpoint: what the worker sent, then a trailer
    .partial-…                 being written

`key` is `checkpoint_model.key_name`; `answers` a hash of what the function's directory said until then. The trailer is
JSON with the hashes of all pieces, followed by its length and its own sha-256. May be deleted at any time.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import os
import re
import secrets
import struct
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, Final, Self

from runtime.checkpoint_model import Taken, answers_of, read_questions
from runtime.source_files import Entry
from storage.errors import VerificationError

DEFAULT_MAX_BYTES: Final = 2 << 30
"""Of all checkpoints of a home together."""
MOST_BYTES: Final = 256 << 20
"""Of one checkpoint; what is larger is not kept."""
PIECE_BYTES: Final = 1 << 20

_VERSION: Final = "checkpoint/1"
_NAME: Final = re.compile(r"[1-9]\d{0,6}-[0-9a-f]{64}")
_PARTIAL: Final = ".partial-"
_LEFT_OVER_S: Final = 3600.0
"""From this age on a file that is being written is one that somebody was killed over."""
_MOST_TRAILER_BYTES: Final = 4 << 20
_END: Final = struct.Struct("<I32s")
log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenCheckpoint:
    """One to go on from. The caller closes it."""

    path: Path
    file: BinaryIO
    steps: int
    state_bytes: int
    data_bytes: int
    _hashes: tuple[str, ...] = field(repr=False)

    def pieces(self) -> Iterator[bytes]:
        """Yield its bytes, each piece checked before.

        Raises:
            VerificationError: it was harmed, or the disk does not give it back.
        """
        left = self.state_bytes + self.data_bytes
        for number, expected in enumerate(self._hashes):
            try:
                self.file.seek(number * PIECE_BYTES)
                piece = self.file.read(min(PIECE_BYTES, left))
            except OSError as error:
                raise _harmed(self.path) from error
            if hashlib.sha256(piece).hexdigest() != expected:
                raise _harmed(self.path)
            left -= len(piece)
            yield piece

    def discard(self) -> None:
        """Remove it, if that can be done; a later run finds it harmed again."""
        with contextlib.suppress(OSError):
            self.path.unlink()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.file.close()


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckpointStore:
    """Checkpoints of one engine below a directory. For several threads and processes at once."""

    directory: Path
    """Beside those of other engines, with which it shares the room."""
    max_bytes: int = DEFAULT_MAX_BYTES

    def find(self, key: str, entries: Sequence[Entry]) -> OpenCheckpoint | None:
        """Return the one with the most steps that a function can go on from; those that were harmed are removed.

        entries: of the function's directory.
        """
        for path in self._of(key):
            try:
                found = _open(path, key, entries)
            except (OSError, VerificationError) as error:
                log.info("%s: %s", path, error)
                with contextlib.suppress(OSError):
                    path.unlink()
                continue
            if found is not None:
                with contextlib.suppress(OSError):
                    os.utime(path)
                return found
        return None

    def keep(self, key: str, taken: Taken, entries: Sequence[Entry], pieces: Iterator[bytes]) -> None:
        """Keep one, if there is room; all pieces are taken in any case.

        pieces: `state_bytes + data_bytes` bytes in all.
        """
        answers = answers_of(entries, taken.questions)
        partial = self.directory / f"{_PARTIAL}{secrets.token_hex(8)}"
        try:
            self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            (self.directory / key).mkdir(exist_ok=True)
            with partial.open("xb") as file:
                hashes = [_written(file, block) for block in _blocks(pieces)]
                _write_trailer(file, key, taken, answers, hashes)
            partial.rename(self.directory / key / f"{taken.steps}-{answers}")
            evict(self.directory.parent, self.max_bytes)
        except OSError as error:
            log.info("a checkpoint is not kept: %s", error)
        finally:
            with contextlib.suppress(OSError):
                partial.unlink(missing_ok=True)
            for _ in pieces:
                pass

    def _of(self, key: str) -> list[Path]:
        names = [path.name for path in _entries(self.directory / key) if _NAME.fullmatch(path.name)]
        most_steps_first = sorted(names, key=lambda name: (-int(name.partition("-")[0]), name))
        return [self.directory / key / name for name in most_steps_first]


def list_checkpoints(home: Path) -> list[tuple[Path, os.stat_result]]:
    """Return the checkpoints of all engines below a directory, the least recently used first."""
    found = []
    for path in (path for engine in _entries(home) for key in _entries(engine) for path in _entries(key)):
        with contextlib.suppress(OSError):
            found.append((path, path.stat()))
    return sorted(found, key=lambda one: (one[1].st_mtime_ns, one[0]))


def _entries(folder: Path) -> list[Path]:
    """Return what is in a folder; nothing if it is none, or another process was faster to remove it."""
    try:
        return list(folder.iterdir())
    except OSError:
        return []


def evict(home: Path, max_bytes: int) -> None:
    """Remove checkpoints of all engines until the rest has at most `max_bytes`, and what killed processes left."""
    found = list_checkpoints(home)
    total = sum(stat.st_size for _, stat in found)
    for path, stat in found:
        if total <= max_bytes:
            break
        with contextlib.suppress(OSError):
            path.unlink()
            total -= stat.st_size
            path.parent.rmdir()
    for path in home.glob(f"*/{_PARTIAL}*"):
        with contextlib.suppress(OSError):
            if time.time() - path.stat().st_mtime > _LEFT_OVER_S:
                path.unlink()


def _open(path: Path, key: str, entries: Sequence[Entry]) -> OpenCheckpoint | None:
    """Open a checkpoint; None if a function of these entries cannot go on from it, or it is gone.

    Raises:
        VerificationError: it was harmed.
        OSError: it cannot be read.
    """
    try:
        file = path.open("rb")
    except FileNotFoundError:
        return None
    try:
        trailer = _read_trailer(file, path, key)
        if answers_of(entries, read_questions(trailer["questions"])) != trailer["answers"]:
            file.close()
            return None
        return OpenCheckpoint(
            path=path,
            file=file,
            steps=trailer["steps"],
            state_bytes=trailer["state_bytes"],
            data_bytes=trailer["data_bytes"],
            _hashes=tuple(trailer["pieces"]),
        )
    except BaseException:
        file.close()
        raise


def _read_trailer(file: BinaryIO, path: Path, key: str) -> dict[str, Any]:
    """Read what was written last; what has the right hash is as it was written, and needs no other check."""
    size = file.seek(0, os.SEEK_END)
    if size < _END.size:
        raise _harmed(path)
    file.seek(size - _END.size)
    length, digest = _END.unpack(file.read(_END.size))
    if length > min(size - _END.size, _MOST_TRAILER_BYTES):
        raise _harmed(path)
    file.seek(size - _END.size - length)
    text = file.read(length)
    if hashlib.sha256(text).digest() != digest:
        raise _harmed(path)
    trailer: dict[str, Any] = json.loads(text)
    said = trailer["v"], trailer["key"], f"{trailer['steps']}-{trailer['answers']}"
    body_bytes = size - _END.size - length
    if said != (_VERSION, key, path.name) or trailer["state_bytes"] + trailer["data_bytes"] != body_bytes:
        raise _harmed(path)
    return trailer


def _write_trailer(file: BinaryIO, key: str, taken: Taken, answers: str, hashes: list[str]) -> None:
    trailer = {
        "v": _VERSION, "key": key, "steps": taken.steps, "questions": taken.questions, "answers": answers,
        "state_bytes": taken.state_bytes, "data_bytes": taken.data_bytes, "pieces": hashes,
    }  # fmt: skip
    text = json.dumps(trailer, separators=(",", ":")).encode()
    file.write(text + _END.pack(len(text), hashlib.sha256(text).digest()))


def _written(file: BinaryIO, block: bytes) -> str:
    file.write(block)
    return hashlib.sha256(block).hexdigest()


def _blocks(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """Yield the same bytes in blocks of 1 MiB, the last of which may be shorter."""
    waiting = bytearray()
    for piece in pieces:
        waiting += piece
        while len(waiting) >= PIECE_BYTES:
            yield bytes(waiting[:PIECE_BYTES])
            del waiting[:PIECE_BYTES]
    if waiting:
        yield bytes(waiting)


def _harmed(path: Path) -> VerificationError:
    return VerificationError("was harmed on the disk", where=os.fspath(path))
