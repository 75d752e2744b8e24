import httpx
import pytest

from storage.block_source import BlockAbsentError
from storage.blocks import MemoryBlockStore
from storage.cid import RAW, cid_text, make_cid
from storage.dag_walk import walk
from storage.errors import PeerError, UnavailableError, UserError
from storage.http_client import HttpClient
from storage.kubo_client import KuboClient
from storage.unixfs_import import Importer
from tests.unit.storage.peers import Kubo, error, lines


@pytest.fixture
def here():
    return MemoryBlockStore()


@pytest.fixture
def root(here):
    importer = Importer(here)
    return importer.directory({"a": importer.bytes(b"a"), "big": importer.bytes(bytes(range(256)) * 12_000)}).cid


def push(kubo, here, root):
    return kubo.client().push(root, walk(here, root))


def test_what_is_pushed_is_there_and_pinned(here, root):
    kubo = Kubo()
    pushed = push(kubo, here, root)
    assert list(walk(kubo.store, root)) == list(walk(here, root))
    assert pushed.blocks == len(list(walk(here, root)))
    assert pushed.size == sum(len(data) for _, data in walk(here, root))
    assert kubo.pins == {cid_text(root)}
    assert not kubo.client().is_pinned(make_cid(RAW, b"other"))


def test_what_is_pulled_is_what_was_pushed(here, root):
    kubo = Kubo()
    push(kubo, here, root)
    assert list(kubo.client().dag(root)) == list(walk(here, root))
    assert kubo.client().block(root) == here.get(root)


def test_the_daemon_is_asked_for_its_version_once(here, root):
    kubo = Kubo()
    client = kubo.client()
    client.push(root, walk(here, root))
    client.block(root)
    assert kubo.asked.count("/version") == 1


@pytest.mark.parametrize("version", ["0.43.0", "0.12.0", "0.44.0-dev", "1.0.0", "10.2.3"])
def test_known_and_newer_versions_are_used(version):
    assert Kubo(version).client().version() == version


@pytest.mark.parametrize("version", ["0.11.9", "0.4.23"])
def test_an_old_daemon_is_told_by_its_version(here, root, version):
    kubo = Kubo(version)
    with pytest.raises(UnavailableError, match=f"Kubo {version}, which is too old; use Kubo 0.12 or newer"):
        push(kubo, here, root)
    assert kubo.asked == ["/version"]


@pytest.mark.parametrize("version", ["", "0", "0.x.1", "99999999999999.0.0", None, 43, ["0.43.0"]])
def test_a_version_that_is_none_is_not_believed(version):
    with pytest.raises(UnavailableError, match="is not a Kubo daemon's RPC"):
        Kubo(version).client().version()


@pytest.mark.parametrize(
    "said",
    [
        httpx.Response(200, text="<html>"),
        httpx.Response(200, json=[]),
        httpx.Response(200, text="{}\n{}"),
        httpx.Response(200, text="[" * 100_000),
        httpx.Response(404, text="404 page not found"),
        httpx.Response(405, text=""),
        httpx.Response(200, content=bytes(2 << 20)),
    ],
    ids=["page", "list", "two", "deep", "404", "405", "huge"],
)
def test_something_else_at_the_address_is_told(said):
    kubo = Kubo()
    kubo.answers["/version"] = lambda _request: said
    with pytest.raises(UnavailableError, match=r"not a Kubo daemon's RPC|longer than"):
        kubo.client().version()


def test_a_daemon_that_wants_a_password_says_so():
    kubo = Kubo()
    kubo.answers["/version"] = lambda _request: httpx.Response(403, text="403 - Forbidden")
    with pytest.raises(UnavailableError, match=r"refuses /version \(403\); write kubo:http://USER:PASSWORD"):
        kubo.client().version()


def test_a_password_is_sent_and_never_shown():
    kubo = Kubo()
    seen = []

    def version(request):
        seen.append(request.headers["Authorization"])
        return kubo.say_version(request)

    kubo.answers["/version"] = version
    client = kubo.client("http://me:secret@kubo.test:5001")
    assert client.version() == "0.43.0"
    assert seen == ["Basic bWU6c2VjcmV0"]
    assert client.name == "http://kubo.test:5001"


def test_an_absent_block_is_absent_and_a_failure_is_a_failure(root):
    kubo = Kubo()
    for ask in (kubo.client().block, lambda cid: list(kubo.client().dag(cid))):
        with pytest.raises(BlockAbsentError, match="could not find"):
            ask(root)
    kubo.answers["/block/get"] = lambda _request: error("context deadline exceeded")
    with pytest.raises(UnavailableError, match="daemon says: context deadline exceeded") as caught:
        kubo.client().block(root)
    assert not isinstance(caught.value, BlockAbsentError)


def test_a_daemon_that_sends_another_block_is_named(here, root):
    kubo = Kubo()
    kubo.answers["/block/get"] = lambda _request: httpx.Response(200, content=b"a lie")
    with pytest.raises(PeerError, match=f"sent bytes that are not {cid_text(root)}") as caught:
        kubo.client().block(root)
    assert caught.value.peer == "http://kubo.test:5001"


def test_a_car_with_a_changed_block_names_the_daemon(here, root):
    kubo = Kubo()
    push(kubo, here, root)
    whole = kubo.dag_export(httpx.Request("POST", f"http://x/?arg={cid_text(root)}")).content
    kubo.answers["/dag/export"] = lambda _request: httpx.Response(200, content=whole[:-1] + b"!")
    with pytest.raises(PeerError, match="sent wrong bytes"):
        list(kubo.client().dag(root))
    kubo.answers["/dag/export"] = lambda _request: httpx.Response(200, content=whole[:-1])
    with pytest.raises(UnavailableError, match=r"breaks off \(byte"):
        list(kubo.client().dag(root))


def test_a_daemon_that_could_not_pin_says_why(here, root):
    kubo = Kubo()
    with pytest.raises(UnavailableError, match="could not pin: ipld: could not find"):
        kubo.client().push(root, [(root, here.get(root))])


OTHER = cid_text(make_cid(RAW, b"other"))


@pytest.mark.parametrize(
    ("said", "problem"),
    [
        ([], "does not say that it took"),
        ([{"Root": {"Cid": {"/": OTHER}, "PinErrorMsg": ""}}], "does not say that it took"),
        ([{"Root": {"Cid": "x"}}, 3, None], "does not say that it took"),
        ([{"Root": "mine"}, {"Stats": {"BlockCount": 1}}], "says that it took 1 of the 5 blocks sent"),
        ([{"Root": "mine"}], "says that it took None of the 5 blocks"),
        ([{"Root": "mine"}, {"Stats": {"BlockCount": 5}}], "lists no such pin"),
    ],
)
def test_a_daemon_that_claims_something_else_is_named(here, root, said, problem):
    kubo = Kubo()
    mine = {"Cid": {"/": cid_text(root)}, "PinErrorMsg": ""}
    said = [{"Root": mine} if isinstance(one, dict) and one.get("Root") == "mine" else one for one in said]

    def take(request):
        assert len(b"".join(request.stream)) > 2_000_000
        return lines(*said)

    kubo.answers["/dag/import"] = take
    with pytest.raises(PeerError, match=problem):
        push(kubo, here, root)


@pytest.mark.parametrize("url", ["", "kubo", "ftp://x", "http://", "http://[::1", "http://x:99999", "http://x/?a=b"])
def test_an_address_that_is_none_is_a_wrong_call(url):
    with pytest.raises(UserError, match="address"):
        KuboClient(HttpClient(url))
