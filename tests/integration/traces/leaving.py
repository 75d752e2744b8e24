"""What a function can do to its process, each in a way that the next task would notice if it were still there."""

import asyncio
import atexit
import builtins
import ctypes
import decimal
import gc
import locale
import mmap
import os
import random
import signal
import socket
import string
import sys
import tempfile
import threading
import time
import tracemalloc
import warnings

import counted

TRACES = {}
KEPT = []


def trace(function):
    TRACES[function.__name__] = function
    return function


def later(*_):
    print("somebody comes back")


@trace
def module_globals():
    counted.calls.extend(range(counted.count() + 1000))
    string.digits = "none"
    KEPT.extend(object() for _ in range(1000))


@trace
def builtins_patched():
    builtins.len = lambda _: 42
    builtins.mine = KEPT
    del builtins.sorted


@trace
def modules_replaced():
    sys.modules["json"] = sys.modules["counted"] = type(sys)("mine")
    for name in ("decimal", "tempfile", "socket"):
        del sys.modules[name]
    sys.meta_path.clear()
    sys.path.insert(0, "/tmp")


@trace
def environment_changed():
    os.environ.update(MINE="1", HOME="/tmp", TZ="Asia/Tokyo")
    del os.environ["PATH"]
    os.putenv("LANG", "tr_TR")
    os.chdir("/tmp")
    os.umask(0o777)


@trace
def files_written():
    for folder in ("/tmp", "/work", "/outputs"):
        os.makedirs(f"{folder}/deep/er")
        for number in range(50):
            with open(f"{folder}/deep/{number}", "wb") as file:
                file.write(b"trace" * 500)
        os.symlink("/run/task.json", f"{folder}/link")
        os.rename(f"{folder}/deep/er", f"{folder}/elsewhere")
        os.chmod(f"{folder}/deep", 0)
        os.chmod(folder, 0)


@trace
def files_with_odd_names():
    for name in ("__proto__", "constructor", "toString", "hasOwnProperty", "mode", "\N{LATIN SMALL LETTER SHARP S}"):
        os.mkdir(f"/tmp/{name}")
        with open(f"/tmp/{name}/__proto__", "w") as file:
            file.write(name)
        os.rename(f"/tmp/{name}/__proto__", f"/tmp/{name}/constructor")
        os.unlink(f"/tmp/{name}/constructor")


@trace
def descriptors_left_open():
    for _ in range(4000):
        os.dup(0)
    KEPT.append(open("/tmp/open", "w"))
    KEPT[-1].write("unflushed")


@trace
def pipes_left_full():
    for _ in range(100):
        _, writer = os.pipe()
        os.write(writer, b"left" * 1000)


@trace
def streams_redirected():
    target = os.open("/tmp/target", os.O_CREAT | os.O_RDWR)
    for fd in (0, 1, 2):
        os.dup2(target, fd)
    print("into the file", flush=True)
    sys.stdout = sys.stderr = None


@trace
def streams_closed():
    sys.stdin.close()
    sys.stdout.close()
    os.close(2)


@trace
def mappings_kept():
    with open("/tmp/mapped", "w+b") as file:
        file.write(b"m" * 100_000)
        file.flush()
        KEPT.append(mmap.mmap(file.fileno(), 0))
    KEPT[0][:6] = b"traces"
    KEPT.append(mmap.mmap(-1, 100_000))


@trace
def callbacks_kept():
    kind = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_int)
    KEPT.extend(kind(lambda number: -number) for _ in range(10))
    return [callback(1) for callback in KEPT]


@trace
def callbacks_many():
    kind = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_int)
    KEPT.extend(kind(lambda number: -number) for _ in range(500))


@trace
def memory_written():
    ctypes.memset(id("a word of the interpreter's own") + 40, 0x41, 5)
    ctypes.memset(id(250) + 8, 7, 1)
    ctypes.memset(id(sys.intern("word")) + 8, 7, 4)


@trace
def symbols_of_the_host():
    own = ctypes.CDLL(None)
    for name in ("emscripten_runtime_keepalive_push", "_emscripten_runtime_keepalive_clear", "_dlsym_catchup_js"):
        KEPT.append(getattr(own, name))
    KEPT[0]()
    KEPT[1]()


@trace
def extension_loaded():
    import regex

    KEPT.append(regex.compile(r"(?P<word>\w+)"))
    return KEPT[0].findall("two words")


@trace
def randomness_seeded():
    random.seed(1)
    os.urandom(1000)
    random.random = lambda: 0.5
    tempfile._name_sequence = iter(["mine"] * 9)


@trace
def time_passed():
    time.sleep(1e6)
    for _ in range(1000):
        time.time()
    time.time_ns = lambda: 5


@trace
def settings_changed():
    decimal.getcontext().prec = decimal.DefaultContext.prec = 3
    warnings.simplefilter("ignore")
    locale.setlocale(locale.LC_ALL, "C")
    sys.setrecursionlimit(400)
    sys.setswitchinterval(1)
    signal.signal(signal.SIGUSR1, later)
    sys.set_int_max_str_digits(700)
    tracemalloc.start()


@trace
def collector_off():
    gc.disable()
    gc.set_threshold(1, 1, 1)
    gc.callbacks.append(later)
    gc.unfreeze()
    gc.freeze()


@trace
def hooks_set():
    threading.settrace(lambda *_: None)
    sys.addaudithook(lambda *_: None)
    sys.displayhook = sys.excepthook = sys.unraisablehook = later
    sys.monitoring.use_tool_id(1, "mine")
    sys.setprofile(lambda *_: None)
    sys.settrace(lambda *_: None)


@trace
def exit_handlers():
    atexit.register(print, "at the end")
    atexit.register(lambda: atexit.register(later))


@trace
def loop_left_running():
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    loop.call_later(5, later)

    async def forever():
        while True:
            await asyncio.sleep(1)

    KEPT.append(loop.create_task(forever()))
    asyncio._set_running_loop(loop)


@trace
def generators_alive():
    def endless():
        try:
            while True:
                yield len(KEPT)
        finally:
            later()

    KEPT.extend(endless() for _ in range(100))
    return sum(next(one) for one in KEPT)


@trace
def finalizers_pending():
    class Undead:
        def __del__(self):
            KEPT.append(self)
            later()

    KEPT.append(Undead())
    circle = [Undead()]
    circle.append(circle)


@trace
def words_interned():
    KEPT.extend(sys.intern(f"word {number}") for number in range(20_000))
    sys.intern("a word of " + "my own")


@trace
def functions_replaced():
    time.time = time.monotonic = lambda: 1.0
    os.getcwd = lambda: "/nowhere"
    asyncio.run = print
    ctypes.CFUNCTYPE = None
    socket.gethostbyname = lambda _: "1.1.1.1"


@trace
def names_resolved():
    for number in range(50):
        socket.gethostbyname(f"mine-{number}.example")


@trace
def protocols_asked():
    return [socket.getprotobyname(name) for name in ("tcp", "udp")]


@trace
def thread_refused():
    try:
        threading.Thread(target=later).start()
    except RuntimeError as error:
        return str(error)


@trace
def exception_raised():
    raise ValueError("it fails", KEPT)


@trace
def exception_that_holds():
    def deep(number):
        held = bytes(1000)
        if number == 0:
            raise KeyError(held[:1])
        deep(number - 1)

    try:
        deep(200)
    except KeyError as error:
        KEPT.append(error)
        raise RuntimeError("another") from error


@trace
def recursion_without_end():
    return recursion_without_end()


@trace
def ended_by_number():
    sys.exit(7)


@trace
def ended_by_text():
    sys.exit("a reason")


@trace
def out_of_memory():
    return len(bytearray(1 << 30))


@trace
def output_nearly_full():
    print("x" * 60_000)
    return "y" * 20_000


@trace
def output_too_large():
    try:
        while True:
            print("x" * 60_000)
    except BaseException:
        return "caught"


@trace
def memory_grown():
    KEPT.append(bytearray(96 << 20))


@trace
def memory_grown_and_freed():
    return len(bytearray(96 << 20))


@trace
def ended_at_once():
    os._exit(9)


@trace
def aborted():
    os.abort()


@trace
def trapped():
    ctypes.CFUNCTYPE(None)(3)()


@trace
def endless():
    while True:
        pass
