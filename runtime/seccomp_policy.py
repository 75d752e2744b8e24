"""Which system calls a worker may make: Node or Bun on Linux, x86-64 and aarch64, and no more.

One table for all engines, and a few rules for each engine alone, so that none gets what only another needs. Four
answers. *Allowed*: found by tracing workers, and what they use on other kernels and C libraries. *Checked*:
allowed with some arguments. *Absent* and *refused*: an error number, for what honest programs try and can do without.
Everything else that was known in Linux 6.1 *ends the process*: a worker that asks for a socket has been taken over.
Calls younger than that are absent too, as on the kernels they were not in, so that a newer C library falls back.
"""

from __future__ import annotations

import errno
from typing import Final

from runtime.seccomp_filter import ALLOW, KILL_PROCESS, Rule, Test, assemble, refusal

LAST_KNOWN: Final = 450
"""set_mempolicy_home_node, the last call of Linux 6.1; numbers above 424 are the same on all architectures."""

_AT_EMPTY_PATH: Final = 0x1000
_OPEN_FOR_WRITING: Final = 0o3 | 0o100 | 0o1000
"""O_ACCMODE, O_CREAT, O_TRUNC: with none of them set, opening changes nothing. O_TMPFILE needs O_RDWR."""
_MAP_SHARED, _MAP_GROWSDOWN = 0x01, 0x100
_CLONE_THREAD: Final = 0x00010000
_CLONE_NAMESPACES: Final = 0x7E020080
"""NEWUSER, NEWPID, NEWNET, NEWIPC, NEWUTS, NEWCGROUP, NEWNS; the bit of NEWTIME is a signal number here."""
_RLIMITS: Final = tuple(range(16))
_RLIMITS_BUT_STACK: Final = tuple(resource for resource in _RLIMITS if resource != 3)
_SIGPWR: Final = 30
OWN_PROCESS: Final = 0x7FFFFFFF
"""In a filter's constants: the process that installs it, whose number is filled in by then. No process has this one."""

Numbers = tuple[int | None, int | None]
"""On x86-64 and on aarch64; None where the architecture has no such call."""

ALLOWED: Final[dict[str, Numbers]] = {
    # files that are open, and looking at names
    "read": (0, 63),
    "readv": (19, 65),
    "pread64": (17, 67),
    "preadv": (295, 69),
    "write": (1, 64),
    "writev": (20, 66),
    "pwrite64": (18, 68),
    "lseek": (8, 62),
    "close": (3, 57),
    "dup": (32, 23),
    "dup2": (33, None),
    "dup3": (292, 24),
    "pipe": (22, None),
    "pipe2": (293, 59),
    "fstat": (5, 80),
    "stat": (4, None),
    "lstat": (6, None),
    "newfstatat": (262, 79),
    "statx": (332, 291),
    "access": (21, None),
    "faccessat": (269, 48),
    "faccessat2": (439, 439),
    "readlink": (89, None),
    "readlinkat": (267, 78),
    "getdents64": (217, 61),
    "getcwd": (79, 17),
    "fadvise64": (221, 223),
    # waiting
    "poll": (7, None),
    "ppoll": (271, 73),
    "select": (23, None),
    "pselect6": (270, 72),
    "epoll_create1": (291, 20),
    "epoll_ctl": (233, 21),
    "epoll_wait": (232, None),
    "epoll_pwait": (281, 22),
    "eventfd2": (290, 19),
    "nanosleep": (35, 101),
    "clock_nanosleep": (230, 115),
    # memory; V8 writes machine code, so executable pages cannot be refused
    "munmap": (11, 215),
    "mprotect": (10, 226),
    "mremap": (25, 216),
    "madvise": (28, 233),
    "mincore": (27, 232),
    "brk": (12, 214),
    "pkey_mprotect": (329, 288),
    "pkey_alloc": (330, 289),
    "pkey_free": (331, 290),
    # threads and signals of this process
    "futex": (202, 98),
    "set_tid_address": (218, 96),
    "set_robust_list": (273, 99),
    "get_robust_list": (274, 100),
    "rseq": (334, 293),
    "membarrier": (324, 283),
    "sched_yield": (24, 124),
    "sched_getaffinity": (204, 123),
    "sched_getparam": (143, 121),
    "sched_getscheduler": (145, 120),
    "sched_get_priority_max": (146, 125),
    "sched_get_priority_min": (147, 126),
    "getcpu": (309, 168),
    "arch_prctl": (158, None),
    "rt_sigaction": (13, 134),
    "rt_sigprocmask": (14, 135),
    "rt_sigreturn": (15, 139),
    "sigaltstack": (131, 132),
    "restart_syscall": (219, 128),
    "exit": (60, 93),
    "exit_group": (231, 94),
    # what the process is, and clocks
    "getpid": (39, 172),
    "gettid": (186, 178),
    "getppid": (110, 173),
    "getuid": (102, 174),
    "geteuid": (107, 175),
    "getgid": (104, 176),
    "getegid": (108, 177),
    "capget": (125, 90),
    "uname": (63, 160),
    "sysinfo": (99, 179),
    "getrusage": (98, 165),
    "times": (100, 153),
    "clock_gettime": (228, 113),
    "clock_getres": (229, 114),
    "gettimeofday": (96, 169),
    "getrandom": (318, 278),
}

CHECKED: Final[dict[str, tuple[Numbers, Rule]]] = {
    "open": (
        (2, None),
        Rule(
            action=ALLOW, tests=(Test(argument=1, mask=_OPEN_FOR_WRITING, values=(0,)),), otherwise=refusal(errno.EROFS)
        ),
    ),
    "openat": (
        (257, 56),
        Rule(
            action=ALLOW, tests=(Test(argument=2, mask=_OPEN_FOR_WRITING, values=(0,)),), otherwise=refusal(errno.EROFS)
        ),
    ),
    # Shared and downward-growing memory is not counted by RLIMIT_DATA, the ceiling where there is no cgroup.
    "mmap": (
        (9, 222),
        Rule(
            action=ALLOW,
            tests=(Test(argument=3, mask=_MAP_SHARED | _MAP_GROWSDOWN, values=(0,)),),
            otherwise=refusal(errno.EPERM),
        ),
    ),
    # Threads, no processes, no namespaces.
    "clone": (
        (56, 220),
        Rule(
            action=ALLOW,
            tests=(Test(argument=0, mask=_CLONE_THREAD | _CLONE_NAMESPACES, values=(_CLONE_THREAD,)),),
            otherwise=refusal(errno.EPERM),
        ),
    ),
    # TCGETS, TIOCGWINSZ, FIONREAD, FIONBIO, FIONCLEX, FIOCLEX.
    "ioctl": (
        (16, 29),
        Rule(
            action=ALLOW,
            tests=(Test(argument=1, values=(0x5401, 0x5413, 0x541B, 0x5421, 0x5450, 0x5451)),),
            otherwise=refusal(errno.EPERM),
        ),
    ),
    # F_DUPFD, F_GETFD, F_SETFD, F_GETFL, F_SETFL, F_DUPFD_CLOEXEC: none that sends signals or takes locks.
    "fcntl": (
        (72, 25),
        Rule(action=ALLOW, tests=(Test(argument=1, values=(0, 1, 2, 3, 4, 1030)),), otherwise=refusal(errno.EPERM)),
    ),
    # PR_SET_NAME, PR_GET_NAME, PR_SET_VMA: names of threads and of memory areas.
    "prctl": (
        (157, 167),
        Rule(action=ALLOW, tests=(Test(argument=0, values=(15, 16, 0x53564D41)),), otherwise=refusal(errno.EINVAL)),
    ),
}

ABSENT: Final[dict[str, Numbers]] = {
    "clone3": (435, 435),
    "openat2": (437, 437),
    "close_range": (436, 436),
    "epoll_pwait2": (441, 441),
    "futex_waitv": (449, 449),
    "preadv2": (327, 286),
    "pwritev2": (328, 287),
    "memfd_create": (319, 279),
    "memfd_secret": (447, 447),
    "io_uring_setup": (425, 425),
    "io_uring_enter": (426, 426),
    "io_uring_register": (427, 427),
    "statfs": (137, 43),
    "fstatfs": (138, 44),
    "get_mempolicy": (239, 236),
    "mbind": (237, 235),
}
"""Answered with ENOSYS: callers have another way. A filter cannot read the memory with the arguments of clone3."""

REFUSED: Final[dict[str, Numbers]] = {
    "fork": (57, None),
    "vfork": (58, None),
    "execve": (59, 221),
    "execveat": (322, 281),
    "kill": (62, 129),
    "tkill": (200, 130),
    "tgkill": (234, 131),
    "wait4": (61, 260),
    "waitid": (247, 95),
    "setrlimit": (160, 164),
    "setpriority": (141, 140),
    "getpriority": (140, 141),
    "sched_setaffinity": (203, 122),
    "sched_setparam": (142, 118),
    "sched_setscheduler": (144, 119),
    "chdir": (80, 49),
    "fchdir": (81, 50),
    "umask": (95, 166),
    "mkdir": (83, None),
    "mkdirat": (258, 34),
    "mknod": (133, None),
    "mknodat": (259, 33),
    "creat": (85, None),
    "rmdir": (84, None),
    "unlink": (87, None),
    "unlinkat": (263, 35),
    "rename": (82, None),
    "renameat": (264, 38),
    "renameat2": (316, 276),
    "link": (86, None),
    "linkat": (265, 37),
    "symlink": (88, None),
    "symlinkat": (266, 36),
    "chmod": (90, None),
    "fchmod": (91, 52),
    "fchmodat": (268, 53),
    "chown": (92, None),
    "lchown": (94, None),
    "fchown": (93, 55),
    "fchownat": (260, 54),
    "truncate": (76, 45),
    "ftruncate": (77, 46),
    "fallocate": (285, 47),
    "utime": (132, None),
    "utimes": (235, None),
    "futimesat": (261, None),
    "utimensat": (280, 88),
    "inotify_init1": (294, 26),
    "inotify_add_watch": (254, 27),
    "mlock": (149, 228),
}
"""Answered with EPERM: what the engines' own libraries offer to JavaScript, so that an attempt is an error there."""


def _reading_limits(resources: tuple[int, ...]) -> dict[str, tuple[Numbers, Rule]]:
    """Rules for reading these limits of this process, and setting none."""
    tests = (
        Test(argument=0, values=(0,)),
        Test(argument=1, values=resources),
        Test(argument=2, values=(0,)),
        Test(argument=2, values=(0,), high=True),
    )
    return {
        "prlimit64": ((302, 261), Rule(action=ALLOW, tests=tests, otherwise=refusal(errno.EPERM))),
        "getrlimit": (
            (97, 163),
            Rule(action=ALLOW, tests=(Test(argument=0, values=resources),), otherwise=refusal(errno.EPERM)),
        ),
    }


def _suspending_threads(process: int) -> tuple[Numbers, Rule]:
    """One signal, to threads of one process: JavaScriptCore stops its threads while it collects garbage."""
    tests = (Test(argument=0, values=(process,)), Test(argument=2, values=(_SIGPWR,)))
    return REFUSED["tgkill"], Rule(action=ALLOW, tests=tests, otherwise=refusal(errno.EPERM))


def engine_rules(engine: str, process: int) -> dict[str, tuple[Numbers, Rule]]:
    """Return the rules of one engine alone; they replace those of the tables.

    Node may not read the stack's limit: libuv and the C library would give every thread that much address space, a
    gibibyte here, and fall back to 2 MiB when they cannot know it. JavaScriptCore has to know where its stack ends, and
    sets the size of its threads' stacks itself. So does wasmtime, in Python.

    Raises:
        KeyError: unknown engine.
    """
    return {
        "node": _reading_limits(_RLIMITS_BUT_STACK),
        "bun": {**_reading_limits(_RLIMITS), "tgkill": _suspending_threads(process)},
        "python": _reading_limits(_RLIMITS),
    }[engine]


def worker_filter(arch: str, *, exec_descriptor: int | None, engine: str = "node", process: int = OWN_PROCESS) -> bytes:
    """Return the filter of a worker.

    arch: as Python names it: x86_64 or aarch64.
    engine: one of `engine_host.HOSTS`.
    process: the worker's own number, as it sees it itself.
    exec_descriptor: execution is allowed of this descriptor only, which is to be closed by it and to lie above the
        limit of open files, so that nothing can be executed a second time. None allows execve, for a jail that
        another program builds.

    Raises:
        KeyError: unknown architecture or engine.
    """
    column = {"x86_64": 0, "aarch64": 1}[arch]
    rules: dict[int, Rule] = {}

    def add(name_to_numbers: dict[str, Numbers], rule: Rule) -> None:
        for numbers in name_to_numbers.values():
            number = numbers[column]
            if number is not None:
                rules[number] = rule

    add(ALLOWED, Rule(action=ALLOW))
    add(ABSENT, Rule(action=refusal(errno.ENOSYS)))
    add(REFUSED, Rule(action=refusal(errno.EPERM)))
    for numbers, rule in [*CHECKED.values(), *engine_rules(engine, process).values()]:
        add({"": numbers}, rule)
    add(*_first_execution(exec_descriptor))
    return assemble(arch, rules, last_known=LAST_KNOWN, default=KILL_PROCESS, newer=refusal(errno.ENOSYS))


def _first_execution(descriptor: int | None) -> tuple[dict[str, Numbers], Rule]:
    if descriptor is None:
        return {"execve": REFUSED["execve"]}, Rule(action=ALLOW)
    tests = (Test(argument=0, values=(descriptor,)), Test(argument=4, values=(_AT_EMPTY_PATH,)))
    return {"execveat": REFUSED["execveat"]}, Rule(action=ALLOW, tests=tests, otherwise=refusal(errno.EPERM))
