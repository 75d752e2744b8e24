"""What a worker says of an execution; what is wrong with it is in test_cluster_engine.py."""

import json

from runtime.engine import Execution
from runtime.execution_claim import claim_of, read_claim
from storage.cid import RAW, make_cid
from tests.vectors.records.world import STATE
from verifier.model import EngineInfo


def test_what_is_said_is_read():
    task, output = make_cid(RAW, b"task"), make_cid(RAW, b"output")
    engine = EngineInfo(name="pyodide-node", version="24.1.0", arch="x86_64", isolation=("process", "seccomp"))
    for fuel, exit_code in ((None, 0), (1 << 60, 255)):
        execution = Execution(
            task=task, output=output, exit_code=exit_code, fuel=fuel, state_digest=STATE, engine=engine,
            timings_s={"run": 0.5},
        )  # fmt: skip
        assert read_claim(json.loads(json.dumps(claim_of(execution))), task) == execution
