"""Wheels that no packager makes."""

from __future__ import annotations

import io
import stat
import struct
import zipfile
from dataclasses import dataclass
from typing import Final

from tests.adversary.escapes.side_module import wheel


@dataclass(frozen=True, slots=True, kw_only=True)
class BadWheel:
    """A wheel, and the check of `index_wheel` that refuses it."""

    name: str
    content: bytes
    check: int


def _member(name: str, kind: int) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name)
    info.external_attr = (kind | 0o777) << 16
    return info


def _twice() -> bytes:
    """Two members of one name; the second has its name changed afterwards, in both places."""
    return wheel({"evil/a.py": b"1", "evil/b.py": b"2"}).replace(b"evil/b.py", b"evil/a.py")


def _changed(content: bytes, signature: bytes, offset: int, value: bytes) -> bytes:
    at = content.rindex(signature) + offset
    return content[:at] + value + content[at + len(value) :]


def _bomb(size: int) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("evil/bomb", bytes(size))
        archive.writestr("evil-1.dist-info/RECORD", b"")
    return out.getvalue()


_PLAIN: Final = wheel({"evil/a.py": b"1"})
_DIRECTORY, _END = b"PK\1\2", b"PK\5\6"

CASES: Final = (
    BadWheel(name="up and out", content=wheel({"../../evil.py": b""}), check=2),
    BadWheel(name="up in the middle", content=wheel({"evil/../../x.py": b""}), check=2),
    BadWheel(name="absolute", content=wheel({"/evil.py": b""}), check=2),
    BadWheel(name="two slashes", content=wheel({"evil//x.py": b""}), check=2),
    BadWheel(name="backslash", content=wheel({"evil/a.py": b""}).replace(b"evil/a.py", b"evil\\a.py"), check=2),
    BadWheel(name="drive", content=wheel({"C:evil.py": b""}), check=2),
    BadWheel(name="terminal escape", content=wheel({"evil/\x1b[2J.py": b""}), check=2),
    BadWheel(name="symlink", content=wheel({_member("evil/x", stat.S_IFLNK): b"/etc/passwd"}), check=3),
    BadWheel(name="device", content=wheel({_member("evil/x", stat.S_IFCHR): b""}), check=3),
    BadWheel(name="bomb by ratio", content=_bomb(65 << 20), check=4),
    BadWheel(
        name="size of four gigabytes", content=_changed(_PLAIN, _DIRECTORY, 24, struct.pack("<I", 0xFFFFFFF0)), check=5
    ),
    BadWheel(name="another local name", content=_PLAIN.replace(b"evil/a.py", b"evil/b.py", 1), check=5),
    BadWheel(name="members that share bytes", content=_changed(_PLAIN, _DIRECTORY, 42, bytes(4)), check=5),
    BadWheel(name="two members of one name", content=_twice(), check=6),
    BadWheel(name="file and directory of one name", content=wheel({"evil": b"", "evil/x": b""}), check=6),
    BadWheel(name="directory cut off", content=_changed(_PLAIN, _END, 12, struct.pack("<I", 1 << 20)), check=1),
    BadWheel(name="directory elsewhere", content=_changed(_PLAIN, _END, 16, struct.pack("<I", 0xFFFFFF00)), check=5),
    BadWheel(name="no archive", content=b"\0" * 100, check=1),
)

STRANGE: Final = wheel(
    {
        "../../../escaped.py": b"outside = 1",
        "/tmp/absolute.py": b"outside = 1",
        _member("evil/link", stat.S_IFLNK): b"/etc/passwd",
        "evil/__init__.py": b"",
        "__proto__/polluted.py": b"here = 1",
    }
)
"""What a worker is told of when nobody checks."""

LIAR: Final = _bomb(1 << 20)
"""Says another size than it has, once the parent is made to pass it on."""
