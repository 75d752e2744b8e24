"""The engine of scheduling tests: nothing that it says can become evidence."""

import pytest

from network.embedded import run_embedded
from runtime.engine import UndeterminedError
from runtime.noop_engine import SAID, NoopEngine
from runtime.request import Request
from runtime.stop_signal import StopSignal
from storage.blocks import MemoryBlockStore
from tests.unit.bacalhau.fakes import fake_prepare
from verifier.compare import make_rule
from verifier.model import Verdict


@pytest.fixture
def store():
    return MemoryBlockStore()


@pytest.fixture
def plan(store):
    request = Request(code="pass")
    return fake_prepare(request, store=store, engine=None, progress=None, report=None, note=None)


def test_an_execution_fails_and_never_returns(plan, store):
    engine, said = NoopEngine(), []
    with pytest.raises(UndeterminedError, match=SAID):
        engine.execute(plan, store, said.append)
    assert (engine.executed, said) == (1, ["running nothing"])


def test_it_takes_as_long_as_its_work(plan, store):
    worked = []
    engine = NoopEngine(worked.append)
    with pytest.raises(UndeterminedError, match=SAID):
        engine.execute(plan, store, stop=StopSignal())
    assert worked == [plan]


def test_after_a_stop_nothing_is_begun(plan, store):
    engine = NoopEngine()
    engine.stop()
    with pytest.raises(UndeterminedError, match="given up"):
        engine.execute(plan, store)
    signal = StopSignal()
    signal.set()
    with pytest.raises(UndeterminedError, match="given up"):
        NoopEngine().execute(plan, store, stop=signal)
    assert engine.executed == 0


def test_no_number_of_nodes_makes_a_receipt_of_it(plan, store, tmp_path):
    engine = NoopEngine()
    session = run_embedded(
        plan,
        engine=engine,
        store=store,
        keys_dir=tmp_path,
        rule=make_rule(replication=3, confidence=1),
        parallel=2,
    )
    assert (session.verdict, session.receipts, session.record, session.output) == (Verdict.TOO_FEW, (), None, None)
    assert engine.executed >= 3
