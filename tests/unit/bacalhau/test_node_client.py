"""The client against answers that no node of ours gives."""

import json

import httpx
import pytest

from bacalhau.node_client import NodeClient
from storage.errors import PeerError, UnavailableError, UserError, VerificationError
from storage.http_client import HttpClient

JOB = "ab" * 16


def client(answer):
    """Return a client of a server that answers like this."""
    made = NodeClient("http://node.example:1", "a" * 64, is_elsewhere=True)
    made._http = HttpClient("http://node.example:1", transport=httpx.MockTransport(answer))
    return made


def says(status=200, **content):
    return client(lambda request: response(status, **content))


def response(status, *, content=b"", **given):
    body = json.dumps(given["json"]).encode() if given else content
    return httpx.Response(status, stream=httpx.ByteStream(body))


@pytest.mark.parametrize(
    ("status", "family"),
    [
        (400, UserError), (401, UserError), (404, UserError), (413, UserError), (421, UserError),
        (408, UnavailableError), (409, UnavailableError), (424, UnavailableError), (429, UnavailableError),
        (422, VerificationError), (500, UnavailableError), (502, PeerError), (503, UnavailableError),
    ],
)  # fmt: skip
def test_each_status_is_of_a_family(status, family):
    with pytest.raises(family, match="it is so") as raised:
        says(status, json={"problem": "it is so", "where": "there", "fix": "do that"}).status()
    assert raised.value.where == "there"
    with pytest.raises(family):
        says(status, content=b"<html>").status()


@pytest.mark.parametrize("content", [b"", b"[]", b"{", b"\xff", b"[" * 100_000, b"{" + b" " * (33 << 20)])
def test_an_answer_that_is_no_object_is_told(content):
    with pytest.raises(UnavailableError):
        says(content=content).status()


@pytest.mark.parametrize(
    "view", [{}, {"job": 1}, {"job": "../../.."}, {"job": "AB" * 16}, {"job": JOB, "report": {"job": "other"}}]
)
def test_a_job_has_an_id(view):
    with pytest.raises(UnavailableError):
        says(json=view).job(JOB)


@pytest.mark.parametrize("line", [b"x", b"{}", b"[]", b'{"number": "1", "kind": "x", "detail": {}}'])
def test_what_is_no_event_is_told(line):
    with pytest.raises(UnavailableError):
        list(says(content=line + b"\n").events(JOB))
    with pytest.raises(UnavailableError):
        list(says(content=b"id: 1\ndata: " + line + b"\n\n").follow(JOB))


def test_following_that_ends_before_the_job_is_told():
    event = b'id: 1\ndata: {"number": 1, "kind": "submitted", "detail": {}}\n\n:\n\n'
    seen = []
    with pytest.raises(UnavailableError, match="before the job had ended"):
        seen.extend(says(content=event).follow(JOB))
    last = b'id: 2\ndata: {"number": 2, "kind": "ended", "detail": {}}\n\n'
    assert [one["number"] for one in says(content=event + last).follow(JOB)] == [1, 2]
    assert list(says(204).follow(JOB)) == []


def test_an_event_without_end_is_bounded():
    with pytest.raises(UnavailableError, match="more than"):
        list(says(content=b"data: " + b"a" * (2 << 20)).follow(JOB))


@pytest.mark.parametrize("name", ["", "a/b", ".", ".."])
def test_a_name_stays_one_part_of_a_path(name):
    with pytest.raises(UserError):
        says().job(name)


def test_the_token_is_sent_and_a_stranger_is_no_node():
    seen = []

    def answer(request):
        seen.append((request.url.path, request.headers.get("authorization")))
        return response(200, json={"ok": True})

    with pytest.raises(UnavailableError, match="is no bacalhau node"):
        client(answer).health()
    client(answer).status()
    assert seen == [("/api/v1/health", None), ("/api/v1/node", f"Bearer {'a' * 64}")]
