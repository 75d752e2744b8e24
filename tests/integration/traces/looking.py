"""How everything stands that an earlier task in the same process could have changed."""

import asyncio
import atexit
import builtins
import ctypes
import decimal
import gc
import hashlib
import itertools
import json
import locale
import mmap
import os
import random
import signal
import socket
import sys
import tempfile
import time
import tracemalloc
import warnings

import counted

LOOKS = {}


def look_at(function):
    LOOKS[function.__name__] = function
    return function


def look():
    return {name: ask() for name, ask in LOOKS.items()}


def said(ask, *parts):
    try:
        return repr(ask(*parts))
    except Exception as error:
        return f"{type(error).__name__}: {error}"


@look_at
def modules():
    importers = sorted(sys.path_importer_cache)
    return [list(sys.modules), sys.path, importers, list(vars(builtins)), counted.count(), said(len, "abc")]


@look_at
def interpreter():
    state = sys.getrecursionlimit(), sys.gettrace(), sys.getprofile(), sys.getswitchinterval(), gc.isenabled()
    collector = gc.get_threshold(), gc.get_count(), gc.get_stats(), len(gc.get_objects()), gc.get_freeze_count()
    return repr((state, collector, sys.getallocatedblocks(), tracemalloc.is_tracing()))


@look_at
def settings():
    handlers = [(int(number), repr(signal.getsignal(number))) for number in signal.valid_signals()]
    context = decimal.getcontext()
    return [handlers, repr(context), len(warnings.filters), locale.setlocale(locale.LC_ALL), atexit._ncallbacks()]


@look_at
def environment():
    umask = os.umask(0o22)
    os.umask(umask)
    return [sorted(os.environ.items()), os.getcwd(), umask, said(asyncio.get_running_loop)]


@look_at
def addresses():
    things = object(), [], {}, set(), lambda: 0, "".join(["a", "b"]), 10**40, type("T", (), {})()
    order = [hash("word"), list({"one", "two", "three", "four", "five"}), id(sys.intern("a word of " + "my own"))]
    return [[id(thing) for thing in things], order]


@look_at
def randomness():
    drawn = random.random(), os.urandom(4).hex(), random.SystemRandom().random(), next(tempfile._get_candidate_names())
    return repr(drawn)


@look_at
def clocks():
    return [time.time_ns(), time.monotonic_ns(), time.perf_counter_ns(), time.process_time_ns(), time.strftime("%c")]


@look_at
def descriptors():
    first = [os.dup(1), os.open("/tmp", os.O_RDONLY), *os.pipe()]
    stats = [repr(os.fstat(fd)) for fd in (0, 1, 2, *first)]
    entries = sorted(os.listdir("/proc/self/fd"))
    for fd in first:
        os.close(fd)
    return [first, stats, entries, [said(stream.fileno) for stream in (sys.stdin, sys.stdout, sys.stderr)]]


@look_at
def pipes():
    reader, writer = os.pipe()
    for held in itertools.count():
        try:
            os.write(writer, b"x" * 8192)
        except BlockingIOError:
            break
    inode = os.fstat(reader).st_ino
    links = [said(os.readlink, f"/proc/self/fd/{fd}") for fd in (reader, writer)]
    os.close(reader)
    os.close(writer)
    return [held, inode, links]


@look_at
def tree():
    found = []
    for folder, folders, files in os.walk("/", onerror=lambda error: found.append(str(error))):
        folders[:] = sorted(name for name in folders if name not in ("proc", "site-packages"))
        stat = os.stat(folder)
        found.append((folder, files, stat.st_ino, stat.st_mode, stat.st_mtime_ns))
        found += [
            (name, repr(os.lstat(f"{folder}/{name}"))) for name in files if (folder, name) != ("/run", "task.json")
        ]
    return hashlib.sha256(json.dumps(found).encode()).hexdigest(), found[:12]


@look_at
def disk():
    with open("/tmp/mine", "w+b") as file:
        file.write(b"mine" * 2000)
        file.flush()
        with mmap.mmap(file.fileno(), 0) as mapped:
            content = bytes(mapped[:8]).decode()
        stat = os.fstat(file.fileno())
    names = os.listdir("/tmp")
    os.unlink("/tmp/mine")
    return [repr(os.statvfs("/")), content, repr(stat), names]


@look_at
def network():
    names = [said(socket.gethostbyname, f"host-{n}.example") for n in range(3)]
    protocols = [said(socket.getprotobyname, name) for name in ("udp", "tcp", "icmp", "6")]
    infos = [said(socket.getaddrinfo, name, 80) for name in ("other.example", "host-1.example", "::1", "1.2.3.4")]
    return [names, protocols, infos, said(socket.getnameinfo, ("172.29.1.0", 80), 0), said(socket.socket)]


@look_at
def table():
    """The slots of the shared table of functions that are handed out, and what is called through them."""
    kind = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_int)
    callbacks = [kind(lambda number, more=more: number + more) for more in range(3)]
    slots = [ctypes.cast(callback, ctypes.c_void_p).value for callback in callbacks]
    return [slots, [callback(40) for callback in callbacks]]
