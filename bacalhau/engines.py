"""Engines for tasks of strangers, and for audits: they may be Python functions or modules, and both are run."""

from __future__ import annotations

from typing import Final

from bacalhau.services import Services
from runtime.capacity import Room
from runtime.engine import Engine
from runtime.engine_by_kind import EngineByKind
from runtime.jail import Level

WASM: Final = "wasmtime"
"""As `Services.make_engine` knows it."""


def engine_for_all(
    services: Services, host: str, *, strict: bool = False, level: Level | None = None, room: Room | None = None
) -> Engine:
    """Return an engine that runs Python functions on a JavaScript engine of that name, and modules.

    Raises:
        UserError, UnavailableError: as `Services.make_engine`.
    """
    python = services.make_engine(host, strict=strict, level=level, room=room)
    return EngineByKind(python, lambda: services.make_engine(WASM, strict=strict, level=level, room=room))
