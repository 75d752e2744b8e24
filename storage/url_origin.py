"""Where content came from, a URL or the IPFS world: what is noted beside a record, never in it.

A note is evidence of nothing: the content is named by its CID, and whoever checks a record needs no URL.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from storage.cid import CID, cid_text, parse_cid
from storage.errors import UserError

MAX_HEADERS: Final = 100
MAX_HEADER_BYTES: Final = 16 << 10
"""Of all names and values together; what comes after is left out."""

_SECRET: Final = frozenset({"set-cookie", "set-cookie2", "authorization", "proxy-authenticate", "www-authenticate"})
_SHA256: Final = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """One download, and the content that it gave."""

    url: str
    """As it was asked for, without a fragment."""
    final_url: str
    """After redirects; of a DAG, the sources that gave its blocks, separated by spaces."""
    cid: CID
    size: int
    """Bytes; of a DAG, those of the blocks that came."""
    sha256: str | None
    """Of the whole content, lower-case hex; None for a DAG, whose CID says it all."""
    fetched_at: datetime
    """When the bytes had come."""
    checked_at: datetime
    """When the server last said that they are the present ones; the same, unless they were here already."""
    headers: tuple[tuple[str, str], ...]
    """Of the response that brought them; names in lower case, no cookies, bounded."""

    def header(self, name: str) -> str | None:
        """Return a header's first value."""
        return next((value for known, value in self.headers if known == name), None)

    def to_json(self) -> dict[str, Any]:
        """Return the note as JSON."""
        return {
            "url": self.url,
            "final_url": self.final_url,
            "cid": cid_text(self.cid),
            "size": self.size,
            "sha256": self.sha256,
            "fetched_at": self.fetched_at.isoformat(),
            "checked_at": self.checked_at.isoformat(),
            "headers": [list(header) for header in self.headers],
        }

    @classmethod
    def from_json(cls, value: Any) -> Origin:
        """Read what `to_json` gave for a URL.

        Raises:
            ValueError: it is something else.
        """
        try:
            origin = cls(
                url=_text(value["url"]),
                final_url=_text(value["final_url"]),
                cid=parse_cid(_text(value["cid"])),
                size=int(value["size"]),
                sha256=_text(value["sha256"]),
                fetched_at=datetime.fromisoformat(value["fetched_at"]),
                checked_at=datetime.fromisoformat(value["checked_at"]),
                headers=tuple((_text(name), _text(text)) for name, text in value["headers"]),
            )
        except (KeyError, TypeError, AttributeError, UserError) as error:
            raise ValueError(f"not the note of a download: {error}") from error
        if not _SHA256.fullmatch(origin.sha256 or "") or None in (origin.fetched_at.tzinfo, origin.checked_at.tzinfo):
            raise ValueError("not the note of a download")
        return origin


def kept_headers(headers: Iterable[tuple[str, str]]) -> tuple[tuple[str, str], ...]:
    """Return those of a response that are noted."""
    kept: list[tuple[str, str]] = []
    room = MAX_HEADER_BYTES
    for name, value in headers:
        room -= len(name) + len(value)
        if room < 0 or len(kept) == MAX_HEADERS:
            break
        if name.lower() not in _SECRET:
            kept.append((name.lower(), value))
    return tuple(kept)


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is no text")
    return value
