"""The same task gives the same bytes and the same memory, wherever, whenever and beside whatever it runs."""

import json
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.integration.conftest import House

pytestmark = pytest.mark.integration

# Everything by which a run could differ from another. Addresses follow from all that was allocated before, seeded
# strings too, so they are the same for the same task and no more.
PROBE = r"""
import json, os, sys
SEEDED, TIMED, FIXED, ADDRESSED = {}, {}, {}, {}
def probe(into):
    def add(f):
        try: v = f()
        except Exception as e: v = f"{type(e).__name__}: {e}"
        into[f.__name__] = repr(v)
    return add
@probe(SEEDED)
def urandom(): return os.urandom(8)
@probe(SEEDED)
def randomness():
    import random, secrets; return random.random(), random.sample(range(99), 5), secrets.token_hex(4)
@probe(SEEDED)
def uuids():
    import uuid; return uuid.uuid1(), uuid.uuid4(), uuid.getnode()
@probe(SEEDED)
def tempfile_names():
    import tempfile; return tempfile.mktemp(), tempfile.NamedTemporaryFile().name, tempfile.mkdtemp()
@probe(SEEDED)
def device(): return open("/dev/urandom", "rb").read(4)
@probe(TIMED)
def clocks():
    import time; return time.time(), time.time_ns(), time.gmtime(), time.localtime(), time.ctime()
@probe(TIMED)
def now():
    import datetime as d; return d.datetime.now(), d.datetime.now(d.UTC), d.date.today(), d.datetime.now().astimezone()
@probe(TIMED)
def new_file():
    open("/tmp/new", "w").close(); s = os.stat("/tmp/new"); return s.st_atime, s.st_mtime, s.st_ctime
@probe(TIMED)
def old_files(): return [os.stat(p).st_mtime for p in ("/", "/tmp", "/lib/python314.zip", "/dev/null")]
@probe(TIMED)
def zipped():
    import io, zipfile
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as z: z.writestr("a", "b")
    return out.getvalue()
@probe(FIXED)
def monotonic():
    import time; return time.monotonic(), time.perf_counter_ns(), time.process_time(), time.clock_gettime(1)
@probe(FIXED)
def time_zone():
    import time
    summer = (2000, 7, 1, 12, 0, 0, 0, 0, 1)
    return time.tzname, time.timezone, time.daylight, time.strftime("%Z %z"), time.mktime(summer)
@probe(FIXED)
def hashes(): return hash("a"), hash(b"a"), hash((1, "x")), hash(1.5), hash(None)
@probe(FIXED)
def sets(): return {"a", "b", "c", "d", "e"}, frozenset("hello"), {"x": 1}.keys() & {"x", "y"}
@probe(ADDRESSED)
def addresses():
    class A: pass
    return id(object()), A(), lambda: 0, hash(A()), [type(o).__name__ for o in {A(), object(), A()}]
@probe(FIXED)
def environment(): return dict(os.environ), sys.argv, sys.orig_argv, sys.executable, sys.path, sys.prefix, sys.flags
@probe(FIXED)
def identity():
    import getpass, platform, socket
    return (os.getpid(), os.getppid(), os.getuid(), os.uname(), os.getlogin(), getpass.getuser(), socket.gethostname(),
            platform.platform(), platform.node(), os.getcwd(), os.path.expanduser("~"), os.umask(0o22))
@probe(FIXED)
def machine(): return os.cpu_count(), os.process_cpu_count(), os.getloadavg(), os.times(), os.sysconf("SC_PHYS_PAGES")
@probe(FIXED)
def file_system():
    paths = "/", "/dev", "/run", "/work", "/home", "/lib", "/function", "/proc/self/fd"
    return [(p, os.listdir(p)) for p in paths]
@probe(FIXED)
def stats(): return [os.stat(p)[:7] for p in ("/", "/tmp", "/function/function.py", "/lib/python314.zip", "/dev/null")]
@probe(FIXED)
def listing_order():
    os.mkdir("/tmp/names")
    for n in ("zebra", "apple", "\uff5e", "\U0001f600", "1"): open("/tmp/names/" + n, "w").close()
    return os.listdir("/tmp/names")
@probe(FIXED)
def disk(): return os.statvfs("/")
@probe(FIXED)
def memory():
    import gc; return gc.get_count(), gc.get_stats(), len(gc.get_objects()), sys.getallocatedblocks(), gc.collect()
@probe(FIXED)
def locales():
    import locale; return locale.getlocale(), locale.getpreferredencoding(), locale.localeconv()
@probe(FIXED)
def recursion():
    def f(n):
        nonlocal depth
        depth = n
        f(n + 1)
    depth = 0
    try: f(0)
    except RecursionError as e: return depth, str(e)
@probe(FIXED)
def room():
    grown = []
    for size in (1 << 26, 1 << 28, 1 << 29, 1 << 30):
        try: grown.append(len(bytearray(size)))
        except MemoryError: grown.append(None)
    return grown
@probe(FIXED)
def threads():
    import threading; return threading.get_ident(), threading.current_thread()
@probe(FIXED)
def terminal():
    import shutil; return shutil.get_terminal_size(), sys.stdin.read(), sys.stdout.encoding, os.isatty(1)
@probe(FIXED)
def timers():
    import asyncio
    seen = []
    async def main():
        async def late(n):
            for _ in range(3): await asyncio.sleep(0.001 * (n % 3)); seen.append(n)
        await asyncio.gather(*map(late, range(9)))
    asyncio.run(main())
    return seen
@probe(FIXED)
def modules(): return list(sys.modules)
@probe(FIXED)
def mathematics():
    import math
    functions = math.sin, math.exp, math.gamma, math.lgamma, math.erf, math.tanh
    return [f(0.7) for f in functions], math.fsum([.1] * 10)

def main(data):
    print("printed")
    print("complained", file=sys.stderr)
    return {"seeded": SEEDED, "timed": TIMED, "fixed": FIXED, "addressed": ADDRESSED}
"""


@pytest.fixture(scope="module")
def probed(session_home, session_store, tmp_path_factory):
    return House(session_store, session_home, tmp_path_factory.mktemp("scratch"))


@pytest.fixture(scope="module")
def first(probed):
    return probed.run(PROBE)


def test_the_probes_have_something_to_say(first):
    found = json.loads(first.result)
    failed = {name: text for group in found.values() for name, text in group.items() if "Error:" in text}
    assert failed == {}
    assert len(found["fixed"]) > 15


def test_five_runs_agree_in_output_and_memory(probed, first, monkeypatch, tmp_path):
    """Two at a time, while a thread keeps a core busy, from another directory with another environment."""
    monkeypatch.chdir(tmp_path)
    for name, value in {"TZ": "Asia/Tokyo", "LANG": "tr_TR.UTF-8", "USER": "mallory", "PYTHONHASHSEED": "7"}.items():
        monkeypatch.setenv(name, value)
    done = threading.Event()

    def spin():
        while not done.is_set():
            sum(range(1000))

    busy = threading.Thread(target=spin)
    busy.start()
    try:
        with ThreadPoolExecutor(2) as pool:
            outcomes = list(pool.map(lambda _: probed.execute(first.plan), range(4)))
    finally:
        done.set()
        busy.join()
    assert {outcome.execution.output for outcome in outcomes} == {first.execution.output}
    assert {outcome.state_digest for outcome in outcomes} == {first.state_digest}


def test_nothing_of_the_host_is_seen(first, session_home):
    text = first.bytes("result") + first.bytes("stderr")
    for secret in (str(session_home), str(Path.cwd()), sys.prefix, "node_modules", "worker.mjs", "pyodide.asm"):
        assert secret.encode() not in text, secret


def groups(outcome):
    return json.loads(outcome.result)


def test_another_seed_changes_what_is_random_and_nothing_else(probed, first):
    one, other = probed.run(PROBE, seed="00"), probed.run(PROBE, seed="01")
    assert {name for name, text in groups(one)["seeded"].items() if text == groups(other)["seeded"][name]} == set()
    assert (groups(one)["timed"], groups(one)["fixed"]) == (groups(other)["timed"], groups(other)["fixed"])
    assert groups(one)["fixed"] == groups(first)["fixed"]
    assert one.execution.output != other.execution.output
    assert one.state_digest != other.state_digest


def test_another_epoch_changes_times_and_nothing_else(probed):
    one, other = probed.run(PROBE, seed="00", epoch=0), probed.run(PROBE, seed="00", epoch=1_700_000_000)
    assert {name for name, text in groups(one)["timed"].items() if text == groups(other)["timed"][name]} == set()
    assert groups(one)["fixed"] == groups(other)["fixed"]
    seeded_but_not_timed = {name: text for name, text in groups(one)["seeded"].items() if name != "uuids"}
    assert seeded_but_not_timed.items() <= groups(other)["seeded"].items()


def test_the_default_seed_is_the_tasks_own(probed):
    source = "import os\ndef main(data, n): return os.urandom(8).hex()\n"
    one, other = probed.run(source, args=("n=1",)), probed.run(source, args=("n=2",))
    assert one.result != other.result
    assert len({probed.run(source, args=(f"n={n}",), seed="2a").result for n in (1, 2)}) == 1
