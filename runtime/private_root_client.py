"""A private file system: an empty, read-only root that holds some files and directories of the host, read-only.

Works in a mount namespace of one's own, and never touches the host's. Imported by the launcher of a jail.
"""

from __future__ import annotations

import os
import stat

from runtime.linux_client import call, mount, system_call

TYPE_CHECKING = False  # as type checkers know it; importing typing takes longer than building the jail
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Final

_MS_RDONLY, _MS_NOSUID, _MS_NODEV, _MS_NOEXEC = 1, 2, 4, 8
_MS_REMOUNT, _MS_NOATIME, _MS_NODIRATIME, _MS_BIND = 32, 1024, 2048, 4096
_MS_REC, _MS_PRIVATE, _MS_RELATIME = 1 << 14, 1 << 18, 1 << 21
_ST_RELATIME: Final = 4096
_SEALED: Final = _MS_RDONLY | _MS_NOSUID | _MS_NODEV
_MNT_DETACH: Final = 2

_OPEN_TREE, _MOVE_MOUNT = 428, 429
"""Numbers of the calls, the same on all architectures, since Linux 5.2."""
_OPEN_TREE_CLONE: Final = 1
_MOVE_MOUNT_F_EMPTY_PATH: Final = 4
_AT_FDCWD: Final = -100

_WORKSHOP: Final = "/tmp"  # noqa: S108  a place to mount on; nothing is written to the directory
_OPTIONS: Final = "mode=0755,size=1m,nr_inodes=1k"


def enter_private_root(binds: Sequence[tuple[str, str]]) -> None:
    """Make the root and go there. binds: path on the host, path inside.

    Raises:
        OSError: a step is not allowed, or a path on the host is not there.
    """
    mount("none", "/", None, _MS_REC | _MS_PRIVATE)
    # The trees are taken before the new root covers a directory that may hold them.
    trees = [
        (system_call(_OPEN_TREE, _AT_FDCWD, os.fsencode(source), _OPEN_TREE_CLONE), target) for source, target in binds
    ]
    mount("tmpfs", _WORKSHOP, "tmpfs", _MS_NOSUID | _MS_NODEV, _OPTIONS)
    os.chdir(_WORKSHOP)
    for tree, target in trees:
        _place(tree, target.lstrip("/"))
    system_call("pivot_root", b".", b".")
    call("umount2", b".", _MNT_DETACH)
    os.chdir("/")
    mount("none", "/", None, _MS_REMOUNT | _MS_BIND | _SEALED)


def _place(tree: int, target: str) -> None:
    is_directory = stat.S_ISDIR(os.fstat(tree).st_mode)
    os.makedirs(target if is_directory else os.path.dirname(target) or ".", mode=0o755, exist_ok=True)  # noqa: PTH103,PTH120
    if not is_directory:
        os.close(os.open(target, os.O_CREAT | os.O_WRONLY | os.O_CLOEXEC, 0o444))
    system_call(_MOVE_MOUNT, tree, b"", _AT_FDCWD, os.fsencode(target), _MOVE_MOUNT_F_EMPTY_PATH)
    os.close(tree)
    mount("none", target, None, _MS_REMOUNT | _MS_BIND | _SEALED | _kept_flags(target))


def _kept_flags(target: str) -> int:
    """Return the flags of a mount that whoever is not its owner may not take away."""
    found = os.statvfs(target).f_flag
    flags = found & (_MS_NOEXEC | _MS_NOATIME | _MS_NODIRATIME)
    return flags | (_MS_RELATIME if found & _ST_RELATIME else 0)
