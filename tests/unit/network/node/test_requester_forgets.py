"""What a requester's datastore holds after many jobs: those that have not ended, and proofs."""

from network.message_codec import session_id, sign_commit
from network.messages import Bid, Reveal
from network.node.datastore import Machine, Put, Remove
from network.node.sqlite_datastore import SqliteDatastore
from network.protocol_events import Forget, JobEnded, Persist, Report, Submitted
from network.requester import Requester
from storage.sqlite_block_store import SqliteBlockStore
from tests.unit.network.node.node_world import JOB, Engine, Net, put_task, submission, until_event
from tests.unit.network.node.offers import on_real_time
from tests.unit.network.personas import TASK, commitment_of
from tests.unit.network.protocol_world import KIND, REQUESTER, UNIT, participant, requester_with, said
from tests.vectors.records.world import identity
from verifier.compare import make_rule

JOBS = 1_000
ALONE = make_rule(replication=1, confidence=1)


class Kept:
    """A requester whose entries go to a datastore, as a node's host commits them: a batch of events at a time."""

    def __init__(self, datastore):
        self.datastore = datastore
        self.requester = requester_with(0)
        self.changes = []
        self.told = 0

    def do(self, event):
        for action in self.requester.handle(event):
            if isinstance(action, Persist):
                self.changes.append(Put(machine=Machine.REQUESTER, key=action.key, value=action.value))
            elif isinstance(action, Forget):
                self.changes.append(Remove(machine=Machine.REQUESTER, key=action.key))
            elif isinstance(action, Report) and isinstance(action.news, JobEnded):
                self.told += 1

    def commit(self):
        self.datastore.commit(self.changes)
        self.changes = []

    def assign(self, job):
        self.do(Submitted(job=job, tasks=(TASK,), rule=ALONE, demand=UNIT, seed="cd" * 32))
        session = session_id(REQUESTER.peer, job, TASK)
        self.do(said(0, Bid(session=session, engine=KIND.engine, arch=KIND.arch)))
        return session

    def finish(self, session):
        self.do(said(0, sign_commit(identity(0), session, commitment_of(0))))
        _, receipt = participant(0).reveal(self.requester.tasks[session].session.published, "requester")
        self.do(said(0, Reveal(session=session, receipt=receipt)))


def test_after_a_thousand_jobs_a_restart_reads_what_has_not_ended(tmp_path):
    with SqliteDatastore(tmp_path / "datastore.sqlite") as datastore:
        kept = Kept(datastore)
        running = f"{JOBS:032x}"
        kept.assign(running)
        for number in range(JOBS):
            kept.finish(kept.assign(f"{number:032x}"))
            if number % 50 == 0:
                kept.commit()
        kept.commit()
        assert kept.told == JOBS
    with SqliteDatastore(tmp_path / "datastore.sqlite") as datastore:
        entries = datastore.entries(Machine.REQUESTER)
    session = session_id(REQUESTER.peer, running, TASK)
    assert entries.keys() == {f"job/{running}", f"step/{session}/000000"}
    again = Requester(REQUESTER)
    again.restore(entries)
    assert (again.jobs.keys(), again.tasks.keys()) == ({running}, {session})


@on_real_time
async def test_a_job_that_has_ended_at_a_node_has_no_entries_there(tmp_path):
    net = Net(tmp_path, [Engine()])
    with SqliteBlockStore(net.requester.folder / "blocks.sqlite") as store:
        task = put_task(store)
    async with net.running() as node:
        await node.submit(submission(task, rule=ALONE))
        await until_event(node, JOB, "ended")
    with SqliteDatastore(net.requester.folder / "datastore.sqlite") as datastore:
        assert datastore.entries(Machine.REQUESTER) == {}
        assert len(datastore.jobs(limit=10)) == 1
