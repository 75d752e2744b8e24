"""A download under way: bytes on disk that can be gone on with, and can never pass for the whole file.

Beside the bytes lies a mark: which version of which URL they are of (a strong ETag), how many are surely on disk, and
their hash. What lies behind the mark, or does not match it, is dropped: after a power cut a file may be as long as it
was and hold zeros. Not for two users at once; the caller holds a lock.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, BinaryIO, Final, Self

MARK_BYTES: Final = 16 << 20
"""A mark is set this often; as much is fetched again after the process was killed."""

_STRONG_ETAG: Final = re.compile(r'"[\x21\x23-\x7e\x80-\xff]{0,1024}"')
_SHA256: Final = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """What is known of the bytes on disk."""

    etag: str
    """Strong, with its quotes."""
    total: int | None
    """Bytes of the whole file; None if the server does not say."""
    done: int
    """Bytes on disk."""
    sha256: str
    """Of these."""


class PartialFile:
    """The bytes so far of one URL, `<url key>-<version key>.part` in `directory`; `close` it.

    Every method raises OSError where the disk refuses.
    """

    def __init__(self, directory: Path, url: str) -> None:
        self._directory = directory
        self._key = _key(url)
        self._file: BinaryIO | None = None
        self._path: Path | None = None
        self._hash = hashlib.sha256()
        self._mark: Mark | None = None
        self._marked = 0
        self.done = 0
        """Bytes so far."""

    @property
    def sha256(self) -> str:
        """The hash of the bytes so far."""
        return self._hash.hexdigest()

    def find(self) -> Mark | None:
        """Take up what an earlier download left, if it can be trusted; remove everything else of this URL."""
        for mark_path in sorted(self._directory.glob(f"{self._key}-*.json")):
            mark = _read_mark(mark_path)
            if mark is not None and self._take_up(mark):
                return mark
        self.discard()
        return None

    def begin(self, etag: str | None, total: int | None) -> None:
        """Begin anew. etag: of what comes; nothing can be gone on with if it is not a strong one."""
        self.discard()
        strong = etag if etag is not None and _STRONG_ETAG.fullmatch(etag) else None
        self._mark = None if strong is None else Mark(etag=strong, total=total, done=0, sha256=self.sha256)
        self._path = self._place(strong)
        self._file = self._path.open("x+b")

    def write(self, piece: bytes) -> None:
        """Append bytes."""
        self._opened().write(piece)
        self._hash.update(piece)
        self.done += len(piece)
        if self.done - self._marked >= MARK_BYTES:
            self.mark()

    def mark(self) -> None:
        """Put the bytes on disk and say so."""
        if self._mark is None or self._path is None or self.done == 0:
            return
        self._opened().flush()
        os.fsync(self._opened().fileno())
        mark = Mark(etag=self._mark.etag, total=self._mark.total, done=self.done, sha256=self.sha256)
        write_whole(self._path.with_suffix(".json"), asdict(mark))
        self._mark, self._marked = mark, self.done

    def read(self) -> BinaryIO:
        """Return the file from its start; it stays open until `close`."""
        self._opened().flush()
        self._opened().seek(0)
        return self._opened()

    def discard(self) -> None:
        """Remove all that is there of this URL."""
        self.close()
        for path in self._directory.glob(f"{self._key}-*"):
            path.unlink(missing_ok=True)
        self.done = self._marked = 0
        self._hash, self._mark, self._path = hashlib.sha256(), None, None

    def close(self) -> None:
        """Close the file and leave it, to be gone on with."""
        if self._file is not None:
            # A disk that is full must not hide why the download ended.
            with contextlib.suppress(OSError):
                self._file.close()
            self._file = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        if self._file is None:
            return
        with contextlib.suppress(OSError):
            self.mark()  # an interrupt must not cost what has come
            if self._mark is None:
                self.discard()
        self.close()

    def _take_up(self, mark: Mark) -> bool:
        path = self._place(mark.etag)
        try:
            file = path.open("r+b")
        except FileNotFoundError:
            return False
        found = _hash_of(file, mark.done)
        if found is None or found.hexdigest() != mark.sha256:
            file.close()
            return False
        file.truncate(mark.done)
        file.seek(mark.done)
        self._file, self._path, self._hash, self._mark = file, path, found, mark
        self.done = self._marked = mark.done
        return True

    def _place(self, etag: str | None) -> Path:
        return self._directory / f"{self._key}-{'unmarked' if etag is None else _key(etag)}.part"

    def _opened(self) -> BinaryIO:
        if self._file is None:
            raise ValueError("the download is not open")
        return self._file


def write_whole(path: Path, value: Any) -> None:
    """Write JSON to a file that is there whole, or as it was.

    Raises:
        OSError: the disk refuses.
    """
    descriptor, name = tempfile.mkstemp(prefix=".new-", dir=path.parent)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            json.dump(value, file)
            file.flush()
            os.fsync(file.fileno())
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def _read_mark(path: Path) -> Mark | None:
    try:
        mark = Mark(**json.loads(path.read_bytes()))
    except (ValueError, TypeError, OSError):
        return None
    numbers = (mark.done, mark.done if mark.total is None else mark.total)
    if not all(type(number) is int and 1 <= number < 1 << 63 for number in numbers) or numbers[0] > numbers[1]:
        return None
    texts = (mark.etag, mark.sha256)
    is_text = all(isinstance(text, str) for text in texts)
    return mark if is_text and _STRONG_ETAG.fullmatch(mark.etag) and _SHA256.fullmatch(mark.sha256) else None


def _hash_of(file: BinaryIO, count: int) -> Any:
    """Return the running hash of the first `count` bytes, or None if there are fewer."""
    found, left = hashlib.sha256(), count
    while left and (piece := file.read(min(left, 1 << 20))):
        found.update(piece)
        left -= len(piece)
    return None if left else found


def _key(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8")).hexdigest()[:32]
