import io

import pytest

from runtime import downloads as downloads_module
from runtime.downloads import SourceMissError

DATA = bytes(range(256)) * 4000


@pytest.fixture
def url(server):
    server.files["/a.whl"] = DATA
    return f"{server.url}/a.whl"


def test_a_file_is_written_and_progress_told(downloads, url):
    out, reports = io.BytesIO(), []
    downloads.fetch(url, out, what="a.whl", report=lambda *args: reports.append(args))
    assert out.getvalue() == DATA
    assert reports[-1] == ("a.whl", len(DATA), len(DATA))


@pytest.mark.parametrize(("fault", "said"), [(404, "answered 404"), ("truncated", "Protocol")])
def test_what_is_missing_or_cut_off_is_a_miss(downloads, server, url, fault, said):
    server.faults["/a.whl"] = fault
    with pytest.raises(SourceMissError, match=said):
        downloads.fetch(url, io.BytesIO(), what="a.whl")


def test_a_file_without_end_is_a_miss(downloads, url, monkeypatch):
    monkeypatch.setattr(downloads_module, "MAX_FILE_BYTES", 1000)
    with pytest.raises(SourceMissError, match="larger"):
        downloads.fetch(url, io.BytesIO(), what="a.whl")


def test_a_range_gives_exactly_its_bytes(downloads, url):
    assert downloads.size_if_ranges(url) == len(DATA)
    assert b"".join(downloads.range(url, 1000, 70_000)) == DATA[1000:71_000]
    assert b"".join(downloads.range(url, 5, 0)) == b""


@pytest.mark.parametrize("fault", ["no-ranges", "bad-range", "truncated", "huge-range", "endless"])
def test_a_server_that_gives_other_ranges_is_not_believed(downloads, server, url, fault):
    server.faults["/a.whl"] = fault
    with pytest.raises(SourceMissError):
        list(downloads.range(url, 1000, 70_000))


def test_a_range_never_gives_more_than_was_asked_for(downloads, server, url):
    server.faults["/a.whl"] = "endless"
    given = []
    with pytest.raises(SourceMissError, match="another length"):
        given.extend(downloads.range(url, 0, 1000))
    assert sum(map(len, given)) <= 1000


def test_no_ranges_are_told_from_ranges(downloads, server, url):
    server.faults["/a.whl"] = "no-ranges"
    assert downloads.size_if_ranges(url) is None


def test_a_host_out_of_reach_is_tried_once(downloads, server, url):
    server.close()
    for _ in range(2):
        with pytest.raises(SourceMissError, match="out of reach"):
            downloads.fetch(url, io.BytesIO(), what="a.whl")
    server.__init__()
    moved = url.replace(url.split("/")[2], server.url.split("/")[2])
    with pytest.raises(SourceMissError, match="404"):
        downloads.fetch(moved, io.BytesIO(), what="a.whl")


def test_a_url_that_is_none_is_a_miss(downloads):
    with pytest.raises(SourceMissError):
        downloads.fetch("http://[", io.BytesIO(), what="a.whl")
