"""What commands need that run nodes: the optional extra `network`."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Final

from storage.errors import UserError

NEEDED: Final = ("hypercorn", "libp2p", "starlette", "trio")


def require_network(command: str) -> None:
    """Refuse to go on without what a node needs beyond the base install.

    Raises:
        UserError: it is not installed.
    """
    missing = next((name for name in NEEDED if find_spec(name) is None), None)
    if missing is not None:
        fix = "install it: pip install 'bacalhau[network]'"
        raise UserError(f"a node needs the package {missing}", where=command, fix=fix)
