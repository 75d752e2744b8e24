"""The command works without the extra `network`: nothing of it is loaded by any command."""

import subprocess
import sys

SCRIPT = """
import importlib, sys
from bacalhau.cli.main import COMMANDS
for module, _ in COMMANDS.values():
    importlib.import_module(module)
for module in ("run_python", "run_docker", "run_with_node", "run_flow", "run_notebook"):
    importlib.import_module(f"bacalhau.cli.{module}")
importlib.import_module("bacalhau.node_client")
print([name for name in ("trio", "starlette", "hypercorn", "libp2p", "docker", "nbformat") if name in sys.modules])
"""


def test_no_command_loads_what_only_a_node_needs():
    said = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True)
    assert said.stdout.strip() == "[]"


def test_where_no_node_is_nothing_of_http_is_loaded():
    script = "import sys, bacalhau.cli.list_jobs, bacalhau.node_finder; print('httpx' in sys.modules)"
    said = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert said.stdout.strip() == "False"
