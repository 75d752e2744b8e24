"""An output that a result of the Python API names: read from the home that keeps it, when it is asked for."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO, Final

from bacalhau.home import Home
from bacalhau.services import Services, default_services
from storage.cid import parse_cid

MAX_READ_BYTES: Final = 1 << 30
"""What is read at once; files that are opened may be larger."""


def services_at(home: Path | None) -> Services:
    """Return services of a home, or of this environment's if that home is not there: on another machine."""
    services = default_services()
    if home is None or not Home(home).store_path.exists():
        return services
    return replace(services, home=Home(home))


def read_output(home: Path | None, output: str, path: str) -> bytes:
    """Return a file of an output; at most 1 GiB.

    Raises:
        UserError: there is no such file, or it is larger.
        UnavailableError, VerificationError: it is not here, or damaged.
    """
    from storage.unixfs_read import UnixfsReader

    with services_at(home).open_store() as store:
        reader = UnixfsReader(store)
        return reader.read_bytes(reader.resolve(parse_cid(output), path), MAX_READ_BYTES)


@contextmanager
def opened_output(home: Path | None, output: str, path: str) -> Iterator[BinaryIO]:
    """Open a file of an output, of any size: it is read block by block, each checked; raises as `read_output`."""
    from storage.unixfs_read import UnixfsReader

    with services_at(home).open_store() as store:
        reader = UnixfsReader(store)
        with io.BufferedReader(reader.open(reader.resolve(parse_cid(output), path))) as stream:  # type: ignore[type-var]
            yield stream
