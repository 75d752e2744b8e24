"""Other programs, threads, signals and powers."""

from __future__ import annotations

from typing import Final

from tests.adversary.escapes.attempt import Attempt

_ABSENT: Final = "OSError: [Errno 138] emscripten does not support processes."
_NO: Final = "OSError: [Errno 52] Function not implemented"
_NO_THREAD: Final = "RuntimeError: can't start new thread"
_NOT_PERMITTED: Final = "PermissionError: [Errno 63] Operation not permitted"
_FORK_EXEC: Final = (
    "import _posixsubprocess as p; p.fork_exec([b'sh'], [b'/bin/sh'], True, (), b'/', [b'A=1'],"
    " -1, -1, -1, -1, -1, -1, 3, 4, True, False, 0, None, None, None, 0, None)"
)
_NO_SEMAPHORES: Final = (
    "NotImplementedError: This Python build lacks multiprocessing.synchronize, usually due to named semaphores being"
    " unavailable on this platform."
)


def _lacks(module: str, name: str) -> str:
    return f"AttributeError: module {module!r} has no attribute {name!r}"


PROGRAMS: Final = (
    Attempt(name="os.system", code="return os.system('true')", met="returned -1"),
    Attempt(name="libc system", code="return LIB.system(b'true')", met="returned -1"),
    Attempt(name="import behind system", code="return LIB._emscripten_system(b'true')", met="returned -1"),
    Attempt(name="os.popen", code="os.popen('echo hi')", met=_ABSENT),
    Attempt(name="libc popen", code="return LIB.popen(b'true', b'r')", met="returned 0"),
    Attempt(name="subprocess", code="import subprocess; subprocess.run(['true'])", met=_ABSENT),
    Attempt(name="what subprocess stands on", code=_FORK_EXEC, met=_NO),
    Attempt(name="os.fork", code="os.fork()", met=_NO),
    Attempt(name="libc fork and vfork", code="return [LIB.fork(), LIB.vfork()]", met="returned [-1, -1]"),
    Attempt(
        name="os.execv",
        code="os.execv('/usr/bin/python3', ['python3'])",
        met="OSError: [Errno 45] Exec format error",
    ),
    Attempt(name="libc execve", code="return LIB.execve(b'/node', 0, 0)", met="returned -1"),
    Attempt(name="os.posix_spawn", code="os.posix_spawn('/bin/sh', ['sh'], {})", met=_lacks("os", "posix_spawn")),
    Attempt(name="libc posix_spawn", code="return LIB.posix_spawn(0, b'/bin/sh', 0, 0, 0, 0)", met="returned -1"),
    Attempt(name="pty", code="import pty; pty.spawn(['sh'])", met="OSError: out of pty devices"),
    Attempt(
        name="multiprocessing",
        code="import multiprocessing as m; m.Process(target=print).start()",
        met="ModuleNotFoundError: No module named '_multiprocessing'",
    ),
    Attempt(
        name="a pool of processes",
        code="import concurrent.futures as f; f.ProcessPoolExecutor().submit(print)",
        met=_NO_SEMAPHORES,
    ),
    Attempt(name="a thread", code="import threading; threading.Thread(target=print).start()", met=_NO_THREAD),
    Attempt(name="a bare thread", code="import _thread; _thread.start_new_thread(print, ())", met=_NO_THREAD),
    Attempt(
        name="a pool of threads",
        code="import concurrent.futures as f; f.ThreadPoolExecutor().submit(print)",
        met=_NO_THREAD,
    ),
    Attempt(
        name="another interpreter",
        code="import _interpreters",
        met="ModuleNotFoundError: No module named '_interpreters'",
    ),
)

POWERS: Final = (
    Attempt(name="kill the parent", code="os.kill(os.getppid(), 9)", met=_NOT_PERMITTED),
    Attempt(name="kill process 1", code="os.kill(1, 0)", met=_NOT_PERMITTED),
    Attempt(name="kill everything", code="os.kill(-1, 9)", met=_NOT_PERMITTED),
    Attempt(name="kill the group", code="os.killpg(0, 9)", met=_NOT_PERMITTED),
    Attempt(
        name="a timer",
        code="import signal; signal.setitimer(signal.ITIMER_REAL, 0.001)",
        met=_lacks("signal", "setitimer"),
    ),
    Attempt(name="libc timer", code="return LIB.setitimer(0, bytes(16), 0)", met="returned -52"),
    Attempt(
        name="a handler of its own signal, which stays inside",
        code="""
            import signal
            signal.signal(signal.SIGUSR1, lambda *_: got.append(1)); got = []
            signal.raise_signal(signal.SIGUSR1)
            return got
            """,
        met="returned [1]",
    ),
    Attempt(name="another user", code="os.setuid(1)", met=_NOT_PERMITTED),
    Attempt(name="chroot", code="os.chroot('/tmp')", met="PermissionError: [Errno 2] Permission denied: '/tmp'"),
    Attempt(name="limits", code="import resource", met="ModuleNotFoundError: No module named 'resource'"),
    Attempt(
        name="ptrace",
        code="LIB.ptrace",
        met='AttributeError: Tried to lookup unknown symbol "ptrace" in dynamic lib: __main__',
    ),
)

GLUE: Final = (
    Attempt(name="command", code="return LIB._emscripten_system(b'true')", met="returned -52"),
    Attempt(name="os.system", code="return os.system('true')", met="returned -1"),
)
"""With the glue's own call for commands back, which starts them only where it finds Node; -52 is its answer."""
