import hashlib
from dataclasses import replace

import pytest

from network.blame import blame_of, check_blame
from network.message_codec import check_signed, decode, encode, sign_close, sign_commit
from network.messages import Accepted, Ack, Assign, Bid, Commit, Reveal, Settled
from network.node.back_room import VARIABLE, BackRoom
from network.node.bad_actor import MAX_SESSIONS, guess
from network.node.bad_actors import EAVESDROP_S, LATE_S, PERSONAS, persona_of
from network.protocol_errors import RemoteProtocolError
from network.session_faults import commitment_fault, reveal_fault
from storage.blocks import MemoryBlockStore
from storage.dag_walk import walk
from storage.errors import UserError
from storage.unixfs_import import Importer
from storage.unixfs_read import UnixfsReader
from storage.unixfs_tree import TreeBuilder
from tests.unit.network.personas import TASK, execution
from tests.unit.network.protocol_world import JOB, REQUESTER, SESSION, UNIT, participant
from tests.vectors.records.world import identity
from verifier.commitment import check_commitment, close_round

ME = identity(0)
ASSIGN = encode(Assign(session=SESSION, job=JOB, task=TASK, demand=UNIT))
REVEALED = participant(0).reveal(close_round(TASK, [participant(0).commitment]), "requester")[1]
COMMIT = sign_commit(ME, SESSION, participant(0).commitment)


class Stage:
    """A bad actor, its clock, and what it said."""

    def __init__(self, name, directory=None):
        self.now = 100.0
        environment = {} if directory is None else {VARIABLE: str(directory)}
        self.actor = persona_of(name, environment)(ME)
        self.actor.clock = lambda: self.now
        self.said = []

    def _say(self, peer, data):
        assert peer == REQUESTER.peer
        self.said.append(data)

    def speak(self, message):
        return [decode(data, ME.peer) for data in self.speak_bytes(message)]

    def speak_bytes(self, message):
        self.said = []
        self.actor.speak(REQUESTER.peer, encode(message), self._say)
        return self.said

    def hear(self, data):
        self.said = []
        passes = self.actor.hear(REQUESTER.peer, data, self._say)
        return passes, [decode(one, ME.peer) for one in self.said]


def close(*commitments):
    return encode(sign_close(REQUESTER, SESSION, 1, close_round(TASK, commitments)))


def kept_output(store):
    tree = TreeBuilder(Importer(store))
    for name in ("result", "stdout", "stderr", "exit_code", "outputs/table/1.csv"):
        tree.add_file(name, name.encode())
    return replace(execution(), output=tree.finish().cid)


def test_an_unknown_name_is_refused_with_those_that_there_are():
    with pytest.raises(UserError, match="liar, copycat, bait-and-switch, mute, late, equivocator, flooder"):
        persona_of("thief", {})


@pytest.mark.parametrize("name", sorted(set(PERSONAS) - {"copycat"}))
def test_all_but_the_copycat_bid_accept_and_listen_as_honest_nodes_do(name):
    stage = Stage(name)
    for message in (Bid(session=SESSION, engine="noop", arch="x86_64"), Accepted(session=SESSION)):
        assert encode(message) in stage.speak_bytes(message)
    for data in (ASSIGN, close(participant(0).commitment), b"junk"):
        assert stage.hear(data) == (True, [])


def test_a_liar_has_the_output_that_it_claims_and_only_the_result_differs():
    store = MemoryBlockStore()
    true = kept_output(store)
    lie = Stage("liar").actor.alter(true, store)
    reader = UnixfsReader(store)
    claimed = {name: link.cid for name, link in reader.entries(lie.output)}
    given = {name: link.cid for name, link in reader.entries(true.output)}
    assert {name for name in given if given[name] != claimed[name]} == {"result"}
    assert claimed.keys() == given.keys()
    assert reader.read_bytes(claimed["result"], 100).startswith(b"a lie about ")
    assert len(list(walk(store, lie.output))) == len(list(walk(store, true.output)))
    assert (lie.exit_code, lie.task) == (true.exit_code, true.task)
    assert lie.state_digest != true.state_digest


def test_liars_tell_the_same_lie_of_a_task():
    store = MemoryBlockStore()
    true = kept_output(store)
    one, other = (persona_of("liar", {})(identity(number)).alter(true, store) for number in (0, 1))
    assert (one.output, one.state_digest) == (other.output, other.state_digest)


def test_bait_and_switch_is_convicted_by_its_commitment():
    (said,) = Stage("bait-and-switch").speak(Reveal(session=SESSION, receipt=REVEALED))
    listed = close_round(TASK, [participant(0).commitment])
    fault = reveal_fault(TASK, ME.peer, said.receipt, None, listed)
    assert fault.kind == "mismatch"
    check_blame(blame_of(fault, None, None))


def test_a_mute_one_commits_and_never_reveals():
    stage = Stage("mute")
    assert stage.speak(COMMIT) == [COMMIT]
    assert stage.speak(Reveal(session=SESSION, receipt=REVEALED)) == []


def test_a_late_one_commits_after_half_a_minute_and_goes_on_saying_it():
    stage = Stage("late")
    assert stage.speak(COMMIT) == []
    stage.now += LATE_S - 0.1
    assert stage.speak(COMMIT) == []
    stage.now += 0.1
    assert stage.speak(COMMIT) == [COMMIT]
    assert stage.speak(COMMIT) == [COMMIT]


def test_a_late_one_commits_when_the_session_is_over():
    stage = Stage("late")
    stage.speak(COMMIT)
    settled = encode(Settled(session=SESSION))
    assert stage.hear(settled) == (True, [COMMIT])
    assert stage.hear(settled) == (True, [])


def test_an_equivocator_is_convicted_by_its_two_commitments():
    first, second = Stage("equivocator").speak(COMMIT)
    assert first == COMMIT
    check_signed(second, ME.peer)
    fault = commitment_fault(TASK, ME.peer, second.commitment, first.commitment)
    assert fault.kind == "equivocation"
    check_blame(blame_of(fault, first, second))


def test_a_flooder_says_everything_several_times_among_what_no_node_says():
    stage = Stage("flooder")
    for _ in range(20):
        said = stage.speak_bytes(COMMIT)
        assert said.count(encode(COMMIT)) == 3
        assert len(said) == 6


def test_a_copycat_signs_an_overheard_digest_and_its_guess_does_not_open_it(tmp_path):
    BackRoom(tmp_path).tell([participant(1).commitment])
    stage = Stage("copycat", tmp_path)
    passes, (accepted, commit) = stage.hear(ASSIGN)
    assert (passes, accepted) == (False, Accepted(session=SESSION))
    check_signed(commit, ME.peer)
    check_commitment(commit.commitment, TASK)
    assert commit.commitment.digest == participant(1).commitment.digest
    passes, (reveal,) = stage.hear(close(commit.commitment, participant(1).commitment))
    assert not passes
    listed = close_round(TASK, [commit.commitment, participant(1).commitment])
    fault = reveal_fault(TASK, ME.peer, reveal.receipt, None, listed)
    assert fault.kind == "mismatch"
    check_blame(blame_of(fault, None, None))


@pytest.mark.parametrize("is_alone", [True, False])
def test_a_copycat_that_overhears_nothing_commits_to_its_guess_after_a_while(tmp_path, is_alone):
    stage = Stage("copycat", None if is_alone else tmp_path)
    assert stage.hear(ASSIGN) == (False, [])
    stage.now += EAVESDROP_S
    _, (_, commit) = stage.hear(ASSIGN)
    _, (reveal,) = stage.hear(close(commit.commitment))
    assert reveal_fault(TASK, ME.peer, reveal.receipt, None, close_round(TASK, [commit.commitment])) is None
    assert reveal.receipt.output == guess(TASK)


def test_a_copycat_says_the_same_again_when_it_is_asked_again(tmp_path):
    BackRoom(tmp_path).tell([participant(1).commitment])
    stage = Stage("copycat", tmp_path)
    first = stage.hear(ASSIGN)
    BackRoom(tmp_path).tell([participant(2).commitment])
    assert stage.hear(ASSIGN) == first


def test_a_copycat_copies_neither_itself_nor_another_task(tmp_path):
    stage = Stage("copycat", tmp_path)
    stage.now += EAVESDROP_S
    BackRoom(tmp_path).tell([participant(0).commitment])
    assert BackRoom(tmp_path).overheard(TASK, but=ME.peer) is None
    assert BackRoom(tmp_path).overheard(guess(TASK), but=identity(3).peer) is None


def test_a_copycat_leaves_sessions_of_which_it_stole_nothing_to_its_machine():
    stage = Stage("copycat")
    for data in (close(participant(0).commitment), encode(Ack(session=SESSION, of="commit/1")), b"junk"):
        assert stage.hear(data) == (True, [])


def test_every_bad_actor_tells_what_it_commits_to_and_what_it_sees(tmp_path):
    stage = Stage("mute", tmp_path)
    stage.speak(COMMIT)
    assert BackRoom(tmp_path).overheard(TASK, but=identity(9).peer) == COMMIT.commitment
    stage.hear(close(participant(0).commitment, participant(1).commitment))
    assert BackRoom(tmp_path).overheard(TASK, but=ME.peer) == participant(1).commitment


def test_what_is_harmed_in_the_back_room_is_not_overheard(tmp_path):
    BackRoom(tmp_path).tell([participant(1).commitment])
    (file,) = (path for path in tmp_path.rglob("*") if path.is_file())
    file.write_bytes(file.read_bytes()[:-1])
    assert BackRoom(tmp_path).overheard(TASK, but=ME.peer) is None


def test_what_a_bad_actor_remembers_is_bounded():
    stage = Stage("copycat")
    for number in range(MAX_SESSIONS + 10):
        session = hashlib.sha256(bytes([number % 256, number // 256])).hexdigest()
        stage.hear(encode(Assign(session=session, job=JOB, task=TASK, demand=UNIT)))
    assert len(stage.actor._thefts) == MAX_SESSIONS


def test_the_junk_of_a_flooder_is_no_message_or_speaks_of_no_session_here():
    stage = Stage("flooder")
    kinds = set()
    for _ in range(100):
        for data in stage.speak_bytes(COMMIT):
            try:
                message = decode(data, ME.peer)
            except RemoteProtocolError:
                kinds.add("junk")
            else:
                kinds.add("commit" if isinstance(message, Commit) else "stray")
                assert isinstance(message, Commit) or message.session != SESSION
    assert kinds == {"junk", "commit", "stray"}
