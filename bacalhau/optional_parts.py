"""What may be installed besides, what it is for, and how to get it: of `doctor`. Changes and fetches nothing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Final


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """An optional extra of the distribution."""

    extra: str
    """Its name in pyproject.toml."""
    modules: tuple[str, ...]
    """What has to be importable."""
    gives: str
    """What works with it and does not without."""


PARTS: Final = (
    Part(extra="network", modules=("hypercorn", "libp2p", "starlette", "trio"), gives="serve, devstack, web"),
    Part(extra="notebooks", modules=("nbformat",), gives="run notebook"),
    Part(extra="docker", modules=("docker",), gives="run docker"),
    Part(extra="cluster", modules=("distributed",), gives="serve --workers"),
    Part(extra="telemetry", modules=("opentelemetry.sdk", "prometheus_client"), gives="metrics and traces of a node"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class PartState:
    """Whether a part is here."""

    part: Part
    missing: tuple[str, ...]
    """Its modules that are not."""

    @property
    def text(self) -> str:
        """One line, without what to do."""
        if not self.missing:
            return f"{self.part.extra}: here, for {self.part.gives}"
        return f"{self.part.extra}: not installed; {self.part.gives} would need it ({', '.join(self.missing)})"

    @property
    def fix(self) -> str:
        """What to type; empty if nothing."""
        return f"pip install 'bacalhau[{self.part.extra}]'" if self.missing else ""


def look_at_parts(is_here: Callable[[str], bool] | None = None) -> list[PartState]:
    """Return the state of each part; is_here: tells whether a module can be imported, by default without doing it."""
    look = is_here or _is_here
    return [
        PartState(part=part, missing=tuple(module for module in part.modules if not look(module))) for part in PARTS
    ]


def _is_here(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:  # its parent is not there either
        return False
