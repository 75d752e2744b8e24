"""What a node finds out about the inputs of a job that asks for verified ones, whatever its submitter says of them."""

from types import SimpleNamespace

import pytest

from bacalhau import input_check
from bacalhau.input_check import check_inputs, contents_of
from bacalhau.known_report import Before
from bacalhau.node_report import checked_inputs
from network.lineage_index import Filer
from network.messages import Demand
from network.node.datastore import Submission
from network.result_store import Nodes
from storage.cid import parse_cid
from storage.errors import UnavailableError, VerificationError
from storage.unixfs_import import Importer
from tests.unit.verifier.test_unverified import ENGINE, OTHER, unverified, verified
from verifier.compare import make_rule
from verifier.graph_reading import read_facts
from verifier.model import store_node
from verifier.unverified_types import UnverifiedRun


@pytest.fixture
def shelf(desk):
    """A store and a lineage in which a container made `taken`, in a directory."""
    services = desk.services()
    with services.open_store() as store, services.open_lineage() as lineage, services.open_results() as results:
        importer = Importer(store)
        taken = importer.bytes(b"made by a container")
        output = importer.directory({"made": taken}).cid
        run = UnverifiedRun(output=output, exit_code=0, engine=ENGINE)
        record = store_node(store, unverified(output=output, runs=(run,)))
        Filer(store, lineage).add([read_facts(store, record)], merged=False)
        yield SimpleNamespace(
            store=store, lineage=lineage, results=results, importer=importer, taken=taken, output=output, record=record
        )


def check(shelf, *contents, parents=()):
    return check_inputs(contents, parents, shelf.store, shelf.lineage)


def test_what_nobody_gave_is_a_raw_input(shelf):
    raw = shelf.importer.directory({"x": shelf.importer.bytes(b"raw"), "empty": shelf.importer.bytes(b"")})
    found = check(shelf, raw.cid)
    assert found.to_json() == {"ok": True, "parents": 0, "contents": 3, "cut": False, "reason": None}
    found.refuse_unless_verified()


@pytest.mark.parametrize("named", [True, False])
def test_a_tainted_input_is_refused_whether_its_record_is_named_or_not(shelf, named):
    parents = (shelf.record,) if named else ()
    hidden = shelf.importer.directory({"deep": shelf.importer.directory({"x": shelf.taken})})
    for content in (shelf.output, shelf.taken.cid, hidden.cid):
        found = check(shelf, content, parents=parents)
        assert found.is_verified is False
        with pytest.raises(VerificationError, match="an input is tainted"):
            found.refuse_unless_verified()


def test_what_something_verified_gave_as_well_is_not_tainted(shelf):
    record = store_node(shelf.store, verified(output=shelf.output))
    Filer(shelf.store, shelf.lineage).add([read_facts(shelf.store, record)], merged=False)
    assert check(shelf, shelf.output).is_verified is True
    assert check(shelf, shelf.output, parents=(shelf.record,)).is_verified is False


def test_a_named_record_that_is_not_here_is_unknown(shelf):
    found = check(shelf, parents=(OTHER,))
    assert (found.is_verified, found.reason != "") == (None, True)
    with pytest.raises(UnavailableError, match="cannot be told"):
        found.refuse_unless_verified()


def test_what_only_records_gave_of_which_it_cannot_be_told_is_unknown(shelf):
    record = store_node(shelf.store, verified(output=shelf.importer.bytes(b"later").cid, parents=(OTHER,)))
    Filer(shelf.store, shelf.lineage).add([read_facts(shelf.store, record)], merged=False)
    found = check(shelf, shelf.importer.bytes(b"later").cid)
    assert (found.is_verified, found.reason != "") == (None, True)
    # What is tainted behind it is said, and not that something else is unknown.
    assert check(shelf, shelf.importer.bytes(b"later").cid, shelf.output).is_verified is False


def test_what_is_beyond_what_was_looked_at_is_unknown(shelf, monkeypatch):
    padded = shelf.importer.directory(
        {name: shelf.importer.bytes(name.encode()) for name in "abc"} | {"x": shelf.taken}
    )
    assert check(shelf, padded.cid).is_verified is False
    monkeypatch.setattr(input_check, "MAX_LOOKED", 4)
    found = check(shelf, padded.cid)
    assert (found.is_verified, found.is_cut, found.contents) == (None, True, 4)
    assert found.reason == "more than 4 contents are in the inputs"
    with pytest.raises(UnavailableError, match="cannot be told"):
        found.refuse_unless_verified()


def test_the_inputs_of_a_task_are_its_data_and_volumes_and_of_shards_what_was_split(shelf, desk, tmp_path):
    report = desk.run("-i", desk.file(), "-v", f"{desk.file()}:/more")
    contents = contents_of(parse_cid(report["task"]), shelf.store)
    assert len(contents) == 2
    submission = Submission(
        job="ab" * 16, created_at=1.0, task=parse_cid(report["task"]), rule=make_rule(),
        demand=Demand(cpu_milli=1, memory=1, disk=0, gpus=0), require_verified=True, parents=(shelf.record,),
    )  # fmt: skip
    before = Before(results=shelf.results, lineage=shelf.lineage, nodes=Nodes.NETWORK)
    found = checked_inputs(submission, shelf.store, before).to_json()
    assert (found["ok"], found["parents"]) == (False, 1)
