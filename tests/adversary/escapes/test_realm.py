"""JavaScript in Node's own realm, as if everything inside had failed: Node's permissions, and the jail behind them.

All layers up to the realm are off; the door that the weakened realm keeps is Node's `process`.
"""

from __future__ import annotations

import socket
import struct
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import pytest

from runtime.engine import UndeterminedError
from runtime.jail import JailReport, Level, at_level
from storage.errors import UnavailableError
from tests.adversary.escapes.attempt import javascript
from tests.requirements_gate import need

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(sys.platform != "linux", reason="paths and error numbers are those of Linux"),
]

LOST: Final = ("gate", "scripts", "code-generation", "realm")
JAILS: Final = (Level.NAMESPACES, Level.LANDLOCK)


def node(module: str) -> str:
    return f"door.getBuiltinModule('node:{module}')"


def spawn(program: str) -> str:
    call = f"{node('child_process')}.spawnSync({program}, {{stdio: 'ignore', input: '', env: {{}}}})"
    return f"(()=>{{ const done = {call}; if (done.error) throw done.error; return done.status; }})()"


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    path = tmp_path / "secret.txt"
    path.write_text("a secret")
    return path


def attempts(secret: Path) -> dict[str, str]:
    written = secret.with_name("written")
    return {
        "control": "typeof door.version",
        "read": f"{node('fs')}.readFileSync('{secret}', 'utf8')",
        "list": f"{node('fs')}.readdirSync('/').includes('etc')",
        "environment": f"{node('fs')}.readFileSync('/proc/self/environ').length >= 0",
        "write": f"{node('fs')}.writeFileSync('{written}', 'x') ?? 'written'",
        "change": f"{node('fs')}.chmodSync('{secret}', 0o600) ?? 'changed'",
        "shell": spawn("'/bin/sh'"),  # which ends with its input
        "itself": spawn("door.execPath"),
        "binding": "typeof door.binding('spawn_sync').spawn",
        "addon": f"door.dlopen({{exports: {{}}}}, '{secret}')",
        "wasi": f"typeof new ({node('wasi')}.WASI)({{version: 'preview1', preopens: {{'/': '/'}}}})",
        "database": f"typeof {node('sqlite')}",
        "directory": "door.chdir('/tmp') ?? door.cwd()",
    }


SUCCEEDED: Final = {
    "control": "string",
    "read": "a secret",
    "list": "true",
    "environment": "true",
    "write": "written",
    "change": "changed",
    "shell": "0",
    "itself": "0",
    "binding": "function",
    "addon": "threw ERR_DLOPEN_FAILED",
    "wasi": "object",
    "database": "undefined",
    "directory": "/tmp",
}
"""Without permissions and jail. The addon fails because it is none; the module of databases is off by a flag."""

NO_ACCESS: Final = "threw ERR_ACCESS_DENIED"
PERMISSION: Final = {
    **dict.fromkeys(SUCCEEDED, NO_ACCESS),
    "control": "string",
    "addon": "threw ERR_DLOPEN_DISABLED",
    "database": "undefined",
}

_JAILED: Final = {
    **SUCCEEDED,
    "change": "threw EPERM",
    "shell": "threw EPERM",
    "itself": "threw EPERM",
    "wasi": "threw UVWASI_EACCES",
    "directory": "threw EPERM",
    "list": "threw EACCES",
    "write": "threw EROFS",
}
JAILED: Final = {
    Level.NAMESPACES: {**_JAILED, "read": "threw ENOENT", "environment": "threw ENOENT"},
    Level.LANDLOCK: {**_JAILED, "read": "threw EACCES", "environment": "threw EACCES"},
}
"""A binding is an object of Node's; that it starts nothing is what `shell` and `itself` show."""


@contextmanager
def listener() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def connect(port: int) -> dict[str, str]:
    tcp, request = "door.binding('tcp_wrap').TCP", "door.binding('tcp_wrap').TCPConnectWrap"
    return {"connect": f"new ({tcp})(0).connect(new ({request})(), '127.0.0.1', {port})"}


def have(level: Level, report: JailReport) -> None:
    try:
        at_level(report.layers, level)
    except UnavailableError as error:
        need(level.value, False, str(error))


def test_node_refuses_what_its_flags_refuse(without: Any, secret: Path) -> None:
    assert javascript(without(*LOST, level=Level.NONE), attempts(secret)) == PERMISSION


def test_without_permissions_and_jail_everything_succeeds(without: Any, secret: Path) -> None:
    """The control of the tests below."""
    with listener() as port:
        met = javascript(without(*LOST, "permission", level=Level.NONE), attempts(secret) | connect(port))
    assert met == SUCCEEDED | {"connect": "0"}
    assert secret.with_name("written").read_text() == "x"


@pytest.mark.parametrize("level", JAILS, ids=lambda level: level.value)
def test_without_permissions_the_jail_refuses(without: Any, report: JailReport, secret: Path, level: Level) -> None:
    have(level, report)
    assert javascript(without(*LOST, "permission", level=level), attempts(secret)) == JAILED[level]
    assert not secret.with_name("written").exists()


def test_a_socket_ends_a_worker_in_a_jail(without: Any, report: JailReport) -> None:
    need("jail", report.level is not Level.NONE, "no level")
    with listener() as port, pytest.raises(UndeterminedError, match=r"died with status (-31|159)"):
        javascript(without(*LOST, "permission"), connect(port))


@pytest.mark.parametrize("level", [Level.NONE, Level.NAMESPACES], ids=lambda level: level.value)
def test_databases_that_permissions_forget_are_refused_by_the_jail(
    without: Any, report: JailReport, tmp_path: Path, level: Level
) -> None:
    """The control says why the module is off by a flag: Node's permissions let it make files."""
    have(level, report)
    made = f"new ({node('sqlite')}.DatabaseSync)('{tmp_path / 'made.db'}').exec('create table t (a)') ?? 'made'"
    met = javascript(without(*LOST, "databases", level=level), {"make": made})
    assert met == {"make": "made" if level is Level.NONE else "threw ERR_SQLITE_ERROR"}
    assert (tmp_path / "made.db").exists() == (level is Level.NONE)


def test_a_worker_that_was_taken_over_cannot_leave_the_layout_of_outputs(without: Any) -> None:
    """It holds the pipe to its parent and may claim any output of its task; the parent checks form and bounds."""
    header = b'{"type":"symlink","path":"../../escaped","target":"/etc"}'
    frame = struct.pack("<II", len(header), 0) + header
    forged = f"{node('fs')}.writeSync(Number(door.argv[3]), new Uint8Array({list(frame)}))"
    with pytest.raises(UndeterminedError, match=r"impossible output: '../../escaped': .*outside"):
        javascript(without(*LOST), {"forged": forged})
