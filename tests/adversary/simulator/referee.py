"""The invariants, checked after every event, from what was seen on the wires and on the disks alone.

1. no wrong y is agreed unless as many nodes as the confidence lied in that session, and more than were honest
2. every receipt of a decision is by a node that was asked, for a list that was closed, and opens its commitment there
3. every accepted job ends within a bound of virtual time once the network has healed
4. nothing acknowledged is lost: jobs, assignments, commitments, reveals and failures survive every crash
5. what was told stays so: no second commitment, no reveal for a second list, no second verdict
6. no honest node reveals before its requester closed the list, and no list is closed early
7. blame proves what it says and never falls on an honest node; an honest node is not even called late or mute when
   neither it nor the network was at fault
8. a node never holds more room than it has, and counts what it holds
9. in calm weather, with enough nodes and all of them honest, every task that is not cancelled is agreed on
10. a node runs the whole of a task unless its requester signed that it need not, which honest ones do where the job
    says so, and to nodes that read it
"""

from __future__ import annotations

from collections import defaultdict
from functools import lru_cache

from network.blame import check_blame
from network.message_codec import decode
from network.messages import SignedAssign
from network.node_state import HOLDS_ROOM, Stage
from network.protocol_events import JobAccepted, JobEnded, TaskEnded
from network.session_events import FaultKind
from storage.errors import VerificationError
from tests.adversary.simulator.hosts import truth
from tests.adversary.simulator.world import ViolationError
from verifier.commitment import check_reveal, list_cid
from verifier.model import Verdict
from verifier.receipt import check_receipt

WATCHED = frozenset({"assign/1", "assign/2", "accepted/2", "commit/1", "failed/1", "close/1", "reveal/1", "ack/1"})
UNPROVEN = (FaultKind.LATE, FaultKind.MUTE)


@lru_cache(maxsize=256)
def decoded(data):
    """Decode what an honest host says; repetitions and what goes to many are the same bytes."""
    return decode(data, "an honest host")


class Referee:
    def __init__(self, world):
        self.world = world
        self.overheard = defaultdict(list)
        self.accepted_jobs = {}
        self.ended_jobs = set()
        self.verdicts = {}
        self.sessions = {}
        """TaskEnded by session, the first time."""
        self.assigned_at = {}
        self.permitted = set()
        """(node, session) in which a node need not run everything."""
        self.resumed = 0
        self.queued = set()
        self.closed = {}
        """Lists by session and CID."""
        self.acknowledged = set()
        self.taken = set()
        """(node, session) that a node said it has accepted."""
        self.commitments = {}
        self.failed = set()
        self.revealed_for = {}
        self.truthful_receipts = defaultdict(set)
        self.faults_seen = {}
        self.blamed = set()
        self.misbehaviour = defaultdict(int)

    def violated(self, number, text):
        self.world.say(f"VIOLATION of invariant {number}: {text}")
        raise ViolationError(f"invariant {number}: {text}")

    # What is said

    def sending(self, host, peer, data, kind):
        if kind in WATCHED and host.is_honest:
            message = decoded(data)
            getattr(self, f"_{kind[:-2]}")(host, self.world.hosts[peer], message)

    def _assign(self, requester, node, message):
        if isinstance(message, SignedAssign):
            if node.is_old or not requester.machine.jobs[message.job].resumes:
                self.violated(10, f"{requester.name} lets {node.name} go on from a checkpoint in {message.session[:6]}")
            self.permitted.add((node.name, message.session))
        self.assigned_at.setdefault((node.name, message.session), self.world.now_s)

    def running(self, node, run):
        if run.resumes and self.world.hosts[run.requester].is_honest:
            self.resumed += 1
            if (node.name, run.session) not in self.permitted:
                self.violated(10, f"{node.name} was not told that it may go on from a checkpoint")

    def _accepted(self, node, requester, message):
        self.taken.add((node.name, message.session))
        task = node.machine.tasks.get(message.session) if node.machine else None
        if task is not None and task.stage is Stage.QUEUED:
            self.world.note_trouble(node, node)  # it has no room: what is late now is late by its own load

    def _commit(self, node, requester, message):
        known = self.commitments.setdefault((node.name, message.session), message.commitment)
        if known != message.commitment:
            self.violated(5, f"{node.name} commits twice, differently")
        self.overheard[message.session].append(message.commitment)

    def _failed(self, node, requester, message):
        self.failed.add((node.name, message.session))

    def _close(self, requester, node, message):
        cid = list_cid(message.commitments)
        lists = self.closed.setdefault(message.session, {})
        if cid in lists:
            return
        lists[cid] = message.commitments
        listed = {one.node for one in message.commitments.commitments}
        task = requester.machine.tasks.get(message.session)
        asked = () if task is None else task.session.asked
        for host in (self.world.hosts[peer] for peer in asked):
            where = (host.name, message.session)
            since_s = self.assigned_at.get(where, self.world.now_s)
            waited_s = self.world.now_s - since_s
            patience_s = 0 if task is None else 2 * task.job.execute_ms / 1000 / requester.rate
            if (
                host.is_honest
                and host.peer not in listed
                and where not in self.failed
                and self.world.lost_at_s.get((requester.name, host.name), -1.0) < since_s
                and waited_s < patience_s - 0.001
            ):
                self.violated(6, f"{requester.name} closes after {waited_s:.1f} s without {host.name}")

    def _reveal(self, node, requester, message):
        lists = self.closed.get(message.session, {})
        if requester.is_honest and message.receipt.round not in lists:
            self.violated(6, f"{node.name} reveals before the list is closed")
        if self.revealed_for.setdefault((node.name, message.session), message.receipt.round) != message.receipt.round:
            self.violated(5, f"{node.name} reveals for two lists")

    def _ack(self, requester, node, message):
        self.acknowledged.add((requester.name, node.peer, message.session, message.of))
        if message.of == "reveal/1" and node.is_honest:
            self.truthful_receipts[message.session].add(node.peer)

    def misbehaved(self, host, action):
        if host.is_honest and self.world.hosts[action.peer].is_honest:
            self.violated(7, f"{host.name} holds honest {self.world.hosts[action.peer].name} to have {action.problem}")
        self.misbehaviour[action.peer] += 1

    def accused(self, host, blame):
        try:
            check_blame(blame)
        except VerificationError as error:
            self.violated(7, f"{host.name} accuses without proof: {error}")
        accused = self.world.hosts[blame.node]
        if accused.is_honest:
            self.violated(7, f"{host.name} blames honest {accused.name} for {blame.kind}")
        self.blamed.add((accused.name, blame.kind))

    # What is reported

    def reported(self, host, news):
        if isinstance(news, JobAccepted):
            self.accepted_jobs[news.job] = host
            self.world.say(f"{host.name} ACCEPTED job {news.job[:6]}")
        elif isinstance(news, JobEnded):
            self.ended_jobs.add(news.job)
            self.world.say(f"{host.name} ENDED job {news.job[:6]}")
        elif host.is_honest:  # a requester that cheats may hold of its own answers what it likes
            self._task_ended(host, news)

    def _task_ended(self, host, news: TaskEnded):
        decision, session = news.decision, news.session
        told = (decision.verdict, decision.claim, session.withdrawn)
        self.world.say(f"{host.name} VERDICT {decision.verdict} of {news.session_id[:6]}")
        if self.verdicts.setdefault(news.session_id, told) != told:
            self.violated(5, f"a second verdict {told} after {self.verdicts[news.session_id]}")
        self.sessions.setdefault(news.session_id, news)
        if decision.verdict is Verdict.AGREED and not session.withdrawn:
            self._check_agreed(host, news)
        self._check_faults(host, news.session_id, session)

    def _check_agreed(self, host, news):
        decision, session = news.decision, news.session
        lists = self.closed.get(news.session_id, {})
        counted = (*decision.agreeing, *decision.dissenting)
        if len({receipt.node for receipt in counted}) != len(counted):
            self.violated(2, "counts two receipts of one node")
        for receipt in counted:
            name = self.world.hosts[receipt.node].name
            if receipt.node not in session.asked or receipt.round not in lists:
                self.violated(2, f"counts a receipt of {name}, which was not asked or names no closed list")
            if receipt.round not in host.blocks:
                self.violated(2, f"has not kept the list that the receipt of {name} names")
            try:
                check_receipt(receipt, session.task)
                check_reveal(receipt, lists[receipt.round])
            except VerificationError as error:
                self.violated(2, f"counts a receipt of {name} that is not sound: {error}")
        if decision.claim == (truth(session.task), 0):
            return
        liars = {peer for peer in session.asked if not self.world.hosts[peer].is_honest}
        honest = self.truthful_receipts[news.session_id]
        if len(liars) < session.rule.confidence or len(honest) >= len(liars):
            self.violated(1, f"a wrong y is agreed with {len(liars)} liars against {len(honest)} honest receipts")

    def _check_faults(self, host, session_id, session):
        for fault in session.faults[self.faults_seen.get((host.name, session_id), 0) :]:
            node = self.world.hosts[fault.peer]
            if not node.is_honest:
                continue
            if fault.kind not in UNPROVEN:
                self.violated(7, f"{host.name} holds honest {node.name} to be {fault.kind}: {fault.detail}")
            since_s = self.assigned_at.get((node.name, session_id), 0.0)
            if not self.world.troubled_since(host, node, since_s):
                self.violated(7, f"{host.name} calls {node.name} {fault.kind}, which nothing hindered")
        self.faults_seen[host.name, session_id] = len(session.faults)

    # After every event

    def check(self, host):
        if host.machine is None or not host.is_honest:
            return
        if host.is_node:
            self._check_room(host)
            return
        for name, task in host.machine.tasks.items():
            if len(task.session.faults) != self.faults_seen.get((host.name, name), 0):
                self._check_faults(host, name, task.session)

    def check_calm(self, nodes, jobs):
        """Invariant 9, at the end of a story."""
        rules = {job.job: job for _, job in jobs}
        for news in self.sessions.values():
            job, session = rules[news.job], news.session
            enough = max(job.rule.replication, job.min_bids) <= len(nodes)
            possible = enough and job.rule.confidence <= job.rule.replication and not job.rule.diverse
            if possible and not session.withdrawn and news.decision.verdict is not Verdict.AGREED:
                self.violated(9, f"{news.session_id[:6]} is {news.decision.verdict}, and nothing was in the way")

    def _check_room(self, host):
        machine = host.machine
        tasks = [task for task in machine.tasks.values() if task.stage in HOLDS_ROOM]
        ahead = sum(task.demand.cpu_milli for task in tasks if task.is_ahead)
        held = sum(task.demand.cpu_milli for task in tasks) - ahead
        counted = machine.total.cpu_milli - machine.books.free.cpu_milli
        if max(held, ahead) > machine.total.cpu_milli or counted != held:
            self.violated(8, f"{host.name} holds {held} of {machine.total.cpu_milli} and counts {counted}")

    def restarted(self, host):
        """Invariant 4, at the moment at which memory is what the disk held."""
        if host.is_node:
            self._restarted_node(host)
        else:
            self._restarted_requester(host)

    def _restarted_node(self, host):
        if not host.is_honest:
            return
        machine = host.machine
        for name, session in self.taken:
            if name == host.name and session not in machine.tasks and session not in machine.ended:
                self.violated(4, f"{host.name} lost the assignment {session[:6]}")
        for (name, session), commitment in self.commitments.items():
            task = machine.tasks.get(session)
            if name == host.name and task is not None:
                kept = task.participant and task.participant.commitment
                if kept != commitment:
                    self.violated(4, f"{host.name} lost its commitment in {session[:6]}")

    def _restarted_requester(self, host):
        machine = host.machine
        for job, requester in self.accepted_jobs.items():
            is_here = job in machine.jobs or f"job/{job}" in host.disk  # all of it may have ended, and be told next
            if requester is host and not is_here and job not in self.ended_jobs:
                self.violated(4, f"{host.name} lost the job {job[:6]}")
        for name, node, session, kind in self.acknowledged:
            told = self.sessions.get(session)
            if told is not None and told.job in self.ended_jobs:
                continue  # its receipts are told, and the job is: nobody needs any of it here
            if name == host.name and session not in machine.ended and not self._knows(machine, node, session, kind):
                self.violated(4, f"{host.name} lost the {kind} of {self.world.hosts[node].name} in {session[:6]}")

    def _knows(self, machine, node, session, kind):
        task = machine.tasks.get(session)
        if task is None:
            return False
        core = task.session
        noted = {fault.peer for fault in core.faults} | {peer for peer, _ in core.undetermined}
        known = core.receipts if kind == "reveal/1" else core.commitments
        return node in noted or node in known
