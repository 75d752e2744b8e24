"""Jobs, submissions and peers for tests of a node's memory."""

from __future__ import annotations

from network.job_store import Job
from network.messages import Demand
from network.node.datastore import Submission
from storage.cid import DAG_CBOR, make_cid
from verifier.model import Rule
from verifier.peer_id import PeerId, peer_id_of

TASK = make_cid(DAG_CBOR, b"task")


def job_name(number: int) -> str:
    return f"{number:032x}"


def submission(number: int = 1, **values: object) -> Submission:
    usual = {
        "job": job_name(number),
        "created_at": 1000.5,
        "task": TASK,
        "rule": Rule(replication=3, confidence=2, diverse=False),
        "demand": Demand(cpu_milli=1000, memory=1 << 30, disk=0, gpus=0),
    }
    return Submission(**(usual | values))


def finished(number: int = 1, **values: object) -> Job:
    usual = {
        "id": job_name(number),
        "created_at": 1000.5,
        "labels": ("blue",),
        "task": TASK,
        "function": make_cid(DAG_CBOR, b"function"),
        "input": make_cid(DAG_CBOR, b"input"),
        "output": None,
        "record": None,
        "verdict": "split",
        "tier": "unverified",
        "exit_code": None,
        "report": {"job": job_name(number)},
    }
    return Job(**(usual | values))


def peer(number: int) -> PeerId:
    """Return a peer id of a key that nobody has; only its form matters."""
    return peer_id_of(b"\x07" + number.to_bytes(31, "little"))


def address(number: int) -> str:
    return f"/ip4/127.0.0.1/tcp/{number}/p2p/{peer(number)}"
