"""Homes of several nodes of one user share what may be deleted at any time, so that none of them fetches it again.

Shared are directories whose files are named by what they hold or by all that they depend on, appear whole by a rename
or under a lock, and are checked when they are used (decision 0038). Stores, keys and datastores are never shared.
"""

from __future__ import annotations

import os
from pathlib import Path

from bacalhau.home import Home
from storage.errors import UnavailableError


def share_caches(home: Home, other: Home) -> None:
    """Make `other`, with links to the caches of `home`; what is there already stays.

    Raises:
        UserError: it cannot be made or written to.
        UnavailableError: the disk is full.
    """
    home.create()
    other.create()
    for mine, theirs in zip(_caches(home), _caches(other), strict=True):
        try:
            mine.mkdir(mode=0o700, parents=True, exist_ok=True)
            if not os.path.lexists(theirs):
                theirs.symlink_to(mine, target_is_directory=True)
        except OSError as error:
            reason = (error.strerror or str(error)).lower()
            fix = "make room there, or name another folder"
            raise UnavailableError(f"cannot be made: {reason}", where=str(error.filename), fix=fix) from error


def _caches(home: Home) -> tuple[Path, ...]:
    return (home.cache_dir, home.runtimes_dir, home.wheels_dir, home.images_dir, home.modules_dir)
