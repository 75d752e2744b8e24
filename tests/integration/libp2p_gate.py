"""Import this before anything that needs py-libp2p: skips the module where it is not installed."""

import importlib.util

import pytest

from tests.requirements_gate import VARIABLE, required

REASON = "py-libp2p is not installed; make setup does it"

if importlib.util.find_spec("libp2p") is None:
    if "libp2p" in required():
        pytest.fail(f"libp2p is listed in {VARIABLE} and is not available: {REASON}", pytrace=False)
    pytest.skip(f"needs libp2p: {REASON}", allow_module_level=True)
