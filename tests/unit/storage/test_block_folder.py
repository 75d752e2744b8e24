import pytest

from storage.block_folder import read_block_folder, write_block_folder
from storage.cid import RAW, cid_text, make_cid
from storage.errors import UnavailableError, UserError, VerificationError

ONE, TWO = b"one", b"two"
A, B = (make_cid(RAW, data) for data in (ONE, TWO))


def read(path):
    roots, blocks = read_block_folder(path)
    return roots, dict(blocks)


def test_a_folder_grows_by_what_is_new(tmp_path):
    path = tmp_path / "out"
    write_block_folder(path, A, [(A, ONE)])
    place = path / "blocks" / cid_text(A)[-2:] / cid_text(A)
    before = place.stat()
    write_block_folder(path, B, [(A, ONE), (B, TWO)])
    assert read(path) == ((A, B), {A: ONE, B: TWO})
    assert (place.stat().st_ino, place.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    write_block_folder(path, A, [(A, ONE)])
    assert read(path)[0] == (B, A)  # the newest last, each once


def test_a_root_is_listed_when_all_of_it_is_there(tmp_path):
    def broken():
        yield A, ONE
        raise UnavailableError("gone")

    with pytest.raises(UnavailableError):
        write_block_folder(tmp_path / "out", A, broken())
    assert not (tmp_path / "out" / "roots").exists()
    assert not list(tmp_path.rglob(".new-*"))
    with pytest.raises(UserError):
        read_block_folder(tmp_path / "out")
    write_block_folder(tmp_path / "out", A, [(A, ONE)])
    assert read(tmp_path / "out") == ((A,), {A: ONE})


def test_nothing_else_is_written_into(tmp_path):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine").write_text("x")
    (tmp_path / "file").write_text("x")
    for place in ("full", "file", "no/folder"):
        with pytest.raises(UserError):
            write_block_folder(tmp_path / place, A, [(A, ONE)])
    assert [path.name for path in (tmp_path / "full").iterdir()] == ["mine"]
    with pytest.raises(UserError):
        read_block_folder(tmp_path / "full")


def test_what_is_read_is_checked(tmp_path):
    path = tmp_path / "out"
    write_block_folder(path, A, [(A, ONE)])
    place = path / "blocks" / cid_text(A)[-2:] / cid_text(A)
    place.with_name("what a sync has left").write_text("x")
    assert read(path) == ((A,), {A: ONE})
    place.write_bytes(TWO)
    with pytest.raises(VerificationError):
        read(path)
    place.unlink()
    (tmp_path / "secret").write_bytes(ONE)
    place.symlink_to(tmp_path / "secret")
    with pytest.raises(VerificationError, match="no block"):
        read(path)
    for text in ("nonsense\n", "\xff"):
        (path / "roots").write_bytes(text.encode("latin-1"))
        with pytest.raises(VerificationError, match="no list"):
            read_block_folder(path)
    (path / "roots").write_bytes(b" " * ((1 << 20) + 1))
    with pytest.raises(VerificationError, match="larger"):
        read_block_folder(path)
