import dataclasses

import pytest

from network.message_codec import check_signed, decode, encode, session_id
from network.messages import MESSAGES, Close, Commit, Failed, SignedAssign
from network.protocol_errors import RemoteProtocolError
from storage import dag_cbor
from storage.errors import PeerError
from tests.unit.network.personas import TASK
from tests.unit.network.protocol_world import JOB, REQUESTER, SESSION, one_of_each
from tests.vectors.records.world import identity
from verifier.schema import ModelError

PEER = identity(0).peer
EACH = one_of_each()
IDS = [message.VERSION for _, message in EACH]


def test_there_is_a_case_for_every_message():
    assert [type(message) for _, message in EACH] == list(MESSAGES)


@pytest.mark.parametrize(("_", "message"), EACH, ids=IDS)
def test_what_is_written_is_read_again(_, message):
    data = encode(message)
    assert decode(data, PEER) == message
    assert encode(decode(data, PEER)) == data


@pytest.mark.parametrize(("_", "message"), EACH, ids=IDS)
def test_every_field_is_needed_and_no_other_is_allowed(_, message):
    node = message.to_node()
    for key in node:
        with pytest.raises(RemoteProtocolError):
            decode(dag_cbor.encode({name: value for name, value in node.items() if name != key}), PEER)
    with pytest.raises(RemoteProtocolError, match="unknown key"):
        decode(dag_cbor.encode(node | {"extra": 1}), PEER)


@pytest.mark.parametrize(("_", "message"), EACH, ids=IDS)
def test_every_cut_is_refused(_, message):
    data = encode(message)
    for end in range(0, len(data), 7):
        with pytest.raises(RemoteProtocolError):
            decode(data[:end], PEER)


@pytest.mark.parametrize(("_", "message"), EACH, ids=IDS)
def test_a_future_version_is_refused_and_nobody_is_convicted(_, message):
    node = message.to_node() | {"v": message.VERSION.partition("/")[0] + "/9"}
    with pytest.raises(RemoteProtocolError, match="unknown kind or version") as caught:
        decode(dag_cbor.encode(node), PEER)
    assert isinstance(caught.value, PeerError)
    assert caught.value.peer == PEER


@pytest.mark.parametrize(("_", "message"), EACH, ids=IDS)
def test_too_long_is_refused_before_it_is_decoded(_, message, monkeypatch):
    monkeypatch.setattr(dag_cbor, "decode", lambda data: pytest.fail("decoded"))
    with pytest.raises(RemoteProtocolError, match="bytes"):
        decode(encode(message).ljust(message.MAX_BYTES + 1, b"\0"), PEER)


@pytest.mark.parametrize(
    "data", [b"", b"\xa1", b"\xa1\x61v", b"\xff" * 100, b"\xa1\x61v\x78\x20" + b"a" * 32, b"\xa1\x61v\x60", b"\x80"]
)
def test_nonsense_is_refused(data):
    with pytest.raises(RemoteProtocolError):
        decode(data, PEER)


def test_we_do_not_send_what_would_be_refused(monkeypatch):
    monkeypatch.setattr(Failed, "MAX_BYTES", 100)
    with pytest.raises(ValueError, match="its bound is 100"):
        encode(Failed(session=SESSION, reason="x" * 200))


def test_reasons_are_bounded():
    with pytest.raises(ModelError):
        Failed(session=SESSION, reason="x" * 256)


@pytest.mark.parametrize(("sender", "message"), [one for one in EACH if hasattr(one[1], "signature")])
def test_signatures_are_checked_for_name_and_content(sender, message):
    check_signed(message, sender.peer)
    with pytest.raises(RemoteProtocolError, match="of 12D3"):
        check_signed(message, identity(7).peer)
    others = {Close: ("round", 99), Commit: ("session", "ff" * 32), SignedAssign: ("resumes", False)}
    name, other = others.get(type(message), ("sequence", 99))
    changed = dataclasses.replace(message, **{name: other})
    with pytest.raises(RemoteProtocolError, match="forged"):
        check_signed(changed, sender.peer)


def test_sessions_are_named_by_all_that_makes_them():
    names = {
        session_id(REQUESTER.peer, JOB, TASK),
        session_id(PEER, JOB, TASK),
        session_id(REQUESTER.peer, "cd" * 16, TASK),
    }
    assert len(names) == 3
    # Golden: the name of a session is the same in every implementation.
    assert SESSION == "fb847067597e88f3b12e355e859d0a4b7b329c20ade413f8fc5f4a44d45f70b0"
