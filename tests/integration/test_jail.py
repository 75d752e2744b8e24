"""The jail around the real Node: what is tried inside is refused, and the same attempt succeeds outside.

Every attempt is a row with a positive control: the program runs without a jail first, and has to get what it wants.
"""

import json
import os
import platform
import select
import shutil
import signal
import socket
import struct
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import pytest

from runtime.engine_settings import engine_environment
from runtime.jail import JailLimits, Level, layers_of
from runtime.jail_probe_client import probe
from runtime.jail_transport import Cell, open_cell
from runtime.node_client import find_node
from tests.requirements_gate import need

PATIENCE_S = 30
LIMITS = JailLimits(memory_bytes=1 << 30, cpu_s=60)
ROOMY = JailLimits(memory_bytes=1 << 36, cpu_s=60)
"""Without the filter, threads get stacks of a gibibyte each."""
JAILS = [Level.NAMESPACES, Level.BUBBLEWRAP, Level.LANDLOCK, Level.SECCOMP]
PRIVATE = (Level.NAMESPACES, Level.BUBBLEWRAP)
ROOT = Path(__file__).parent.parent.parent
BUN = ROOT / "tests" / "engines" / "node_modules" / "@oven" / "bun-linux-x64" / "bin" / "bun"
SECRET = "a secret of the host"

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="jails are made of Linux")


@pytest.fixture(scope="session")
def report():
    return probe(find_node().binary)


def missing_for(level: Level, report) -> list[str]:
    needed = {
        Level.NAMESPACES: "userns mountns pidns netns ipcns utsns seccomp rlimits",
        Level.BUBBLEWRAP: "bubblewrap seccomp",
        Level.LANDLOCK: "landlock seccomp",
        Level.SECCOMP: "seccomp",
    }[level]
    return [
        f"{layer.name} {layer.detail}"
        for layer in report.layers
        if layer.name in needed.split() and not layer.available
    ]


@pytest.fixture(params=JAILS, ids=lambda level: level.value)
def level(request, report):
    missing = missing_for(request.param, report)
    need(request.param.value, not missing, ", ".join(missing))
    return request.param


@pytest.fixture(params=["node", "bun"])
def engine(request):
    need("engines", request.param == "node" or BUN.is_file(), "Bun is not installed: make engines")
    return request.param


@pytest.fixture
def runtime_dir(tmp_path):
    """What a worker may read."""
    directory = tmp_path / "runtime"
    directory.mkdir()
    (directory / "given.txt").write_text("given")
    (directory / "removable.txt").write_text("")
    return directory


@pytest.fixture
def secret(tmp_path):
    file = tmp_path / "secret.txt"
    file.write_text(SECRET)
    return file


class Prison:
    """Starts programs at one level."""

    def __init__(
        self,
        level: Level,
        report,
        runtime_dir: Path,
        *,
        engine: str = "node",
        without: tuple[str, ...] = (),
        limits=LIMITS,
    ) -> None:
        self.level = level
        self.engine = engine
        self.environment = engine_environment(engine, limits.stack_bytes) | {"TZ": "Asia/Kathmandu"}
        self.layers = [name for name in layers_of(level, report.layers) if name not in without]
        self.runtime_dir = runtime_dir
        self.limits = limits

    def cell(self, watch: int, program: Path, handed: tuple[int, ...] = ()) -> Cell:
        return open_cell(
            self.level,
            self.layers,
            binary=program,
            engine=self.engine,
            runtime_dir=self.runtime_dir,
            limits=self.limits,
            watch=watch,
            handed=handed,
            environment=self.environment,
        )

    @contextmanager
    def started(self, arguments, *, program: Path | None = None, handed: tuple[int, ...] = (), **options) -> Iterator:
        """A running program, its cell, and the writing end that keeps it alive."""
        watch, alive = os.pipe()
        with ExitStack() as stack:
            cell = self.cell(watch, program or (BUN if self.engine == "bun" else find_node().binary), handed)
            stack.callback(cell.close)
            process = subprocess.Popen(
                cell.command([word.replace("RUNTIME", cell.runtime) for word in arguments]),
                pass_fds=[watch, *cell.descriptors, *handed],
                stdin=subprocess.DEVNULL,
                env=self.environment if self.level is Level.NONE else {},
                cwd="/",
                start_new_session=True,
                **options,
            )
            os.close(watch)
            process.alive = os.fdopen(alive, "wb")
            stack.callback(process.alive.close)
            try:
                yield process
            finally:
                if process.poll() is None:
                    os.killpg(process.pid, signal.SIGKILL)
                process.communicate(timeout=PATIENCE_S)

    def run(self, arguments, **options) -> subprocess.CompletedProcess:
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        with self.started(arguments, **pipes, **options) as process:
            out, err = process.communicate(timeout=PATIENCE_S)
            return subprocess.CompletedProcess(arguments, process.returncode, out, err)

    def script(self, code: str, *arguments: str, **options) -> subprocess.CompletedProcess:
        return self.run(["-e", code, *arguments], **options)


@pytest.fixture
def outside(report, runtime_dir, engine):
    """No jail: the control."""
    return Prison(Level.NONE, report, runtime_dir, engine=engine)


@pytest.fixture
def inside(level, report, runtime_dir, engine):
    return Prison(level, report, runtime_dir, engine=engine)


ATTEMPTS = """
const fs = require("fs"), os = require("os"), { spawnSync } = require("child_process");
const [secret, folder, pid, inside] = process.argv.slice(1);
const execute = () => {
  const { error } = spawnSync(process.execPath, ["--version"], { stdio: [0, 2, 2] });
  if (error) throw error;
};
const openMany = () => {
  const opened = [];
  try {
    for (let n = 0; n < 400; n++) opened.push(fs.openSync(process.execPath, "r"));
  } finally {
    for (const descriptor of opened) fs.closeSync(descriptor);
  }
};
const writeTemporary = () => {
  const name = `/tmp/jail-${process.pid}`;
  fs.writeFileSync(name, "x");
  fs.unlinkSync(name);
};
const mustHold = (condition) => { if (!condition) throw new Error("empty"); };
const attempts = {
  read_secret: () => fs.readFileSync(secret, "utf8"),
  read_passwd: () => fs.readFileSync("/etc/passwd", "utf8"),
  list_root: () => mustHold(fs.readdirSync("/").includes("etc")),
  read_environment: () => fs.readFileSync(`/proc/${pid}/environ`),
  read_own_maps: () => fs.readFileSync("/proc/self/maps"),
  write_runtime: () => fs.writeFileSync(`${inside}/written`, "x"),
  write_beside: () => fs.writeFileSync(`${secret}.written`, "x"),
  write_tmp: writeTemporary,
  make_directory: () => fs.mkdirSync(`${inside}/made`),
  remove: () => fs.unlinkSync(`${inside}/removable.txt`),
  change_mode: () => fs.chmodSync(inside, 0o700),
  execute,
  kill_parent: () => process.kill(Number(pid), 0),
  many_files: openMany,
};
const got = {};
for (const [name, attempt] of Object.entries(attempts)) {
  try {
    attempt();
    got[name] = "done";
  } catch (error) {
    got[name] = error.code ?? String(error);
  }
}
got.environment = process.env;
got.directory = process.cwd();
[got.host, got.user, got.pid] = [os.hostname(), process.getuid(), process.pid];
got.given = fs.readFileSync(`${inside}/given.txt`, "utf8");
console.log(JSON.stringify(got));
"""


def attempts(prison: Prison, secret: Path) -> dict:
    arguments = [os.fspath(secret), os.fspath(prison.runtime_dir), str(os.getpid()), "RUNTIME"]
    done = prison.script(ATTEMPTS, *arguments)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


REFUSED_EVERYWHERE = [
    *("write_runtime", "write_beside", "write_tmp", "make_directory", "remove", "change_mode"),
    *("execute", "kill_parent", "many_files"),
]
REFUSED_WITH_FILES = ["read_secret", "read_passwd", "list_root", "read_environment", "read_own_maps"]


def test_without_a_jail_every_attempt_succeeds(outside, secret):
    got = attempts(outside, secret)
    assert {name: got[name] for name in [*REFUSED_EVERYWHERE, *REFUSED_WITH_FILES]} == dict.fromkeys(
        [*REFUSED_EVERYWHERE, *REFUSED_WITH_FILES], "done"
    )


def test_what_node_may_not_do_is_an_error(inside, secret):
    got = attempts(inside, secret)
    expected = REFUSED_EVERYWHERE if inside.level is Level.SECCOMP else [*REFUSED_EVERYWHERE, *REFUSED_WITH_FILES]
    allowed = {"read_own_maps": "done"} if inside.engine == "bun" and inside.level is not Level.SECCOMP else {}
    assert {name: got[name] for name in expected if got[name] == "done"} == allowed
    assert got["environment"] == inside.environment | ({"PWD": "/"} if inside.level is Level.BUBBLEWRAP else {})
    assert got["directory"] == "/"
    assert got["given"] == "given"
    assert sorted(file.name for file in inside.runtime_dir.iterdir()) == ["given.txt", "removable.txt"]
    if inside.level in PRIVATE:
        assert (got["host"], got["user"], got["pid"]) == ("localhost", 65534, 1)


LISTING = """
const fs = require("fs");
const walk = (at) => fs.readdirSync(at + "/", { withFileTypes: true }).flatMap((entry) =>
  entry.isDirectory() ? walk(`${at}/${entry.name}`) : [`${at}/${entry.name}`]);
console.log(walk("").sort().join("\\n"));
"""


@pytest.mark.parametrize("level", PRIVATE, ids=lambda level: level.value, indirect=True)
def test_the_private_root_holds_an_engine_its_libraries_and_the_runtime(level, report, runtime_dir, engine):
    prison = Prison(level, report, runtime_dir, engine=engine, without=("landlock",))  # which would hide directories
    files = prison.script(LISTING).stdout.split()
    own = ["/bun", "/proc/self/maps"] if engine == "bun" else ["/node"]
    assert [file for file in files if "/lib" not in file] == [*own, "/runtime/given.txt", "/runtime/removable.txt"]
    assert all(".so" in file for file in files if "/lib" in file)


CONNECT = """
const socket = require("net").connect(Number(process.argv[1]), "127.0.0.1");
socket.on("connect", () => { console.log("connected"); process.exit(0); });
socket.on("error", (error) => { console.log(error.code); process.exit(1); });
"""


@contextmanager
def listener():
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield str(server.getsockname()[1])


def test_a_socket_ends_the_worker(inside, outside):
    with listener() as port:
        assert outside.script(CONNECT, port).stdout == "connected\n"
        done = inside.script(CONNECT, port)
    assert done.stdout == ""
    assert done.returncode in (-signal.SIGSYS, 128 + signal.SIGSYS)  # bubblewrap translates


def test_the_network_is_empty_when_the_filter_is_off(report, runtime_dir):
    need("namespaces", not missing_for(Level.NAMESPACES, report), "namespaces are refused")
    prison = Prison(Level.NAMESPACES, report, runtime_dir, without=("seccomp", "landlock"), limits=ROOMY)
    with listener() as port:
        done = prison.script(CONNECT, port)
    assert done.stdout.strip() in ("ENETUNREACH", "ECONNREFUSED", "EADDRNOTAVAIL")


@pytest.mark.parametrize("without", [("landlock",), ("mountns",)])
def test_files_stay_closed_when_one_of_two_layers_is_off(report, runtime_dir, secret, without):
    need("namespaces", not missing_for(Level.NAMESPACES, report), "namespaces are refused")
    need("landlock", "landlock" in layers_of(Level.NAMESPACES, report.layers), "Landlock is refused")
    code = "try { console.log(require('fs').readFileSync(process.argv[1], 'utf8')) } catch (e) { console.log(e.code) }"
    prison = Prison(
        Level.LANDLOCK if without == ("mountns",) else Level.NAMESPACES, report, runtime_dir, without=without
    )
    assert prison.script(code, os.fspath(secret)).stdout.strip() in ("ENOENT", "EACCES")


ALLOCATE = """
const kept = [];
for (let n = 0; n < 24; n++) kept.push(new ArrayBuffer(64 << 20));
console.log("allocated");
"""


def test_memory_ends_at_the_ceiling(inside, outside):
    assert outside.script(ALLOCATE).stdout == "allocated\n"
    done = inside.script(ALLOCATE)
    assert (done.stdout, done.returncode == 0) == ("", False)


def test_standard_error_cannot_fill_the_disk(inside, outside, tmp_path):
    code = "for (let n = 0; n < 64; n++) require('fs').writeSync(2, Buffer.alloc(1 << 16))"
    for prison, expected in ((outside, 1 << 22), (inside, LIMITS.file_bytes)):
        with (tmp_path / "errors").open("wb") as errors, prison.started(["-e", code], stderr=errors) as process:
            process.wait(PATIENCE_S)
        assert (tmp_path / "errors").stat().st_size == expected


def test_processor_time_ends(report, runtime_dir):
    prison = Prison(report.level, report, runtime_dir, limits=JailLimits(memory_bytes=1 << 30, cpu_s=1))
    need("jail", report.level is not Level.NONE, "no level")
    assert prison.script("for (;;);").returncode in (-signal.SIGXCPU, -signal.SIGKILL)


def test_descriptors_keep_their_numbers(inside, secret):
    code = """
    const fs = require("fs"), [file, out] = process.argv.slice(1).map(Number);
    fs.writeSync(out, fs.readFileSync(file, "utf8"));
    try { fs.writeSync(file, "x") } catch (error) { fs.writeSync(out, "|" + error.code) }
    """
    reading, writing = os.pipe()
    with secret.open("rb") as file, os.fdopen(reading, "rb") as pipe:
        high = os.dup2(file.fileno(), 700)
        try:
            done = inside.script(code, str(high), str(writing), handed=(high, writing))
        finally:
            os.close(high)
            os.close(writing)
        assert done.returncode == 0, done.stderr
        assert pipe.read().decode() == f"{SECRET}|EBADF"


def ended(descriptor: int) -> bool:
    """Wait until nobody holds the other end."""
    ready, _, _ = select.select([descriptor], [], [], PATIENCE_S)
    return bool(ready) and os.read(descriptor, 1) == b""


IDLE = "require('fs').writeSync(Number(process.argv[1]), '!'); setInterval(() => {}, 1e6)"


@contextmanager
def idle(prison: Prison, code: str = IDLE):
    """A program that says `!` into a pipe and goes on; the pipe ends with the last process that holds it."""
    reading, writing = os.pipe()
    try:
        with prison.started(["-e", code, str(writing)], handed=(writing,)) as process:
            os.close(writing)
            assert select.select([reading], [], [], PATIENCE_S)[0]
            assert os.read(reading, 1) == b"!"
            yield process, reading
    finally:
        os.close(reading)


def statuses(process: int) -> list[dict[str, str]]:
    """Return the fields of /proc/…/status of a process and all below it."""
    found = []
    for folder in Path("/proc").iterdir():
        with suppress(OSError):  # others come and go
            text = (folder / "status").read_text("ascii", "replace")
            found.append(dict(line.split(":\t", 1) for line in text.splitlines() if ":\t" in line))
    chosen = [status for status in found if status.get("Pid") == str(process)]
    for parent in chosen:
        chosen += [status for status in found if status.get("PPid") == parent["Pid"]]
    return chosen


def test_node_has_no_privileges_left(inside):
    with idle(inside) as (process, _):
        *_, node = statuses(process.pid)
    assert node["Name"] in ("node", "MainThread", "node-MainThread", str(LIMITS.open_files), "bun")
    assert {node[name] for name in ("CapInh", "CapPrm", "CapEff", "CapAmb")} == {"0" * 16}
    assert (node["NoNewPrivs"], node["Seccomp"]) == ("1", "2")
    if inside.level is Level.NAMESPACES and os.geteuid() == 0:
        assert set(node["Uid"].split() + node["Gid"].split() + node["Groups"].split()) == {"65534"}


def test_the_private_root_is_read_only_when_filter_and_landlock_are_off(report, runtime_dir, secret):
    need("namespaces", not missing_for(Level.NAMESPACES, report), "namespaces are refused")
    runtime_dir.chmod(0o777)
    got = attempts(Prison(Level.NAMESPACES, report, runtime_dir, without=("seccomp", "landlock"), limits=ROOMY), secret)
    assert {got[name] for name in ("write_runtime", "make_directory", "remove", "change_mode")} == {"EROFS"}
    assert {got[name] for name in ("read_secret", "read_passwd", "read_environment", "write_tmp")} == {"ENOENT"}
    assert got["kill_parent"] == "ESRCH"


def test_a_worker_ends_with_the_last_writer_of_its_pipe(inside):
    with idle(inside) as (process, reading):
        assert process.poll() is None
        process.alive.close()
        assert ended(reading)
        assert process.wait(PATIENCE_S) == -signal.SIGKILL


def test_a_worker_ends_with_its_watcher(inside):
    with idle(inside) as (process, reading):
        os.kill(process.pid, signal.SIGKILL)
        assert ended(reading)


def test_killing_the_group_leaves_nothing(inside):
    with idle(inside) as (process, reading):
        os.killpg(process.pid, signal.SIGKILL)
        assert ended(reading)


FORKING = """
const { spawn } = require("child_process"), out = Number(process.argv[1]);
const code = "require('fs').writeSync(3, '!'); setInterval(() => {}, 1e6)";
spawn(process.execPath, ["-e", code], { detached: true, stdio: [0, 1, 2, out] });
setInterval(() => {}, 1e6);
"""


def test_a_process_that_left_the_group_ends_with_the_namespace(report, runtime_dir):
    need("namespaces", not missing_for(Level.NAMESPACES, report), "namespaces are refused")
    prison = Prison(Level.NAMESPACES, report, runtime_dir, without=("seccomp",), limits=ROOMY)
    with idle(prison, FORKING) as (process, reading):
        os.killpg(process.pid, signal.SIGKILL)
        assert ended(reading)


def test_without_a_jail_a_process_that_left_the_group_survives(outside):
    code = FORKING.replace("writeSync(3, '!')", "writeSync(3, '!' + process.pid + '.')")
    with idle(outside, code) as (process, reading):
        child = int(iter_until(reading, b"."))
        os.killpg(process.pid, signal.SIGKILL)
        process.wait(PATIENCE_S)
        os.kill(child, signal.SIGKILL)  # raises if it is gone
        assert ended(reading)


def iter_until(descriptor: int, end: bytes) -> bytes:
    text = b""
    while (byte := os.read(descriptor, 1)) != end:
        text += byte
    return text


def system_call_program(path: Path, number: int, arguments: tuple[int, ...]) -> Path:
    """Write an x86-64 program that makes one system call and exits with its error number, 0 if it succeeds."""
    registers = (b"\x48\xbf", b"\x48\xbe", b"\x48\xba", b"\x49\xba", b"\x49\xb8", b"\x49\xb9")  # rdi rsi rdx r10 r8 r9
    code = b"".join(register + struct.pack("<q", value) for register, value in zip(registers, arguments, strict=False))
    code += b"\x48\xb8" + struct.pack("<q", number) + b"\x0f\x05"  # mov rax, number; syscall
    code += b"\x31\xff\x48\x85\xc0\x79\x05\x48\xf7\xd8\x89\xc7"  # xor edi, edi; if rax < 0: edi = -rax
    code += b"\xb8\x3c\x00\x00\x00\x0f\x05"  # exit(edi)
    base = 0x400000
    head = (
        b"\x7fELF\x02\x01\x01"
        + bytes(9)
        + struct.pack("<HHIQQQIHHHHHH", 2, 62, 1, base + 120, 64, 0, 0, 64, 56, 1, 64, 0, 0)
    )
    load = struct.pack("<IIQQQQQQ", 1, 5, 0, base, base, 120 + len(code), 120 + len(code), 4096)
    path.write_bytes(head + load + code)
    path.chmod(0o755)
    return path


SIGCHLD, HERE = 17, -100
KILLED = -signal.SIGSYS
EPERM, ENOSYS = 1, 38
CALLS = [  # name, number, arguments, in a jail
    ("socket", 41, (2, 1, 0), KILLED),
    ("unix socket", 41, (1, 1, 0), KILLED),
    ("socketpair", 53, (1, 1, 0, 0), KILLED),
    ("ptrace", 101, (0,), KILLED),
    ("mount", 165, (0, 0, 0, 0, 0), KILLED),
    ("unshare user namespace", 272, (0x10000000,), KILLED),
    ("setns", 308, (-1, 0), KILLED),
    ("keyctl", 250, (-1,), KILLED),
    ("bpf", 321, (-1, 0, 0), KILLED),
    ("userfaultfd", 323, (-1,), KILLED),
    ("perf_event_open", 298, (0, 0, -1, -1, 0), KILLED),
    ("process_vm_readv", 310, (0, 0, 0, 0, 0, 0), KILLED),
    ("pidfd_open", 434, (0, 0), KILLED),
    ("personality", 135, (0xFFFFFFFF,), KILLED),
    ("memfd_create", 319, (0x400000, 0), ENOSYS),
    ("io_uring_setup", 425, (1, 0), ENOSYS),
    ("clone3", 435, (0, 0), ENOSYS),
    ("fork", 56, (SIGCHLD,), EPERM),
    ("thread in a new user namespace", 56, (0x003D0F00 | 0x10000000,), EPERM),
    ("setrlimit", 160, (7, 0), EPERM),
    ("kill everything", 62, (-1, 0), EPERM),
    ("shared memory", 9, (0, 4096, 3, 0x21, -1, 0), EPERM),
]


@pytest.mark.skipif(platform.machine() != "x86_64", reason="the programs are written in x86-64 machine code")
@pytest.mark.parametrize(("name", "number", "arguments", "expected"), CALLS, ids=[row[0] for row in CALLS])
def test_machine_code_inside_gets_no_further(report, runtime_dir, tmp_path, name, number, arguments, expected):
    need("jail", report.level is not Level.NONE, "no level")
    program = system_call_program(tmp_path / "program", number, arguments)
    free = Prison(Level.NONE, report, runtime_dir).run([], program=program)
    jailed = Prison(report.level, report, runtime_dir).run([], program=program)
    assert jailed.returncode == expected, jailed.stderr
    assert free.returncode not in (KILLED, expected) or (expected == EPERM and free.returncode == 0)


@pytest.mark.skipif(platform.machine() != "x86_64", reason="the programs are written in x86-64 machine code")
def test_nothing_is_executed_a_second_time(report, runtime_dir, tmp_path):
    """Neither by path nor by the descriptor that was executed first: its number can never be used again."""
    need("namespaces", report.level is Level.NAMESPACES, "another level")
    prison = Prison(Level.NAMESPACES, report, runtime_dir)
    again = system_call_program(tmp_path / "again", 322, (LIMITS.open_files, 0x400007, 0, 0, 0x1000))
    assert prison.run([], program=again).returncode == 9  # EBADF: the filter lets it pass, and it is closed
    lift = system_call_program(tmp_path / "lift", 33, (0, LIMITS.open_files))
    assert prison.run([], program=lift).returncode == 9  # EBADF: above the limit
    assert Prison(Level.NONE, report, runtime_dir).run([], program=lift).returncode == 0


def test_a_jail_that_cannot_be_built_starts_nothing(report, runtime_dir, tmp_path):
    need("namespaces", not missing_for(Level.NAMESPACES, report), "namespaces are refused")
    prison = Prison(Level.NAMESPACES, report, runtime_dir)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("runtime.jail_transport.shared_libraries", lambda _: (os.fspath(tmp_path / "gone.so"),))
        done = prison.script("console.log('started')")
    assert (done.returncode, done.stdout) == (125, "")
    assert done.stderr.startswith("jail error:")


LOOK = """
import json, sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from runtime.jail import require_strict
from runtime.jail_probe_client import probe
from storage.errors import UnavailableError
{before}
report = probe(Path(sys.argv[2]))
try:
    require_strict(report)
    strict = ""
except UnavailableError as error:
    strict = str(error)
reasons = {{layer.name: layer.detail for layer in report.layers}}
print(json.dumps([report.level.value, report.in_force, reasons, strict]))
"""

REFUSING = """
import errno
from runtime.linux_client import PR_SET_NO_NEW_PRIVS, control, install_filter
from runtime.seccomp_filter import ALLOW, Rule, Test, assemble, refusal
no, absent = refusal(errno.EPERM), refusal(errno.ENOSYS)
namespaces = Test(argument=0, mask=0x7E020000, values=(0,))
prctl = Rule(action=no, tests=(Test(argument=0, values=(22,)),), otherwise=ALLOW)
rules = {{56: Rule(action=ALLOW, tests=(namespaces,), otherwise=no), 435: Rule(action=absent), 272: Rule(action=no)}}
rules |= {more}
control(PR_SET_NO_NEW_PRIVS, 1)
install_filter(assemble("x86_64", rules, last_known=1 << 20, default=ALLOW, newer=ALLOW))
"""


def look(before: str = "", *, python: str = sys.executable, **options) -> tuple[str, list[str], dict[str, str], str]:
    """What a process of another kind finds: level, layers in force, reasons, objections of strict."""
    command = [python, "-c", LOOK.format(before=before), ROOT, find_node().binary]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=PATIENCE_S, **options)
    assert done.returncode == 0, done.stderr
    return tuple(json.loads(done.stdout))


def test_an_ordinary_user_gets_the_same_level(report):
    need("root", os.geteuid() == 0, "only an administrator can become someone else")
    python = shutil.which("python3", path="/usr/bin:/usr/local/bin")
    script = "import sys; sys.exit(sys.version_info < (3, 11))"
    usable = python and subprocess.run([python, "-c", script], check=False).returncode == 0
    need("system-python", bool(usable), "no Python that everyone may read")
    found, in_force, reasons, strict = look(python=python, user=65534, group=65534, extra_groups=[], cwd="/")
    assert found == report.level.value, reasons
    assert strict == "" or report.level not in PRIVATE
    assert set(in_force) == set(report.in_force)


@pytest.mark.skipif(platform.machine() != "x86_64", reason="the filter that refuses has numbers of x86-64")
@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ("{}", "landlock+seccomp"),
        ("{444: Rule(action=absent)}", "seccomp"),
        ("{444: Rule(action=absent), 157: prctl}", "none"),
    ],
)
def test_where_namespaces_are_refused_the_next_level_is_found(report, more, expected):
    need(expected, expected == "none" or not missing_for(Level(expected), report), "not on this machine")
    found, in_force, reasons, strict = look(REFUSING.format(more=more))
    assert found == expected, reasons
    assert "userns" in strict
    assert "not permitted" in strict
    assert not {"userns", "netns", "pidns", "mountns"} & set(in_force)
