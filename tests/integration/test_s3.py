"""Objects of an S3 server that others wrote: moto, where it is installed (`pip install 'moto[s3,server]'`)."""

import importlib.util

import httpx
import pytest

from storage.blocks import MemoryBlockStore
from storage.errors import UserError
from storage.sqlite_pins import check_whole
from storage.unixfs_read import UnixfsReader
from storage.url_client import Bounds
from storage.url_fetch import UrlFetcher
from storage.url_text import parse_url
from tests.requirements_gate import need

DATA = bytes(range(256)) * 20_000
KEY = "a folder/ü+b?=%20&c.bin"


@pytest.fixture
def s3(monkeypatch):
    """A server with one bucket and one object; returns its address."""
    need("moto", importlib.util.find_spec("moto") is not None, "pip install 'moto[s3,server]'")
    from moto.server import ThreadedMotoServer

    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy", "AWS_PROFILE", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    endpoint = f"http://{host}:{port}"
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", endpoint)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    with httpx.Client(trust_env=False) as client:
        assert client.post(f"{endpoint}/moto-api/reset").status_code == 200
        assert client.put(f"{endpoint}/bucket").status_code == 200
        encoded = "a%20folder/%C3%BC%2Bb%3F%3D%2520%26c.bin"
        assert client.put(f"{endpoint}/bucket/{encoded}", content=DATA).status_code == 200
    yield endpoint
    server.stop()


def fetch(store, directory, text):
    fetcher = UrlFetcher(
        store=store,
        directory=directory,
        bounds=Bounds(max_bytes=1 << 30, allow_private=True),
        progress=lambda _: None,
        report=lambda *_: None,
        hold=lambda cid: check_whole(store, [cid]),
    )
    return fetcher.fetch(parse_url(text, where=f"-i {text}"), where=f"-i {text}")


def test_an_object_becomes_content_and_is_not_fetched_again(s3, tmp_path):
    store = MemoryBlockStore()
    first = fetch(store, tmp_path, f"s3://bucket/{KEY}")
    assert UnixfsReader(store).read_bytes(first.cid, 1 << 30) == DATA
    assert (first.url, first.final_url.startswith(f"{s3}/bucket/a%20folder/")) == (f"s3://bucket/{KEY}", True)
    again = fetch(store, tmp_path, f"s3://bucket/{KEY}")
    assert (again.fetched_at, again.checked_at > first.checked_at) == (first.fetched_at, True)


def test_objects_that_are_not_there(s3, tmp_path):
    for text in ("s3://bucket/gone", "s3://nowhere/gone"):
        with pytest.raises(UserError, match="the server answers 404"):
            fetch(MemoryBlockStore(), tmp_path, text)
