"""The file system of a WASI guest: what it sees, what it may change, and how hostile calls are answered."""

import pytest

from runtime.wasi_abi import ALL_RIGHTS, DIRECTORY_RIGHTS, FDSTAT, FILE_RIGHTS, PRESTAT, READ_RIGHTS, Errno
from runtime.wasi_descriptors import MAX_DESCRIPTORS
from runtime.wasi_imports import SIGNATURES
from tests.unit.runtime.wasi_world import ALL, READ, WRITE, Tree, make_guest, mounted

FILES = {
    "b": b"B",
    "a": b"0123456789",
    "é": b"",
    "dir": {"inner": b"in"},
    "up": "dir/../a",
    "out": "../../etc",
    "loop": "loop",
}
DIRECTORY, REGULAR, SYMLINK = 3, 4, 7
CREATE, ONLY_DIRECTORY, EXCLUSIVE, TRUNCATE = 1, 2, 4, 8


@pytest.fixture
def guest():
    tree = Tree(inputs=FILES)
    return make_guest(tree, mounts=mounted(tree, "/inputs"))


def test_every_call_has_an_answer(guest):
    """Whatever the numbers are: an errno that WASI knows, and never an exception of ours."""
    for name, letters in SIGNATURES.items():
        if name in ("proc_exit", "proc_raise"):
            continue
        for number in (0, 1, 3, -1, 1 << 31, 0x1FFF0, (1 << 32) - 1, -(1 << 63), (1 << 63) - 1):
            numbers = [number if letter == "I" else (number + (1 << 31)) % (1 << 32) - (1 << 31) for letter in letters]
            fresh = make_guest()
            assert 0 <= fresh.call(name, *numbers) <= 76, name


@pytest.mark.parametrize("name", sorted(set(SIGNATURES) - {"proc_exit", "proc_raise", "sched_yield"}))
def test_no_call_writes_or_reads_beyond_the_memory(guest, name):
    """All pointers at the last byte, lengths of 4 GiB: the call is refused, and the host's memory is left alone."""
    letters = SIGNATURES[name]
    errno = guest.call(name, *[(1 << 17) - 1 if letter == "i" else 0 for letter in letters])
    assert errno != 0
    assert len(guest.memory) == 1 << 17
    assert guest.call(name, *[-1 for _ in letters]) != 0


def test_the_root_is_open_and_named(guest):
    assert guest.call("fd_prestat_get", 3, 0) == 0
    assert PRESTAT.unpack_from(guest.memory) == (0, 1)
    assert guest.call("fd_prestat_dir_name", 3, 100, 1) == 0
    assert guest.memory[100:101] == b"/"
    assert guest.call("fd_prestat_dir_name", 3, 100, 0) == Errno.NAMETOOLONG
    assert guest.call("fd_prestat_get", 4, 0) == Errno.BADF
    assert guest.call("fd_prestat_get", 0, 0) == Errno.BADF


def test_listings_are_sorted_and_inodes_fixed_whatever_the_buffer(guest):
    expected = [name for name, _, _ in guest.list(3)]
    assert expected == [".", "..", "inputs", "outputs", "tmp"]
    for room in (30, 33, 64, 4096):
        fresh_tree = Tree(inputs=FILES)
        fresh = make_guest(fresh_tree, mounts=mounted(fresh_tree, "/inputs"))
        found = fresh.list(fresh.opened("inputs", opening=ONLY_DIRECTORY), room)
        assert [(name, kind) for name, _, kind in found] == [
            (".", DIRECTORY), ("..", DIRECTORY), ("a", REGULAR), ("b", REGULAR), ("dir", DIRECTORY),
            ("loop", SYMLINK), ("out", SYMLINK), ("up", SYMLINK), ("é", REGULAR),
        ]  # fmt: skip
        inodes = [inode for _, inode, _ in found]
        assert inodes[2:] == list(range(inodes[2], inodes[2] + 7))
        assert inodes[0] == fresh.stat("inputs")[1]
        assert inodes[1] == fresh.stat(".")[1]


def test_inputs_are_read_lazily_and_cannot_be_changed(guest):
    fd = guest.opened("inputs/a")
    assert guest.read(fd, 3, 0, 4) == b"0123456"
    assert guest.read(fd, 100) == b"789"
    assert guest.read(fd, 100) == b""
    assert guest.call("fd_seek", fd, -4, 2, 0) == 0
    assert guest.u64() == 6
    assert guest.read(fd, 1) == b"6"
    assert guest.write(fd, b"x") == Errno.NOTCAPABLE
    assert guest.open("inputs/a", rights=WRITE)[0] == Errno.ROFS
    assert guest.open("inputs/a", opening=TRUNCATE)[0] == Errno.ROFS
    assert guest.open("inputs/new", opening=CREATE, rights=WRITE)[0] == Errno.ROFS
    assert guest.open("new", opening=CREATE, rights=WRITE)[0] == Errno.ROFS
    assert guest.path("path_unlink_file", "inputs/a") == Errno.ROFS
    assert guest.path("path_create_directory", "inputs/made") == Errno.ROFS
    assert guest.path("path_remove_directory", "inputs/dir") == Errno.ROFS
    assert guest.path("path_remove_directory", "inputs") == Errno.BUSY
    assert guest.path("path_remove_directory", "tmp") == Errno.BUSY
    assert guest.path("path_filestat_set_times", "inputs/a", 0, 0, 8, before=(3, 1)) == Errno.ROFS
    times = guest.stat("inputs/a")[5:]
    assert times == (315_532_800_000_000_000,) * 3


def test_paths_stay_where_they_begin(guest):
    below = guest.opened("inputs/dir", opening=ONLY_DIRECTORY)
    assert guest.open("inner", fd=below)[0] == 0
    assert guest.open("../a", fd=below)[0] == Errno.PERM
    assert guest.open("./../dir/inner", fd=below)[0] == Errno.PERM
    assert guest.open("/inputs/a", fd=below)[0] == Errno.PERM
    assert guest.open("../../../inputs/a")[0] == 0  # the root's own parent is the root
    assert guest.open("inputs/up")[0] == 0
    assert guest.open("inputs/out")[0] == Errno.NOENT  # /etc of the guest's own root
    assert guest.open("inputs/loop")[0] == Errno.LOOP
    assert guest.open("inputs/a/")[0] == Errno.NOTDIR
    assert guest.open("inputs/a/b")[0] == Errno.NOTDIR
    assert guest.open("inputs//./dir/../a")[0] == 0
    assert guest.open("")[0] == Errno.NOENT
    assert guest.open("nothing/there")[0] == Errno.NOENT
    assert guest.open("x" * 256)[0] == Errno.NAMETOOLONG
    assert guest.path("path_filestat_get", b"x" * 4097, 0, before=(3, 1)) == Errno.NAMETOOLONG
    assert guest.path("path_filestat_get", b"\xff", 0, before=(3, 1)) == Errno.ILSEQ
    assert guest.path("path_filestat_get", b"a\0b", 0, before=(3, 1)) == Errno.INVAL


def test_a_symlink_that_is_not_followed_is_itself(guest):
    assert guest.stat("inputs/up", follow=0)[2] == SYMLINK
    assert guest.stat("inputs/up")[2] == REGULAR
    assert guest.path("path_readlink", "inputs/up", 100, 64, 0) == 0
    assert guest.memory[100 : 100 + guest.u32()] == b"dir/../a"
    assert guest.path("path_readlink", "inputs/up", 100, 3, 0) == 0
    assert guest.memory[100 : 100 + guest.u32()] == b"dir"
    assert guest.path("path_readlink", "inputs/a", 100, 64, 0) == Errno.INVAL


def test_files_are_written_grown_cut_and_appended_to(guest):
    fd = guest.opened("outputs/new", opening=CREATE | EXCLUSIVE, rights=ALL)
    assert guest.write(fd, b"ab", b"", b"cd") == 0
    assert guest.u32() == 4
    assert guest.call("fd_seek", fd, 2, 1, 0) == 0
    assert guest.write(fd, b"z") == 0
    assert guest.call("fd_pread", fd, *pieces(guest, 20), 0, 0) == 0
    assert guest.memory[8192:8199] == b"abcd\0\0z"
    assert guest.call("fd_filestat_set_size", fd, 2) == 0
    assert guest.stat("outputs/new")[4] == 2
    again = guest.opened("outputs/new", rights=WRITE, flags=1)
    assert guest.write(again, b"!") == 0
    assert guest.call("fd_tell", again, 0) == 0
    assert guest.u64() == 3
    assert guest.open("outputs/new", opening=CREATE | EXCLUSIVE)[0] == Errno.EXIST
    assert guest.opened("outputs/new", opening=CREATE | TRUNCATE, rights=WRITE)
    assert guest.stat("outputs/new")[4] == 0
    assert guest.call("fd_allocate", fd, 10, 5) == 0
    assert guest.stat("outputs/new")[4] == 15
    assert guest.call("fd_allocate", fd, -1, 5) == Errno.INVAL
    assert guest.call("fd_filestat_set_size", fd, -1) == Errno.INVAL
    assert guest.call("fd_seek", fd, -1, 0, 0) == Errno.INVAL
    assert guest.call("fd_seek", fd, 0, 3, 0) == Errno.INVAL


def pieces(guest, length):
    """One buffer of the guest's, at 8192."""
    guest.put((8192).to_bytes(4, "little") + length.to_bytes(4, "little"))
    return 4096, 1


def test_what_a_guest_keeps_is_at_most_its_memory(guest):
    """Also where files are removed and still open, made by the thousand, or full of nothing."""
    fd = guest.opened("tmp/big", opening=CREATE, rights=ALL)
    assert guest.call("fd_filestat_set_size", fd, 1 << 40) == Errno.NOSPC
    assert guest.call("fd_filestat_set_size", fd, 1 << 62) == Errno.NOSPC
    assert guest.call("fd_filestat_set_size", fd, 900_000) == 0
    assert guest.path("path_unlink_file", "tmp/big") == 0
    other = guest.opened("tmp/other", opening=CREATE, rights=ALL)
    assert guest.call("fd_filestat_set_size", other, 900_000) == Errno.NOSPC
    assert guest.call("fd_close", fd) == 0
    assert guest.call("fd_filestat_set_size", other, 900_000) == 0
    made = next(n for n in range(1000) if guest.path("path_create_directory", f"tmp/{n}") == Errno.NOSPC)
    assert 20 < made < 200
    assert guest.path("path_symlink", "tmp/link", before=(*guest.put(b"x" * 3000, 12000), 3)) == Errno.NOSPC


def test_descriptors_are_bounded_and_their_numbers_the_lowest(guest):
    first = guest.opened("inputs/a")
    assert first == 4
    second = guest.opened("inputs/b")
    assert guest.call("fd_close", first) == 0
    assert guest.call("fd_close", first) == Errno.BADF
    assert guest.opened("inputs/a") == first
    assert guest.call("fd_renumber", first, second) == 0
    assert guest.read(second, 4) == b"0123"
    assert guest.call("fd_renumber", second, 99) == Errno.BADF
    while (found := guest.open("inputs/a"))[0] == 0:
        pass
    assert found[0] == Errno.MFILE
    assert guest.open("outputs/never", opening=CREATE, rights=WRITE)[0] == Errno.MFILE
    assert guest.path("path_filestat_get", "outputs/never", 0, before=(3, 1)) == Errno.NOENT
    assert guest.call("fd_close", 100) == 0
    assert guest.opened("inputs/a") == 100 < MAX_DESCRIPTORS


def test_names_are_moved_and_removed_as_posix_says(guest):
    for name in ("outputs/a", "outputs/a/b", "outputs/empty", "outputs/full", "outputs/full/x"):
        assert guest.path("path_create_directory", name) == 0
    guest.opened("outputs/file", opening=CREATE, rights=WRITE)
    guest.opened("outputs/file2", opening=CREATE, rights=WRITE)

    def rename(old, new):
        return guest.call("path_rename", 3, *guest.put(old.encode()), 3, *guest.put(new.encode(), 6000))

    assert rename("outputs/a", "outputs/a/b/c") == Errno.INVAL
    assert rename("outputs/a", "outputs/a") == 0
    assert rename("outputs/a", "outputs/full") == Errno.NOTEMPTY
    assert rename("outputs/a", "outputs/file") == Errno.NOTDIR
    assert rename("outputs/file", "outputs/empty") == Errno.ISDIR
    assert rename("outputs/a", "outputs/empty") == 0
    assert rename("outputs/file", "outputs/file2") == 0
    assert rename("outputs/gone", "outputs/file2") == Errno.NOENT
    assert rename("outputs/file2", "inputs/x") == Errno.ROFS
    assert rename("inputs/a", "outputs/x") == Errno.ROFS
    assert rename("outputs", "tmp/x") == Errno.BUSY
    inner = guest.opened("outputs/empty/b", opening=ONLY_DIRECTORY)
    assert guest.call("path_rename", 3, *guest.put(b"outputs/empty"), inner, *guest.put(b"in", 6000)) == Errno.INVAL
    assert guest.path("path_unlink_file", "outputs/empty") == Errno.ISDIR
    assert guest.path("path_remove_directory", "outputs/file2") == Errno.NOTDIR
    assert guest.path("path_remove_directory", "outputs/empty") == Errno.NOTEMPTY
    assert guest.path("path_remove_directory", "outputs/empty/b/") == 0
    assert guest.path("path_create_directory", "late", before=(inner,)) == Errno.NOENT
    assert [name for name, _, _ in guest.list(guest.opened("outputs", opening=ONLY_DIRECTORY))][2:] == [
        "empty", "file2", "full",
    ]  # fmt: skip


def test_hard_links_share_their_content(guest):
    fd = guest.opened("outputs/one", opening=CREATE, rights=WRITE)

    def link(old, new, flags=0):
        return guest.call("path_link", 3, flags, *guest.put(old.encode()), 3, *guest.put(new.encode(), 6000))

    assert link("outputs/one", "tmp/two") == 0
    assert guest.write(fd, b"shared") == 0
    assert guest.read(guest.opened("tmp/two"), 10) == b"shared"
    assert guest.stat("tmp/two")[3] == 2
    assert link("outputs/one", "tmp/two") == Errno.EXIST
    assert link("inputs/a", "tmp/three") == Errno.ROFS
    assert link("outputs", "tmp/three") == Errno.PERM
    assert guest.path("path_unlink_file", "outputs/one") == 0
    assert guest.read(guest.opened("tmp/two"), 10) == b"shared"


def test_links_lead_nowhere_else(guest):
    def symlink(target, name):
        return guest.path("path_symlink", name, before=(*guest.put(target.encode(), 12000), 3))

    assert symlink("/inputs", "tmp/a") == Errno.NOTCAPABLE
    assert symlink("", "tmp/a") == Errno.NOENT
    assert symlink("../inputs/a", "tmp/a") == 0
    assert guest.read(guest.opened("tmp/a"), 2) == b"01"
    below = guest.opened("tmp", opening=ONLY_DIRECTORY)
    assert guest.open("a", fd=below)[0] == Errno.PERM
    assert guest.path("path_open", "tmp/a", 0, READ, ALL, 0, 0, before=(3, 0)) == Errno.LOOP


def test_deep_trees_have_an_end(guest):
    fd = 3
    assert guest.path("path_create_directory", "tmp/0") == 0
    fd = guest.opened("tmp/0", opening=ONLY_DIRECTORY)
    depth = 0
    while guest.path("path_create_directory", "d", before=(fd,)) == 0:
        deeper = guest.opened("d", opening=ONLY_DIRECTORY, fd=fd)
        guest.call("fd_close", fd)
        fd, depth = deeper, depth + 1
    assert depth < 1100


def test_rights_only_shrink(guest):
    assert guest.call("fd_fdstat_get", 3, 0) == 0
    assert FDSTAT.unpack_from(guest.memory) == (DIRECTORY, 0, DIRECTORY_RIGHTS, ALL_RIGHTS)
    fd = guest.opened("outputs/x", opening=CREATE, rights=ALL)
    assert guest.call("fd_fdstat_get", fd, 0) == 0
    assert FDSTAT.unpack_from(guest.memory)[2] == FILE_RIGHTS
    assert guest.call("fd_fdstat_set_rights", fd, READ_RIGHTS, 0) == 0
    assert guest.write(fd, b"x") == Errno.NOTCAPABLE
    for more in (FILE_RIGHTS, -1, -(1 << 28), -(1 << 63)):
        assert guest.call("fd_fdstat_set_rights", fd, more, 0) == Errno.NOTCAPABLE
    assert guest.call("fd_fdstat_set_rights", 3, DIRECTORY_RIGHTS, 0) == 0
    assert guest.opened("inputs/a") > 3
    assert guest.call("fd_read", 5, *pieces(guest, 4), 0) == Errno.NOTCAPABLE


def test_streams_are_no_files_and_their_bytes_come_in_order(guest):
    assert guest.write(1, b"one ", b"two") == 0
    assert guest.write(2, b"err") == 0
    assert guest.write(1, b" three") == 0
    assert guest.world.stdout.content == b"one two three"
    assert guest.world.stderr.content == b"err"
    assert guest.call("fd_seek", 1, 0, 1, 0) == Errno.SPIPE
    assert guest.call("fd_read", 1, *pieces(guest, 4), 0) == Errno.BADF
    assert guest.call("fd_filestat_get", 1, 0) == 0
    assert guest.memory[16] == 0  # neither a terminal nor a file
    assert guest.read(0, 10) == b""
    assert guest.write(0, b"x") == Errno.NOTCAPABLE
    assert guest.call("fd_write", 1, 4096, 1025, 0) == Errno.INVAL
