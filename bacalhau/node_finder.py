"""Finds the node that commands talk to: the one that BACALHAU_API names, else the one that runs on this home.

The token goes only to who answers as the node that wrote `node.json`, and only while its process lives and is ours:
a stale file must not hand the token to whoever has the port now. Imports nothing of HTTP where no node is.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from bacalhau.api_token import is_token, load_token
from bacalhau.home import VARIABLE as HOME_VARIABLE
from bacalhau.home import Home
from storage.errors import UnavailableError, UserError

if TYPE_CHECKING:
    from bacalhau.node_client import NodeClient

VARIABLE: Final = "BACALHAU_API"
TOKEN_VARIABLE: Final = "BACALHAU_API_TOKEN"  # noqa: S105  a name
_ANSWER_S: Final = 5.0
_MAX_FILE_BYTES: Final = 64 << 10


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeFile:
    """What a running node wrote down."""

    api: str
    peer: str
    pid: int


def find_node(home: Home, environment: Mapping[str, str]) -> NodeClient | None:
    """Return the node to talk to, None without one; the caller closes it.

    Raises:
        UserError: what names it is malformed, or there is no token for it.
        UnavailableError: it is named or runs, and does not answer.
    """
    url = environment.get(VARIABLE, "")
    if url:
        return _named(url, home, environment)
    found = read_node_file(home)
    return None if found is None or not _is_alive(found.pid) else _local(found, home)


def read_node_file(home: Home) -> NodeFile | None:
    """Return what `node.json` says; None if it is not there, or is not what a node writes."""
    try:
        with home.node_path.open("rb") as file:
            said = json.loads(file.read(_MAX_FILE_BYTES))
    except (OSError, ValueError, RecursionError):
        return None
    if not isinstance(said, dict):
        return None
    api, peer, pid = said.get("api"), said.get("peer"), said.get("pid")
    if not isinstance(api, str) or not isinstance(peer, str) or type(pid) is not int or pid <= 0:
        return None
    return NodeFile(api=api, peer=peer, pid=pid)


def _named(url: str, home: Home, environment: Mapping[str, str]) -> NodeClient:
    from bacalhau.node_client import NodeClient

    token = environment.get(TOKEN_VARIABLE, "") or _own_token(home)
    if not is_token(token):
        raise UserError("is no token of 64 hex digits", where=TOKEN_VARIABLE, fix="see api-token of the node")
    local = read_node_file(home)
    client = NodeClient(url, token, is_elsewhere=True)
    try:
        peer = client.health(silence_s=_ANSWER_S)["peer"]
    except BaseException:
        client.close()
        raise
    client.is_elsewhere = local is None or local.peer != peer
    return client


def _own_token(home: Home) -> str:
    try:
        return load_token(home.api_token_path)
    except FileNotFoundError as error:
        fix = f"set {TOKEN_VARIABLE} to what is in api-token of the node's {HOME_VARIABLE}"
        raise UserError("names a node, and there is no token for it", where=VARIABLE, fix=fix) from error


def _local(found: NodeFile, home: Home) -> NodeClient | None:
    from bacalhau.node_client import NodeClient

    client = NodeClient(found.api, "", is_elsewhere=False)
    try:
        answers = client.health(silence_s=_ANSWER_S)["peer"] == found.peer
    except UnavailableError as error:
        if "nothing answers" in error.problem:
            return None  # stopped without saying so; its process id is somebody else's now
        fix = "look at its log, or run with --local"
        raise UnavailableError(f"a node runs here (process {found.pid}) and {error.problem}", fix=fix) from error
    finally:
        client.close()
    return NodeClient(found.api, load_token(home.api_token_path), is_elsewhere=False) if answers else None


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except (OSError, OverflowError):  # gone, or somebody else's
        return False
    return True
