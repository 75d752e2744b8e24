"""Images written down: what one is made from (`ImageKey`), the node that names it (`Image`), the form of its state.

An image is a booted interpreter with packages imported: its linear memory and a state that only js_host understands. It
is a function of its key, so the same key gives the same CID on every machine. Knows nothing about disks.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Final

from storage import dag_cbor
from storage.cid import CID
from storage.errors import VerificationError
from verifier.bounds import Amount, Hex32, Link, Word, at_most
from verifier.model import node_cid
from verifier.schema import ModelError, Schema

PAGE_BYTES: Final = 65536
"""A page of WebAssembly's linear memory."""
MAX_MEMORY_BYTES: Final = 4 << 30
"""All that wasm32 can address."""
MAX_STATE_BYTES: Final = 64 << 20
"""Some MB are usual."""
MAX_KEY_BYTES: Final = 1 << 20
"""Leaves room for the rest of the node in a block of 2 MiB."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PreloadedModule(Schema):
    """One import statement."""

    module: Word
    names: Annotated[tuple[Word, ...], at_most(4096)]
    """Imported from the module; empty: the module itself."""


Preload = Annotated[tuple[PreloadedModule, ...], at_most(4096)]


@dataclass(frozen=True, slots=True, kw_only=True)
class _KeyPreimage(Schema):
    VERSION: ClassVar[str] = "image-key/1"

    runtime: Link
    lock: Link | None
    preload: Preload


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageKey:
    """Everything that decides an image.

    Raises:
        ModelError: an empty name or one with control characters, too many of them, or bytes that are not a CID.
    """

    runtime: CID
    lock: CID | None
    """None: the base image, without packages."""
    preload: tuple[tuple[str, tuple[str, ...]], ...] = ()
    """(module, names imported from it), in the order in which they are imported."""

    def __post_init__(self) -> None:
        if len(self._preimage()) > MAX_KEY_BYTES:
            raise ModelError("has more than 1 MiB", field="preload")

    @property
    def name(self) -> str:
        """Return the sha-256 of the key's canonical encoding, hex."""
        return hashlib.sha256(self._preimage()).hexdigest()

    @property
    def modules(self) -> tuple[PreloadedModule, ...]:
        """Return the import statements as parts of a node."""
        return tuple(PreloadedModule(module=module, names=names) for module, names in self.preload)

    def _preimage(self) -> bytes:
        return _preimage(self.runtime, self.lock, self.modules)


@dataclass(frozen=True, slots=True, kw_only=True)
class Image(Schema):
    """The node that names an image; its CID is the image's CID."""

    VERSION: ClassVar[str] = "image/1"

    runtime: Link
    lock: Link | None
    preload: Preload
    state: Link
    """UnixFS file of canonical JSON (`encode_state`)."""
    memory: Link
    """UnixFS file; whole pages."""

    @property
    def cid(self) -> CID:
        """Return the image's CID."""
        return node_cid(self)

    @property
    def key_name(self) -> str:
        """Return the name of the key that the image was made from."""
        return hashlib.sha256(_preimage(self.runtime, self.lock, self.preload)).hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageManifest(Schema):
    """What the files of an image on disk are checked against."""

    VERSION: ClassVar[str] = "image-manifest/1"

    cid: Link
    image: Image
    memory_bytes: Amount
    blocks_sha256: Hex32
    """Of the sha-256 of each MiB of the memory, one after the other."""
    pages_sha256: Hex32
    """Of the file that holds the sha-256 of each page."""
    state_sha256: Hex32


def encode_state(state: Mapping[str, Any]) -> bytes:
    """Write a state as canonical JSON: keys sorted, no spaces, ASCII, no NaN.

    Raises:
        ValueError: not JSON, or more than 64 MiB.
    """
    text = json.dumps(dict(state), sort_keys=True, separators=(",", ":"), allow_nan=False)
    if len(text) > MAX_STATE_BYTES:
        raise ValueError("the state of an image has more than 64 MiB")
    return text.encode("ascii")


def decode_state(data: bytes) -> dict[str, Any]:
    """Read a state.

    Raises:
        VerificationError: it is not a JSON object, or nested beyond reason.
    """
    try:
        state = json.loads(data.decode("ascii"), parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise VerificationError(f"the state is not JSON: {error}") from error
    if not isinstance(state, dict):
        raise VerificationError("the state is not a JSON object")
    return state


def is_canonical(state: Mapping[str, Any], data: bytes) -> bool:
    """Tell whether `data` is the one way to write `state`."""
    try:
        return encode_state(state) == data
    except (ValueError, RecursionError):
        return False


def memory_problem(size: int) -> str:
    """Return what is wrong with a memory of so many bytes, empty if nothing is."""
    if size == 0 or size % PAGE_BYTES:
        return f"a memory of {size} bytes is not made of pages of 64 KiB"
    return "" if size <= MAX_MEMORY_BYTES else f"a memory of {size} bytes is larger than 4 GiB"


def _preimage(runtime: CID, lock: CID | None, preload: tuple[PreloadedModule, ...]) -> bytes:
    return dag_cbor.encode(_KeyPreimage(runtime=runtime, lock=lock, preload=preload).to_node())


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")
