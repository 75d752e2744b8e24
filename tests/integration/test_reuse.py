"""A run in a used worker cannot be told from one in a fresh one; a worker that cannot prove that it can serve ends."""

import pytest

from tests.integration.conftest import assert_same_machine

pytestmark = pytest.mark.integration

PROBE = '''
import asyncio, atexit, builtins, ctypes, decimal, gc, io, json, os, random, signal, sys, time, warnings

held = []

def trace(what):
    """Leave something behind."""
    if what == "globals":
        held.append(bytearray(100_000)); builtins.leaked = 1; sys.modules["leaked"] = os; del sys.modules["json"]
        random.seed(1); decimal.getcontext().prec = 3; warnings.simplefilter("ignore"); gc.disable()
        sys.setrecursionlimit(321); time.sleep = None; json.dumps = None; sys.settrace(lambda *a: None)
    elif what == "files":
        for name in ("/tmp/left", "/work/left", "/outputs/left"): open(name, "w").write("left")
        os.environ["LEFT"] = "1"; os.chdir("/tmp"); os.umask(0o77)
        held.extend(os.open("/tmp/left", os.O_RDONLY) for _ in range(500)); held.append(os.pipe())
        os.dup2(held[0], 1); sys.stdout.close(); os.mkdir("/tmp/d"); os.symlink("/tmp", "/tmp/d/l")
    elif what == "loop":
        loop = asyncio.new_event_loop(); held.append(loop); asyncio.set_event_loop(loop)
        atexit.register(lambda: os.write(2, b"at exit")); signal.signal(signal.SIGINT, signal.SIG_IGN)
    elif what == "names":
        import socket
        held.append(socket.getprotobyname("tcp"))
        for name in ("a.example", "b.example"):
            try: socket.getaddrinfo(name, 80)
            except OSError: pass
    elif what == "callbacks":
        kind = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_int)
        for _ in range(5): kind(lambda n: n)(3)
    elif what == "kept callbacks":
        kind = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_int)
        held.extend(kind(lambda n: n) for _ in range(100))
    elif what == "symbols":
        held.append(ctypes.CDLL(None).PyLong_FromLong); held.append(ctypes.CDLL(None).atan2)
    elif what == "bytes":
        ctypes.memset(id(b"some bytes of the interpreter's") + 16, 65, 8)
    elif what == "memory":
        held.append(bytearray(90 << 20))
    elif what == "stack":
        def down(n): return n and down(n - 1)
        down(900)
    elif what == "exception":
        raise ValueError("on purpose")
    elif what == "exit":
        sys.exit(7)
    elif what == "end":
        os._exit(9)
    elif what == "trap":
        ctypes.string_at(1 << 31)
    elif what == "endless":
        while True: pass
    elif what == "flood":
        while True: print("x" * 1000)


def main(data, what=None):
    if what is not None:
        return str(trace(what))
    import socket
    seen = {
        "modules": sorted(sys.modules), "builtins": sorted(vars(builtins)), "env": dict(os.environ), "cwd": os.getcwd(),
        "umask": os.umask(0), "fds": sorted(os.listdir("/proc/self/fd")), "tmp": os.listdir("/tmp"),
        "work": os.listdir("/work"), "outputs": os.listdir("/outputs"), "random": random.random(),
        "precision": decimal.getcontext().prec, "filters": len(warnings.filters), "gc": gc.isenabled(),
        "counts": gc.get_count(), "limit": sys.getrecursionlimit(), "time": time.time(), "sleep": str(time.sleep),
        "trace": str(sys.gettrace()), "held": len(held), "id": id(object()), "ids": [id(object()) for _ in range(3)],
        "order": list({str(n) for n in range(40)}), "bytes": "some bytes of the interpreter's",
        "signal": str(signal.getsignal(signal.SIGINT)), "inode": os.stat("/tmp").st_ino, "pipe": os.pipe(),
        "urandom": os.urandom(8).hex(), "text": json.dumps({"a": 1}), "next": os.open("/tmp", os.O_RDONLY),
    }
    try: seen["protocol"] = socket.getprotobyname("udp")
    except OSError as error: seen["protocol"] = str(error)
    try: seen["name"] = str(socket.getaddrinfo("c.example", 80))
    except OSError as error: seen["name"] = str(error)
    print(seen["random"])
    return json.dumps(seen)
'''

SERVES_AGAIN = ["globals", "files", "loop", "names", "callbacks", "bytes", "stack", "exception", "exit", "symbols"]
ENDS_THE_WORKER = ["kept callbacks", "memory", "end", "trap", "endless", "flood"]


@pytest.fixture(scope="module")
def fresh(request):
    """What the probe finds in a worker that nobody has used."""
    return {}


def arguments(what):
    return {} if what is None else {"args": (f"what={what}",)}


@pytest.mark.parametrize("what", [*SERVES_AGAIN, *ENDS_THE_WORKER])
@pytest.mark.xdist_group("reuse")
def test_a_used_worker_is_as_good_as_new(house, fresh, what):
    probe = house.plan(PROBE)
    if not fresh:
        alone = house.replaced(engine=engine_of(house, keeps_workers=False))
        fresh["found"] = alone.execute(probe)
        assert fresh["found"].exit_code == 0, fresh["found"].stderr
    engine = engine_of(house, keeps_workers=True)
    used = house.replaced(engine=engine)
    try:
        assert_same_machine(used.execute(probe), fresh["found"])
        left = used.run(PROBE, fuel=3_000_000_000, **arguments(what))
        assert left.execution.fuel > 0
        for _ in range(2):
            assert_same_machine(used.execute(probe), fresh["found"])
        stats = engine.pool.stats()
    finally:
        engine.stop()
    assert stats.started == (1 if what in SERVES_AGAIN else 2)
    assert stats.discarded == (0 if what in SERVES_AGAIN else 1)


def engine_of(house, **fields):
    """A new engine with a pool of its own over the same caches."""
    given = house.engine
    return type(given)(
        runtimes_dir=given.runtimes_dir, wheels_dir=given.wheels_dir, level=given.level, host=given.host, **fields
    )
