"""What belongs to a function."""

import os

import pytest

from runtime.source_import import MAX_SOURCE_BYTES, import_source, read_source
from storage.blocks import MemoryBlockStore
from storage.errors import UserError
from storage.unixfs_read import UnixfsReader


@pytest.fixture
def folder(tmp_path):
    path = tmp_path / "function"
    (path / "pkg").mkdir(parents=True)
    (path / "function.py").write_text("def main(data): pass\n")
    (path / "pkg" / "mod.py").write_text("x = 1\n")
    return path


def names(path):
    return [name for name, _ in read_source(path, None, None).files]


def test_every_file_but_hidden_ones_and_caches(folder):
    for name in (".git/config", ".env", "pkg/__pycache__/mod.pyc", "old.pyc", "pkg/.hidden/x"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("")
    assert names(folder) == ["function.py", "pkg/mod.py"]


def test_the_ignore_file_names_what_does_not_belong(folder):
    for name in ("data/big.csv", "notes.md", "pkg/notes.md", "keep.txt"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text("")
    (folder / ".bacalhauignore").write_text("# not ours\ndata/\n*.md\n\n")
    assert names(folder) == ["function.py", "keep.txt", "pkg/mod.py"]


def test_order_and_mode_make_no_other_function(folder):
    first = import_source(read_source(folder, None, None), MemoryBlockStore())
    (folder / "function.py").chmod(0o700)
    os.utime(folder / "function.py", (1, 1))
    assert import_source(read_source(folder, None, None), MemoryBlockStore()) == first


def test_a_file_is_its_own_source(folder, tmp_path):
    (folder / "requirements.txt").write_text("numpy\n")
    assert names(folder / "function.py") == ["function.py", "requirements.txt"]
    (folder / "other.py").write_text("pass\n")
    assert names(folder / "other.py") == ["function.py"]
    source = read_source(None, "print(1)", folder / "requirements.txt")
    assert (source.files, source.where) == ((("function.py", b"print(1)"), ("requirements.txt", b"numpy\n")), "-c")


def test_the_imported_directory_holds_the_bytes(folder):
    store = MemoryBlockStore()
    cid = import_source(read_source(folder, None, None), store)
    reader = UnixfsReader(store)
    assert reader.read_bytes(reader.resolve(cid, "pkg/mod.py"), 100) == b"x = 1\n"


def test_ten_mebibytes_and_no_more(folder):
    rest = MAX_SOURCE_BYTES - sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    (folder / "table").write_bytes(bytes(rest))
    assert len(names(folder)) == 3
    (folder / "table").write_bytes(bytes(rest + 1))
    with pytest.raises(UserError, match="holds more than 10 MiB"):
        names(folder)


def test_a_sparse_giant_is_refused_unread(folder):
    with (folder / "giant").open("wb") as file:
        file.truncate(1 << 40)
    with pytest.raises(UserError, match="holds more than 10 MiB"):
        names(folder)


def test_what_has_no_content(folder, tmp_path):
    os.mkfifo(folder / "pipe")
    with pytest.raises(UserError, match="pipe: is neither a file nor a directory"):
        names(folder)
    (folder / "pipe").unlink()
    (folder / "gone").symlink_to("nowhere")
    with pytest.raises(UserError, match="gone: is neither"):
        names(folder)
    (folder / "gone").unlink()
    (folder / "linked").symlink_to(tmp_path)
    with pytest.raises(UserError, match="linked: is a link to a directory"):
        names(folder)
    (folder / ".bacalhauignore").write_text("linked\n")
    assert names(folder) == ["function.py", "pkg/mod.py"]


def test_links_are_files_of_the_directory_or_refused(folder, tmp_path):
    (folder / "near").symlink_to("pkg/mod.py")
    assert names(folder) == ["function.py", "near", "pkg/mod.py"]
    (tmp_path / "elsewhere").write_text("a secret")
    (folder / "far").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(UserError, match="far: is a link that leads out of the function's directory; put the file"):
        names(folder)


def test_a_name_that_is_not_utf8(folder):
    (folder / os.fsdecode(b"\xff.txt")).write_text("")
    with pytest.raises(UserError, match=r"udcff\.txt.*name that is not UTF-8"):
        names(folder)


def test_a_request_without_a_function(tmp_path):
    for arguments in ((None, None, None), (tmp_path, "code", None)):
        with pytest.raises(UserError):
            read_source(*arguments)
    with pytest.raises(UserError, match=r"has no function\.py; put the function into"):
        read_source(tmp_path, None, None)
    with pytest.raises(UserError, match="cannot be read: no such file or directory"):
        read_source(None, "1", tmp_path / "absent.txt")
