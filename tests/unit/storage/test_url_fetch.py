"""URLs to CIDs, against a server on this machine."""

import errno
import hashlib
import json
import multiprocessing
import threading

import pytest

from storage import partial_file
from storage.blocks import MemoryBlockStore
from storage.errors import UnavailableError, UserError, VerificationError
from storage.sqlite_block_store import SqliteBlockStore
from storage.sqlite_pins import check_whole
from storage.unixfs_import import Importer
from storage.unixfs_read import UnixfsReader
from storage.url_client import Bounds
from storage.url_fetch import UrlFetcher
from storage.url_text import parse_url
from tests.unit.storage.url_server import Page, UrlServer

DATA = bytes(range(256)) * 10_000
SHA256 = hashlib.sha256(DATA).hexdigest()


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch):
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def server():
    with UrlServer() as server:
        server.pages["/a"] = Page(body=DATA, etag='"1"')
        yield server


class Desk:
    def __init__(self, directory, store=None):
        self.store = MemoryBlockStore() if store is None else store
        self.directory = directory
        self.told = []
        self.reported = []

    def fetch(self, text, *, limit=1 << 30, private=True):
        fetcher = UrlFetcher(
            store=self.store,
            directory=self.directory,
            bounds=Bounds(max_bytes=limit, allow_private=private),
            progress=self.told.append,
            report=lambda *what: self.reported.append(what),
            hold=lambda cid: check_whole(self.store, [cid]),
        )
        return fetcher.fetch(parse_url(text, where=f"-i {text}"), where=f"-i {text}")

    def content(self, origin):
        return UnixfsReader(self.store).read_bytes(origin.cid, 1 << 30)

    @property
    def left(self):
        """What lies in the cache, without notes."""
        return sorted(path.name for path in self.directory.iterdir() if path.suffix != ".note")


@pytest.fixture
def desk(tmp_path):
    return Desk(tmp_path / "urls")


def refused(desk, text, kind, said, **bounds):
    with pytest.raises(kind, match=said) as caught:
        desk.fetch(text, **bounds)
    assert "\n" not in str(caught.value)
    assert not list(desk.directory.glob("*.note"))
    return caught.value


def test_a_url_becomes_the_cid_of_its_bytes(desk, server):
    server.pages["/a"].headers = {"X-Kind": "test", "Set-Cookie": "secret=1"}
    origin = desk.fetch(f"{server.url}/a")
    assert origin.cid == Importer(MemoryBlockStore()).bytes(DATA).cid
    assert desk.content(origin) == DATA
    assert (origin.url, origin.final_url, origin.size, origin.sha256) == (*[f"{server.url}/a"] * 2, len(DATA), SHA256)
    assert (origin.header("x-kind"), origin.header("etag"), origin.header("set-cookie")) == ("test", '"1"', None)
    assert origin.fetched_at == origin.checked_at
    assert desk.reported[-1] == (f"{server.url}/a", len(DATA), len(DATA))
    assert desk.left == []
    assert server.asked("Accept-Encoding") == ["identity"]


def test_what_the_server_says_is_unchanged_is_not_fetched_again(desk, server):
    first = desk.fetch(f"{server.url}/a")
    again = desk.fetch(f"{server.url}/a")
    assert (again.cid, again.fetched_at, again.headers) == (first.cid, first.fetched_at, first.headers)
    assert again.checked_at > first.checked_at
    assert server.asked("If-None-Match") == [None, '"1"']
    server.pages["/a"] = Page(body=b"new", etag='"2"')
    assert desk.content(desk.fetch(f"{server.url}/a")) == b"new"


def test_what_is_not_here_any_more_is_fetched_again(desk, server):
    desk.fetch(f"{server.url}/a")
    other = Desk(desk.directory)
    assert other.content(other.fetch(f"{server.url}/a")) == DATA
    assert server.asked("If-None-Match") == [None, None]


def test_without_an_etag_it_is_fetched_each_time(desk, server):
    server.pages["/a"].etag = None
    server.pages["/a"].headers = {"Last-Modified": "Mon, 01 Jan 2024 00:00:00 GMT"}
    desk.fetch(f"{server.url}/a")
    server.pages["/a"].body = b"changed within the same second"
    assert desk.content(desk.fetch(f"{server.url}/a")) == b"changed within the same second"


@pytest.mark.parametrize("note", [b"", b"{}", b"[1]", b'{"url": 1}', b"\xff"])
def test_a_damaged_note_is_no_note(desk, server, note):
    desk.fetch(f"{server.url}/a")
    (path,) = desk.directory.glob("*.note")
    path.write_bytes(note)
    assert desk.content(desk.fetch(f"{server.url}/a")) == DATA


def test_a_checksum_is_compared(desk, server):
    assert desk.content(desk.fetch(f"{server.url}/a#sha256={SHA256.upper()}")) == DATA
    with pytest.raises(VerificationError, match=f"its sha256 is {SHA256}, not 00"):
        desk.fetch(f"{server.url}/a#sha256={'00' * 32}")
    assert desk.left == []


def test_nothing_is_imported_that_does_not_match_its_checksum(desk, server):
    desk.store = None  # any use of it is an error
    refused(desk, f"{server.url}/a#sha256={'00' * 32}", VerificationError, "its sha256 is")
    assert desk.left == []


def test_a_file_in_chunks_has_an_end(desk, server):
    server.pages["/a"].chunked = True
    assert desk.content(desk.fetch(f"{server.url}/a")) == DATA
    server.pages["/a"] = Page(body=DATA, chunked=True, cut_after=[100_000])
    refused(Desk(desk.directory / "x"), f"{server.url}/a", UnavailableError, "cannot be fetched")


def test_a_file_whose_end_is_not_marked_needs_a_checksum(desk, server):
    server.pages["/a"].length = 0
    refused(desk, f"{server.url}/a", VerificationError, "does not say where the file ends")
    assert desk.content(desk.fetch(f"{server.url}/a#sha256={SHA256}")) == DATA


def test_a_download_that_was_cut_off_goes_on(desk, server):
    server.pages["/a"].cut_after = [300_000, 1_000_000]
    assert desk.content(desk.fetch(f"{server.url}/a")) == DATA
    assert server.asked("If-Range") == [None, '"1"', '"1"']
    starts = [int(text.removeprefix("bytes=").removesuffix("-")) for text in server.asked("Range")[1:]]
    assert 0 < starts[0] <= 300_000 < starts[1] <= 1_300_000
    assert desk.left == []


def test_another_process_goes_on_where_one_gave_up(desk, server):
    server.pages["/a"].cut_after = [300_000, 0]
    error = refused(desk, f"{server.url}/a", UnavailableError, r"the first \d+ bytes are kept")
    assert error.fix == "run it again to go on from there"
    assert desk.content(desk.fetch(f"{server.url}/a")) == DATA
    assert server.asked("Range")[-1] is not None


def test_a_file_that_changed_meanwhile_is_begun_anew(desk, server):
    server.pages["/a"].cut_after = [300_000, 0]
    refused(desk, f"{server.url}/a", UnavailableError, "kept")
    server.pages["/a"] = Page(body=DATA[::-1], etag='"2"')
    assert desk.content(desk.fetch(f"{server.url}/a")) == DATA[::-1]
    assert server.asked("If-Range")[-1] == '"1"'
    assert desk.left == []


def test_a_file_that_became_shorter_is_begun_anew(desk, server):
    server.pages["/a"].cut_after = [300_000, 0]
    refused(desk, f"{server.url}/a", UnavailableError, "kept")
    server.pages["/a"].body = DATA[:1000]  # under the same ETag: the range is not to be had
    assert desk.content(desk.fetch(f"{server.url}/a")) == DATA[:1000]


def test_a_weak_etag_is_nothing_to_go_on_with(desk, server):
    server.pages["/a"] = Page(body=DATA, etag='W/"1"', cut_after=[300_000])
    refused(desk, f"{server.url}/a", UnavailableError, "cannot be fetched")
    assert desk.left == []
    assert server.asked("Range") == [None]


@pytest.mark.parametrize("harm", ["longer", "shorter", "changed", "mark", "mark gone", "part gone"])
def test_a_partial_file_that_was_touched_is_not_believed(desk, server, harm):
    server.pages["/a"].cut_after = [300_000, 0]
    refused(desk, f"{server.url}/a", UnavailableError, "kept")
    (part,), (mark,) = desk.directory.glob("*.part"), desk.directory.glob("*.json")
    data = bytearray(part.read_bytes())
    if harm == "longer":
        part.write_bytes(data + bytes(2 * len(DATA)))  # as after a power cut
    elif harm == "shorter":
        part.write_bytes(data[:-1])
    elif harm == "changed":
        data[1000] ^= 1
        part.write_bytes(data)
    elif harm == "mark":
        mark.write_text(json.dumps(json.loads(mark.read_text()) | {"done": len(data) + (1 << 40)}))
    else:
        (mark if harm == "mark gone" else part).unlink()
    assert desk.content(desk.fetch(f"{server.url}/a")) == DATA
    assert (server.asked("Range")[-1] is not None) == (harm == "longer")
    assert desk.left == []


def test_a_whole_file_that_was_not_imported_is_not_fetched_again(desk, server):
    desk.store = None
    with pytest.raises(AttributeError):  # as if killed between the download and the import
        desk.fetch(f"{server.url}/a")
    desk.store = MemoryBlockStore()
    assert desk.content(desk.fetch(f"{server.url}/a")) == DATA
    assert server.asked("If-None-Match") == [None, '"1"']


@pytest.mark.parametrize(
    ("headers", "said"),
    [
        ({"Content-Range": "bytes 5-2559999/2560000"}, "another range"),
        ({"Content-Range": "bytes 0-2559999/2560000"}, "another range"),
        ({"Content-Range": "none"}, "another range"),
        ({"Content-Range": "bytes {0}-100/2560000"}, "range of another file"),
        ({"Content-Range": "bytes {0}-2560000/2560001"}, "range of another file"),
        ({"ETag": '"9"'}, "range of another file"),
    ],
)
def test_a_range_that_is_another_is_refused(desk, server, headers, said):
    server.pages["/a"].cut_after = [300_000, 0]
    refused(desk, f"{server.url}/a", UnavailableError, "kept")
    done = next(desk.directory.glob("*.part")).stat().st_size
    server.pages["/a"].headers = {name: value.format(done) for name, value in headers.items()}
    refused(desk, f"{server.url}/a", VerificationError, said)


def test_a_range_in_chunks_that_ends_early_is_not_the_rest(desk, server):
    server.pages["/a"].cut_after = [300_000, 0]
    refused(desk, f"{server.url}/a", UnavailableError, "kept")
    done, total = next(desk.directory.glob("*.part")).stat().st_size, len(DATA)
    headers = {"Content-Range": f"bytes {done}-{total - 1}/{total}"}
    server.pages["/a"] = Page(body=DATA[:-1000], etag='"1"', chunked=True, headers=headers)
    desk.fetch(f"{server.url}/a")
    *_, rest, last_bytes, whole = server.asked("Range")
    assert (rest, last_bytes, whole) == (f"bytes={done}-", f"bytes={total - 1000}-", None)


@pytest.mark.parametrize("length", [len(DATA) + 1, len(DATA) + (1 << 20)])
def test_fewer_bytes_than_were_said_are_not_the_file(desk, server, length):
    server.pages["/a"] = Page(body=DATA, length=length)
    refused(desk, f"{server.url}/a", UnavailableError, "cannot be fetched")
    assert desk.left == []


@pytest.mark.parametrize("chunked", [False, True])
def test_a_file_that_is_too_large_is_refused(desk, server, chunked):
    server.pages["/a"].chunked = chunked
    error = refused(desk, f"{server.url}/a", UserError, "than the 1000 bytes allowed", limit=1000)
    assert error.fix == "raise --url-limit"
    assert desk.content(desk.fetch(f"{server.url}/a", limit=len(DATA))) == DATA


@pytest.mark.parametrize("coding", ["gzip", "br", "gzip, identity"])
def test_an_encoding_that_was_not_asked_for_is_refused(desk, server, coding):
    server.pages["/a"].headers = {"Content-Encoding": coding}
    refused(desk, f"{server.url}/a", VerificationError, "although it was asked for the bytes as they are")


@pytest.mark.parametrize(
    ("status", "kind"),
    [(404, UserError), (403, UserError), (410, UserError), (429, UnavailableError), (500, UnavailableError),
     (503, UnavailableError), (204, UnavailableError), (206, UnavailableError), (304, UnavailableError),
     (300, UnavailableError), (999, UnavailableError)],
)  # fmt: skip
def test_other_answers(desk, server, status, kind):
    server.pages["/a"] = Page(body=b"x", status=status)
    refused(desk, f"{server.url}/a", kind, f"the server answers {status}")


def test_redirects_are_followed_and_noted(desk, server):
    server.pages["/b"] = Page(status=302, headers={"Location": "/c"})
    server.pages["/c"] = Page(status=308, headers={"Location": f"{server.url}/a"})
    origin = desk.fetch(f"{server.url}/b")
    assert (origin.url, origin.final_url) == (f"{server.url}/b", f"{server.url}/a")
    assert desk.content(origin) == DATA


@pytest.mark.parametrize(
    ("location", "said"),
    [
        ("/b", "redirects more than 10 times"),
        ("file:///etc/passwd", "which is not read"),
        ("ftp://host/x", "which is not read"),
        ("http://user:word@host/x", "which is not read"),
        ("gopher:x", "is not a URL"),
    ],
)
def test_redirects_that_are_not_followed(desk, server, location, said):
    server.pages["/b"] = Page(status=301, headers={"Location": location})
    refused(desk, f"{server.url}/b", UserError, said)


def test_private_addresses_are_refused_before_anything_is_sent(desk, server):
    for host in ("127.0.0.1", "localhost", "127.1", "2130706433", "0x7f.0.0.1", "[::1]", "[::ffff:127.0.0.1]"):
        error = refused(
            desk, f"http://{host}:{server.port}/a", UserError, "is not on the public internet", private=False
        )
        assert "--allow-private-urls" in error.fix
    assert server.requests == []


def test_proxies_are_used_only_where_no_address_is_checked(desk, server, monkeypatch):
    server.pages["http://data.example/x"] = Page(body=b"by proxy")
    monkeypatch.setenv("http_proxy", server.url)
    refused(desk, "http://localhost/x", UserError, "is not on the public internet", private=False)
    assert server.requests == []
    assert desk.content(desk.fetch("http://data.example/x")) == b"by proxy"


def test_two_threads_fetch_once(tmp_path, server):
    meeting = threading.Barrier(2, timeout=30)
    waiting = threading.Event()
    desks = [Desk(tmp_path / "urls") for _ in range(2)]
    store = desks[0].store
    origins = []

    def tell(phrase):
        if phrase.startswith("waiting"):
            waiting.set()

    def fetch(desk):
        desk.store = store
        desk.told = type("Told", (), {"append": staticmethod(tell)})
        meeting.wait()
        origins.append(desk.fetch(f"{server.url}/a"))

    server.pages["/a"].etag = None  # nothing to ask "is it the same?" with
    server.pages["/a"].before = lambda: waiting.wait(30)  # the answer comes when the other one stands at the door
    threads = [threading.Thread(target=fetch, args=(desk,)) for desk in desks]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(server.requests) == 1
    assert origins[0] == origins[1]


def _fetch_in_process(directory, url):
    with SqliteBlockStore(directory / "blocks.sqlite") as store:
        return Desk(directory / "urls", store).fetch(url).cid


def test_a_process_that_is_killed_leaves_nothing_wrong(tmp_path, server):
    """The server answers half and then waits; the client is killed there."""
    stuck, go_on = threading.Event(), threading.Event()
    half = 40 << 20
    body = bytes(1 << 20) * 80
    server.pages["/a"] = Page(body=body, etag='"1"')
    page = server.pages["/a"]
    page.cut_after = Holding(half, stuck, go_on)
    context = multiprocessing.get_context("spawn")
    process = context.Process(target=_fetch_in_process, args=(tmp_path, f"{server.url}/a"))
    process.start()
    assert stuck.wait(60)
    marks = _await_mark(tmp_path / "urls", process)
    process.kill()
    process.join()
    go_on.set()
    page.cut_after = []
    with SqliteBlockStore(tmp_path / "blocks.sqlite") as store:
        desk = Desk(tmp_path / "urls", store)
        assert desk.content(desk.fetch(f"{server.url}/a")) == body
        assert desk.left == []
    assert int(server.asked("Range")[-1].removeprefix("bytes=").removesuffix("-")) >= marks > 0


class Holding(list):
    """Cuts the first answer after some bytes, but only closes the connection when told."""

    def __init__(self, size, stuck, go_on):
        super().__init__([size])
        self.stuck, self.go_on = stuck, go_on


def _await_mark(directory, process):
    while process.is_alive():
        for path in directory.glob("*.json"):
            done = json.loads(path.read_text())["done"]
            if done:
                return done
    raise AssertionError("the process ended by itself")


def test_a_full_disk_is_told_and_leaves_its_room(desk, server, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(partial_file.PartialFile, "write", full)
    refused(desk, f"{server.url}/a", UnavailableError, "cannot be written: no space left on device")
    assert desk.left == []


def test_a_server_that_is_not_there(desk, server):
    url = server.url
    server.pages.clear()
    refused(desk, url.replace(str(server.port), "1") + "/a", UnavailableError, "cannot be fetched")
