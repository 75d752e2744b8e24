"""Names of the machine, the interpreter and the process."""

import ctypes
import gc
import hashlib
import locale
import os
import platform
import signal
import socket
import sys
import sysconfig
import threading

from probing import ADDRESSED, FIXED, ask, probe, said


@probe(FIXED)
def platforms():
    calls = (
        platform.platform, platform.node, platform.machine, platform.processor, platform.system, platform.release,
        platform.version, platform.uname, platform.architecture, platform.libc_ver, platform.python_build,
        platform.python_compiler, platform.python_implementation, platform.python_version, platform.python_revision,
        platform.freedesktop_os_release,
    )  # fmt: skip
    return [(call.__name__, said(call)) for call in calls]


@probe(FIXED)
def interpreter():
    names = """version version_info implementation flags hexversion api_version byteorder copyright platform maxsize
        maxunicode float_info float_repr_style hash_info int_info thread_info _emscripten_info _git abiflags prefix
        base_prefix exec_prefix platlibdir executable argv orig_argv path warnoptions _xoptions pycache_prefix
        dont_write_bytecode _framework builtin_module_names stdlib_module_names""".split()
    return [(name, sorted(v) if isinstance(v := getattr(sys, name, None), frozenset) else v) for name in names]


@probe(FIXED)
def interpreter_state():
    things = [], {}, "", (), 0, 1 << 100, b"", object(), set(), lambda: 0, type, 1.5, range(3), sys
    return (
        [sys.getsizeof(thing) for thing in things], sys.getswitchinterval(), sys.getrecursionlimit(),
        sys.get_int_max_str_digits(), sys.getfilesystemencoding(), sys.getdefaultencoding(), sys.getdlopenflags(),
        sys.is_finalizing(), said(sys._clear_type_cache), sys.get_asyncgen_hooks(), sys.getunicodeinternedsize(),
        said(sys.set_coroutine_origin_tracking_depth, 0),
    )  # fmt: skip


@probe(FIXED)
def build():
    variables = sorted((name, str(value)) for name, value in sysconfig.get_config_vars().items())
    digest = hashlib.sha256(repr(variables).encode()).hexdigest()
    return digest, sysconfig.get_platform(), sysconfig.get_paths(), sysconfig.get_default_scheme()


@probe(ADDRESSED)
def collection():
    class Ring:
        def __init__(self):
            self.me = self

    for _ in range(100):
        Ring()
    return gc.get_threshold(), gc.get_count(), gc.collect(), gc.get_stats(), gc.isenabled(), gc.get_freeze_count()


@probe(FIXED)
def process():
    calls = """getpid getppid getpgrp getuid geteuid getgid getegid getgroups getlogin getloadavg cpu_count getpriority
        process_cpu_count times uname ctermid getresuid sched_getaffinity sched_yield getcwd get_exec_path""".split()
    names = sorted(os.sysconf_names)
    hosts = socket.gethostname(), said(socket.getfqdn)
    return [(call, ask(os, call)) for call in calls], [(name, said(os.sysconf, name)) for name in names], hosts


@probe(FIXED)
def resources():
    return [said(__import__, name) for name in ("resource", "pwd", "grp", "fcntl", "termios", "syslog", "spwd")]


@probe(FIXED)
def signals():
    return (
        [(s.name, said(signal.getsignal, s)) for s in sorted(signal.valid_signals()) if isinstance(s, signal.Signals)],
        ask(signal, "alarm", 1),
        ask(signal, "setitimer", 0, 1),
    )


@probe(FIXED)
def locale_settings():
    attempts = [
        said(locale.setlocale, locale.LC_ALL, name) for name in ("", "C", "C.UTF-8", "de_DE.UTF-8", "tr_TR", "POSIX")
    ]
    texts = (
        locale.strcoll("a", "Z"),
        locale.strxfrm("ä"),
        f"{1234567.891:n}",
        "I".lower(),
        sorted("zaÄB", key=locale.strxfrm),
    )
    return (
        attempts,
        locale.getlocale(),
        locale.localeconv(),
        locale.getencoding(),
        locale.nl_langinfo(locale.CODESET),
        texts,
    )


@probe(FIXED)
def thread_names():
    return (
        threading.get_ident(),
        ask(threading, "get_native_id"),
        threading.enumerate(),
        threading.stack_size(),
        threading.main_thread().name,
    )


@probe(ADDRESSED)
def addresses_of_c():
    library = ctypes.CDLL(None)
    block = library.malloc(4096)
    contents = hashlib.sha256(ctypes.string_at(block, 4096)).hexdigest()
    number = ctypes.c_int(5)
    function = ctypes.cast(library.malloc, ctypes.c_void_p).value
    callback = ctypes.CFUNCTYPE(ctypes.c_int)(lambda: 7)
    return block, contents, ctypes.addressof(number), function, ctypes.cast(callback, ctypes.c_void_p).value, callback()


@probe(ADDRESSED)
def addresses_of_objects():
    import weakref

    class Thing:
        pass

    things = [Thing() for _ in range(6)]
    order = [things.index(thing) for thing in weakref.WeakSet(things)]
    return id(None), id(int), id(things), repr(things[0]), order, hash(len), hash(Thing), {Thing(): 1}
