"""Answers of a trustless gateway out of a store: status, headers, body. Knows no HTTP server.

Gives what is in the store to whoever knows its CID, and nothing else: it fetches nothing and interprets nothing for a
browser. A CAR is made while it is sent; when a block of it turns out to be missing it breaks off, and the client, which
walks what it got, notices. Source: IPFS specifications, trustless gateway (2026-03-05).
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote

from storage.blocks import BlockStore
from storage.car import car_pieces
from storage.cid import CID, cid_text
from storage.errors import UnavailableError, UserError, VerificationError
from storage.gateway_blocks import answer_blocks
from storage.gateway_media import CAR_TYPE, RAW_TYPE
from storage.gateway_request import GatewayRequest, Refusal, read_request
from storage.ipld_path import Followed, follow

MAX_AGE_S: Final = 29030400
"""The 48 weeks that other gateways give what cannot change."""
PIECE_BYTES: Final = 256 << 10
"""Of a CAR handed over at once; a block is never cut."""
_METHODS: Final = ("GET", "HEAD")
_UNSAFE: Final = re.compile(r"[^\w. -]", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewayAnswer:
    """An answer; the body is made as it is read."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: Iterator[bytes]
    """Empty for HEAD. Raises UnavailableError or VerificationError in the middle of a CAR that cannot be finished."""


def answer(store: BlockStore, method: str, path: bytes, query: bytes, headers: Mapping[str, str]) -> GatewayAnswer:
    """Answer one request.

    path: percent-encoded, beginning with `/ipfs/`; query: without its '?'; headers: names in lower case.
    """
    if method not in _METHODS:
        return _refused(method, Refusal(405, "only GET and HEAD"))
    try:
        request = read_request(path, query, headers)
        return _found(store, method, path, request, headers)
    except Refusal as refusal:
        return _refused(method, refusal)


def _found(
    store: BlockStore, method: str, path: bytes, request: GatewayRequest, headers: Mapping[str, str]
) -> GatewayAnswer:
    found, first = _look_up(store, request, headers)
    etag = _etag(request, found)
    said = _headers(request, found, etag, path)
    if _matches(headers.get("if-none-match", ""), etag):
        return GatewayAnswer(status=304, headers=tuple(said), body=iter(()))
    if request.format == "raw":
        said.append(("Content-Length", str(len(first))))
        body: Iterator[bytes] = iter((first,))
    else:
        blocks = answer_blocks(store, found, request.scope, request.bytes, repeats=request.repeats)
        body = gathered(car_pieces([found.end], blocks))
    return GatewayAnswer(status=200, headers=tuple(said), body=body if method == "GET" else iter(()))


def _look_up(store: BlockStore, request: GatewayRequest, headers: Mapping[str, str]) -> tuple[Followed, bytes]:
    """Return where the path leads and the block there, while the status can still say that it is missing.

    Raises:
        Refusal: 404 or 412 not here, 400 no way through such content, 500 a block in the store is damaged.
    """
    try:
        found = follow(store, request.root, request.segments)
        return found, store.get(found.end)
    except UserError as error:
        raise Refusal(404, f"{error.where}: {error.problem}") from error
    except UnavailableError as error:
        only_cached = "only-if-cached" in headers.get("cache-control", "").lower()
        raise Refusal(412 if only_cached else 404, f"{error.where}: not here") from error
    except VerificationError as error:
        damaged = "does not match" in error.problem
        raise Refusal(500 if damaged else 400, f"{error.where}: {error.problem}") from error


def _headers(request: GatewayRequest, found: Followed, etag: str, path: bytes) -> list[tuple[str, str]]:
    dups = "y" if request.repeats else "n"
    kind = RAW_TYPE if request.format == "raw" else f"{CAR_TYPE}; version=1; order=dfs; dups={dups}"
    said = [
        ("Content-Type", kind),
        ("Content-Disposition", _disposition(request, found.end)),
        ("Etag", etag),
        ("Cache-Control", f"public, max-age={MAX_AGE_S}, immutable"),
        ("X-Ipfs-Path", quote(path, safe="/%")),
        ("X-Ipfs-Roots", ",".join(map(cid_text, found.roots))),
        ("X-Content-Type-Options", "nosniff"),
        ("Accept-Ranges", "none"),
    ]
    if not (request.says_format and request.says_repeats):
        said.append(("Vary", "Accept"))
    if not request.says_format:
        chosen = f"format={request.format}{'&car-dups=y' if request.repeats else ''}"
        said.append(("Content-Location", f"{quote(path, safe='/%')}?{chosen}"))
    return said


def _etag(request: GatewayRequest, found: Followed) -> str:
    """Return a strong tag: the same request gives the same bytes, as blocks come in one order."""
    if request.format == "raw":
        return f'"{cid_text(found.end)}.raw"'
    span = (request.bytes.first, request.bytes.last) if request.bytes else None
    # Another way to the same end has another proof.
    way = repr((request.scope.value, span, [bytes(cid) for cid in found.proof]))
    kind = "car-dups" if request.repeats else "car"
    return f'"{cid_text(found.end)}.{kind}.{request.scope.value}.{hashlib.sha256(way.encode()).hexdigest()[:16]}"'


def _matches(said: str, etag: str) -> bool:
    return any(one.strip().removeprefix("W/") in (etag, "*") for one in said.split(","))


def _disposition(request: GatewayRequest, end: CID) -> str:
    name = request.filename[:255] or f"{cid_text(end)}.{'bin' if request.format == 'raw' else 'car'}"
    plain = _UNSAFE.sub("_", name)
    extended = "" if plain == name else f"; filename*=UTF-8''{quote(name, safe='')}"
    return f'attachment; filename="{plain}"{extended}'


def gathered(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """Yield the same bytes without the many small pieces between; a large one is given as it is, never copied."""
    held: list[bytes] = []
    size = 0
    for piece in pieces:
        is_large = len(piece) >= PIECE_BYTES
        if held and (is_large or size + len(piece) > PIECE_BYTES):
            # Nothing else is held while whoever takes it is slow.
            joined, held, size = b"".join(held), [], 0
            yield joined
            del joined
        if is_large:
            yield piece
        else:
            held.append(piece)
            size += len(piece)
    if held:
        yield b"".join(held)


def _refused(method: str, refusal: Refusal) -> GatewayAnswer:
    text = f"{refusal.problem}\n".encode()
    said = [
        ("Content-Type", "text/plain; charset=utf-8"),
        ("Content-Length", str(len(text))),
        ("X-Content-Type-Options", "nosniff"),
        # What is not here now may come.
        ("Cache-Control", "no-store"),
    ]
    if refusal.status == 405:
        said.append(("Allow", ", ".join(_METHODS)))
    return GatewayAnswer(status=refusal.status, headers=tuple(said), body=iter((text,) if method != "HEAD" else ()))
