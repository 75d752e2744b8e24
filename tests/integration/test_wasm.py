"""WebAssembly modules in processes of their own: verified on three nodes, audited, and the same in every jail."""

import importlib.metadata
import json
import shutil
import subprocess
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from queue import Queue

import pytest
from wasmtime import wat2wasm

from network.embedded import run_embedded
from runtime.engine import Execution, UndeterminedError
from runtime.jail import Level, at_level
from runtime.jail_probe_client import probe_layers
from runtime.request import Request
from runtime.stop_signal import StopSignal
from runtime.wasm_cache import CompiledCache
from runtime.wasm_engine import WAITING, WasmEngine
from runtime.wasm_prepare import prepare_wasm
from runtime.wasm_release import wasm_runtime, wasm_runtime_cid
from storage.blocks import BlockStore, OverlayBlockStore
from storage.errors import UnavailableError, UserError, VerificationError
from storage.sqlite_block_store import SqliteBlockStore
from storage.unixfs_import import Importer
from storage.unixfs_read import UnixfsReader
from tests.integration.stack_world import bacalhau
from tests.requirements_gate import VARIABLE, need, required
from verifier.audit import audit_record
from verifier.compare import make_rule
from verifier.model import Verdict
from verifier.wasm_types import WasmFunction

MODULES = Path(__file__).parent / "modules"
HELLO = """(module (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1) (data (i32.const 16) "hello\\n")
  (func (export "_start") (i32.store (i32.const 0) (i32.const 16)) (i32.store (i32.const 4) (i32.const 6))
    (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)))))"""

ENDLESS = '(module (func (export "_start") (loop (br 0))))'


@dataclass(frozen=True)
class House:
    """A store, and an engine with a cache of its own."""

    store: BlockStore
    engine: WasmEngine
    scratch: Path

    def module(self, text: str | Path) -> Path:
        """A module of WAT text, or of a file."""
        source = text.read_text() if isinstance(text, Path) else text
        path = self.scratch / "main.wasm"
        path.write_bytes(bytes(wat2wasm(source)))
        return path

    def plan(self, module: Path, **request):
        request.setdefault("timeout_s", 120.0)
        named = Request(module=str(module), **request)
        return prepare_wasm(named, store=self.store, cache_dir=self.scratch / "cache")

    def run(self, module: Path, **request) -> Execution:
        return self.engine.execute(self.plan(module, **request), self.store)

    def text(self, execution: Execution, path: str = "stdout") -> str:
        reader = UnixfsReader(self.store)
        return reader.read_bytes(reader.resolve(execution.output, path), 1 << 24).decode("utf-8", "backslashreplace")


@pytest.fixture
def house(tmp_path):
    with SqliteBlockStore(tmp_path / "blocks.sqlite") as store:
        engine = WasmEngine(compiled_dir=tmp_path / "modules")
        yield House(store, engine, tmp_path)
        engine.stop()


def test_a_module_that_looks_everywhere_and_loops_for_ever_verifies_on_three_nodes(house):
    folder = house.scratch / "folder"
    folder.mkdir()
    for name in ("b", "é", "a", "Z", "aa"):
        (folder / name).write_text(name)
    plan = house.plan(house.module(MODULES / "probe.wat"), data=str(folder), fuel=50_000_000)
    done = run_embedded(
        plan, engine=house.engine, store=house.store, keys_dir=house.scratch / "keys", rule=make_rule(), parallel=2
    )
    assert done.verdict is Verdict.AGREED
    assert (done.exit_code, done.same_state, len(done.receipts), done.dissent) == (152, True, 3, ())
    assert {receipt.fuel for receipt in done.receipts} == {50_000_000}
    assert {receipt.engine.name for receipt in done.receipts} == {"wasmtime"}
    assert done.record is not None
    audit = audit_record(house.store, done.record)
    assert audit.verdict == "valid", audit
    reader = UnixfsReader(house.store)
    said = reader.read_bytes(reader.resolve(done.output, "stdout"), 1 << 16)
    assert int.from_bytes(said[0:8], "little") == 946_684_800 * 10**9 + 1000
    assert said[32:44].hex() == "000000000000f87f0000c07f"
    names = (b"Z", b"a", b"aa", b"b", "é".encode())
    places = [said.index(bytes([len(name), 0, 0, 0, 4, 0, 0, 0]) + name) for name in names]
    assert places == sorted(places)


def test_the_command_runs_gets_and_audits_a_module(house):
    home, module = house.scratch / "home", house.module(HELLO)
    done = bacalhau(home, "run", "wasm", module, "--json", "--", "an argument")
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert (report["verdict"], report["tier"], report["stdout"], report["result"]) == (
        "agreed",
        "verified",
        "hello\n",
        "",
    )
    assert {receipt["engine"] for receipt in report["receipts"]} == {"wasmtime"}
    assert report["lock"] == []
    assert bacalhau(home, "get", report["job"], "--output-dir", house.scratch / "got").returncode == 0
    assert (house.scratch / "got" / "stdout").read_text() == "hello\n"
    found = json.loads(
        bacalhau(home, "audit", "--car", house.scratch / "got" / "record.car", "--rerun", "--json").stdout
    )
    assert (found["verdict"], found["reruns"][0]["detail"]) == ("valid", "same output, same memory state")


@pytest.mark.parametrize("level", [level for level in Level if level is not Level.NONE], ids=lambda level: level.value)
def test_output_and_state_are_those_without_a_jail(house, level):
    try:
        expected = at_level(probe_layers(), level).in_force
    except UnavailableError as error:
        need(level.value, False, str(error))
    plan = house.plan(house.module(HELLO))
    free = replace(house.engine, level=Level.NONE).execute(plan, house.store)
    jailed = replace(house.engine, level=level).execute(plan, house.store)
    assert (jailed.output, jailed.state_digest, jailed.fuel) == (free.output, free.state_digest, free.fuel)
    assert set(expected) < set(jailed.engine.isolation)
    assert free.engine.isolation == ("process", "wasm")


def test_a_module_is_compiled_once_and_again_where_its_code_was_harmed(house):
    plan, phrases = house.plan(house.module(HELLO)), []

    def execute():
        """In a process of its own, as after a minute."""
        house.engine.pool.expire_idle(float("inf"))
        return house.engine.execute(plan, house.store, phrases.append).output

    first, second = execute(), execute()
    assert phrases.count("compiling the module") == 1
    (kept,) = (house.scratch / "modules").iterdir()
    kept.write_bytes(kept.read_bytes()[:-1])
    third = execute()
    assert phrases.count("compiling the module") == 2
    assert house.engine.pool.stats().started == 3
    assert first == second == third


def alone(cache, module, runtime):
    return cache.alone(
        module,
        runtime,
        lambda: pytest.fail("nobody is there"),
        goes_on=lambda: pytest.fail("nobody is there"),
        most_s=60,
    )


def test_of_several_that_need_a_module_one_compiles_it_and_the_others_wait(house):
    """As processes of one user do: each engine here knows nothing of the other."""
    plan, runtime = house.plan(house.module(HELLO)), wasm_runtime_cid()
    directory, phrases, waiting = house.scratch / "modules", Queue(), threading.Semaphore(0)
    engines = [WasmEngine(compiled_dir=directory) for _ in range(2)]

    def say(phrase):
        phrases.put(phrase)
        if phrase == WAITING:
            waiting.release()

    try:
        with ThreadPoolExecutor() as pool:
            with alone(CompiledCache(directory), plan.module.module, runtime):
                running = [pool.submit(engine.execute, plan, house.store, say) for engine in engines]
                assert all(waiting.acquire(timeout=120) for _ in engines)
            assert len({one.result().output for one in running}) == 1
    finally:
        for engine in engines:
            engine.stop()
    assert list(phrases.queue).count("compiling the module") == 1
    (kept,) = directory.iterdir()
    assert kept.suffix == ".cwasm"


def test_a_process_runs_task_after_task_of_one_module_for_one_submitter(house, monkeypatch):
    monkeypatch.setattr("runtime.warm_module.MAX_TASKS", 3)
    module = house.module(MODULES / "probe.wat")
    one, two = (house.plan(module, fuel=20_000_000, arguments=(text,)) for text in "ab")
    mine = [house.engine.execute(plan, house.store) for plan in (one, two, one)]
    assert (mine[0].output, mine[0].state_digest) == (mine[2].output, mine[2].state_digest)
    assert mine[0].state_digest != mine[1].state_digest  # other random numbers
    pool = house.engine.pool
    assert (pool.stats().started, pool.stats().reused) == (1, 2)
    house.engine.execute(replace(one, submitter="somebody else"), house.store)
    assert (pool.stats().started, pool.stats().reused) == (2, 2)
    fourth = house.engine.execute(one, house.store)
    assert (fourth.output, fourth.state_digest, fourth.fuel) == (mine[0].output, mine[0].state_digest, mine[0].fuel)
    assert (pool.stats().started, pool.stats().discarded) == (3, 1)


def test_code_of_another_engine_is_not_run(house, monkeypatch):
    """Whole, and under the right name, but not what this engine compiles: the worker says so, and compiles itself."""
    plan, phrases = house.plan(house.module(HELLO)), []
    monkeypatch.setattr("runtime.wasm_cache.CompiledCache.find", lambda *_: b"\x7fELF of somebody else")
    house.engine.execute(plan, house.store, phrases.append)
    assert phrases[0] == "compiling the module"


def test_a_run_that_is_given_up_gives_nothing(house):
    stop = StopSignal()
    plan = house.plan(house.module(ENDLESS), fuel=(1 << 53) - 1)
    with pytest.raises(UndeterminedError, match="stopped"):
        house.engine.execute(plan, house.store, lambda phrase: stop.set() if "running" in phrase else None, stop)


def test_the_wall_clock_ends_a_run_without_an_output(house):
    plan = house.plan(house.module(ENDLESS), fuel=(1 << 53) - 1, timeout_s=0.5)
    with pytest.raises(UndeterminedError, match=r"wall-clock guard of 0\.5 s"):
        house.engine.execute(plan, house.store)


def test_what_is_no_module_of_this_release_is_undetermined(house):
    """A stranger's task: the requester has checked nothing."""
    plan = house.plan(house.module(HELLO))
    broken = Importer(house.store).bytes(b"\0asm\1\0\0\0\x01").cid
    folder = Importer(house.store).path(MODULES).cid
    for module, said in ((broken, "ends too early"), (folder, "is a directory of 0 bytes")):
        function = WasmFunction(module=module, runtime=wasm_runtime_cid())
        with pytest.raises(UndeterminedError, match=said):
            house.engine.execute(replace(plan, function=function), house.store)
    foreign = replace(plan.module, runtime=broken)
    with pytest.raises(UndeterminedError, match="is not this release's"):
        house.engine.execute(replace(plan, function=foreign), house.store)
    odd = replace(plan, input=replace(plan.input, args={"argv": [1]}))
    with pytest.raises(VerificationError, match="must be a text"):
        house.engine.execute(odd, OverlayBlockStore(house.store))


@pytest.mark.parametrize(
    ("request_", "said"),
    [
        ({"module": "nothing.wasm"}, "neither a CID nor an existing path"),
        ({"module": str(MODULES / "probe.c")}, "is no WebAssembly module"),
        ({"module": "component"}, r"is a component .*; build it as a command for WASI preview 1: wasm32-wasip1"),
        ({"module": str(MODULES)}, "is no file"),
        ({"arguments": ("a\0b",)}, "holds a NUL"),
        ({"memory": "64Mb", "module": "large"}, "begins with 131072000 bytes of memory"),
        ({"volumes": ("/etc/hostname:/tmp/x",)}, "belongs to the runtime"),
    ],
)
def test_a_wrong_call_is_told_before_anything_runs(house, request_, said):
    given = {"module": str(house.module(HELLO)), **request_}
    if given["module"] == "large":
        given["module"] = str(house.module('(module (memory 2000) (func (export "_start")))'))
    if given["module"] == "component":
        given["module"] = str(house.module("(component)"))
    with pytest.raises(UserError, match=said):
        prepare_wasm(Request(**given), store=house.store, cache_dir=house.scratch / "cache")


def test_the_runtime_says_what_decides(house):
    runtime = wasm_runtime()
    assert (runtime.profile, runtime.engine, runtime.version) == (
        "wasi-1",
        "wasmtime",
        importlib.metadata.version("wasmtime"),
    )
    assert runtime.settings["nan"] == "canonical"
    assert len(runtime.host) == 64


# Programs of real compilers, where there is one


def asked(name: str, available: bool, reason: str) -> None:
    """Go on where it is asked for: compiling and running these programs takes up to a minute."""
    if name not in required():
        pytest.skip(f"takes long; run it with {VARIABLE}={name}")
    need(name, available, reason)


def built(house, *command: str, source: str) -> Path:
    target = house.scratch / "built.wasm"
    done = subprocess.run([*command, str(target), str(MODULES / source)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return target


def go_is_here() -> str | None:
    return shutil.which("go") or next(filter(Path.exists, [Path("/usr/local/go/bin/go")]), None)


@pytest.fixture
def folder(house):
    place = house.scratch / "reference"
    (place / "sub").mkdir(parents=True)
    for name in ("b.txt", "a.txt", "é"):
        (place / name).write_text(name)
    return place


def twice(house, module, folder, *arguments, **more):
    """Run a program twice: both leave the same. Return code, stdout and stderr."""
    (house.scratch / "data").write_text("a line\n")
    # Compiling Go takes half a minute of processor time: no guard of the host's has to hold on a busy machine.
    given = {"timeout_s": 900.0, "volumes": (f"{folder}:/reference",), "env": ("A=1",)}
    asked = {"data": str(house.scratch / "data"), **given, **more}
    plan = house.plan(module, arguments=arguments, **asked)
    one, other = (house.engine.execute(plan, house.store) for _ in range(2))
    assert (one.output, one.state_digest, one.fuel) == (other.output, other.state_digest, other.fuel)
    return one.exit_code, house.text(one), house.text(one, "stderr"), one


def test_programs_in_c(house, folder):
    asked("clang-wasm", can_clang(), "clang, lld, wasi-libc and libclang-rt-dev-wasm32 of Debian")
    module = built(house, "clang", "--target=wasm32-wasi", "-O2", "-o", source="probe.c")
    code, said, _, done = twice(house, module, folder, "ok", "7")
    assert code == 7
    for line in (
        "arg main.wasm\narg ok\narg 7\nenv A=1\nstdin a line\n",
        "time 946684800.000001000 then 946684803.000002500",
        "0/0 7ff8000000000000\ninf-inf 7ff8000000000000\nsqrt(-1) 7ff8000000000000\n",
        "inputs: Read-only file system\nroot: Read-only file system\nabove: No such file or directory\n",
    ):
        assert line in said
    assert house.text(done, "outputs/outputs/made/renamed.txt") == "written\n"
    for end, code, words in (
        ("loop", 152, ""), ("abort", 134, "unreachable instruction"), ("divide", 134, "integer division by zero"),
        ("deep", 134, "memory access out of bounds"), ("memory", 3, ""),
    ):  # fmt: skip
        found = twice(house, module, folder, end, fuel=100_000_000, memory="64Mb")
        assert (found[0], words in found[2]) == (code, True), end


def can_clang() -> bool:
    return shutil.which("clang") is not None and Path("/usr/lib/wasm32-wasi/crt1-command.o").is_file()


def test_programs_in_rust(house, folder):
    rustc = "/usr/bin/rustc"
    is_here = Path(rustc).is_file() and Path("/usr/lib/rustlib/wasm32-wasi").is_dir()
    asked("rust-wasm", is_here, "rustc and libstd-rust-dev-wasm32 of Debian")
    module = built(house, rustc, "--target", "wasm32-wasi", "-O", "-o", source="probe.rs")
    code, said, _, done = twice(house, module, folder)
    assert code == 5
    assert 'args ["main.wasm"] env [("A", "1")]\nstdin "a line\\n"\n' in said
    assert "slept 2.500002s" in said
    assert "nan 7ff8000000000000 7ff8000000000000" in said
    assert house.text(done, "outputs/outputs/deep/er/file") == "written by Rust\n"
    for end, words in (("panic", "unreachable"), ("deep", "call stack exhausted"), ("memory", "unreachable")):
        code, _, said, _ = twice(house, module, folder, end, memory="64Mb")
        assert (code, words in said) == (134, True), end


def test_programs_in_go(house, folder, monkeypatch):
    go = go_is_here()
    asked("go", go is not None, "a Go toolchain with GOOS=wasip1 (1.21 or newer)")
    for name, value in {"GOOS": "wasip1", "GOARCH": "wasm", "GO111MODULE": "off", "GOTOOLCHAIN": "local"}.items():
        monkeypatch.setenv(name, value)
    module = built(house, str(go), "build", "-o", source="probe.go")
    code, said, _, done = twice(house, module, folder, "one", memory="1Gb")
    assert code == 6
    for line in ('args [main.wasm one] env [A=1]\nstdin "a line\\n"', "woke 2 1 0 after 3s", "2000-01-01T00:00:03Z"):
        assert line in said
    assert "open /reference/new: Read-only file system" in said
    assert house.text(done, "outputs/outputs/made/here/file") == "written by Go\n"
    for end, code, words in (("panic", 2, "on purpose"), ("deep", 134, "stack"), ("deadlock", 2, "deadlock")):
        found = twice(house, module, folder, end, memory="1Gb")
        assert (found[0], words in found[2]) == (code, True), end
