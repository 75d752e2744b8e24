"""The media types of a trustless gateway, for both of its ends."""

from __future__ import annotations

from typing import Final

RAW_TYPE: Final = "application/vnd.ipld.raw"
"""One block."""
CAR_TYPE: Final = "application/vnd.ipld.car"
"""Many."""
