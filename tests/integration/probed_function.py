"""The leak probes as a function: what `House.plan` takes, plain and with packages."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

_FOLDER = Path(__file__).parent / "leak_probes"

PROBE: Final[dict[str, str | bytes]] = {path.name: path.read_bytes() for path in sorted(_FOLDER.glob("*.py"))}
PROBE_WITH_PACKAGES: Final[dict[str, str | bytes]] = {**PROBE, "requirements.txt": b"numpy==2.4.3\npandas==3.0.2\n"}
WITH_PACKAGES: Final[dict[str, Any]] = {"args": ("packages=true",), "memory": "1Gb"}
