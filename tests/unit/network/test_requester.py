"""A requester without its world."""

import pytest

from network.bid_choice import choose_bids, is_diverse_enough
from network.capacity_book import SILENT_PERIODS
from network.message_codec import encode, sign_capacity, sign_commit
from network.messages import (
    Accepted,
    Ack,
    Assign,
    Bid,
    Cancel,
    Close,
    Decline,
    Failed,
    Offer,
    Refuse,
    Reveal,
    Settled,
)  # fmt: skip
from network.protocol_errors import LocalProtocolError
from network.protocol_events import (
    Accuse,
    CancelRequested,
    Executed,
    Forget,
    Heard,
    JobAccepted,
    JobEnded,
    KeepList,
    Lost,
    Misbehaved,
    Persist,
    Received,
    Report,
    Send,
    SetTimer,
    TaskEnded,
    Timer,
)  # fmt: skip
from network.requester import PERIOD, Requester
from network.requester_entries import OutcomeEntry, write
from network.requester_state import GraceOver, OfferAgain, QueueOver, Repeat
from network.session_events import DeadlinePassed, FaultKind, Phase
from storage.cid import RAW, make_cid
from storage.errors import UserError, VerificationError
from tests.unit.network.personas import TASK, commitment_of, execution
from tests.unit.network.protocol_world import (
    JOB,
    KIND,
    REQUESTER,
    SESSION,
    UNIT,
    disk,
    job,
    participant,
    requester_with,
    said,
    sent,
    total,
)  # fmt: skip
from tests.vectors.records.world import identity, nonce
from verifier.compare import make_rule
from verifier.model import Verdict


class Play:
    """Feeds a requester and keeps its disk."""

    def __init__(self, *nodes, trust=None, **options):
        self.requester = requester_with(*(nodes or range(6)), trust=trust)
        self.disk = {}
        self.actions = ()
        self.do(job(**options))

    def do(self, event):
        self.actions = self.requester.handle(event)
        self.disk = disk(self.actions, self.disk)
        return self.actions

    def bid(self, *numbers, engine="noop", arch="x86_64"):
        for number in numbers:
            self.do(said(number, Bid(session=SESSION, engine=engine, arch=arch)))
        return self.actions

    def commit(self, number, text="y"):
        return self.do(said(number, sign_commit(identity(number), SESSION, commitment_of(number, text))))

    def reveal(self, number, text="y"):
        _, receipt = participant(number, text).reveal(self.task.session.published, "requester")
        return self.do(said(number, Reveal(session=SESSION, receipt=receipt)))

    def timer(self, kind):
        """Let the newest timer about `kind` fire."""
        about = next(one.about for one in reversed(self.timers) if isinstance(one.about, kind))
        return self.do(Timer(session=SESSION, about=about))

    @property
    def timers(self):
        return [one for one in self.actions if isinstance(one, SetTimer)]

    @property
    def task(self):
        return self.requester.tasks[SESSION]

    @property
    def assigned(self):
        return sorted(number for number in range(10) if identity(number).peer in self.task.session.asked)

    def disk_sessions(self):
        return {key.split("/")[1] for key in self.disk if key.startswith("step/")}

    def restart(self, *, trust=None):
        self.requester = Requester(REQUESTER, trust=trust)
        self.actions = self.requester.restore(self.disk)
        return self.actions


def reports(actions):
    return [action.news for action in actions if isinstance(action, Report)]


def kinds(actions):
    return [type(message) for message in sent(actions)]


def test_a_job_from_its_submission_to_its_verdict():
    play = Play()
    assert isinstance(play.actions[0], Persist)
    assert reports(play.actions) == [JobAccepted(job=JOB)]
    assert kinds(play.actions) == [Offer] * 5
    play.bid(*range(6))
    assert len(play.assigned) == 3
    first, second, third = play.assigned
    for number in play.assigned:
        play.do(said(number, Accepted(session=SESSION)))
    play.commit(first)
    play.commit(second)
    actions = play.commit(third)
    assert isinstance(actions[0], Persist)
    assert kinds(actions) == [Ack, Close, Close, Close]
    (kept,) = [place for place, action in enumerate(actions) if isinstance(action, KeepList)]
    assert not any(isinstance(message, Close) for message in sent(actions[:kept]))
    play.reveal(first)
    play.reveal(second)
    actions = play.reveal(third)
    ended, job_ended = reports(actions)
    assert ended.decision.verdict is Verdict.AGREED
    assert job_ended == JobEnded(job=JOB)
    assert kinds(actions) == [Ack, Settled, Settled, Settled]
    assert play.requester.tasks == {}


TASKS = (TASK, *(make_cid(RAW, f"task {number}".encode()) for number in range(20)))


def standing(*in_hand, **options):
    """Return a play with a job of many tasks, the first of which nodes took that said so much about others of it."""
    play = Play(*range(len(in_hand)), tasks=TASKS, **options)
    play.bid(*range(len(in_hand)))
    for number, count in enumerate(in_hand):
        play.do(said(number, Accepted(session=SESSION, in_hand=count)))
    return play


def begun(play):
    """Return the sessions that have begun, but for the first, each with the nodes that are at work."""
    return {name: task.session.pending for name, task in play.requester.tasks.items() if name != SESSION}


def test_nodes_that_say_so_are_given_tasks_without_offers():
    play = standing(3, 3, 4)
    assert kinds(play.actions) == [Assign, Assign, Assign] * 2
    everybody = frozenset(identity(number).peer for number in range(3))
    at_work = [pending for pending in begun(play).values() if pending]
    assert at_work == [everybody, everybody], "three in hand with the first one"
    carried = {action.task for action in play.actions if isinstance(action, Send)}
    assert carried < set(TASKS[1:]), "nobody was asked before, so blocks go with the assignment"
    assert isinstance(play.actions[0], Persist)


def test_another_is_given_when_one_is_committed_to():
    play = standing(1, 1, 1)
    before = begun(play)
    play.commit(0)
    play.commit(1)
    assert [pending for pending in begun(play).values() if pending] == [p for p in before.values() if p]
    play.commit(2)
    assert [len(pending) for pending in begun(play).values() if pending] == [3]


def test_nobody_gets_more_tasks_by_saying_that_it_takes_many():
    """Three of thirty nodes say so: nodes are drawn as ever, and those three are hardly ever all among five."""
    play = Play(*range(30), tasks=TASKS)
    play.bid(*range(30))
    asked = [number for number in range(30) if identity(number).peer in play.task.session.asked]
    for number in asked:
        play.do(said(number, Accepted(session=SESSION, in_hand=100)))
    assert len(asked) == 3
    assert sum(bool(pending) for pending in begun(play).values()) <= 1


@pytest.mark.parametrize("in_hand", [(2, 2, 0), (2, 2)])
def test_too_few_of_them_are_not_enough(in_hand):
    assert not any(begun(standing(*in_hand)).values())


def test_min_bids_counts_them():
    assert not any(begun(standing(3, 3, 3, min_bids=4)).values())


def test_diverse_wants_two_kinds_of_them():
    play = standing(3, 3, 3, rule=make_rule(diverse=True))
    assert not any(begun(play).values())


def test_where_there_is_little_time_each_task_is_offered():
    assert not any(begun(standing(3, 3, 3, execute_ms=19_999)).values())
    assert any(begun(standing(3, 3, 3, execute_ms=20_000)).values())


@pytest.mark.parametrize("event", ["lost", "failed", "said", "convicted"])
def test_who_stands_no_longer_is_given_nothing(event):
    play = standing(1, 1, 1)
    if event == "lost":
        play.do(Lost(peer=identity(0).peer))
    elif event == "failed":
        play.do(said(0, Failed(session=SESSION, reason="disk full")))
    elif event == "said":
        play.do(said(0, Accepted(session=SESSION)))
        play.commit(0)
    else:
        play.commit(0)
        play.commit(0, "another")
    play.commit(1)
    play.commit(2)
    assert not any(begun(play).values())


def test_who_goes_on_with_other_tasks_is_not_late_with_those_behind_them():
    play = standing(2, 2, 2)
    (session,) = [name for name, pending in begun(play).items() if pending]
    timers = [one for one in play.timers if one.session == session and isinstance(one.about, DeadlinePassed)]
    (timer,) = timers
    due = Timer(session=session, about=timer.about)
    play.commit(0)
    assert play.do(due) == (timer,), "its turn is still to come"
    play.do(due)
    faults = play.requester.tasks[session].session.faults
    assert {fault.kind for fault in faults} == {FaultKind.LATE}, "nobody has gone on since"


def test_who_is_late_with_one_task_is_late_with_those_behind_it_too():
    """Were that taken for going on, a mute node would be waited for once more with each of its tasks, one after the
    other."""
    play = Play(0, 1, 2, tasks=TASKS)
    play.bid(0, 1, 2)
    timers = {one.session: one for one in play.timers if isinstance(one.about, DeadlinePassed)}
    for number in range(3):
        play.do(said(number, Accepted(session=SESSION, in_hand=3)))
        timers |= {one.session: one for one in play.timers if isinstance(one.about, DeadlinePassed)}
    behind = [name for name, pending in begun(play).items() if pending]
    assert len(behind) == 2
    for session in (SESSION, *behind):
        late = play.requester.tasks[session]
        play.do(Timer(session=session, about=timers[session].about))
        faults = play.requester.tasks[session].session.faults
        assert (late.session.faults, {fault.kind for fault in faults}) == ((), {FaultKind.LATE})
        given = {name for name, pending in begun(play).items() if pending}
        assert given <= {*behind}, "who was late is given nothing more without a bid"


def test_after_a_restart_tasks_are_offered_again():
    play = standing(2, 2, 2)
    play.restart()
    for number in range(3):
        record = sign_capacity(identity(number), sequence=2, total=total(4), free=total(4), engines=(KIND,))
        play.do(Heard(message=encode(record), via=identity(number).peer))
        play.do(said(number, Accepted(session=SESSION, in_hand=2)))
    assert not any(pending for name, pending in begun(play).items() if name not in play.disk_sessions())


def test_an_acknowledgement_follows_what_it_acknowledges():
    play = Play()
    play.bid(*range(6))
    actions = play.commit(play.assigned[0])
    assert [type(action).__name__ for action in actions] == ["Persist", "Send"]
    again = play.commit(play.assigned[0])
    assert kinds(again) == [Ack]
    assert not any(isinstance(action, Persist) for action in again)


def test_bidders_that_are_not_chosen_get_their_room_back():
    play = Play()
    play.bid(*range(6))
    late = next(number for number in range(6) if number not in play.assigned)
    assert kinds(play.bid(late)) == [Decline]


def test_nodes_that_are_to_settle_a_split_are_sought_no_longer_than_they_would_execute():
    play = Play(0, 1, rule=make_rule(replication=2), execute_ms=60_000, queue_ms=3_600_000)
    (over,) = [one for one in play.timers if isinstance(one.about, QueueOver)]
    assert over.delay_ms == 3_600_000
    play.bid(0, 1)
    for number in (0, 1):
        play.commit(number, f"y{number}")
    for number in (0, 1):
        play.reveal(number, f"y{number}")
    (over,) = [one for one in play.timers if isinstance(one.about, QueueOver)]
    assert over.delay_ms == 60_000
    assert reports(play.do(Timer(session=SESSION, about=over.about)))[0].decision.verdict is Verdict.SPLIT


def test_min_bids_must_be_there_before_any_is_taken():
    play = Play(min_bids=5)
    offered = [number for number in range(6) if identity(number).peer in play.task.offered]
    play.bid(*offered[:4])
    assert play.task.phase is Phase.ASSIGNING
    play.bid(offered[4])
    assert len(play.assigned) == 3


def test_too_few_bids_for_min_bids_is_too_few_and_nobody_runs():
    play = Play(min_bids=5)
    timers = play.timers
    play.bid(0, 1, 2, 3)
    (over,) = [one.about for one in timers if isinstance(one.about, QueueOver)]
    actions = play.do(Timer(session=SESSION, about=over))
    assert reports(actions)[0].decision.verdict is Verdict.TOO_FEW
    assert Assign not in kinds(actions)


def test_when_the_search_is_over_those_who_bid_are_taken():
    play = Play(0, 1)
    timers = play.timers
    play.bid(0, 1)
    (over,) = [one.about for one in timers if isinstance(one.about, QueueOver)]
    assert kinds(play.do(Timer(session=SESSION, about=over))) == [Assign, Assign]


ALL_FOUR = make_rule(replication=4)
GRACE_MS = 20_000


def graces(play):
    return [one for one in play.timers if isinstance(one.about, GraceOver)]


def hear(play, number, sequence=1):
    record = sign_capacity(identity(number), sequence=sequence, total=total(4), free=total(4), engines=(KIND,))
    play.do(Heard(message=encode(record), via=identity(number).peer))


def alone(*nodes, **options):
    """Play until all of these nodes have bid, and nobody else is known who could; return it with the grace's timer."""
    play = Play(*nodes, **options)
    play.bid(*nodes)
    play.do(Timer(session=SESSION, about=OfferAgain(search=1, attempt=1)))
    (grace,) = graces(play)
    return play, grace


def test_when_nobody_is_left_who_could_bid_the_search_ends_soon():
    play, grace = alone(0, 1, 2, rule=ALL_FOUR)
    assert grace.delay_ms == GRACE_MS
    play.do(Timer(session=SESSION, about=OfferAgain(search=1, attempt=2)))
    assert graces(play) == []  # one grace runs
    assert kinds(play.do(Timer(session=SESSION, about=grace.about))) == [Assign] * 3


def test_too_few_for_min_bids_are_too_few_as_soon_as_nobody_is_left():
    play, grace = alone(0, 1, 2, min_bids=4)
    actions = play.do(Timer(session=SESSION, about=grace.about))
    assert [type(news) for news in reports(actions)] == [TaskEnded, JobEnded]
    assert Assign not in kinds(actions)


def test_who_comes_during_the_grace_is_offered_the_task_and_a_new_grace_begins_when_it_has_bid():
    play, grace = alone(0, 1, rule=ALL_FOUR)
    hear(play, 2)
    assert kinds(play.do(Timer(session=SESSION, about=grace.about))) == [Offer]
    assert play.task.phase is Phase.ASSIGNING
    play.bid(2)
    play.do(Timer(session=SESSION, about=OfferAgain(search=1, attempt=2)))
    (again,) = graces(play)
    assert play.do(Timer(session=SESSION, about=grace.about)) == ()  # of the first time
    assert kinds(play.do(Timer(session=SESSION, about=again.about))) == [Assign] * 3


def test_who_has_not_bid_yet_or_has_refused_is_somebody():
    for answered in ((), (said(2, Refuse(session=SESSION, reason="backlog is full")),)):
        play = Play(0, 1, 2, rule=ALL_FOUR)
        play.bid(0, 1)
        for message in answered:
            play.do(message)
        for attempt in (1, 2, 3):
            play.do(Timer(session=SESSION, about=OfferAgain(search=1, attempt=attempt)))
            assert graces(play) == []


def test_who_knows_nobody_at_all_waits_for_the_network():
    play = Play(0, rule=ALL_FOUR)
    play.bid(0)
    for _ in range(SILENT_PERIODS + 1):
        play.do(Timer(session="", about=PERIOD))
    play.do(Timer(session=SESSION, about=OfferAgain(search=1, attempt=1)))
    assert graces(play) == []


def test_a_network_that_goes_away_during_the_grace_gives_a_new_one_when_it_is_back():
    play, grace = alone(0, rule=ALL_FOUR)
    for _ in range(SILENT_PERIODS + 1):
        play.do(Timer(session="", about=PERIOD))
    play.do(Timer(session=SESSION, about=grace.about))
    assert play.task.phase is Phase.ASSIGNING
    hear(play, 0, sequence=2)
    play.do(Timer(session=SESSION, about=OfferAgain(search=1, attempt=3)))
    assert len(graces(play)) == 1


def test_a_convicted_node_is_nobody():
    requester = requester_with(0, 1, 2, 3)
    requester.shunned |= {identity(3).peer}
    play = Play(rule=ALL_FOUR)
    play.requester = requester
    play.do(job(rule=ALL_FOUR))
    play.bid(0, 1, 2)
    play.do(Timer(session=SESSION, about=OfferAgain(search=1, attempt=1)))
    (grace,) = graces(play)
    assert kinds(play.do(Timer(session=SESSION, about=grace.about))) == [Assign] * 3


def test_who_fails_and_can_be_replaced_by_nobody_keeps_the_others_waiting_for_one_grace():
    play = Play(0, 1, rule=make_rule(replication=2))
    play.bid(0, 1)
    play.commit(0)
    play.do(said(1, Failed(session=SESSION, reason="disk full")))
    (grace,) = graces(play)
    assert grace.delay_ms == GRACE_MS
    assert kinds(play.do(Timer(session=SESSION, about=grace.about))) == [Close]


def test_a_grace_that_is_over_when_nodes_are_at_work_changes_nothing():
    play, grace = alone(0, 1, 2, rule=ALL_FOUR)
    hear(play, 3)
    play.do(Timer(session=SESSION, about=OfferAgain(search=1, attempt=3)))
    play.bid(3)
    assert len(play.assigned) == 4
    assert play.do(Timer(session=SESSION, about=grace.about)) == ()


def test_more_nodes_are_offered_a_task_that_too_few_bid_for():
    play = Play(*range(10))
    first = play.task.offered
    assert kinds(play.timer(OfferAgain)) == [Offer] * 5
    assert play.task.offered > first
    (timer,) = [one for one in play.timers if isinstance(one.about, OfferAgain)]
    assert timer.delay_ms == 2 * play.task.job.offer_ms


def test_new_nodes_are_sought_in_turn_with_those_that_were_silent_or_had_no_room():
    play = Play(0, 1, 2)
    play.do(said(0, Refuse(session=SESSION, reason="backlog is full")))
    play.do(Timer(session=SESSION, about=OfferAgain(search=play.task.searches, attempt=1)))
    assert kinds(play.actions) == [Offer] * 3
    play.do(Timer(session=SESSION, about=OfferAgain(search=play.task.searches, attempt=2)))
    assert kinds(play.actions) == []
    record = sign_capacity(identity(3), sequence=1, total=total(4), free=total(4), engines=(KIND,))
    play.do(Heard(message=encode(record), via=identity(3).peer))
    play.do(Timer(session=SESSION, about=OfferAgain(search=play.task.searches, attempt=2)))
    assert sent(play.actions, identity(3).peer) != []


def test_who_refused_and_then_bids_is_a_bidder_like_the_others():
    play = Play(0, 1, rule=make_rule(replication=2, confidence=1))
    play.do(said(0, Refuse(session=SESSION, reason="backlog is full")))
    play.bid(0)
    assert play.task.refused == frozenset()


def test_a_bid_of_somebody_who_was_not_offered_anything_counts_for_nothing():
    play = Play(0, 1, 2, rule=make_rule(replication=1, confidence=1))
    assert play.bid(9) == ()
    assert play.task.phase is Phase.ASSIGNING


def test_diverse_waits_for_a_second_kind():
    play = Play(rule=make_rule(replication=2, diverse=True))
    offered = [number for number in range(6) if identity(number).peer in play.task.offered]
    play.bid(*offered[:3])
    assert play.task.phase is Phase.ASSIGNING
    play.bid(offered[3], engine="wasmtime")
    assert offered[3] in play.assigned
    assert len(play.assigned) == 2


def test_an_assignment_is_repeated_until_it_is_accepted():
    play = Play()
    play.bid(*range(6))
    first, second, third = play.assigned
    play.do(said(first, Accepted(session=SESSION)))
    play.commit(second)
    actions = play.do(Timer(session=SESSION, about=Repeat(round_number=1, phase=Phase.COMMITTING, attempt=1)))
    assert kinds(actions) == [Assign]
    assert sent(actions, identity(third).peer) != []


def test_the_list_is_repeated_to_those_who_have_not_revealed():
    play = Play()
    play.bid(*range(6))
    for number in play.assigned:
        play.commit(number)
    (again,) = [one.about for one in play.timers if isinstance(one.about, Repeat)]
    play.reveal(play.assigned[0])
    assert kinds(play.do(Timer(session=SESSION, about=again))) == [Close, Close]


def test_a_failed_host_is_replaced():
    play = Play()
    play.bid(*range(6))
    first, second, third = play.assigned
    play.do(said(first, Failed(session=SESSION, reason="disk full")))
    actions = play.do(said(second, Failed(session=SESSION, reason="disk full")))
    assert kinds(actions)[0] is Ack
    actions = play.commit(third)
    assert Offer in kinds(actions)
    assert play.task.phase is Phase.ASSIGNING


def restarted(after):
    """Play up to a point, restart, and return the play with what the restart did."""
    play = Play()
    play.bid(*range(6))
    numbers = play.assigned
    for number in numbers[:after]:
        play.commit(number)
    return play, numbers, play.restart()


def test_after_a_restart_those_who_have_not_committed_are_asked_again():
    play, numbers, actions = restarted(2)
    assert kinds(actions) == [Assign]
    assert sent(actions, identity(numbers[2]).peer) != []
    deadline = [one for one in actions if isinstance(one, SetTimer) and isinstance(one.about, DeadlinePassed)]
    assert [one.delay_ms for one in deadline] == [2 * play.task.job.execute_ms]
    assert set(play.task.session.commitments) == {identity(number).peer for number in numbers[:2]}


def test_after_a_restart_the_same_list_is_published():
    play, _, actions = restarted(3)
    closes = [message for message in sent(actions) if isinstance(message, Close)]
    assert len(closes) == 3
    published = play.task.session.published
    assert {close.commitments for close in closes} == {published}


def test_after_a_restart_the_lists_of_earlier_rounds_are_kept_again():
    play = Play(rule=make_rule(replication=2, confidence=2))
    play.bid(*range(6))
    one, other = play.assigned
    play.commit(one)
    play.commit(other, "a lie")
    play.reveal(one)
    play.reveal(other, "a lie")
    assert play.task.phase is Phase.ASSIGNING
    published = play.task.session.published
    assert KeepList(commitments=published) in play.restart()


def test_a_restart_while_nodes_are_sought_seeks_anew():
    play = Play()
    play.restart()
    assert reports(play.actions) == []
    record = sign_capacity(identity(0), sequence=1, total=total(4), free=total(4), engines=(KIND,))
    play.do(Heard(message=encode(record), via=identity(0).peer))
    (again,) = {one.task for one in play.requester.tasks.values()}
    assert again == TASK


def test_a_verdict_that_may_not_have_been_told_is_told_again_and_then_no_more():
    play = Play(rule=make_rule(replication=1, confidence=1))
    play.bid(*range(6))
    (number,) = play.assigned
    play.commit(number)
    before = dict(play.disk)
    actions = play.reveal(number)
    (step,) = [one for one in actions if isinstance(one, Persist) and one.key.startswith("step/")]
    play.disk = before | {step.key: step.value}  # the crash came right behind the step
    told = reports(play.restart())
    assert [type(news) for news in told] == [TaskEnded, JobEnded]
    assert told[0].decision == reports(actions)[0].decision
    play.disk = disk(play.actions, play.disk)
    assert play.disk == {}
    assert [type(action) for action in play.restart()] == [SetTimer]  # of the machine itself


def ended_play(**options):
    """Play one job to its end; return it and the last actions."""
    play = Play(rule=make_rule(replication=1, confidence=1), **options)
    play.bid(*range(6))
    (number,) = play.assigned
    play.commit(number)
    return play, number, play.reveal(number)


def test_a_job_that_has_ended_leaves_nothing_on_the_disk_and_is_told_before_that():
    play, _, actions = ended_play()
    assert play.disk == {}
    assert play.requester.jobs == {}
    (told,) = [place for place, action in enumerate(actions) if action == Report(news=JobEnded(job=JOB))]
    forgotten = [action.key for action in actions[told:] if isinstance(action, Forget)]
    assert forgotten == [f"job/{JOB}", f"outcome/{SESSION}"]


def test_whatever_a_crash_leaves_of_a_job_that_was_told_is_removed_and_begins_nothing():
    before = {}
    play = Play(rule=make_rule(replication=1, confidence=1))
    play.bid(*range(6))
    (number,) = play.assigned
    play.commit(number)
    before = dict(play.disk)
    actions = play.reveal(number)
    told = actions.index(Report(news=JobEnded(job=JOB)))
    for crash in range(told + 1, len(actions) + 1):
        play.disk = disk(actions[:crash], before)
        again = play.restart()
        assert TaskEnded not in [type(news) for news in reports(again)]
        assert kinds(again) == []
        assert disk(again, play.disk) == {}


def test_what_earlier_releases_kept_of_jobs_that_were_told_is_removed():
    play = Play()
    play.bid(*range(6))
    bad = play.assigned[0]
    play.commit(bad)
    play.commit(bad, "z")
    (proof,) = [key for key in play.disk if key.startswith("blame/")]
    play.disk |= {f"job-ended/{JOB}": b"", f"outcome/{SESSION}": write(OutcomeEntry(outcome="agreed"))}
    assert len(play.disk) > 4
    assert reports(play.restart()) == []
    assert disk(play.actions, play.disk).keys() == {proof}
    assert (play.requester.jobs, play.requester.shunned) == ({}, {identity(bad).peer})


def test_of_a_session_long_ago_or_before_a_restart_a_node_hears_that_it_is_cancelled(monkeypatch):
    play, number, _ = ended_play()
    assert kinds(play.do(said(number, Accepted(session=SESSION)))) == [Settled]
    play.restart()
    assert kinds(play.do(said(number, Accepted(session=SESSION)))) == [Cancel]
    monkeypatch.setattr("network.requester.MAX_ENDED", 1)
    play, number, _ = ended_play()
    play.requester._note_end("ab" * 32, "agreed")
    assert kinds(play.do(said(number, Accepted(session=SESSION)))) == [Cancel]
    assert kinds(play.do(said(number, Accepted(session="ab" * 32)))) == [Settled]


def test_an_outcome_of_a_job_that_goes_on_is_not_asked_for_again():
    more = make_cid(RAW, b"another shard")
    play = Play(rule=make_rule(replication=1, confidence=1), tasks=(TASK, more))
    play.bid(*range(6))
    (number,) = play.assigned
    play.commit(number)
    play.reveal(number)
    assert [key.partition("/")[0] for key in sorted(play.disk)] == ["job", "outcome"]
    play.restart()
    assert reports(play.actions) == []
    assert [task.task for task in play.requester.tasks.values()] == [more]
    assert kinds(play.do(said(number, Accepted(session=SESSION)))) == [Settled]


def test_cancelling_ends_all_tasks_and_tells_their_nodes():
    more = tuple(make_cid(RAW, f"shard {number}".encode()) for number in range(30))
    play = Play(tasks=(TASK, *more))
    play.bid(*range(6))
    actions = play.do(CancelRequested(job=JOB))
    assert isinstance(actions[0], Persist)
    ended = [news for news in reports(actions) if isinstance(news, TaskEnded)]
    assert len(ended) == 31
    assert all(news.session.withdrawn for news in ended)
    assert reports(actions)[-1] == JobEnded(job=JOB)
    assert Cancel in kinds(actions)
    assert kinds(play.bid(0)) == [Cancel]
    assert play.do(CancelRequested(job=JOB)) == ()


def test_the_same_submission_is_the_same_job_and_another_with_its_id_is_refused():
    play = Play()
    assert play.do(job()) == (Report(news=JobAccepted(job=JOB)),)
    with pytest.raises(UserError, match="another job has this id"):
        play.do(job(min_bids=1))
    for tasks in ((), (TASK, TASK)):
        with pytest.raises(UserError, match="distinct tasks"):
            Requester(REQUESTER).handle(job(tasks=tasks))


def test_only_as_many_tasks_as_nodes_can_take_are_under_way():
    play = Play(tasks=tuple(make_cid(RAW, f"shard {number}".encode()) for number in range(100)))
    # Six nodes of four slots; a task waits with at most two of the three bids that it needs.
    assert len(play.requester.tasks) == play.requester.window(play.requester.jobs[JOB]) == (6 * 4 - 1) // 2
    assert Requester(REQUESTER).window(play.requester.jobs[JOB]) == 16


def test_an_equivocator_is_accused_with_proof_and_offered_nothing_again():
    play = Play()
    play.bid(*range(6))
    number = play.assigned[0]
    play.commit(number)
    actions = play.commit(number, "z")
    (accusation,) = [action for action in actions if isinstance(action, Accuse)]
    assert accusation.blame.kind == FaultKind.EQUIVOCATION
    assert play.requester.shunned == {identity(number).peer}
    play.restart()
    assert play.requester.shunned == {identity(number).peer}


def test_messages_of_strangers_and_nonsense_change_nothing():
    play = Play()
    play.bid(*range(6))
    before = play.task
    assert play.commit(9) == ()
    for data in (b"nonsense", encode(Settled(session=SESSION))):
        (action,) = play.do(Received(peer=identity(9).peer, message=data))
        assert isinstance(action, Misbehaved)
    forged = sign_commit(identity(8), SESSION, commitment_of(8))
    (action,) = play.do(said(play.assigned[0], forged))
    assert isinstance(action, Misbehaved)
    assert play.task == before


def test_who_speaks_of_a_session_that_never_was_is_told_to_forget_it():
    play = Play()
    assert kinds(play.do(said(0, Accepted(session="ee" * 32)))) == [Cancel]


def test_gossip_that_is_old_forged_or_something_else_is_not_kept():
    requester = Requester(REQUESTER)
    me = identity(0)
    new, old = (
        sign_capacity(me, sequence=number, total=UNIT, free=UNIT, engines=(KIND,)) for number in (5, 4)
    )  # fmt: skip
    forged = type(new).from_node(new.to_node() | {"sequence": 9})
    for record in (new, old):
        assert requester.handle(Heard(message=encode(record), via=identity(1).peer)) == ()
    assert requester.book.sequence_of(me.peer) == 5
    for message in (forged, Settled(session=SESSION)):
        (action,) = requester.handle(Heard(message=encode(message), via=identity(1).peer))
        assert action.peer == identity(1).peer
    assert len(requester.book) == 1


def test_a_driver_that_breaks_the_rules_is_told():
    with pytest.raises(LocalProtocolError):
        Requester(REQUESTER).handle(Executed(session=SESSION, execution=execution(), nonce=nonce(0)))


def test_a_datastore_that_holds_something_else_is_an_error():
    play = Play()
    play.disk[f"job/{JOB}"] = b"nonsense"
    with pytest.raises(VerificationError):
        play.restart()


def test_bids_are_chosen_by_seed_not_by_arrival():
    bids = {identity(number).peer: ("noop", "x") for number in range(20)}
    chosen = choose_bids(bids, 3, seed="a", diverse=False)
    assert choose_bids(dict(reversed(bids.items())), 3, seed="a", diverse=False) == chosen
    assert choose_bids(bids, 3, seed="b", diverse=False) != chosen


def test_diverse_takes_kinds_in_turn_the_rarest_first():
    bids = {identity(number).peer: ("noop", "x" if number < 9 else "arm") for number in range(10)}
    chosen = choose_bids(bids, 2, seed="a", diverse=True)
    assert {bids[peer] for peer in chosen} == {("noop", "x"), ("noop", "arm")}
    (one,) = choose_bids(bids, 1, seed="a", diverse=True, asked=[("noop", "x")])
    assert bids[one] == ("noop", "arm")
    assert not is_diverse_enough([("noop", "x")], [], 2)
    assert is_diverse_enough([("noop", "x")], [("noop", "arm")], 2)
    assert is_diverse_enough([("noop", "x")], [], 1)


def test_nodes_are_forgotten_as_periods_pass_and_the_requester_counts_them_itself():
    requester = requester_with(0, 1)
    (tick,) = requester.restore({})
    assert (tick.session, tick.delay_ms) == ("", 10_000)
    for sequence in range(2, SILENT_PERIODS + 3):
        record = sign_capacity(identity(0), sequence=sequence, total=UNIT, free=UNIT, engines=(KIND,))
        requester.handle(Heard(message=encode(record), via=identity(0).peer))
        assert requester.handle(Timer(session="", about=tick.about)) == (tick,)
    assert list(requester.book.peers) == [identity(0).peer]


# ---- nodes that are lost


def committing(*committed):
    """Return a play in which three nodes were assigned and some of these have committed, and the three."""
    play = Play()
    play.bid(*range(6))
    numbers = play.assigned
    for at in committed:
        play.commit(numbers[at])
    return play, numbers


def lost(number):
    return Lost(peer=identity(number).peer)


def test_those_who_have_committed_are_enough_without_a_node_that_is_lost():
    play, numbers = committing(0, 1)
    assert play.requester.awaited == {identity(numbers[2]).peer}
    actions = play.do(lost(numbers[2]))
    assert isinstance(actions[0], Persist)
    assert kinds(actions) == [Close, Close]
    assert play.requester.awaited == {identity(number).peer for number in numbers[:2]}
    for number in numbers[:2]:
        actions = play.reveal(number)
    (ended, _) = reports(actions)
    assert ended.decision.verdict is Verdict.AGREED
    assert [reason for _, reason in ended.session.undetermined] == ["the connection to it was lost"]
    assert ended.session.faults == ()


def test_others_are_asked_in_place_of_a_node_that_is_lost():
    play, numbers = committing(0)
    play.do(lost(numbers[1]))
    assert kinds(play.do(lost(numbers[2]))).count(Offer) == 3
    assert play.task.phase is Phase.ASSIGNING
    play.bid(*(number for number in range(6) if number not in numbers))
    assert len(play.assigned) == 4


def test_a_lost_node_that_has_committed_is_mute_and_may_still_reveal():
    play, numbers = committing(0, 1, 2)
    play.reveal(numbers[0], "y")
    play.do(lost(numbers[1]))
    assert kinds(play.reveal(numbers[1])) == [Ack]
    assert identity(numbers[1]).peer in play.task.session.receipts


def test_a_bid_of_a_lost_node_is_not_taken():
    play = Play()
    play.bid(0, 1)
    play.do(lost(0))
    play.bid(2)
    assert play.task.phase is Phase.ASSIGNING
    play.bid(3)
    assert len(play.assigned) == 3
    assert 0 not in play.assigned


def test_a_node_that_nothing_is_waited_for_may_be_lost():
    play, numbers = committing(0)
    others = [number for number in range(8) if number not in numbers[1:]]
    assert [play.do(lost(number)) for number in others] == [()] * len(others)


def test_what_was_lost_is_on_disk():
    play, numbers = committing(0, 1)
    play.do(lost(numbers[2]))
    assert kinds(play.restart()) == [Close, Close]
