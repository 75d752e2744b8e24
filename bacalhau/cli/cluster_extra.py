"""What `serve --workers` needs beyond a node: the optional extra `cluster`."""

from __future__ import annotations

from importlib.util import find_spec

from storage.errors import UserError


def require_cluster(flag: str) -> None:
    """Refuse to go on without what a cluster needs.

    Raises:
        UserError: it is not installed.
    """
    if find_spec("distributed") is None:
        fix = "install it: pip install 'bacalhau[network,cluster]'"
        raise UserError("a cluster needs the package distributed", where=flag, fix=fix)
