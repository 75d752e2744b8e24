"""Schemathesis, which makes calls from the API's own description, finds nothing: no 5xx, no undocumented answer.

It runs as its command, in a process of its own, against the real server with a real store and a node that does nothing.
Deterministic: the same calls each time.
"""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from tests.requirements_gate import need
from tests.unit.bacalhau.api.conftest import services, task  # noqa: F401  fixtures
from tests.unit.bacalhau.fake_node import served

COMMAND = Path(sys.executable).parent / "schemathesis"

CONFIG = """
[checks.positive_data_acceptance]
# A CID may be of nothing that is here, and a job may not have an output yet.
expected-statuses = ["2xx", "404", "409", "422", "424"]

[checks.negative_data_rejection]
expected-statuses = ["400", "401", "404", "405", "413", "415", "422", "424"]

[[operations]]
include-name = "POST /jobs"
# What a schema cannot say: the confidence is at most the replication, and texts are bounded in bytes.
checks.positive_data_acceptance.expected-statuses = ["2xx", "400", "409", "422", "424"]
"""
HOOKS = """
import schemathesis

@schemathesis.serializer("application/vnd.ipld.car")
def car(context, value):
    return {"data": bytes(value) if isinstance(value, (bytes, bytearray)) else str(value).encode()}
"""


@pytest.fixture
def node(services):  # noqa: F811
    with served(services) as node:
        node.control.runs_at_once = True  # jobs end, so that there are logs and results
        yield node


def with_examples(node, known_task):
    """Return the API's description with the names of what is there: nobody guesses a CID."""
    document = httpx.get(f"{node.url}/api/v1/openapi.json", trust_env=False).json()
    answer = httpx.post(
        f"{node.url}/api/v1/jobs",
        json={"task": known_task},
        headers={"Authorization": f"Bearer {node.token}"},
        trust_env=False,
    )
    known = {"job": answer.json()["job"], "cid": known_task}
    for path in document["paths"].values():
        for parameter in path.get("parameters", ()):
            parameter["example"] = known[parameter["name"]]
    document["components"]["schemas"]["Submission"]["properties"]["task"]["example"] = known_task
    return document


def test_schemathesis_finds_nothing(node, task, tmp_path):  # noqa: F811
    need("schemathesis", shutil.which(COMMAND) is not None, "make setup installs it")
    (tmp_path / "schemathesis.toml").write_text(CONFIG)
    (tmp_path / "car_hooks.py").write_text(HOOKS)
    environment = {name: value for name, value in os.environ.items() if "proxy" not in name.lower()}
    (tmp_path / "openapi.json").write_text(json.dumps(with_examples(node, task)))
    said = subprocess.run(
        [
            COMMAND, "run", "openapi.json", "--url", f"{node.url}/api/v1",
            "--header", f"Authorization: Bearer {node.token}",
            "--checks", "all", "--continue-on-failure", "--no-color", "--no-shrink",
            "--max-examples", "25", "--generation-deterministic",
            "--request-timeout", "20",
        ],
        cwd=tmp_path,
        env={**environment, "SCHEMATHESIS_HOOKS": "car_hooks", "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )  # fmt: skip
    assert said.returncode == 0, said.stdout + said.stderr
    assert node.control.kept, "no job was submitted"
