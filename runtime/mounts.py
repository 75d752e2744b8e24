"""Where contents are mounted: which paths may stand beside or inside one another, and what nested ones amount to.

A volume inside another is put into it: `-v A:/ref -v B:/ref/sub` mounts one directory, A with B at `sub`. So what a
task is given depends on the contents alone, not on the order of flags, and a worker only knows mounts side by side.
"""

from __future__ import annotations

from collections.abc import Sequence

from runtime.arguments import check_disjoint
from storage.blocks import BlockStore
from storage.errors import UserError
from storage.unixfs_graft import graft
from verifier.model import Volume


def check_places(volumes: Sequence[str], *, data: str | None, outputs: Sequence[str]) -> None:
    """Refuse guest paths that stand in each other's way; a volume may lie in another volume, and nothing else may.

    data: where the input is mounted, if there is one.

    Raises:
        UserError: two overlap, or a volume's path is given twice.
    """
    repeated = {path for path in volumes if volumes.count(path) > 1}
    if repeated:
        fix = "give each volume its own path"
        raise UserError("two volumes are mounted here", where=f"-v {min(repeated)}", fix=fix)
    outer = [path for path in volumes if _holder(path, volumes) is None]
    check_disjoint([*outer, *([] if data is None else [data]), *outputs], "-v")


def nest(volumes: Sequence[Volume], store: BlockStore) -> tuple[Volume, ...]:
    """Return the volumes, sorted by path, with those that lie in another put into it; their directories are in `store`.

    Raises:
        UserError: one lies in a file or below a symlink.
        UnavailableError, VerificationError: a directory on the way is not here or malformed.
    """
    outer: list[Volume] = []
    # By names, so that what lies in a volume comes right after it.
    for volume in sorted(volumes, key=lambda volume: volume.path.split("/")):
        if outer and volume.path.startswith(f"{outer[-1].path}/"):
            outer[-1] = _put_into(outer[-1], volume, store)
        else:
            outer.append(volume)
    return tuple(sorted(outer, key=lambda volume: volume.path.encode()))


def _put_into(outer: Volume, inner: Volume, store: BlockStore) -> Volume:
    try:
        cid = graft(store, outer.cid, inner.path.removeprefix(f"{outer.path}/"), inner.cid)
    except UserError as error:
        problem = f"cannot lie in what is mounted at {outer.path}: {error.where} {error.problem}"
        raise UserError(problem, where=f"-v {inner.path}", fix=error.fix) from error
    return Volume(path=outer.path, cid=cid)


def _holder(path: str, volumes: Sequence[str]) -> str | None:
    return next((outer for outer in volumes if path.startswith(f"{outer}/")), None)
