import hashlib
import io
import os

import pytest

from runtime import bundle as bundle_module
from runtime.bundle import PACKAGE, BundleSource
from runtime.downloads import SourceMissError
from runtime.pylock import WantedWheel

NAME, VERSION = PACKAGE.split("==")
FILE = f"{NAME.replace('-', '_')}-{VERSION}-py3-none-any.whl"
INSIDE = "gamma-3.0-cp314-cp314-pyemscripten_2026_0_wasm32.whl"
PADDING = os.urandom(3_000_000)


@pytest.fixture
def gamma(wheelhouse):
    package = wheelhouse.distribution.packages["gamma"]
    return WantedWheel(name="gamma", version="3.0", file_name=INSIDE, sha256=package.sha256, urls=(), distributed=True)


@pytest.fixture
def published(server, make_wheel, wheelhouse):
    """The bundle at the index: 3 MB that nobody needs around one wheel."""
    files = {"web/a.bin": PADDING, f"web/pyodide/{INSIDE}": wheelhouse.files[INSIDE], "web/b.bin": PADDING[:100]}
    data = make_wheel(NAME, VERSION, files=files)
    server.serve_index({NAME: [(FILE, data, None)]})
    return data


@pytest.fixture
def source(downloads, loopback_uv, tmp_path):
    return BundleSource(downloads, loopback_uv, python="3.14", cache_dir=tmp_path / "bundles")


def fetched(source, wanted):
    out = io.BytesIO()
    source.fetch(wanted, out)
    return out.getvalue()


def test_a_member_is_read_by_ranges_and_little_else(server, source, published, gamma, tmp_path):
    assert hashlib.sha256(fetched(source, gamma)).hexdigest() == gamma.sha256
    ranges = [wanted for path, wanted in server.requests if path.endswith(FILE) and wanted]
    sizes = [last - first + 1 for first, last in (map(int, r.removeprefix("bytes=").split("-")) for r in ranges)]
    assert sum(sizes) < len(published) / 2
    assert not (tmp_path / "bundles").exists()


@pytest.mark.parametrize("fault", ["no-ranges", "bad-range"])
def test_without_ranges_the_whole_is_downloaded_once_and_kept(server, source, published, gamma, tmp_path, fault):
    server.faults[f"/files/{FILE}"] = fault
    assert fetched(source, gamma) == fetched(source, gamma)
    (kept,) = (tmp_path / "bundles").iterdir()
    assert kept.name == f"{hashlib.sha256(published).hexdigest()}.whl"
    assert kept.read_bytes() == published
    requests = len(server.requests)
    again = BundleSource(source._downloads, source._resolver, python="3.14", cache_dir=tmp_path / "bundles")
    assert hashlib.sha256(fetched(again, gamma)).hexdigest() == gamma.sha256
    assert not [path for path, _ in server.requests[requests:] if path.endswith(FILE)]


@pytest.mark.parametrize("fault", ["truncated", 404])
def test_a_bundle_that_cannot_be_read_is_a_miss_and_leaves_nothing(server, source, published, gamma, tmp_path, fault):
    # The resolver learns what it wants to know from a first, unharmed look.
    source._resolver.ask(bundle_question())
    server.faults[f"/files/{FILE}"] = fault
    with pytest.raises(SourceMissError):
        fetched(source, gamma)
    assert list(tmp_path.glob("bundles/*")) == []


def bundle_question():
    return bundle_module.Question(
        requirements=PACKAGE, python="3.14", breadth=bundle_module.Breadth.WIDE, dependencies=False
    )


def test_other_bytes_than_announced_are_not_kept(server, source, published, gamma, tmp_path, monkeypatch):
    offered = source._offered()
    monkeypatch.setattr(source, "_offered", lambda: offered)
    server.files[f"/files/{FILE}"] = published[:-1] + b"\xff"
    server.faults[f"/files/{FILE}"] = "no-ranges"
    with pytest.raises(SourceMissError, match="other bytes"):
        fetched(source, gamma)
    assert list(tmp_path.glob("bundles/*")) == []


def test_what_the_bundle_does_not_carry_is_a_miss(source, published, gamma):
    with pytest.raises(SourceMissError, match="does not carry"):
        fetched(source, WantedWheel(**{**fields(gamma), "file_name": "alpha.whl"}))
    with pytest.raises(SourceMissError, match="distribution only"):
        fetched(source, WantedWheel(**{**fields(gamma), "distributed": False}))


def fields(wanted):
    return {name: getattr(wanted, name) for name in wanted.__dataclass_fields__}


def test_an_index_without_the_bundle_is_asked_once(server, source, gamma):
    for _ in range(2):
        with pytest.raises(SourceMissError, match="does not offer"):
            fetched(source, gamma)
    assert len([path for path, _ in server.requests if path == f"/simple/{NAME}/"]) == 1


def test_what_is_no_archive_is_a_miss(server, source, published, gamma):
    offered = source._offered()
    server.files[f"/files/{FILE}"] = b"<html>" * 100
    source._offered = lambda: offered
    with pytest.raises(SourceMissError, match="not a zip archive"):
        fetched(source, gamma)


def test_a_directory_without_end_is_a_miss(source, published, gamma, monkeypatch):
    monkeypatch.setattr(bundle_module, "MAX_DIRECTORY_BYTES", 10)
    with pytest.raises(SourceMissError, match="larger than"):
        fetched(source, gamma)


@pytest.mark.parametrize("change", [{"file_size": 1 << 40}, {"header_offset": -5}])
def test_an_impossible_member_is_a_miss(source, published, gamma, change):
    members, _ = source._open(lambda *_: None)
    for name, value in change.items():
        setattr(members[INSIDE], name, value)
    with pytest.raises(SourceMissError, match="a member says"):
        fetched(source, gamma)
