"""Tar streams of any tree: what Python's tarfile writes and reads, wherever one begins to read."""

import io
import tarfile

from hypothesis import given, settings
from hypothesis import strategies as st

from storage.blocks import MemoryBlockStore
from storage.dag_tar import DagTar
from storage.unixfs_import import Importer
from storage.unixfs_read import UnixfsReader

TEXT = st.characters(blacklist_categories=("Cs",), blacklist_characters="\0")
NAMES = st.text(TEXT, min_size=1, max_size=120).filter(lambda name: name not in (".", "..") and "/" not in name)
LEAVES = st.binary(max_size=1200) | st.tuples(st.text(TEXT, max_size=150))
"""A file's bytes, or a symlink's target in a tuple."""
BELOW = st.recursive(LEAVES, lambda inner: st.dictionaries(NAMES, inner, max_size=4), max_leaves=8)
TREES = st.dictionaries(NAMES, BELOW, max_size=6)


def imported(importer, tree):
    if isinstance(tree, bytes):
        return importer.bytes(tree)
    if isinstance(tree, tuple):
        return importer.symlink(tree[0])
    return importer.directory({name: imported(importer, below) for name, below in tree.items()})


def flat(tree, prefix=""):
    """Yield (path, thing) in the order of the contract."""
    for name in sorted(tree, key=str.encode):
        yield prefix + name, tree[name]
        if isinstance(tree[name], dict):
            yield from flat(tree[name], f"{prefix}{name}/")


def written_by_tarfile(tree):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT, encoding="utf-8") as archive:
        for path, thing in flat(tree):
            info = tarfile.TarInfo(path)
            if isinstance(thing, bytes):
                info.size, info.mode = len(thing), 0o644
                archive.addfile(info, io.BytesIO(thing))
            elif isinstance(thing, tuple):
                info.type, info.mode, info.linkname = tarfile.SYMTYPE, 0o777, thing[0]
                archive.addfile(info)
            else:
                info.type, info.mode = tarfile.DIRTYPE, 0o755
                archive.addfile(info)
        end = archive.offset
    return out.getvalue()[:end] + bytes(1024)


def stream(tree):
    store = MemoryBlockStore()
    return DagTar(UnixfsReader(store), imported(Importer(store), tree).cid)


@settings(deadline=None)
@given(TREES)
def test_it_is_what_tarfile_writes(tree):
    with stream(tree) as tar:
        data = tar.read()
    assert data == written_by_tarfile(tree)
    assert len(data) == tar.size


@settings(deadline=None)
@given(TREES)
def test_tarfile_reads_the_tree_back(tree):
    with stream(tree) as raw, tarfile.open(fileobj=io.BufferedReader(raw), mode="r:", encoding="utf-8") as archive:
        found = {}
        for member in archive:
            if member.isreg():
                found[member.name] = archive.extractfile(member).read()
            else:
                found[member.name] = (member.linkname,) if member.issym() else {}
    assert found == {path: {} if isinstance(thing, dict) else thing for path, thing in flat(tree)}


@settings(deadline=None)
@given(TREES, st.data())
def test_any_part_is_that_part_of_the_whole(tree, data):
    with stream(tree) as tar:
        whole = tar.read()
        for _ in range(5):
            start = data.draw(st.integers(0, len(whole) + 600))
            length = data.draw(st.integers(0, 3000))
            tar.seek(start)
            assert io.BufferedReader(Unclosed(tar), 16).read(length) == whole[start : start + length]


class Unclosed(io.RawIOBase):
    """Lends a stream, so that dropping a buffer does not close it."""

    def __init__(self, raw):
        super().__init__()
        self._raw = raw

    def readable(self):
        return True

    def readinto(self, buffer):
        return self._raw.readinto(buffer)
