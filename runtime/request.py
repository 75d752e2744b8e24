"""What the user asked for, as typed: the first noun of the flow. Nothing here has been looked at yet."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

DEFAULT_EPOCH: Final = 946_684_800
"""2000-01-01T00:00:00Z, where the guest's clock starts."""
DEFAULT_MEMORY: Final = "512Mb"
DEFAULT_TIMEOUT_S: Final = 1800.0
DEFAULT_URL_LIMIT: Final = "16Gb"


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One call of `run python` or `run wasm`; every text is as the user wrote it."""

    function: Path | None = None
    """Directory with function.py, or one Python file."""
    code: str | None = None
    """A script instead of a function."""
    module: str | None = None
    """A WebAssembly module instead of either: CID, CID/path, local path or URL."""
    arguments: tuple[str, ...] = ()
    """Of a module: what stands behind `--`."""
    requirements: Path | None = None
    """Instead of the directory's requirements.txt."""
    entry: str = "main"
    data: str | None = None
    """CID, CID/path, local path, URL (ipfs, http, https, s3) or @FILE with a list of URLs."""
    volumes: tuple[str, ...] = ()
    """The same, then :/path."""
    outputs: tuple[str, ...] = ()
    """name:/path"""
    env: tuple[str, ...] = ()
    """K=V"""
    args: tuple[str, ...] = ()
    """K=V, where V is JSON or a bare word."""
    seed: str | None = None
    """Hex; None derives it from the task."""
    epoch: int = DEFAULT_EPOCH
    """Seconds since 1970, UTC."""
    fuel: int | None = None
    memory: str = DEFAULT_MEMORY
    timeout_s: float = DEFAULT_TIMEOUT_S
    """Wall-clock guard of one execution; not part of the task."""
    sources: tuple[str, ...] = ()
    """Whom to ask for content that is not here: kubo:URL, gateway:URL, car:FILE; in turn."""
    url_limit: str = DEFAULT_URL_LIMIT
    """Bytes that one URL, or one CID that is not here, may bring."""
    allow_private_urls: bool = False
    """Fetch from addresses that are not on the public internet too."""
