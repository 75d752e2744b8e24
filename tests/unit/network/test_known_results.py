import pytest

from network.embedded import run_embedded
from network.known_results import find_known
from network.result_store import Nodes, ResultStore
from runtime.engine import Execution
from runtime.plan import plan_of_task
from storage.cid import DAG_CBOR, make_cid, split_cid
from storage.sqlite_block_store import SqliteBlockStore
from tests.vectors.records.world import STATE, World, tree
from verifier.compare import make_rule
from verifier.model import EngineInfo, Verdict
from verifier.receipt import receipt_cid

ENGINE = EngineInfo(name="scripted", version="1", arch="x86_64", isolation=())
TWO = make_rule(replication=2, confidence=2)


class FixedEngine:
    def stop(self):
        pass

    def execute(self, plan, store, progress=lambda phrase: None, stop=None):
        files = {"result": b"42", "stdout": b"", "stderr": b"", "exit_code": b"0"}
        return Execution(
            task=plan.task, output=tree(store, files), exit_code=0, fuel=None, state_digest=STATE, engine=ENGINE
        )


class Verified:
    """A task that was verified by two nodes, in a store of its own."""

    def __init__(self, folder):
        world = World()
        world.build()
        self.store = SqliteBlockStore(folder / "blocks.sqlite")
        for cid, data in world.store.kept.items():
            self.store.put(cid, data)
        self.task = world.task
        self.session = run_embedded(
            plan_of_task(world.task, self.store, 7.0),
            engine=FixedEngine(),
            store=self.store,
            keys_dir=folder,
            rule=TWO,
            parallel=1,
        )

    def remove(self, cid):
        with self.store.writing() as connection:
            assert connection.execute("DELETE FROM blocks WHERE digest = ?", (split_cid(cid).digest,)).rowcount == 1


@pytest.fixture
def verified(tmp_path):
    made = Verified(tmp_path)
    with made.store:
        yield made


def test_a_record_answers_as_its_session_did(verified):
    found = find_known(verified.task, TWO, [verified.session.record], verified.store)
    assert found.cached
    assert found.verdict is Verdict.AGREED
    assert found.executions == ()
    for name in ("output", "record", "receipts", "dissent", "same_state"):
        assert getattr(found, name) == getattr(verified.session, name)


@pytest.mark.parametrize(
    ("rule", "answers"),
    [
        (make_rule(replication=1, confidence=1), True),
        (make_rule(replication=5, confidence=2), True),
        (make_rule(replication=3, confidence=3), False),
        (make_rule(replication=2, confidence=2, diverse=True), False),
    ],
)
def test_what_is_asked_for_now_counts(verified, rule, answers):
    found = find_known(verified.task, rule, [verified.session.record], verified.store)
    assert (found is not None) == answers


def test_a_record_of_another_task_is_no_answer(verified):
    other = make_cid(DAG_CBOR, b"other")
    assert find_known(other, TWO, [verified.session.record], verified.store) is None


@pytest.mark.parametrize("what", ["record", "output", "receipt"])
def test_what_is_not_whole_here_is_no_answer(verified, what):
    session = verified.session
    verified.remove(
        {"record": session.record, "output": session.output, "receipt": receipt_cid(session.receipts[0])}[what]
    )
    assert find_known(verified.task, TWO, [verified.session.record], verified.store) is None


def test_the_first_that_answers_is_taken(verified):
    candidates = [make_cid(DAG_CBOR, b"gone"), verified.task, verified.session.record]
    assert find_known(verified.task, TWO, candidates, verified.store).record == verified.session.record


def test_what_is_kept_outlives_the_process_and_is_found_by_whose_it_is(tmp_path):
    task, ours, theirs = (make_cid(DAG_CBOR, text) for text in (b"task", b"ours", b"theirs"))
    with ResultStore(tmp_path / "x.sqlite") as results:
        results.add(task, ours, nodes=Nodes.EMBEDDED, at=2.0)
        results.add(task, theirs, nodes=Nodes.NETWORK, at=1.0)
        results.add(task, theirs, nodes=Nodes.EMBEDDED, at=9.0)
    with ResultStore(tmp_path / "x.sqlite") as results:
        assert results.records(task, nodes=Nodes.EMBEDDED) == [ours, theirs]
        assert results.records(task, nodes=Nodes.NETWORK) == [theirs]
        assert results.records(ours, nodes=Nodes.NETWORK) == []
        results.forget(before=2.0)
        assert results.since(0.0) == [ours]
        assert results.since(2.5) == []


def test_an_output_is_not_hidden_by_many_newer_records_of_another(tmp_path):
    task, first = (make_cid(DAG_CBOR, text) for text in (b"task", b"first"))
    with ResultStore(tmp_path / "x.sqlite") as results:
        results.add(task, first, nodes=Nodes.EMBEDDED, at=0.0)
        for number in range(100):
            results.add(task, make_cid(DAG_CBOR, b"%d" % number), nodes=Nodes.EMBEDDED, at=1.0 + number)
        assert results.records(task, nodes=Nodes.EMBEDDED)[-1] == first


def test_what_was_given_away_of_a_task_is_no_secret_in_another_record_of_it(tmp_path):
    task, other, *records = (make_cid(DAG_CBOR, text) for text in (b"t", b"u", b"first", b"topped up", b"later", b"u"))
    first, topped_up, later, elsewhere = records
    with ResultStore(tmp_path / "results.sqlite") as results:
        results.add(task, first, nodes=Nodes.OPEN, at=1.0)
        results.add(task, topped_up, nodes=Nodes.CHOSEN, at=2.0)
        results.add(other, elsewhere, nodes=Nodes.OPEN, at=3.0)
        results.published(topped_up)
        results.add(task, later, nodes=Nodes.OPEN, at=4.0)
        assert results.records(task, nodes=Nodes.CHOSEN) == results.records(task, nodes=Nodes.OPEN) == []
        assert set(results.records(task, nodes=Nodes.NETWORK)) == {first, topped_up, later}
        assert results.sample(10) == [(other, elsewhere)]
