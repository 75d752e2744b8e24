"""The tier that nobody verifies: types that no evidence can be made of, and what they taint."""

import dataclasses

import pytest

from storage import dag_cbor
from storage.blocks import MemoryBlockStore
from storage.cid import DAG_CBOR, RAW, make_cid
from storage.errors import UnavailableError, VerificationError
from verifier.audit import audit_record
from verifier.container_types import MAX_ARGUMENT_BYTES, ContainerFunction
from verifier.model import (
    EngineInfo,
    Function,
    ModelError,
    Receipt,
    Record,
    Rule,
    Task,
    load_node,
    node_cid,
    store_node,
)
from verifier.taint import Taint, find_taint
from verifier.unverified_types import UnverifiedRecord, UnverifiedRun, load_any_record

LEAF, OTHER = make_cid(RAW, b"leaf"), make_cid(RAW, b"other")
ENGINE = EngineInfo(name="docker", version="20.10", arch="x86_64", isolation=("container",))


def function(**changes):
    values = {
        "image": f"sha256:{'0a' * 32}",
        "repo_digest": None,
        "entrypoint": None,
        "command": ("sh", "-c", "echo a\nb"),
        "workdir": None,
        "user": "65534:65534",
        "network": "none",
        "writable_root": False,
        "cpu_milli": 1000,
        "gpus": 0,
    }
    return ContainerFunction(**(values | changes))


def unverified(*parents, **changes):
    run = UnverifiedRun(output=LEAF, exit_code=0, engine=ENGINE)
    values = {"task": LEAF, "function": LEAF, "input": LEAF, "output": LEAF, "exit_code": 0, "runs": (run,)}
    values |= {"tier": "unverified", "parents": tuple(sorted(parents))}
    return UnverifiedRecord(**(values | changes))


def verified(*parents, **changes):
    values = dict.fromkeys(("task", "function", "input", "output", "commitments"), LEAF)
    values |= {"tier": "verified", "rule": Rule(replication=1, confidence=1, diverse=False)}
    values |= {"receipts": (), "dissent": (), "parents": tuple(sorted(parents))}
    return Record(**(values | changes))


@pytest.mark.parametrize("thing", [function(), unverified(), unverified(LEAF, OTHER)])
def test_what_is_written_is_read_as_the_same(thing):
    assert type(thing).from_node(dag_cbor.decode(dag_cbor.encode(thing.to_node()))) == thing


def test_cids_of_the_published_forms_never_change():
    assert dag_cbor.encode(function().to_node())[:1] == b"\xab"
    assert ContainerFunction.VERSION == "container-function/1"
    assert UnverifiedRecord.VERSION == "unverified-record/1"


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("image", "busybox"),
        ("image", f"sha256:{'0A' * 32}"),
        ("repo_digest", "busybox:latest"),
        ("entrypoint", ("a\0b",)),
        ("command", ("x" * (MAX_ARGUMENT_BYTES + 1),)),
        ("command", ("\ud800",)),
        ("command", ("",) * 4097),
        ("workdir", "relative"),
        ("user", ""),
        ("user", "-u"),
        ("user", "a b"),
        ("network", "host"),
        ("network", "container:1"),
        ("cpu_milli", 0),
        ("gpus", -1),
        ("writable_root", 1),
    ],
)
def test_a_function_is_within_bounds(field, value):
    with pytest.raises(ModelError, match=field):
        function(**{field: value})


@pytest.mark.parametrize("tier", ["verified", "", "Unverified"])
def test_an_unverified_record_has_no_other_tier(tier):
    with pytest.raises(ModelError, match="tier"):
        unverified(tier=tier)


@pytest.mark.parametrize("tier", ["unverified", ""])
def test_a_record_refuses_every_tier_but_verified(tier):
    with pytest.raises(ModelError, match="tier"):
        verified(tier=tier)
    with pytest.raises(VerificationError):
        Record.from_node({**verified().to_node(), "tier": tier})


@pytest.mark.parametrize("changes", [{"output": OTHER}, {"exit_code": 1}, {"runs": ()}])
def test_a_record_says_what_its_runs_say(changes):
    with pytest.raises(ModelError, match="runs"):
        unverified(**changes)


def test_no_type_of_evidence_reads_it():
    node = unverified().to_node()
    for kind in (Record, Receipt):
        with pytest.raises(VerificationError):
            kind.from_node(node)
        with pytest.raises(VerificationError):
            kind.from_node({**node, "v": kind.VERSION})
    with pytest.raises(VerificationError):
        UnverifiedRecord.from_node(verified().to_node())


def test_a_container_is_no_function_of_a_verified_task():
    store = MemoryBlockStore()
    task = store_node(store, Task(function=store_node(store, function()), input=LEAF))
    with pytest.raises(VerificationError, match="function/1"):
        load_node(store, load_node(store, task, Task).function, Function)


def test_a_record_that_claims_a_container_is_invalid():
    store = MemoryBlockStore()
    f = store_node(store, function())
    task = store_node(store, Task(function=f, input=LEAF))
    record = store_node(store, verified(task=task, function=f))
    report = audit_record(store, record)
    assert report.verdict == "invalid"
    assert not next(check.ok for check in report.checks if check.name == "task")


def test_an_audit_of_the_record_alone_is_never_valid():
    store = MemoryBlockStore()
    assert audit_record(store, store_node(store, unverified())).verdict != "valid"


def test_either_tier_is_read_as_what_it_says_it_is():
    store = MemoryBlockStore()
    for record in (unverified(), verified()):
        assert load_any_record(store, store_node(store, record)) == record
    task = store_node(store, Task(function=LEAF, input=LEAF))
    for cid in (task, LEAF):
        with pytest.raises(VerificationError):
            load_any_record(store, cid)
    with pytest.raises(UnavailableError):
        load_any_record(store, node_cid(verified(LEAF)))
    broken = make_cid(DAG_CBOR, b"\xff")
    store.put(broken, b"\xff")
    with pytest.raises(VerificationError):
        load_any_record(store, broken)


def test_taint_is_what_any_ancestor_is():
    store = MemoryBlockStore()
    bad = store_node(store, unverified())
    clean = store_node(store, verified())
    child = store_node(store, verified(bad, clean))
    grandchild = store_node(store, verified(child))
    again = store_node(store, unverified(grandchild))
    assert find_taint(store, [clean]) == Taint()
    assert find_taint(store, []).is_tainted is False
    assert find_taint(store, [child]).unverified == (bad,)
    assert find_taint(store, [grandchild]).unverified == (bad,)
    found = find_taint(store, [again, clean])
    assert (found.is_tainted, found.unverified) == (True, (again, bad))
    assert "2 records" in found.reason


def test_what_cannot_be_read_is_unknown_and_not_clean():
    store = MemoryBlockStore()
    absent = node_cid(verified(LEAF))
    child = store_node(store, verified(absent))
    found = find_taint(store, [child])
    assert (found.is_tainted, found.unverified, found.unknown) == (None, (), (absent,))
    assert "cannot be read" in found.reason
    bad = store_node(store, unverified())
    assert find_taint(store, [child, bad]).is_tainted is True
    assert find_taint(store, [LEAF]).is_tainted is None


def test_a_walk_has_an_end(monkeypatch):
    monkeypatch.setattr("verifier.ancestry.MAX_GENERATIONS", 2)
    store = MemoryBlockStore()
    cid = store_node(store, verified())
    for _ in range(3):
        cid = store_node(store, dataclasses.replace(verified(cid), task=OTHER))
    assert find_taint(store, [cid]).is_tainted is None
