"""Tests that need something of the world: skip with the reason, or fail where that thing was promised.

BACALHAU_REQUIRE is a comma-separated list of names (registry, bundle, docker, kubo, chromium …). On a machine that sets
it, a test that cannot have what is listed fails, so that nothing is skipped unnoticed.
"""

from __future__ import annotations

import os

import pytest

VARIABLE = "BACALHAU_REQUIRE"


def need(name: str, available: bool, reason: str) -> None:
    """Go on if `available`; else fail where `name` is required, and skip with `reason` everywhere else."""
    if available:
        return
    if name in required():
        pytest.fail(f"{name} is listed in {VARIABLE} and is not available: {reason}", pytrace=False)
    pytest.skip(f"needs {name}: {reason}")


def required() -> frozenset[str]:
    """Return the names that this machine promises."""
    return frozenset(part.strip() for part in os.environ.get(VARIABLE, "").split(",") if part.strip())
