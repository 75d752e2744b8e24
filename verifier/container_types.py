"""What a container runs, as a function: a type of its own beside `function/1`, of the tier that nobody verifies.

A task of such a function has no receipts and no record of the tier "verified": both name a `function/1` below their
task, and the audit reads it as one. What comes of it is an `UnverifiedRecord`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Annotated, ClassVar, Final

from storage.blocks import BlockStore
from storage.cid import CID
from verifier.bounds import AbsolutePath, Amount, Count, at_most
from verifier.model import version_of
from verifier.schema import Schema

MAX_ARGUMENTS: Final = 4096
MAX_ARGUMENT_BYTES: Final = 128 << 10
"""MAX_ARG_STRLEN of Linux: a longer one cannot be given to any program."""
NETWORKS: Final = ("none", "bridge")
"""What a container may be given: nothing, or what its engine gives to every container."""

_IMAGE = re.compile(r"sha256:[0-9a-f]{64}")
_REPOSITORY = re.compile(r"[a-z0-9][a-zA-Z0-9._:/-]{0,200}@sha256:[0-9a-f]{64}")
_USER = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}(:[A-Za-z0-9_][A-Za-z0-9_.-]{0,63})?")


def _argument_problem(value: str) -> str:
    if "\0" in value or re.search("[\ud800-\udfff]", value):
        return "has a NUL or a lone surrogate"
    too_long = len(value.encode()) > MAX_ARGUMENT_BYTES
    return f"is longer than {MAX_ARGUMENT_BYTES} bytes" if too_long else ""


Argument = Annotated[str, _argument_problem]
Arguments = Annotated[tuple[Argument, ...], at_most(MAX_ARGUMENTS)]
ImageId = Annotated[str, lambda text: "" if _IMAGE.fullmatch(text) else "must be sha256: and 64 lower-case hex digits"]
RepoDigest = Annotated[str, lambda text: "" if _REPOSITORY.fullmatch(text) else "must be NAME@sha256:…"]
User = Annotated[str, lambda text: "" if _USER.fullmatch(text) else "must be USER or USER:GROUP"]
Network = Annotated[str, lambda text: "" if text in NETWORKS else f"must be one of {', '.join(NETWORKS)}"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ContainerFunction(Schema):
    """f of the unverified tier: a program in an image, and what it is given of the machine."""

    VERSION: ClassVar[str] = "container-function/1"

    image: ImageId
    """The image's id: the digest of its configuration, which names its layers by theirs. This is what runs."""
    repo_digest: RepoDigest | None
    """By what name and digest a registry gives it; None where it came from no registry."""
    entrypoint: Arguments | None
    """None: the image's own."""
    command: Arguments | None
    """Behind the entry point; None: the image's own."""
    workdir: AbsolutePath | None
    """None: the image's own."""
    user: User
    """Who the program runs as, in the words of the engine."""
    network: Network
    writable_root: bool
    """Whether the program may write to its own copy of the image."""
    cpu_milli: Amount
    """Thousandths of a core."""
    gpus: Count
    """Whole devices."""


def is_container_function(store: BlockStore, cid: CID) -> bool:
    """Tell whether a block says that it is a container's function, well-formed or not.

    Raises:
        UnavailableError: the block is not here.
    """
    return version_of(store, cid) == ContainerFunction.VERSION
