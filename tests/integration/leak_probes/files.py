"""Files: orders of listings, inodes, times, names of temporary ones, archives, maps."""

import glob
import io
import mmap
import os
import pathlib
import tarfile
import tempfile
import zipfile

from probing import FIXED, SEEDED, TIMED, ask, probe, said

NAMES = "zebra", "apple", "mango", "\uff5e", "\U0001f600", "B", "1", "10", "é", "e\u0301"


@probe(FIXED)
def orders():
    os.makedirs("/tmp/orders/sub/deep")
    for name in NAMES:
        open(f"/tmp/orders/{name}", "w").close()
        open(f"/tmp/orders/sub/{name}", "w").close()
    return (
        os.listdir("/tmp/orders"), [entry.name for entry in os.scandir("/tmp/orders")],
        glob.glob("/tmp/orders/**", recursive=True),
        list(os.walk("/tmp/orders")), [str(path) for path in pathlib.Path("/tmp/orders").rglob("*")],
        [root for root, *_ in os.fwalk("/tmp/orders")] if hasattr(os, "fwalk") else None,
    )  # fmt: skip


@probe(FIXED)
def inodes():
    first = [os.stat(f"/tmp/orders/{name}").st_ino for name in NAMES]
    os.unlink("/tmp/orders/zebra")
    open("/tmp/orders/zebra", "w").close()
    entries = [(entry.name, entry.inode(), entry.is_file()) for entry in os.scandir("/tmp/orders")]
    places = "/", "/tmp", "/dev/null", "/dev/urandom", "/lib/python314.zip", "/function/function.py", "/run/task.json"
    return (
        first,
        entries,
        [(os.stat(p).st_ino, os.stat(p).st_dev, os.stat(p).st_nlink, os.stat(p).st_blocks) for p in places],
    )


@probe(TIMED)
def file_times():
    def times(path):
        stat = os.stat(path)
        return stat.st_atime_ns, stat.st_mtime_ns, stat.st_ctime_ns

    open("/tmp/timed", "w").close()
    seen = [times("/tmp/timed")]
    with open("/tmp/timed", "a") as file:
        file.write("more")
    seen.append(times("/tmp/timed"))
    os.rename("/tmp/timed", "/tmp/renamed")
    os.utime("/tmp/renamed")
    seen.append(times("/tmp/renamed"))
    os.chmod("/tmp/renamed", 0o600)
    os.truncate("/tmp/renamed", 2)
    return [*seen, times("/tmp/renamed"), times("/tmp")]


@probe(FIXED)
def set_times():
    open("/tmp/set", "w").close()
    os.utime("/tmp/set", ns=(1_234_567_890_123_456_789, 987_654_321))
    stat = os.stat("/tmp/set")
    handed = os.stat("/function/function.py")
    return stat.st_atime_ns, stat.st_mtime_ns, handed.st_atime, handed.st_mtime, handed.st_ctime


@probe(SEEDED)
def temporary_names():
    with tempfile.TemporaryDirectory() as folder, tempfile.NamedTemporaryFile() as file:
        return folder, file.name, tempfile.mkstemp(), tempfile.mktemp()


@probe(FIXED)
def temporary_places():
    return tempfile.gettempdir(), tempfile.gettempprefix(), os.getcwd(), pathlib.Path.home(), os.path.realpath(".")


@probe(FIXED)
def descriptors():
    read, write = os.pipe()
    with open("/tmp/set") as file, tempfile.TemporaryFile() as other:
        return (
            read,
            write,
            file.fileno(),
            other.fileno(),
            os.get_inheritable(read),
            said(os.ttyname, 1),
            os.fstat(1)[:7],
        )


@probe(TIMED)
def archives():
    import gzip

    zipped, tarred = io.BytesIO(), io.BytesIO()
    with zipfile.ZipFile(zipped, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("name", "text" * 100)
    with tarfile.open(fileobj=tarred, mode="w") as archive:
        archive.add("/tmp/renamed")
    return gzip.compress(b"hello", mtime=None), zipped.getvalue(), tarred.getvalue()[:600]


@probe(FIXED)
def maps():
    anonymous = mmap.mmap(-1, 8192)
    with open("/tmp/mapped", "w+b") as file:
        file.write(b"mapped" * 2000)
        file.flush()
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as shared:
            return bytes(shared[:6]), len(shared), bytes(anonymous[:16]), mmap.PAGESIZE, mmap.ALLOCATIONGRANULARITY


@probe(FIXED)
def links():
    os.symlink("orders/apple", "/tmp/link")
    return (
        os.readlink("/tmp/link"),
        os.path.realpath("/tmp/link"),
        ask(os, "link", "/tmp/set", "/tmp/hard"),
        os.lstat("/tmp/link")[:7],
    )
