"""Inputs in the real Node: nested mounts, paths inside a CID, URLs, and data that is read where it is asked for."""

import json
import textwrap

import pytest

from storage.blocks import MemoryBlockStore, OverlayBlockStore
from storage.car_file import write_car_file
from storage.cid import cid_text
from storage.dag_walk import walk
from storage.errors import UserError
from storage.unixfs_import import Importer
from storage.unixfs_read import UnixfsReader
from tests.unit.storage.url_server import Page, UrlServer

pytestmark = pytest.mark.integration

LISTING = """
    import os
    def main(data, root="/ref"):
        found = {}
        for folder, folders, files in os.walk(root):
            for name in files:
                path = os.path.join(folder, name)
                found[path] = open(path).read()
        for path in (f"{root}/new", f"{root}/sub/new", f"{root}/sub/inner"):
            try: open(path, "w")
            except OSError: continue
            return path
        return [found, os.listdir(root)]
    """


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch):
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)


def run(house, source, **request):
    outcome = house.run(textwrap.dedent(source), **request)
    assert (outcome.exit_code, outcome.stderr) == (0, ""), outcome.stderr
    return outcome


def tree(store, files):
    importer = Importer(store)
    entries = {}
    for name, content in files.items():
        entries[name] = tree(store, content) if isinstance(content, dict) else importer.bytes(content)
    return importer.directory(entries)


def test_volumes_inside_volumes(house, tmp_path):
    outer = cid_text(tree(house.store, {"top": b"t", "sub": {"old": b"hidden"}}).cid)
    (tmp_path / "inner").mkdir()
    (tmp_path / "inner" / "inner").write_text("i")
    (tmp_path / "one.txt").write_text("one")
    volumes = [f"{outer}:/ref", f"{tmp_path}/inner:/ref/sub", f"{tmp_path}/one.txt:/ref/sub/deep/one"]
    outcome = run(house, LISTING, volumes=tuple(volumes))
    found, names = json.loads(outcome.result)
    assert found == {"/ref/top": "t", "/ref/sub/inner": "i", "/ref/sub/deep/one": "one"}
    assert names == ["sub", "top"]
    assert [volume.path for volume in outcome.plan.input.volumes] == ["/ref"]
    assert house.plan(textwrap.dedent(LISTING), volumes=tuple(volumes[::-1])).task == outcome.plan.task


def test_a_volume_inside_a_file_is_refused(house, tmp_path):
    (tmp_path / "one.txt").write_text("one")
    with pytest.raises(UserError, match="-v /ref/x: cannot lie in what is mounted at /ref"):
        house.plan(textwrap.dedent(LISTING), volumes=(f"{tmp_path}/one.txt:/ref", f"{tmp_path}:/ref/x"))


def test_a_volume_beside_a_file_as_data(house, tmp_path):
    (tmp_path / "more").write_text("m")
    outcome = run(house, LISTING, data=b"x", volumes=(f"{tmp_path / 'more'}:/inputs/more",), args=("root=/inputs",))
    assert json.loads(outcome.result) == [{"/inputs/data": "x", "/inputs/more": "m"}, ["data", "more"]]


def test_paths_inside_a_cid(house):
    root = cid_text(tree(house.store, {"a": {"b c": {"file": b"deep"}}, "top": b"t"}).cid)
    volumes = (f"{root}/a/b c:/ref", f"ipfs://{root}/a/b%20c/file:/one")
    outcome = run(house, LISTING, data=f"{root}/a/b c/file", volumes=volumes)
    assert json.loads(outcome.result) == [{"/ref/file": "deep"}, ["file"]]
    plan = outcome.plan.input
    assert plan.data == next(volume.cid for volume in plan.volumes if volume.path == "/one")
    source = "def main(data): return [data.read().decode(), open('/one').read()]"
    assert json.loads(run(house, source, data=f"ipfs://{root}/a/b%20c/file", volumes=volumes).result) == [
        "deep",
        "deep",
    ]


def test_content_that_is_not_here_comes_from_where_the_user_says(house, tmp_path):
    there = MemoryBlockStore()
    root = tree(there, {"a b": {"one": b"1", "two": b"22"}, "other": b"not wanted"}).cid
    write_car_file(tmp_path / "x.car", root, walk(there, root))
    source = """
        import os
        def main(data): return [sorted(os.listdir("/inputs")), open("/ref").read(), len(data.read()) > 1024]
        """
    request = {"data": f"ipfs://{cid_text(root)}/a%20b", "volumes": (f"{cid_text(root)}/a b/two:/ref",)}
    with pytest.raises(UserError, match=r"is not in this store.*name a source with --from"):
        house.plan(textwrap.dedent(source), **request)
    outcome = run(house, source, **request, sources=(f"car:{tmp_path / 'x.car'}",))
    assert json.loads(outcome.result) == [["one", "two"], "22", True]
    assert outcome.plan.input.data == UnixfsReader(there).resolve(root, "a b")
    assert not house.store.has(UnixfsReader(there).resolve(root, "other"))
    # Now it is here, with the way to it.
    assert house.plan(textwrap.dedent(source), **request).task == outcome.plan.task


def test_a_source_is_written_right(house):
    with pytest.raises(UserError, match="--from: not a place: 'ftp:x'"):
        house.plan("def main(data): return 1", sources=("ftp:x",))


class Watched(OverlayBlockStore):
    """Counts the leaves that are read."""

    def __init__(self, below, leaves):
        super().__init__(below)
        self.leaves = leaves
        self.read = []

    def get(self, cid):
        if cid in self.leaves:
            self.read.append(self.leaves[cid])
        return super().get(cid)


def test_of_large_inputs_only_what_is_read_is_loaded(house):
    """Data is a directory of 40 MiB, a volume a file of 20 MiB: a few leaves of either are enough."""
    store, importer = house.store, Importer(house.store)
    leaves = {importer.bytes(block(n)).cid: n for n in range(60)}
    data = {f"f{n}": importer.bytes(b"".join(block(10 * n + m) for m in range(10))) for n in range(4)}
    volume = importer.bytes(b"".join(block(n) for n in range(40, 60)))
    source = """
        import tarfile
        def main(data):
            with open("/big", "rb") as big:
                big.seek((13 << 20) + 5)
                middle = big.read(3)
            with tarfile.open(fileobj=data, mode="r:") as archive:
                archive.extractfile("f2").read(1)
            return [len(data), middle.hex(), data[-1025]]
        """
    plan = house.plan(
        textwrap.dedent(source), data=cid_text(importer.directory(data).cid), volumes=(f"{cid_text(volume.cid)}:/big",)
    )
    watched = Watched(store, leaves)
    outcome = house.execute(plan, watched)
    assert outcome.exit_code == 0, outcome.stderr
    assert json.loads(outcome.result) == [4 * (512 + (10 << 20)) + 1024, bytes([53] * 3).hex(), 39]
    assert set(watched.read) <= {0, 9, 10, 19, 20, 29, 30, 39, 53}, "whole pieces of 1 MiB around what was asked for"
    assert {20, 39, 53} <= set(watched.read)


def block(number):
    return bytes([number]) * (1 << 20)


def test_a_url_as_data_and_one_as_volume(house):
    with UrlServer() as server:
        server.pages |= {"/data.csv": Page(body=b"a,b\n"), "/ref.txt": Page(body=b"r", etag='"1"')}
        request = {
            "data": f"{server.url}/data.csv",
            "volumes": (f"{server.url}/ref.txt:/ref/file",),
            "allow_private_urls": True,
        }
        outcome = run(house, "def main(data): return data.read() + open('/ref/file', 'rb').read()", **request)
    assert outcome.result == "a,b\nr"
    assert UnixfsReader(house.store).read_bytes(outcome.plan.input.data, 10) == b"a,b\n"
