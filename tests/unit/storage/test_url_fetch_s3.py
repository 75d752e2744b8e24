"""S3 objects on Amazon's own hosts, played by a transport: regions, signatures, and who gets to see them."""

import httpx
import pytest

from storage.blocks import MemoryBlockStore
from storage.errors import UserError
from storage.unixfs_read import UnixfsReader
from storage.url_client import Bounds, UrlClient
from storage.url_fetch import UrlFetcher
from storage.url_text import parse_url


class Amazon:
    """Knows one bucket, in one region; redirects one key to another host."""

    def __init__(self):
        self.requests = []

    def __call__(self, request):
        host = request.headers["Host"]
        self.requests.append((request.method, host, request.url.path, request.headers.get("authorization")))
        if request.method == "HEAD":
            known = request.url.path == "/data"
            return httpx.Response(403 if known else 404, headers={"x-amz-bucket-region": "eu-west-3"} if known else {})
        if request.url.path == "/moved":
            return httpx.Response(307, headers={"Location": "https://elsewhere.example/x"})
        headers = {"ETag": '"1"', "Content-Length": "9"}
        return httpx.Response(200, stream=httpx.ByteStream(b"an object"), headers=headers)


@pytest.fixture
def amazon(monkeypatch, tmp_path):
    for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("AWS_REGION", "us-west-2")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "ME")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    return Amazon()


def no_need_to_hold(_cid):
    """Stands for what keeps known content, of which there is none here."""


def fetch(amazon, tmp_path, text):
    store = MemoryBlockStore()
    fetcher = UrlFetcher(
        store=store,
        directory=tmp_path / "urls",
        bounds=Bounds(max_bytes=1 << 20),
        progress=lambda _: None,
        report=lambda *_: None,
        hold=no_need_to_hold,
        make_client=lambda bounds: UrlClient(bounds, resolve=lambda *_: ["1.2.3.4"], below=httpx.MockTransport(amazon)),
    )
    origin = fetcher.fetch(parse_url(text, where="-i"), where="-i")
    return origin, UnixfsReader(store).read_bytes(origin.cid, 100)


def test_an_object_is_asked_for_in_its_buckets_region(amazon, tmp_path):
    origin, content = fetch(amazon, tmp_path, "s3://data/a b")
    assert content == b"an object"
    assert (origin.url, origin.final_url) == ("s3://data/a b", "https://data.s3.eu-west-3.amazonaws.com/a%20b")
    (look, get) = amazon.requests
    assert look == ("HEAD", "s3.amazonaws.com", "/data", None)
    assert get[:3] == ("GET", "data.s3.eu-west-3.amazonaws.com", "/a b")
    assert "Credential=ME/" in get[3]
    assert "/eu-west-3/s3/aws4_request," in get[3]


def test_a_bucket_that_nobody_knows_is_looked_for_where_the_user_is(amazon, tmp_path):
    fetch(amazon, tmp_path, "s3://other/k")
    assert amazon.requests[1][1] == "other.s3.us-west-2.amazonaws.com"


def test_a_signature_goes_to_no_other_host(amazon, tmp_path):
    origin, _ = fetch(amazon, tmp_path, "s3://data/moved")
    assert origin.final_url == "https://elsewhere.example/x"
    assert [(host, authorization is None) for _, host, _, authorization in amazon.requests] == [
        ("s3.amazonaws.com", True), ("data.s3.eu-west-3.amazonaws.com", False), ("elsewhere.example", True),
    ]  # fmt: skip


def test_without_keys_it_is_asked_for_as_anybody(amazon, tmp_path, monkeypatch):
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    fetch(amazon, tmp_path, "s3://data/k")
    assert [authorization for *_, authorization in amazon.requests] == [None, None]


def test_from_https_down_to_http_is_refused(amazon, tmp_path):
    def downgrade(request):
        return httpx.Response(302, headers={"Location": "http://cdn.example/x"})

    with pytest.raises(UserError, match=r"redirects from https to 'http://cdn\.example'"):
        fetch(downgrade, tmp_path, "https://host.example/x")


def test_a_redirect_to_a_private_address_is_refused(tmp_path):
    def answer(request):
        return httpx.Response(302, headers={"Location": "https://inside.example/x"})

    addresses = {"outside.example": ["1.2.3.4"], "inside.example": ["169.254.169.254"]}
    fetcher = UrlFetcher(
        store=MemoryBlockStore(),
        directory=tmp_path / "urls",
        bounds=Bounds(max_bytes=1 << 20),
        progress=lambda _: None,
        report=lambda *_: None,
        hold=no_need_to_hold,
        make_client=lambda bounds: UrlClient(
            bounds, resolve=lambda host, _: addresses[host], below=httpx.MockTransport(answer)
        ),
    )
    url = "https://outside.example/x"
    with pytest.raises(UserError, match=r"-i x: inside\.example is not on the public internet: 169.* \(link-local\)"):
        fetcher.fetch(parse_url(url, where="-i x"), where="-i x")
