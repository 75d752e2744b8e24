"""Objects of a real S3 server, versitygw, which checks signatures; built by `make s3`."""

import httpx
import pytest

from storage.blocks import MemoryBlockStore
from storage.errors import UserError
from storage.sqlite_pins import check_whole
from storage.unixfs_read import UnixfsReader
from storage.url_client import Bounds, UrlClient
from storage.url_fetch import UrlFetcher
from storage.url_text import parse_url
from tests.integration import s3_server

pytestmark = pytest.mark.integration

DATA = bytes(range(256)) * 20_000
KEY = "a folder/ü+b?=%20&c~(1)*'!.bin"
URL = f"s3://bucket/{KEY}"


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with s3_server.running(tmp_path_factory.mktemp("s3")) as running:
        running.put("bucket")
        running.put(f"bucket/{KEY}", DATA)
        yield running


@pytest.fixture(autouse=True)
def settings(server, monkeypatch, tmp_path):
    for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_ENDPOINT_URL", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", f"http://{s3_server.HOST}")
    monkeypatch.setenv("AWS_REGION", s3_server.REGION)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", s3_server.ACCESS_KEY)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", s3_server.SECRET_KEY)


class Watched(httpx.BaseTransport):
    """Notes what is asked and answered; of the first bodies, gives only the first bytes."""

    def __init__(self, below, cuts=()):
        self._below = below
        self._cuts = list(cuts)
        self.said = []

    def handle_request(self, request):
        response = self._below.handle_request(request)
        self.said.append((request.headers.get("range"), response.status_code))
        if not self._cuts:
            return response
        cut = self._cuts.pop(0)
        return httpx.Response(response.status_code, headers=response.headers, stream=Cut(response.stream, cut))

    def close(self):
        self._below.close()


class Cut(httpx.SyncByteStream):
    def __init__(self, stream, size):
        self._stream, self._left = stream, size

    def __iter__(self):
        for piece in self._stream:
            yield piece[: self._left]
            self._left -= len(piece)
            if self._left <= 0:
                raise httpx.ReadError("cut")

    def close(self):
        self._stream.close()


def fetch(store, directory, transport, text=URL):
    fetcher = UrlFetcher(
        store=store,
        directory=directory,
        bounds=Bounds(max_bytes=1 << 30),
        progress=lambda _: None,
        report=lambda *_: None,
        hold=lambda cid: check_whole(store, [cid]),
        make_client=lambda bounds: UrlClient(bounds, resolve=lambda *_: ["1.2.3.4"], below=transport),
    )
    return fetcher.fetch(parse_url(text, where=f"-i {text}"), where=f"-i {text}")


def content(store, origin):
    return UnixfsReader(store).read_bytes(origin.cid, 1 << 30)


def test_an_object_becomes_content_and_comes_again_only_when_it_has_changed(server, tmp_path):
    store, watched = MemoryBlockStore(), Watched(server.transport())
    server.put("bucket/changing", DATA)
    first = fetch(store, tmp_path, watched, "s3://bucket/changing")
    again = fetch(store, tmp_path, watched, "s3://bucket/changing")
    assert (content(store, first), again.fetched_at) == (DATA, first.fetched_at)
    server.put("bucket/changing", DATA[1:])
    changed = fetch(store, tmp_path, watched, "s3://bucket/changing")
    assert (content(store, changed), watched.said) == (DATA[1:], [(None, 200), (None, 304), (None, 200)])


def test_a_key_of_any_characters_goes_on_where_it_was_cut_off(server, tmp_path):
    store, watched = MemoryBlockStore(), Watched(server.transport(), cuts=[3_000_000, 1_000_000])
    origin = fetch(store, tmp_path, watched)
    assert content(store, origin) == DATA
    assert [status for _, status in watched.said] == [200, 206, 206]
    assert watched.said[1][0] not in (None, "bytes=0-")


def test_who_may_not_read(server, tmp_path, monkeypatch):
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "another secret")
    with pytest.raises(UserError, match="403"):
        fetch(MemoryBlockStore(), tmp_path, server.transport())
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    with pytest.raises(UserError, match="403"):
        fetch(MemoryBlockStore(), tmp_path, server.transport())


@pytest.mark.parametrize("text", ["s3://bucket/gone", "s3://nowhere/gone"])
def test_objects_that_are_not_there(server, tmp_path, text):
    with pytest.raises(UserError, match="the server answers 404"):
        fetch(MemoryBlockStore(), tmp_path, server.transport(), text)
