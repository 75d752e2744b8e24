"""Blocks in and out: a CAR into the store, checked and bounded; one block by its CID."""

from __future__ import annotations

import io
import itertools
from collections.abc import Iterator
from typing import Any, Final

from anyio import CapacityLimiter
from anyio.to_thread import run_sync
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from bacalhau.api.answers import RefusedError, json_answer
from bacalhau.api.request_body import BodyFile, BodyReader, check_media_type
from storage.blocks import BatchingBlockStore, BlockStore
from storage.car import read_car
from storage.cid import cid_text, parse_cid
from storage.gateway_answer import gathered
from storage.gateway_asgi import send_pieces

CAR: Final = "application/vnd.ipld.car"
RAW_BLOCK: Final = "application/vnd.ipld.raw"
MAX_UPLOAD_BYTES: Final = 16 << 30
"""Of one CAR; the store's quota bounds all of them."""
MAX_UPLOADS: Final = 2
"""At the same time. Each holds a block of 8 MiB and a batch of 4 MiB at most."""
_READERS: Final = 4
_READ_BYTES: Final = 64 << 10
_LONGEST_CID: Final = 256


class BlockRoom:
    """The store, and the threads that may be in it at the same time."""

    def __init__(self, store: BlockStore) -> None:
        """Take a store that is safe for threads."""
        self.store = store
        self._limiter: CapacityLimiter | None = None
        self._uploads = 0

    @property
    def limiter(self) -> CapacityLimiter:
        """Of threads that read; belongs to the loop that runs, so it is not made before."""
        if self._limiter is None:
            self._limiter = CapacityLimiter(_READERS)
        return self._limiter

    async def stream(self, pieces: Iterator[bytes], media_type: str, *, name: str) -> ASGIApp:
        """Return an answer of pieces, the first of which is read now.

        Raises:
            BacalhauError: it cannot be read.
        """
        large = gathered(pieces)
        first = await run_sync(next, large, b"", limiter=self.limiter)
        headers = [
            (b"content-type", media_type.encode()),
            (b"content-disposition", f'attachment; filename="{name}"'.encode()),
            (b"cache-control", b"no-store"),
            (b"x-content-type-options", b"nosniff"),
        ]
        return _Pieces(itertools.chain((first,), large), headers, self.limiter)

    async def put_car(self, request: Request) -> ASGIApp:
        """`PUT /blocks`: keep the blocks of a CAR. Those that came before an error stay.

        Raises:
            RefusedError: 415 not said to be a CAR, 429 others are being kept, 413, 408, 400 as `BodyReader`.
            VerificationError: no CAR, or a block that is not what its CID says.
            UnavailableError: the store is full.
        """
        check_media_type(request, CAR)
        reader = BodyReader(request, limit=MAX_UPLOAD_BYTES)
        if self._uploads >= MAX_UPLOADS:
            raise RefusedError(429, f"{MAX_UPLOADS} CARs are being kept already", headers={"Retry-After": "1"})
        self._uploads += 1
        try:
            kept = await run_sync(self._keep, reader, limiter=CapacityLimiter(1))
        finally:
            self._uploads -= 1
        return json_answer(kept)

    async def get_block(self, request: Request) -> ASGIApp:
        """`GET /blocks/{cid}`: the bytes of one block, checked.

        Raises:
            UserError: no CID.
            RefusedError: 404 it is not here.
            VerificationError: it is damaged, or of a hash function that is not kept.
        """
        text = request.path_params["cid"]
        if len(text) > _LONGEST_CID or not text.isascii():
            raise RefusedError(400, "is not a CID", where="cid")
        cid = parse_cid(text)
        if not await run_sync(self.store.has, cid, limiter=self.limiter):
            raise RefusedError(404, "the block is not here", where=cid_text(cid))
        data = await run_sync(self.store.get, cid, limiter=self.limiter)
        headers = {"X-Content-Type-Options": "nosniff", "ETag": f'"{cid_text(cid)}.raw"'}
        return Response(data, media_type=RAW_BLOCK, headers=headers)

    def _keep(self, reader: BodyReader) -> dict[str, Any]:
        stream = io.BufferedReader(BodyFile(reader), _READ_BYTES)
        car = read_car(stream)
        batch = BatchingBlockStore(self.store)
        count = size = 0
        for cid, data in car.blocks:
            batch.put(cid, data)
            count, size = count + 1, size + len(data)
        batch.flush()
        return {"blocks": count, "bytes": size, "roots": [cid_text(root) for root in car.roots]}


class _Pieces:
    """A body that is read from the store as it is sent."""

    def __init__(self, body: Iterator[bytes], headers: list[tuple[bytes, bytes]], limiter: CapacityLimiter) -> None:
        self._body = body
        self._headers = headers
        self._limiter = limiter

    async def __call__(self, _scope: Scope, receive: Receive, send: Send) -> None:
        await send_pieces(receive, send, status=200, headers=self._headers, body=self._body, limiter=self._limiter)
