"""Whatever arrives is a message or a `RemoteProtocolError`, and machines that get it go on as before."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from network.message_codec import decode, encode
from network.protocol_errors import RemoteProtocolError
from network.protocol_events import Misbehaved, Received
from network.requester_entries import StepEntry, step_event
from storage import dag_cbor
from storage.errors import VerificationError
from tests.unit.network.protocol_world import REQUESTER, make_node, one_of_each, requester_with
from tests.vectors.records.world import identity

EACH = [encode(message) for _, message in one_of_each()]
VALUES = st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.text(max_size=80) | st.lists(st.none())


@st.composite
def mangled(draw):
    """A message with some bytes changed, put in or taken out."""
    data = bytearray(draw(st.sampled_from(EACH)))
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(data) - 1))
        data[at : at + draw(st.integers(0, 3))] = draw(st.binary(max_size=3))
    return bytes(data)


def again(data):
    """Return the bytes of what was decoded, or whom it is held against."""
    try:
        return encode(decode(data, identity(3).peer))
    except RemoteProtocolError as error:
        return error.peer


@settings(deadline=None)
@given(mangled() | st.binary(max_size=300))
def test_decoding_gives_a_message_that_encodes_to_the_same_bytes_or_blames_the_sender(data):
    assert again(data) in (data, identity(3).peer)


@settings(deadline=None)
@given(st.sampled_from(EACH), st.data())
def test_a_field_of_any_other_value_is_refused_or_read_as_it_is(data, draws):
    node = dag_cbor.decode(data)
    key = draws.draw(st.sampled_from(sorted(node)))
    changed = dag_cbor.encode(node | {key: draws.draw(VALUES)})
    assert again(changed) in (changed, identity(3).peer)


@settings(deadline=None, max_examples=50)
@given(st.lists(mangled(), max_size=20))
def test_machines_live_through_any_of_it(stream):
    node, requester = make_node(), requester_with(0, 1, 2)
    for data in stream:
        for machine, peer in ((node, REQUESTER.peer), (requester, identity(3).peer)):
            actions = machine.handle(Received(peer=peer, message=data))
            assert all(action.peer == peer for action in actions if isinstance(action, Misbehaved))
    assert requester.tasks == {}


@pytest.mark.parametrize("kind", ["Committed", "Revealed", "Undetermined", "DeadlinePassed", "Unheard"])
def test_a_kept_step_that_is_not_whole_is_an_error(kind):
    with pytest.raises(VerificationError, match="not whole"):
        step_event(StepEntry(kind=kind, peer=identity(0).peer))
