"""Records that are well-formed and claim what a test wants: for what reads the graph, and checks no evidence."""

from storage.cid import DAG_CBOR, make_cid
from verifier.claim_types import EngineInfo
from verifier.model import Record, Rule
from verifier.unverified_types import UnverifiedRecord, UnverifiedRun

SOME = make_cid(DAG_CBOR, b"something")


def record_node(*, task, output, parents=(), dissent=(), tier="verified"):
    """Return the node of a record of a tier."""
    common = {"task": task, "function": SOME, "input": SOME, "output": output, "parents": tuple(sorted(parents))}
    if tier == "verified":
        rule = Rule(replication=3, confidence=2, diverse=False)
        return Record(
            tier=tier, rule=rule, commitments=SOME, receipts=(SOME,), dissent=tuple(sorted(dissent)), **common
        ).to_node()
    engine = EngineInfo(name="docker", version="1", arch="x86_64", isolation=())
    run = UnverifiedRun(output=output, exit_code=0, engine=engine)
    return UnverifiedRecord(tier=tier, exit_code=0, runs=(run,), **common).to_node()
