import httpx
import pytest

from storage.block_source import BlockAbsentError
from storage.blocks import MemoryBlockStore
from storage.cid import RAW, cid_text, make_cid
from storage.errors import PeerError, UnavailableError
from storage.gateway_client import GatewayClient
from storage.http_client import HttpClient
from tests.unit.storage.peers import Gateway, unread

CID = make_cid(RAW, b"data")
RAW_TYPE = {"Content-Type": "application/vnd.ipld.raw"}


def client(*responses, asked=None, url="http://gateway.test"):
    left = list(responses)

    def answer(request):
        if asked is not None:
            asked.append(request)
        return unread(left.pop(0))

    return GatewayClient(HttpClient(url, transport=httpx.MockTransport(answer)))


def test_a_block_is_asked_for_in_both_ways_and_unencoded():
    asked = []
    given = client(httpx.Response(200, headers=RAW_TYPE, content=b"data"), asked=asked, url="http://gateway.test/base/")
    assert given.block(CID) == b"data"
    assert str(asked[0].url) == f"http://gateway.test/base/ipfs/{cid_text(CID)}?format=raw"
    assert asked[0].headers["Accept"] == "application/vnd.ipld.raw"
    assert asked[0].headers["Accept-Encoding"] == "identity"


def test_the_media_type_may_have_parameters_and_capitals():
    headers = {"Content-Type": "Application/vnd.IPLD.raw; x=y"}
    assert client(httpx.Response(200, headers=headers, content=b"data")).block(CID) == b"data"


def test_a_lie_names_the_gateway():
    with pytest.raises(PeerError, match=r"gateway\.test: sent bytes that are not bafk") as caught:
        client(httpx.Response(200, headers=RAW_TYPE, content=b"other")).block(CID)
    assert (caught.value.peer, caught.value.evidence) == ("http://gateway.test", (CID,))


@pytest.mark.parametrize("status", [404, 410, 412, 451])
def test_absent_is_absent(status):
    with pytest.raises(BlockAbsentError, match=str(status)):
        client(httpx.Response(status)).block(CID)


@pytest.mark.parametrize("status", [201, 204, 206, 400, 403, 429, 500, 502, 504])
def test_a_failure_says_nothing_of_the_block(status):
    with pytest.raises(UnavailableError, match=str(status)) as caught:
        client(httpx.Response(status)).block(CID)
    assert not isinstance(caught.value, BlockAbsentError)


@pytest.mark.parametrize("headers", [{}, {"Content-Type": "text/html"}, {"Content-Type": "application/vnd.ipld.car"}])
def test_a_page_is_no_lie(headers):
    with pytest.raises(UnavailableError, match=r"not application/vnd.ipld.raw; name a trustless gateway"):
        client(httpx.Response(200, headers=headers, content=b"data")).block(CID)


def test_encoded_bytes_are_not_read():
    headers = {**RAW_TYPE, "Content-Encoding": "gzip"}
    with pytest.raises(UnavailableError, match="encodes"):
        client(httpx.Response(200, headers=headers, stream=httpx.ByteStream(b"data"))).block(CID)


def test_a_block_without_end_is_not_read_to_its_end():
    given = []

    class Endless(httpx.SyncByteStream):
        def __iter__(self):
            while True:
                given.append(1)
                yield bytes(1 << 20)

    with pytest.raises(UnavailableError, match="longer than"):
        client(httpx.Response(200, headers=RAW_TYPE, stream=Endless())).block(CID)
    assert len(given) < 20


def moved(location):
    return httpx.Response(302, headers={"Location": location})


def test_a_redirect_to_a_subdomain_is_followed():
    asked = []
    given = client(
        moved("http://x.ipfs.gateway.test/"), httpx.Response(200, headers=RAW_TYPE, content=b"data"), asked=asked
    )
    assert given.block(CID) == b"data"
    assert asked[1].url.host == "x.ipfs.gateway.test"


@pytest.mark.parametrize(
    ("url", "location"),
    [
        ("http://gateway.test", "http://127.0.0.1:5001/api/v0/shutdown"),
        ("http://gateway.test", "http://evilgateway.test/"),
        ("https://gateway.test", "http://gateway.test/"),
        ("http://gateway.test", "file:///etc/passwd"),
    ],
)
def test_a_redirect_elsewhere_is_not_followed(url, location):
    asked = []
    with pytest.raises(UnavailableError):
        client(moved(location), asked=asked, url=url).block(CID)
    assert len(asked) == 1


def test_redirects_end():
    asked = []
    with pytest.raises(UnavailableError, match="302"):
        client(*[moved("/again")] * 9, asked=asked).block(CID)
    assert len(asked) == 4


def test_a_dag_is_asked_for_as_a_car():
    store = MemoryBlockStore()
    store.put(CID, b"data")
    asked = []
    gateway = Gateway(store)
    gateway.change = lambda request, response: asked.append(request) or response
    assert list(gateway.client().dag(CID)) == [(CID, b"data")]
    assert dict(asked[0].url.params) == {"format": "car", "dag-scope": "all"}
    assert asked[0].headers["Accept"] == "application/vnd.ipld.car; version=1; order=dfs; dups=n"
