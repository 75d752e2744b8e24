"""Import this before anything that needs py-libp2p: skips the module unless it is asked for.

Nodes on real sockets, attacked by strangers, take minutes: `make test` leaves them out unless BACALHAU_REQUIRE says so.
"""

import importlib.util

import pytest

from tests.requirements_gate import VARIABLE, required

if "libp2p" not in required():
    pytest.skip(f"takes minutes; run it with {VARIABLE}=libp2p", allow_module_level=True)
if importlib.util.find_spec("libp2p") is None:
    pytest.fail(f"libp2p is listed in {VARIABLE} and is not installed: make setup does it", pytrace=False)
