"""What a run sees of chance, time, memory, files and names without importing much."""

import os
import sys

from probing import ADDRESSED, FIXED, SEEDED, TIMED, probe


@probe(SEEDED)
def urandom():
    return os.urandom(8)


@probe(SEEDED)
def randomness():
    import random
    import secrets

    return random.random(), random.sample(range(99), 5), secrets.token_hex(4)


@probe(SEEDED)
def uuids():
    import uuid

    return uuid.uuid1(), uuid.uuid4(), uuid.getnode()


@probe(SEEDED)
def tempfile_names():
    import tempfile

    return tempfile.mktemp(), tempfile.NamedTemporaryFile().name, tempfile.mkdtemp()


@probe(SEEDED)
def device():
    return open("/dev/urandom", "rb").read(4)


@probe(TIMED)
def clocks():
    import time

    return time.time(), time.time_ns(), time.gmtime(), time.localtime(), time.ctime()


@probe(TIMED)
def now():
    import datetime as d

    return d.datetime.now(), d.datetime.now(d.UTC), d.date.today(), d.datetime.now().astimezone()


@probe(TIMED)
def new_file():
    open("/tmp/new", "w").close()
    s = os.stat("/tmp/new")
    return s.st_atime, s.st_mtime, s.st_ctime


@probe(TIMED)
def old_files():
    return [os.stat(p).st_mtime for p in ("/", "/tmp", "/lib/python314.zip", "/dev/null")]


@probe(TIMED)
def zipped():
    import io
    import zipfile

    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as z:
        z.writestr("a", "b")
    return out.getvalue()


@probe(FIXED)
def monotonic():
    import time

    return time.monotonic(), time.perf_counter_ns(), time.process_time(), time.clock_gettime(1)


@probe(FIXED)
def time_zone():
    import time

    summer = (2000, 7, 1, 12, 0, 0, 0, 0, 1)
    return time.tzname, time.timezone, time.daylight, time.strftime("%Z %z"), time.mktime(summer)


@probe(FIXED)
def hashes():
    return hash("a"), hash(b"a"), hash((1, "x")), hash(1.5), hash(None)


@probe(FIXED)
def sets():
    return {"a", "b", "c", "d", "e"}, frozenset("hello"), {"x": 1}.keys() & {"x", "y"}


@probe(ADDRESSED)
def addresses():
    class A:
        pass

    return id(object()), A(), lambda: 0, hash(A()), [type(o).__name__ for o in {A(), object(), A()}]


@probe(FIXED)
def environment():
    return dict(os.environ), sys.argv, sys.orig_argv, sys.executable, sys.path, sys.prefix, sys.flags


@probe(FIXED)
def identity():
    import getpass
    import platform
    import socket

    return (
        os.getpid(),
        os.getppid(),
        os.getuid(),
        os.uname(),
        os.getlogin(),
        getpass.getuser(),
        socket.gethostname(),
        platform.platform(),
        platform.node(),
        os.getcwd(),
        os.path.expanduser("~"),
        os.umask(0o22),
    )


@probe(FIXED)
def machine():
    return os.cpu_count(), os.process_cpu_count(), os.getloadavg(), os.times(), os.sysconf("SC_PHYS_PAGES")


@probe(FIXED)
def file_system():
    paths = "/", "/dev", "/run", "/work", "/home", "/lib", "/function", "/proc/self/fd"
    return [(p, os.listdir(p)) for p in paths]


@probe(FIXED)
def stats():
    return [os.stat(p)[:7] for p in ("/", "/tmp", "/function/function.py", "/lib/python314.zip", "/dev/null")]


@probe(FIXED)
def listing_order():
    os.mkdir("/tmp/names")
    for n in ("zebra", "apple", "\uff5e", "\U0001f600", "1"):
        open("/tmp/names/" + n, "w").close()
    return os.listdir("/tmp/names")


@probe(FIXED)
def disk():
    return os.statvfs("/")


@probe(FIXED)
def memory():
    import gc

    return gc.get_count(), gc.get_stats(), len(gc.get_objects()), sys.getallocatedblocks(), gc.collect()


@probe(FIXED)
def locales():
    import locale

    return locale.getlocale(), locale.getpreferredencoding(), locale.localeconv()


@probe(FIXED)
def recursion():
    def f(n):
        nonlocal depth
        depth = n
        f(n + 1)

    depth = 0
    try:
        f(0)
    except RecursionError as e:
        return depth, str(e)


@probe(FIXED)
def room():
    grown = []
    for size in (1 << 26, 1 << 28, 1 << 29, 1 << 30):
        try:
            grown.append(len(bytearray(size)))
        except MemoryError:
            grown.append(None)
    return grown


@probe(FIXED)
def threads():
    import threading

    return threading.get_ident(), threading.current_thread()


@probe(FIXED)
def terminal():
    import shutil

    return shutil.get_terminal_size(), sys.stdin.read(), sys.stdout.encoding, os.isatty(1)


@probe(FIXED)
def timers():
    import asyncio

    seen = []

    async def main():
        async def late(n):
            for _ in range(3):
                await asyncio.sleep(0.001 * (n % 3))
                seen.append(n)

        await asyncio.gather(*map(late, range(9)))

    asyncio.run(main())
    return seen


@probe(FIXED)
def modules():
    return list(sys.modules)


@probe(FIXED)
def mathematics():
    import math

    functions = math.sin, math.exp, math.gamma, math.lgamma, math.erf, math.tanh
    return [f(0.7) for f in functions], math.fsum([0.1] * 10)
