import threading

import pytest

from network.embedded import SessionResult, run_embedded
from runtime.engine import Execution, Plan, UndeterminedError
from storage.blocks import MemoryBlockStore
from storage.errors import VerificationError
from storage.unixfs_import import Importer
from tests.vectors.records.world import STATE, World, tree
from verifier.audit import audit_record
from verifier.compare import make_rule
from verifier.model import EngineInfo, Function, Input, Lock, Record, Verdict, load_node

ENGINE = EngineInfo(name="scripted", version="1", arch="x86_64", isolation=())


class ScriptedEngine:
    """Gives the answers of a script, one for each execution in the order they begin; exceptions are raised."""

    def __init__(self, *answers, default="y"):
        self.answers = list(answers)
        self.default = default
        self.lock = threading.Lock()
        self.running = self.most = self.calls = 0
        self.stopped = threading.Event()

    def stop(self):
        self.stopped.set()

    def execute(self, plan, store, progress=lambda phrase: None, stop=None):
        with self.lock:
            self.calls += 1
            self.running += 1
            self.most = max(self.most, self.running)
            answer = self.answers.pop(0) if self.answers else self.default
        progress("running")
        with self.lock:
            self.running -= 1
            if isinstance(answer, Exception):
                raise answer
            files = {"result": answer.encode(), "stdout": b"", "stderr": b"", "exit_code": b"0"}
            output = tree(store, files)
        return Execution(task=plan.task, output=output, exit_code=0, fuel=None, state_digest=STATE, engine=ENGINE)


@pytest.fixture
def world():
    world = World()
    world.build()
    return world


@pytest.fixture
def plan(world):
    function = load_node(world.store, world.function, Function)
    return Plan(
        task=world.task,
        function_cid=world.function,
        input_cid=world.input,
        function=function,
        input=load_node(world.store, world.input, Input),
        lock=load_node(world.store, function.lock, Lock),
        wall_clock_s=1.0,
    )


@pytest.fixture
def run(world, plan, tmp_path):
    def go(engine, rule=None, **more) -> SessionResult:
        values = {"store": world.store, "keys_dir": tmp_path / "keys", "rule": rule or make_rule(), "parallel": 2}
        return run_embedded(plan, engine=engine, **(values | more))

    return go


def test_agreement_gives_a_record_that_passes_its_audit(run, world, plan):
    result = run(ScriptedEngine())
    assert result.verdict is Verdict.AGREED
    assert audit_record(world.store, result.record).verdict == "valid"
    record = load_node(world.store, result.record, Record)
    assert (record.task, record.function, record.input) == (plan.task, plan.function_cid, plan.input_cid)
    assert record.output == result.output == result.executions[0].output
    assert (len(result.receipts), result.dissent, result.undetermined, result.faults) == (3, (), (), ())
    assert result.same_state


class Watched(MemoryBlockStore):
    """Notes which blocks come together."""

    def __init__(self, below):
        super().__init__()
        self._blocks = dict(below._blocks)
        self.batches = []

    def put_many(self, blocks):
        blocks = list(blocks)
        self.batches.append([cid for cid, _ in blocks])
        super().put_many(blocks)


def test_a_record_and_its_evidence_come_in_one_transaction(run, world):
    store = Watched(world.store)
    result = run(ScriptedEngine("y", "y", "z"), store=store)
    record = load_node(store, result.record, Record)
    assert len(record.receipts) + len(record.dissent) == 3
    (together,) = [batch for batch in store.batches if result.record in batch]
    assert {record.commitments, *record.receipts, *record.dissent, result.record} == set(together)


def test_dissent_is_kept_in_the_record(run, world):
    result = run(ScriptedEngine("lie"))
    assert result.verdict is Verdict.AGREED
    assert len(result.dissent) == 1
    assert len(load_node(world.store, result.record, Record).dissent) == 1
    assert audit_record(world.store, result.record).verdict == "valid"


def test_a_split_asks_more_nodes_and_the_record_of_several_rounds_is_valid(run, world):
    engine = ScriptedEngine("lie", "another lie", "y")
    result = run(engine)
    assert result.verdict is Verdict.AGREED
    assert engine.calls > 3
    assert len({receipt.round for receipt in result.receipts}) == 2
    report = audit_record(world.store, result.record)
    assert report.verdict == "valid"
    assert report.checks[8].detail.startswith("2 rounds")


def test_a_function_that_is_never_the_same_gives_no_record(run):
    engine = ScriptedEngine(*[f"random {number}" for number in range(9)])
    result = run(engine)
    assert (result.verdict, result.record, result.output) == (Verdict.SPLIT, None, None)
    assert len(result.receipts) == len(result.dissent) == engine.calls == 7


def test_an_undetermined_execution_never_becomes_a_commitment(run, world):
    result = run(ScriptedEngine(UndeterminedError("worker died")))
    assert result.verdict is Verdict.AGREED
    ((node, reason),) = result.undetermined
    assert "worker died" in reason
    assert node not in {receipt.node for receipt in result.receipts}
    assert audit_record(world.store, result.record).verdict == "valid"


def test_a_host_that_always_fails_gives_too_few_within_the_bound(run):
    engine = ScriptedEngine(default=UndeterminedError("disk full"))
    result = run(engine)
    assert (result.verdict, result.record, result.receipts) == (Verdict.TOO_FEW, None, ())
    assert engine.calls == 7


def test_one_node_is_a_claim_unless_confidence_one_was_asked_for(run):
    assert run(ScriptedEngine(), make_rule(replication=1)).verdict is Verdict.TOO_FEW
    assert run(ScriptedEngine(), make_rule(replication=1, confidence=1)).verdict is Verdict.AGREED


def test_other_errors_of_the_engine_end_the_session(run):
    with pytest.raises(VerificationError, match="wheel"):
        run(ScriptedEngine(VerificationError("wheel is not what its CID says")))


def test_giving_up_stops_the_executions_that_are_under_way(run):
    class Endless(ScriptedEngine):
        def execute(self, plan, store, progress=lambda phrase: None, stop=None):
            with self.lock:
                self.calls += 1
                first = self.calls == 1
            if first:
                raise VerificationError("wheel is not what its CID says")
            self.stopped.wait()  # would be for ever
            raise UndeterminedError("the engine was stopped")

    with pytest.raises(VerificationError, match="wheel"):
        run(Endless())


def test_an_engine_that_runs_another_task_is_a_bug(run, world):
    class Wrong(ScriptedEngine):
        def execute(self, plan, store, progress=lambda phrase: None, stop=None):
            done = super().execute(plan, store, progress)
            return Execution(
                task=world.function, output=done.output, exit_code=0, fuel=None, state_digest=STATE, engine=ENGINE
            )

    with pytest.raises(ValueError, match="another task"):
        run(Wrong())


def test_nodes_keep_their_keys_and_run_in_parallel_up_to_the_bound(run, tmp_path):
    engine = ScriptedEngine()
    first, second = run(engine), run(ScriptedEngine(), parallel=1)
    assert [receipt.node for receipt in first.receipts] == [receipt.node for receipt in second.receipts]
    assert len({receipt.node for receipt in first.receipts}) == 3
    assert engine.most <= 2
    assert sorted(path.name for path in (tmp_path / "keys").iterdir()) == [f"embedded-{n}.key" for n in (1, 2, 3)]


def test_progress_says_which_node(run):
    phrases = []
    run(ScriptedEngine(), progress=phrases.append)
    assert sorted(phrases) == ["node 1: running", "node 2: running", "node 3: running"]


def test_parents_are_kept_and_audited(run, world):
    made = Importer(world.store).bytes(b"The quick brown fox\n").cid
    text = {"outputs/made": b"The quick brown fox\n"}
    parent_record = World(store=world.store, edits={"output": lambda files: files.update(text)}).build()
    assert load_node(world.store, world.input, Input).data == made
    result = run(ScriptedEngine(), parents=(parent_record,))
    assert audit_record(world.store, result.record).verdict == "valid"
    without = MemoryBlockStore()
    without.put_many((cid, data) for cid, data in world.store.kept.items() if cid != parent_record)
    unknown = [check.name for check in audit_record(without, result.record).checks if check.ok is None]
    assert unknown == ["blocks", "parents"]
    stranger = World(store=world.store, confidence=1).build()
    result = run(ScriptedEngine(), parents=(stranger,))
    report = audit_record(world.store, result.record)
    assert [check.name for check in report.checks if check.ok is False] == ["parents"]
