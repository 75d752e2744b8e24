"""Names of images: what may be one, and what an engine's description of an image says. Asks nobody itself."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from runtime.container_engine import ImageFacts
from storage.errors import UnavailableError, UserError
from storage.pinned_transport import Resolve
from storage.public_address import why_not_public

_REFERENCE: Final = re.compile(
    r"(?:[a-zA-Z0-9][a-zA-Z0-9.-]*(?::[0-9]{1,5})?/)?[a-z0-9][a-z0-9._/-]*(?::[\w][\w.-]{0,127})?(?:@sha256:[0-9a-f]{64})?",
    re.ASCII,
)
_ID: Final = re.compile(r"(?:sha256:)?[0-9a-f]{12,64}")
_FULL_ID: Final = re.compile(r"(?:sha256:)?([0-9a-f]{64})")
_DIGEST: Final = re.compile(r"[a-z0-9][a-zA-Z0-9._:/-]{0,200}@sha256:[0-9a-f]{64}")
MAX_CHARACTERS: Final = 400
HTTPS_PORT: Final = 443
_LAST_PORT: Final = 65535
_OWN_NAMES: Final = (".localhost", ".local", ".internal", ".lan", ".home.arpa", ".localdomain")
"""Of networks of their own (RFC 6761, 6762, 8375), and what is usual there."""


def check_reference(reference: str) -> None:
    """Refuse what names no image.

    Raises:
        UserError: as said.
    """
    if len(reference) > MAX_CHARACTERS or not (_REFERENCE.fullmatch(reference) or _ID.fullmatch(reference)):
        fix = "write it like busybox, ghcr.io/owner/name:tag, name@sha256:… or sha256:…"
        raise UserError("is not the name of an image", where=reference[:80], fix=fix)


def facts_of(described: Mapping[str, Any], reference: str) -> ImageFacts:
    """Return the facts of what an engine says of an image.

    Raises:
        UnavailableError: it says no id.
    """
    found = _FULL_ID.fullmatch(str(described.get("Id", "")))
    if found is None:
        raise UnavailableError("the engine does not tell its id", where=reference, fix="use a newer engine")
    config = described.get("Config") or {}
    return ImageFacts(
        id=f"sha256:{found[1]}",
        repo_digest=_repo_digest(described.get("RepoDigests") or (), reference),
        user=str(config.get("User") or ""),
        arch=str(described.get("Architecture") or "unknown"),
    )


def _repo_digest(digests: Any, reference: str) -> str | None:
    """Return the digest under the name that was asked for, else the first; None if there is none."""
    known = sorted(one for one in map(str, digests) if _DIGEST.fullmatch(one))
    name = reference.partition("@")[0]
    head, colon, tag = name.rpartition(":")
    repository = head if colon and "/" not in tag else name
    return next((one for one in known if one.partition("@")[0] == repository), known[0] if known else None)


def registry_of(reference: str) -> tuple[str, int] | None:
    """Return host and port of the registry that is named; None if none is: the engine's own."""
    first, slash, _ = reference.partition("/")
    if not slash or ("." not in first and ":" not in first and first != "localhost"):
        return None
    host, _, port = first.partition(":")
    return host.rstrip(".").lower(), int(port[:6]) if port.isascii() and port.isdigit() else HTTPS_PORT


def is_public(reference: str) -> bool:
    """Tell whether the registry that a stranger names may be one of the internet, as far as its name tells.

    A name that has no dot or is an address of a network of its own is none; nothing is looked up.
    """
    registry = registry_of(reference)
    if registry is None:
        return True
    host, port = registry
    if "." not in host or host.endswith(_OWN_NAMES) or not 0 < port <= _LAST_PORT:
        return False
    # The last label of a name is never a number: what ends in one is an address, in whatever notation.
    if not host.split(".")[-1][:1].isdigit():
        return True
    try:
        return not why_not_public(host)
    except ValueError:
        return False


def leads_inside(reference: str, resolve: Resolve) -> bool:
    """Tell whether the name of a registry has an address that is not of the internet, or none that is known here.

    A check beside the engine's own look-up, which may get another answer.
    """
    registry = registry_of(reference)
    if registry is None:
        return False
    try:
        found = resolve(*registry)
        return not found or any(why_not_public(address) for address in found)
    except (OSError, ValueError, OverflowError):  # UnicodeError, of a label that is too long, is one; a port may be
        return True
