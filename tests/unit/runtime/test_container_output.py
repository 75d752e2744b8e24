"""Archives of a container's output: read like a stranger's."""

import io
import tarfile

import pytest

from runtime.container_output import MAX_ENTRIES, ContainerOutput, OutputTooLargeError
from storage.blocks import MemoryBlockStore
from storage.errors import VerificationError
from storage.unixfs_members import members
from storage.unixfs_read import UnixfsReader

LIMIT = 1000


def tar(*entries):
    """A tar as engines make them: (name, kind, content or target)."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, kind, content in entries:
            info = tarfile.TarInfo(name)
            info.type = kind
            if kind == tarfile.REGTYPE:
                info.size = len(content)
                archive.addfile(info, io.BytesIO(content))
                continue
            info.linkname = content
            archive.addfile(info)
    return buffer.getvalue()


ROOT = ("outputs/", tarfile.DIRTYPE, "")


def collected(*entries, limit=LIMIT, store=None, pieces=None):
    store = store or MemoryBlockStore()
    output = ContainerOutput(store, limit)
    output.add_stream("stdout", io.BytesIO(b"out"), 3)
    output.add_stream("stderr", io.BytesIO(b""), 0)
    data = tar(ROOT, *entries)
    output.add_archive("outputs", pieces or [data[at : at + 100] for at in range(0, len(data), 100)])
    reader = UnixfsReader(store)
    return {one.path: one for one in members(reader, output.finish(7))}, reader


def test_the_output_has_the_layout_of_every_output():
    found, reader = collected(
        ("outputs/a/", tarfile.DIRTYPE, ""),
        ("outputs/a/file", tarfile.REGTYPE, b"content"),
        ("outputs/a/again", tarfile.LNKTYPE, "outputs/a/file"),
        ("outputs/link", tarfile.SYMTYPE, "a/file"),
    )
    assert {path: one.kind for path, one in found.items()} == {
        "exit_code": "file",
        "outputs": "directory",
        "outputs/outputs": "directory",
        "outputs/outputs/a": "directory",
        "outputs/outputs/a/again": "file",
        "outputs/outputs/a/file": "file",
        "outputs/outputs/link": "symlink",
        "result": "file",
        "stderr": "file",
        "stdout": "file",
    }
    read = {path: reader.read_bytes(one.cid, 99) for path, one in found.items() if one.kind == "file"}
    assert (read["exit_code"], read["stdout"], read["result"]) == (b"7", b"out", b"")
    assert read["outputs/outputs/a/again"] == read["outputs/outputs/a/file"] == b"content"


@pytest.mark.parametrize("root", ["outputs", "outputs/", "", ".", "a/b"])
def test_the_directory_may_have_any_name(root):
    entries = ((f"{root.rstrip('/')}/d", tarfile.DIRTYPE, ""), (f"{root.rstrip('/')}/d/f", tarfile.REGTYPE, b"x"))
    store = MemoryBlockStore()
    output = ContainerOutput(store, LIMIT)
    for name in ("stdout", "stderr"):
        output.add_stream(name, io.BytesIO(), 0)
    output.add_archive("more", [tar((root, tarfile.DIRTYPE, ""), *entries)])
    assert "outputs/more/d/f" in {one.path for one in members(UnixfsReader(store), output.finish(0))}


@pytest.mark.parametrize(
    "entry",
    [
        ("outputs/../../etc/passwd", tarfile.REGTYPE, b"x"),
        ("outputs/a/../b", tarfile.REGTYPE, b"x"),
        ("outputs/pipe", tarfile.FIFOTYPE, ""),
        ("outputs/disk", tarfile.BLKTYPE, ""),
        ("outputs/hard", tarfile.LNKTYPE, "/etc/passwd"),
        ("elsewhere/x", tarfile.REGTYPE, b"x"),
        ("outputsx", tarfile.REGTYPE, b"x"),
        ("outputs/" + "a/" * 200 + "b", tarfile.REGTYPE, b"x"),
        ("outputs/\udcff", tarfile.REGTYPE, b"x"),
    ],
    ids=["out", "dots", "pipe", "device", "hard link out", "beside", "prefix", "depth", "bytes"],
)
def test_what_no_output_can_hold_is_refused(entry):
    with pytest.raises(VerificationError):
        collected(entry)


def test_a_name_twice_is_refused():
    with pytest.raises(VerificationError, match="twice"):
        collected(("outputs/a", tarfile.REGTYPE, b"1"), ("outputs/a", tarfile.REGTYPE, b"2"))


def test_bytes_are_counted_over_everything():
    collected(("outputs/a", tarfile.REGTYPE, b"x" * (LIMIT - 3)))
    with pytest.raises(OutputTooLargeError, match="1000 bytes"):
        collected(("outputs/a", tarfile.REGTYPE, b"x" * (LIMIT - 2)))
    with pytest.raises(OutputTooLargeError):
        collected(("outputs/a", tarfile.SYMTYPE, "x" * LIMIT))


def test_entries_are_counted(monkeypatch):
    monkeypatch.setattr("runtime.container_output.MAX_ENTRIES", 3)
    collected(("outputs/a", tarfile.DIRTYPE, ""), ("outputs/b", tarfile.DIRTYPE, ""))
    with pytest.raises(OutputTooLargeError, match="3 files"):
        collected(*((f"outputs/{name}", tarfile.DIRTYPE, "") for name in "abcd"))
    assert MAX_ENTRIES > 3


def test_of_an_archive_no_more_is_read_than_its_content_may_take(monkeypatch):
    monkeypatch.setattr("runtime.container_output._HEADER_ROOM", 0)
    with pytest.raises(OutputTooLargeError, match="larger than its content"):
        collected(*((f"outputs/{name}", tarfile.DIRTYPE, "") for name in "abc"))


@pytest.mark.parametrize("cut", [1, 100, 513, 1100])
def test_a_damaged_archive_is_an_error(cut):
    data = tar(ROOT, ("outputs/a", tarfile.REGTYPE, b"x" * 900))[:cut]
    with pytest.raises(VerificationError):
        collected(pieces=[data])


def test_noise_is_an_error():
    with pytest.raises(VerificationError, match="damaged"):
        collected(pieces=[b"\xff" * 2048])
