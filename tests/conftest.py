"""What takes long is run where it is asked for: tests marked as `slow("why")`, by BACALHAU_SLOW_TESTS=1."""

from __future__ import annotations

import os

import pytest


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip the tests that are marked as slow, unless they are asked for."""
    if os.environ.get("BACALHAU_SLOW_TESTS") == "1":
        return
    for item in items:
        if slow := item.get_closest_marker("slow"):
            item.add_marker(pytest.mark.skip(reason=f"{slow.args[0]}; set BACALHAU_SLOW_TESTS=1 to run it"))
