"""The filter as a program: run by a small interpreter of classic BPF, for both architectures."""

import errno
import re
import struct
from pathlib import Path

import pytest

from runtime import seccomp_policy
from runtime.jail_launcher import for_process
from runtime.seccomp_filter import ALLOW, AUDIT_ARCH, KILL_PROCESS, MAX_INSTRUCTIONS, Rule, Test, assemble, refusal
from runtime.seccomp_policy import (
    ABSENT,
    ALLOWED,
    CHECKED,
    LAST_KNOWN,
    OWN_PROCESS,
    REFUSED,
    engine_rules,
    worker_filter,
)
from tests.requirements_gate import need

EXEC_DESCRIPTOR = 256
EPERM, ENOSYS, EROFS, EINVAL = (refusal(number) for number in (errno.EPERM, errno.ENOSYS, errno.EROFS, errno.EINVAL))
HEADERS = {
    "x86_64": (Path("/usr/include/x86_64-linux-gnu/asm/unistd_64.h"), Path("/usr/include/asm/unistd_64.h")),
    "aarch64": (Path("/usr/include/asm-generic/unistd.h"),),
}
NEVER = {  # x86-64, aarch64
    "socket": (41, 198),
    "connect": (42, 203),
    "bind": (49, 200),
    "ptrace": (101, 117),
    "mount": (165, 40),
    "umount2": (166, 39),
    "pivot_root": (155, 41),
    "chroot": (161, 51),
    "unshare": (272, 97),
    "setns": (308, 268),
    "keyctl": (250, 219),
    "add_key": (248, 217),
    "bpf": (321, 280),
    "userfaultfd": (323, 282),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "kexec_load": (246, 104),
    "perf_event_open": (298, 241),
    "init_module": (175, 105),
    "reboot": (169, 142),
    "pidfd_open": (434, 434),
    "pidfd_getfd": (438, 438),
    "landlock_restrict_self": (446, 446),
    "open_by_handle_at": (304, 265),
    "personality": (135, 92),
    "setuid": (105, 146),
    "capset": (126, 91),
    "seccomp": (317, 277),
    "rt_sigqueueinfo": (129, 138),
}


def run(program: bytes, number: int, *arguments: int, arch: int) -> int:
    """Return what the kernel would: the action for a call."""
    words = [*arguments, *[0] * (6 - len(arguments))]
    data = struct.pack("<IIQ6Q", number, arch, 0, *(word & (1 << 64) - 1 for word in words))
    code = list(struct.iter_unpack("<HBBI", program))
    at = accumulator = 0
    while True:
        operation, jump_true, jump_false, constant = code[at]
        at += 1
        if operation == 0x20:
            assert constant % 4 == 0
            (accumulator,) = struct.unpack_from("<I", data, constant)
        elif operation == 0x54:
            accumulator &= constant
        elif operation == 0x15:
            at += jump_true if accumulator == constant else jump_false
        elif operation == 0x35:
            at += jump_true if accumulator >= constant else jump_false
        else:
            assert operation == 0x06
            return constant


@pytest.fixture(params=["x86_64", "aarch64"])
def arch(request):
    return request.param


COMMON = ALLOWED | {name: numbers for name, (numbers, _) in CHECKED.items()} | ABSENT | REFUSED
ENGINES = ("node", "bun")
PROCESS = 4711


def own_numbers(engine):
    return {name: numbers for name, (numbers, _) in engine_rules(engine, PROCESS).items()}


@pytest.fixture(params=ENGINES)
def engine(request):
    return request.param


@pytest.fixture
def answer(arch, engine):
    """What a worker's filter says to a call, by name."""
    program = worker_filter(arch, exec_descriptor=EXEC_DESCRIPTOR, engine=engine, process=PROCESS)
    tables = COMMON | NEVER | own_numbers(engine)

    def ask(name: str, *arguments: int) -> int:
        number = tables[name][0 if arch == "x86_64" else 1]
        assert number is not None, f"{name} does not exist on {arch}"
        return run(program, number, *arguments, arch=AUDIT_ARCH[arch])

    return ask


@pytest.mark.parametrize("name", NEVER)
def test_what_only_an_attacker_wants_ends_the_process(answer, name):
    assert answer(name) == KILL_PROCESS


def test_every_table_gets_its_answer(answer, arch):
    column = 0 if arch == "x86_64" else 1
    for table, action in ((ALLOWED, ALLOW), (ABSENT, ENOSYS), (REFUSED, EPERM)):
        for name, numbers in table.items():
            if numbers[column] is not None and name != "execveat":
                assert answer(name) == action, name


def test_numbers_are_in_one_table_only():
    for column in (0, 1):
        checked = {name: numbers for name, (numbers, _) in CHECKED.items()}
        numbers = [
            entry[column]
            for table in (ALLOWED, checked, ABSENT, REFUSED, NEVER, own_numbers("node"))
            for entry in table.values()
            if entry[column] is not None
        ]
        assert len(numbers) == len(set(numbers))


def test_an_engine_changes_no_other_engines_filter(arch):
    node, bun = (worker_filter(arch, exec_descriptor=EXEC_DESCRIPTOR, engine=engine) for engine in ENGINES)
    assert worker_filter(arch, exec_descriptor=EXEC_DESCRIPTOR) == node != bun
    assert set(own_numbers("bun")) - set(own_numbers("node")) == {"tgkill"}


def test_bun_suspends_its_own_threads_and_sends_no_other_signal(arch):
    column = 0 if arch == "x86_64" else 1
    marked = worker_filter(arch, exec_descriptor=EXEC_DESCRIPTOR, engine="bun")
    filled = for_process(marked, OWN_PROCESS, PROCESS)
    assert filled == worker_filter(arch, exec_descriptor=EXEC_DESCRIPTOR, engine="bun", process=PROCESS)

    def ask(name: str, *arguments: int, program: bytes = filled) -> int:
        return run(program, REFUSED[name][column], *arguments, arch=AUDIT_ARCH[arch])

    power, kill = 30, 9
    assert ask("tgkill", PROCESS, 1, power) == ALLOW
    assert ask("tgkill", PROCESS, 1, power, program=marked) == EPERM
    assert ask("tgkill", PROCESS + 1, 1, power) == EPERM
    assert ask("tgkill", PROCESS, 1, kill) == EPERM
    assert ask("tkill", 1, power) == EPERM
    assert ask("kill", PROCESS, power) == EPERM
    node = worker_filter(arch, exec_descriptor=EXEC_DESCRIPTOR, process=PROCESS)
    assert ask("tgkill", PROCESS, 1, power, program=node) == EPERM


@pytest.mark.parametrize("flags", [0o1, 0o2, 0o100, 0o1000, 0o20200002])
def test_opening_for_writing_is_refused(answer, flags):
    assert answer("openat", -100, 1, 0o2000000) == ALLOW
    assert answer("openat", -100, 1, 0o2000000 | flags) == EROFS


def test_threads_and_no_processes(answer):
    thread = 0x003D0F00
    assert answer("clone", thread) == ALLOW
    assert answer("clone", 0x01200011) == EPERM  # fork of the GNU C library
    assert answer("clone", 0x4111) == EPERM  # vfork
    for namespace in (0x20000, 0x2000000, 0x4000000, 0x8000000, 0x10000000, 0x20000000, 0x40000000):
        assert answer("clone", thread | namespace) == EPERM


def test_one_execution_of_one_descriptor(answer, arch):
    assert answer("execveat", EXEC_DESCRIPTOR, 1, 1, 1, 0x1000) == ALLOW
    assert answer("execveat", EXEC_DESCRIPTOR + 1, 1, 1, 1, 0x1000) == EPERM
    assert answer("execveat", EXEC_DESCRIPTOR, 1, 1, 1, 0) == EPERM
    assert answer("execve", 1, 1, 1) == EPERM
    lax = worker_filter(arch, exec_descriptor=None)
    assert run(lax, REFUSED["execve"][0 if arch == "x86_64" else 1], arch=AUDIT_ARCH[arch]) == ALLOW
    assert run(lax, REFUSED["execveat"][0 if arch == "x86_64" else 1], EXEC_DESCRIPTOR, arch=AUDIT_ARCH[arch]) == EPERM


def test_memory_that_no_limit_counts_is_refused(answer):
    private, anonymous = 2, 0x20
    assert answer("mmap", 0, 4096, 7, private | anonymous) == ALLOW
    assert answer("mmap", 0, 4096, 3, 1 | anonymous) == EPERM
    assert answer("mmap", 0, 4096, 3, 3) == EPERM  # MAP_SHARED_VALIDATE
    assert answer("mmap", 0, 4096, 3, private | anonymous | 0x100) == EPERM


def test_limits_are_read_and_never_set(answer, engine):
    nofile, stack = 7, 3
    assert answer("prlimit64", 0, nofile, 0, 1) == ALLOW
    assert answer("prlimit64", 0, stack, 0, 1) == (ALLOW if engine == "bun" else EPERM)
    assert answer("prlimit64", 1, nofile, 0, 1) == EPERM
    assert answer("prlimit64", 0, nofile, 0x1000, 1) == EPERM
    assert answer("prlimit64", 0, nofile, 1 << 40, 1) == EPERM  # a pointer whose lower half is 0
    assert answer("getrlimit", nofile, 1) == ALLOW
    assert answer("getrlimit", stack, 1) == (ALLOW if engine == "bun" else EPERM)


def test_arguments_of_the_multiplexed_calls(answer):
    assert answer("ioctl", 0, 0x5401) == ALLOW
    assert answer("ioctl", 0, 0x5412) == EPERM  # TIOCSTI types on the terminal
    assert answer("fcntl", 0, 3) == ALLOW
    assert answer("fcntl", 0, 8) == EPERM  # F_SETOWN sends signals
    assert answer("prctl", 15, 1) == ALLOW
    assert answer("prctl", 22, 2) == EINVAL
    assert answer("prctl", 4, 1) == EINVAL  # PR_SET_DUMPABLE


def test_calls_younger_than_the_table_are_absent(answer, arch):
    program = worker_filter(arch, exec_descriptor=EXEC_DESCRIPTOR)
    assert run(program, LAST_KNOWN, arch=AUDIT_ARCH[arch]) == KILL_PROCESS
    assert run(program, LAST_KNOWN + 1, arch=AUDIT_ARCH[arch]) == ENOSYS


def test_other_architectures_end_the_process(arch):
    program = worker_filter(arch, exec_descriptor=None)
    read = ALLOWED["read"][0 if arch == "x86_64" else 1]
    assert run(program, read, arch=AUDIT_ARCH[arch]) == ALLOW
    assert run(program, read, arch=0x40000003) == KILL_PROCESS  # i386, by int 0x80
    if arch == "x86_64":
        assert run(program, 0x40000000 | read, arch=AUDIT_ARCH[arch]) == KILL_PROCESS  # x32


@pytest.mark.parametrize("column", [0, 1])
def test_numbers_are_those_of_the_kernel_headers(column):
    arch = ("x86_64", "aarch64")[column]
    header = next((path for path in HEADERS[arch] if path.is_file()), None)
    need("kernel-headers", header is not None, f"no unistd.h of {arch}")
    text = header.read_text()
    known = {name: int(value) for name, value in re.findall(r"#define __NR(?:3264)?_(\w+)\s+(\d+)", text)}
    known.setdefault("newfstatat", known.get("fstatat"))
    for name, numbers in (COMMON | NEVER | own_numbers("node") | own_numbers("bun")).items():
        if numbers[column] is not None:
            assert known[name] == numbers[column], name
        else:
            assert name not in known, name


def test_a_rule_with_many_tests():
    rule = Rule(
        action=ALLOW, tests=(Test(argument=5, values=(1, 2, 3)), Test(argument=5, values=(3, 9), mask=0xF, high=True))
    )
    program = assemble("x86_64", {7: rule}, last_known=9, default=EPERM, newer=ENOSYS)
    ask = {
        value: run(program, 7, 0, 0, 0, 0, 0, value, arch=AUDIT_ARCH["x86_64"])
        for value in (1, 2 | 9 << 32, 3 | 0xF3 << 32)
    }
    assert list(ask.values()) == [KILL_PROCESS, ALLOW, ALLOW]
    assert run(program, 8, arch=AUDIT_ARCH["x86_64"]) == EPERM


def test_programs_that_the_kernel_would_not_take_are_not_made():
    with pytest.raises(KeyError):
        worker_filter("riscv64", exec_descriptor=None)
    with pytest.raises(ValueError, match="instructions"):
        assemble(
            "x86_64", {n: Rule(action=ALLOW) for n in range(MAX_INSTRUCTIONS)}, last_known=1 << 20, default=0, newer=0
        )
    wide = Rule(action=ALLOW, tests=(Test(argument=0, values=tuple(range(300))),))
    with pytest.raises(ValueError, match="jump"):
        assemble("x86_64", {1: wide}, last_known=9, default=0, newer=0)


def test_the_policy_names_no_call_twice():
    tables = (seccomp_policy.ALLOWED, seccomp_policy.CHECKED, seccomp_policy.ABSENT, seccomp_policy.REFUSED)
    names = [name for table in (*tables, own_numbers("node")) for name in table]
    assert len(names) == len(set(names))
