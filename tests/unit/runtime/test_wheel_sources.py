import hashlib
import io

import pytest

from runtime.downloads import SourceMissError
from runtime.pylock import WantedWheel
from runtime.wheel_sources import CdnSource, IndexSource, obtain
from storage.errors import UnavailableError, VerificationError

DATA = b"a wheel" * 1000


def wanted(data=DATA, **changes):
    values = {
        "name": "beta",
        "version": "2.0",
        "file_name": "beta-2.0-py3-none-any.whl",
        "sha256": hashlib.sha256(data).hexdigest(),
        "urls": (),
        "distributed": True,
    }
    return WantedWheel(**(values | changes))


class Given:
    """A source that writes the given bytes and then, if there is one, raises the miss."""

    def __init__(self, name, data, miss=None):
        self.name, self.data, self.miss, self.asked = name, data, miss, 0

    def fetch(self, wanted, out, report=None):
        self.asked += 1
        out.write(self.data)
        if self.miss:
            raise SourceMissError(self.miss)


def test_the_first_source_that_has_it_is_used_and_later_ones_not_asked(tmp_path):
    first, second, third = Given("one", b"half a", "cut off"), Given("two", DATA), Given("three", DATA)
    with obtain(wanted(), [first, second, third], scratch=tmp_path) as file:
        assert file.read() == DATA
    assert (first.asked, second.asked, third.asked) == (1, 1, 0)
    assert list(tmp_path.iterdir()) == []


def test_other_bytes_are_an_error_that_names_source_and_package(tmp_path):
    sources = [Given("the mirror", DATA[:-1]), Given("two", DATA)]
    with pytest.raises(VerificationError) as caught, obtain(wanted(), sources, scratch=tmp_path):
        pass
    assert "the mirror" in str(caught.value)
    assert "beta 2.0" in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_a_wheel_from_nowhere_lists_what_each_source_said(tmp_path):
    sources = [Given("one", b"", "host is out of reach"), Given("two", b"", "has no such file")]
    with pytest.raises(UnavailableError) as caught, obtain(wanted(), sources, scratch=tmp_path):
        pass
    assert "one: host is out of reach; two: has no such file" in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_the_cdn_gives_files_of_the_distribution_only(downloads, server):
    server.files["/full/beta-2.0-py3-none-any.whl"] = DATA
    source, out = CdnSource(downloads, f"{server.url}/full/"), io.BytesIO()
    source.fetch(wanted(), out)
    assert out.getvalue() == DATA
    with pytest.raises(SourceMissError):
        source.fetch(wanted(distributed=False), io.BytesIO())
    assert len(server.requests) == 1


@pytest.mark.parametrize("fault", ["wrong", "truncated", 404])
def test_a_bad_server_never_gives_a_wheel(downloads, server, tmp_path, fault):
    server.files["/full/beta-2.0-py3-none-any.whl"] = DATA
    server.faults["/full/beta-2.0-py3-none-any.whl"] = fault
    expected = VerificationError if fault == "wrong" else UnavailableError
    sources = [CdnSource(downloads, f"{server.url}/full/")]
    with pytest.raises(expected), obtain(wanted(), sources, scratch=tmp_path):
        pass


def test_the_index_is_asked_for_the_address_of_a_file_of_the_distribution(downloads, server, loopback_uv, make_wheel):
    data, other = make_wheel("beta", "2.0"), make_wheel("beta", "2.0", files={"x.py": "other"})
    names = ("beta-2.0-py2.py3-none-any.whl", "beta-2.0-py3-none-any.whl")
    server.serve_index({"beta": [(names[0], other, None), (names[1], data, None)]})
    source, out = IndexSource(downloads, loopback_uv, "3.14"), io.BytesIO()
    source.fetch(wanted(data), out)
    assert out.getvalue() == data
    with pytest.raises(SourceMissError, match="no file with this hash"):
        source.fetch(wanted(b"never published"), io.BytesIO())


def test_an_index_out_of_reach_is_a_miss(downloads, offline_uv):
    with pytest.raises(SourceMissError, match="could not be asked"):
        IndexSource(downloads, offline_uv, "3.14").fetch(wanted(), io.BytesIO())
