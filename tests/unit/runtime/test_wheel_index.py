import io
import stat
import struct
import zipfile
import zlib

import pytest

from runtime import wheel_index
from runtime.wheel_index import DEFLATED, STORED, index_wheel
from storage.errors import VerificationError

INFO = "omega-1.0.dist-info"


def archive_of(*entries, info=INFO, compression=zipfile.ZIP_DEFLATED):
    """entries: (name, data) or (ZipInfo, data)."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", compression) as archive:
        for name, data in [*entries, (f"{info}/METADATA", b"Name: omega\n")]:
            archive.writestr(name, data)
    return out.getvalue()


def index(data, **options):
    return index_wheel(io.BytesIO(data), where="omega.whl", **options)


def contents(data, member):
    packed = data[member.offset : member.offset + member.compressed_size]
    return packed if member.method == STORED else zlib.decompress(packed, -zlib.MAX_WBITS)


@pytest.mark.parametrize("compression", [STORED, DEFLATED])
def test_offsets_and_sizes_lead_to_every_files_bytes(compression):
    files = {"omega/__init__.py": b"import this\n" * 50, "omega/data.bin": bytes(range(256)), "omega/empty.py": b""}
    data = archive_of(*files.items(), compression=compression)
    members = {member.path: member for member in index(data, inflate=True)}
    for path, expected in files.items():
        assert contents(data, members[path]) == expected
        assert (members[path].size, members[path].is_dir) == (len(expected), False)
    assert members["omega"].is_dir


def test_the_layout_is_sorted_has_all_parents_and_no_scripts():
    data = archive_of(
        ("z.py", b""),
        ("omega-1.0.data/purelib/pure/a.py", b"1"),
        ("omega-1.0.data/platlib/plat/b/c.so", b"2"),
        ("omega-1.0.data/scripts/run", b"3"),
        ("omega-1.0.data/headers/h.h", b"4"),
        ("omega-1.0.data/data/share/x", b"5"),
        ("a-b/x.py", b""),
        ("a/x.py", b""),
        ("a/", b""),
    )
    paths = [member.path for member in index(data)]
    assert paths == [
        "a", "a-b", "a-b/x.py", "a/x.py", INFO, f"{INFO}/METADATA",
        "plat", "plat/b", "plat/b/c.so", "pure", "pure/a.py", "z.py",
    ]  # fmt: skip


def test_a_path_is_as_good_as_a_file(tmp_path):
    data = archive_of(("a.py", b"1"))
    (tmp_path / "omega.whl").write_bytes(data)
    assert index_wheel(tmp_path / "omega.whl") == index(data)


@pytest.mark.parametrize(
    "name", ["/etc/passwd", "../a", "a/../../b", "a//b", "./a", "a\\b", "C:a", "a\tb", "a/./b", "a\x7f"]
)
def test_unsafe_names_are_refused(name):
    with pytest.raises(VerificationError, match=r"check 2"):
        index(archive_of((name, b"x")))


def test_a_name_that_is_cut_by_a_null_is_refused():
    data = archive_of(("a.pyXb", b"x")).replace(b"a.pyXb", b"a.py\0b")
    with pytest.raises(VerificationError, match=r"check [25]"):
        index(data)


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFIFO, stat.S_IFCHR, stat.S_IFSOCK])
def test_links_pipes_and_devices_are_refused(kind):
    entry = zipfile.ZipInfo("a")
    entry.external_attr = (kind | 0o777) << 16
    with pytest.raises(VerificationError, match=r"check 3"):
        index(archive_of((entry, b"/etc/passwd")))


@pytest.mark.parametrize(("first", "second"), [("a.py", "a.py"), ("a", "a/b"), ("omega-1.0.data/purelib/a.py", "a.py")])
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_two_members_for_one_path_are_refused(first, second):
    with pytest.raises(VerificationError, match=r"check 6"):
        index(archive_of((first, b"1"), (second, b"2")))


def test_a_wheel_without_or_with_two_metadata_directories_is_refused():
    with pytest.raises(VerificationError, match=r"check 6"):
        index(archive_of(info="omega"))
    with pytest.raises(VerificationError, match=r"check 6"):
        index(archive_of(("other-1.dist-info/METADATA", b"")))


def test_encryption_and_other_methods_are_refused():
    data = archive_of(("a.py", b"1"))
    central = data.index(b"PK\x01\x02")
    encrypted = bytearray(data)
    encrypted[central + 8] |= 1
    with pytest.raises(VerificationError, match=r"check 1"):
        index(bytes(encrypted))
    with pytest.raises(VerificationError, match=r"check 1"):
        index(archive_of(("a.py", b"1"), compression=zipfile.ZIP_LZMA))


def test_a_bomb_is_refused_by_ratio_and_by_total(monkeypatch):
    monkeypatch.setattr(wheel_index, "BOMB_BYTES", 1000)
    with pytest.raises(VerificationError, match=r"check 4.*"):
        index(archive_of(("a", bytes(1_000_000))))
    monkeypatch.setattr(wheel_index, "MAX_TOTAL_BYTES", 1500)
    with pytest.raises(VerificationError, match=r"check 4"):
        index(archive_of(("a", b"x" * 900), ("b", b"y" * 900)))


def central_entry(data, name):
    at = data.index(b"PK\x01\x02")
    while data[at + 46 : at + 46 + len(name)] != name:
        at = data.index(b"PK\x01\x02", at + 4)
    return at


def patched(data, at, layout, value):
    return data[:at] + struct.pack(layout, value) + data[at + struct.calcsize(layout) :]


@pytest.mark.parametrize("local", [False, True], ids=["directory alone", "both headers"])
@pytest.mark.parametrize("size", [99, 101])
def test_a_size_that_lies_is_found(local, size):
    data = archive_of(("a.py", b"x" * 100))
    lying = patched(data, central_entry(data, b"a.py") + 24, "<I", size)
    if local:
        lying = patched(lying, 22, "<I", size)
        index(lying)  # the headers agree: only inflating tells
    with pytest.raises(VerificationError, match=r"check 7" if local else r"check 5"):
        index(lying, inflate=True)


def test_contents_that_do_not_match_their_checksum_are_found():
    data = archive_of(("a.py", b"x" * 100), compression=STORED)
    harmed = data.replace(b"xxxx", b"xyxx", 1)
    assert index(harmed)
    with pytest.raises(VerificationError, match=r"check 7"):
        index(harmed, inflate=True)


def test_a_local_header_with_another_name_is_refused():
    data = archive_of(("a.py", b"1"))
    with pytest.raises(VerificationError, match=r"check 5"):
        index(data.replace(b"a.py", b"b.py", 1))


def test_members_that_share_bytes_are_refused():
    data = archive_of(("a.py", b"1" * 50), ("a.pz", b"1" * 50))
    second = central_entry(data, b"a.pz")
    shared = patched(data, second + 42, "<I", 0)
    shared = shared[: second + 46] + b"a.py" + shared[second + 50 :]
    with pytest.raises(VerificationError, match=r"check 5"):
        index(shared)


def test_a_directory_without_end_is_refused_before_it_is_read(monkeypatch):
    data = archive_of(*((f"omega/{n}.py", b"") for n in range(50)))
    most = []
    monkeypatch.setattr(wheel_index, "MAX_DIRECTORY_BYTES", 1 << 10)

    class Watched(io.BytesIO):
        def read(self, size=-1, /):
            most.append(size)
            return super().read(size)

    with pytest.raises(VerificationError, match=r"check 1"):
        index_wheel(Watched(data))
    assert max(most) <= 1 << 10
    monkeypatch.setattr(wheel_index, "MAX_DIRECTORY_BYTES", len(data))
    assert len(index(data)) == 53


@pytest.mark.parametrize("data", [b"", b"PK", b"not a zip at all" * 10])
def test_what_is_no_archive_is_refused(data):
    with pytest.raises(VerificationError, match=r"check 1"):
        index(data)


def test_a_truncated_archive_is_refused():
    data = archive_of(("a.py", b"1" * 100))
    for length in range(0, len(data), 7):
        with pytest.raises(VerificationError):
            index(data[:length], inflate=True)


def test_a_harmed_archive_never_gives_other_contents_or_another_error():
    data = archive_of(("omega/a.py", b"x = 1\n" * 20), ("omega/b.py", b"y"))
    good = [(member.path, contents(data, member)) for member in index(data) if not member.is_dir]
    for at in range(len(data)):
        harmed = data[:at] + bytes([data[at] ^ 0x41]) + data[at + 1 :]
        try:
            members = index(harmed, inflate=True)
        except VerificationError:
            continue
        found = [(member.path, contents(harmed, member)) for member in members if not member.is_dir]
        assert [body for _, body in found] == [body for _, body in good]
