"""Writes the source of a function to disk under a name that says what it is, for what reads functions from there."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from tempfile import mkdtemp

from storage.errors import UnavailableError


def materialise(files: Mapping[str, bytes], name: str, place: Path) -> Path:
    """Write files below `place` in a directory that is named by what is in it; all of it or nothing.

    Raises:
        UnavailableError: the disk refuses.
    """
    digest = hashlib.sha256(json.dumps({path: files[path].hex() for path in sorted(files)}).encode()).hexdigest()
    target = place / f"{name}-{digest[:32]}"
    if target.is_dir():
        return target
    try:
        place.mkdir(parents=True, exist_ok=True)
        scratch = Path(mkdtemp(prefix=".new-", dir=place))
        for path, content in files.items():
            (scratch / path).parent.mkdir(parents=True, exist_ok=True)
            (scratch / path).write_bytes(content)
        try:
            scratch.rename(target)
        except OSError:
            shutil.rmtree(scratch, ignore_errors=True)
            if not target.is_dir():  # else another thread or process was first, with the same content
                raise
    except OSError as error:
        reason = (error.strerror or os.strerror(error.errno or 0)).lower()
        raise UnavailableError(f"cannot be written: {reason}", where=str(target), fix="make room there") from error
    return target
