"""Import this before anything that needs `distributed`: skips the module unless it is asked for.

A scheduler, workers one after the other and what they execute take 40 seconds of processor time, and `make test` has
little to spare: it leaves them out unless BACALHAU_REQUIRE says so.
"""

import importlib.util

import pytest

from tests.requirements_gate import VARIABLE, required

if "dask" not in required():
    pytest.skip(f"takes long; run it with {VARIABLE}=dask", allow_module_level=True)
if importlib.util.find_spec("distributed") is None:
    pytest.fail(f"dask is listed in {VARIABLE} and is not installed: make setup does it", pytrace=False)
