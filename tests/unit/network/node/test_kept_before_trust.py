"""Entries of versions that knew no trust: a node that was upgraded goes on with what it had."""

from network.node.outcome import Before, Outcome, read_outcome, write_outcome
from network.node.shard_entry import ShardEntry, read_shard, write_shard
from network.node.submission_entry import read_submission, write_submission
from network.requester_entries import StepEntry, read_step, write
from network.trust_terms import LEAST_RULE, Standing, TrustNote, TrustTerms
from storage import dag_cbor
from storage.cid import DAG_CBOR, make_cid
from tests.unit.network.node.node_world import submission
from tests.vectors.records.world import identity
from verifier.credibility import TrustGoal

TASK = make_cid(DAG_CBOR, b"a task")
PEER = identity(1).peer
TERMS = TrustTerms(asked=0.999, bad=0.1, words=2, least_passes=3, most_nodes=9)
OUTCOME = Outcome(
    session="5a" * 32, verdict="too-few", cancelled=False, same_state=True, output=None, commitments=None, receipts=(),
    dissent=(), undetermined=(), faults=(),
)  # fmt: skip


def before(data, version, *missing):
    """Return an entry as the version before wrote it."""
    node = dag_cbor.decode(data)
    for name in missing:
        del node[name]
    return dag_cbor.encode(node | {"v": version})


def test_a_step():
    step = StepEntry(kind="Assigned", nodes=(PEER,))
    assert read_step(before(write(step), "step-entry/1", "standing")) == step
    trusting = StepEntry(kind="Assigned", nodes=(PEER,), standing=Standing(terms=TERMS, passes=(7,)))
    assert read_step(write(trusting)) == trusting


def test_an_outcome_and_a_shard():
    assert read_outcome(before(write_outcome(OUTCOME), "outcome/2", "trust", "before")) == OUTCOME
    assert read_outcome(before(write_outcome(OUTCOME), "outcome/3", "before")) == OUTCOME
    known = Before(record=TASK, receipts=2, parents=(TASK,))
    topped_up = Outcome(**{name: getattr(OUTCOME, name) for name in OUTCOME.__slots__} | {"before": known})
    assert read_outcome(write_outcome(topped_up)) == topped_up
    note = TrustNote(terms=TERMS, reached=0.5, nodes=(PEER,), passes=(7,))
    trusting = Outcome(**{name: getattr(OUTCOME, name) for name in OUTCOME.__slots__} | {"trust": note})
    assert read_outcome(write_outcome(trusting)) == trusting
    shard = ShardEntry(number=3, exit_code=None, record=None, outcome=OUTCOME)
    node = dag_cbor.decode(write_shard(shard))
    del node["outcome"]["before"]
    node["outcome"]["v"], node["v"] = "outcome/3", "shard-entry/2"
    assert read_shard(dag_cbor.encode(node)) == shard
    del node["outcome"]["trust"]
    node["outcome"]["v"], node["v"] = "outcome/2", "shard-entry/1"
    assert read_shard(dag_cbor.encode(node)) == shard


def test_a_submission():
    plain = submission(TASK)
    data, origins = write_submission(plain)
    since_5, since_4 = ("require_verified",), ("unverified", "require_verified")
    since_3 = ("data_parents", *since_4)
    assert read_submission(before(data, "submission-entry/5", *since_5), origins) == plain
    assert read_submission(before(data, "submission-entry/2", "trust", "bad", *since_3), origins) == plain
    assert read_submission(before(data, "submission-entry/3", *since_3), origins) == plain
    assert read_submission(before(data, "submission-entry/4", *since_4), origins) == plain
    asked = submission(TASK, require_verified=True)
    assert read_submission(*write_submission(asked)) == asked
    with_data = submission(None, shards=TASK, shard_count=2, data_parents=(TASK,))
    assert read_submission(*write_submission(with_data)) == with_data
    trusting = submission(TASK, trust=TrustGoal(asked=0.99, bad=0.2), rule=LEAST_RULE)
    assert read_submission(*write_submission(trusting)) == trusting
