"""The engine against workers that die, hang, lie and pry: never an output, nothing left behind."""

import dataclasses
import hashlib
import json
import os
import threading
from pathlib import Path

import pytest

from runtime.engine import UndeterminedError
from runtime.pyodide_engine import PyodideEngine
from runtime.task_frames import entropy_key
from storage.blocks import MemoryBlockStore
from storage.cid import RAW, make_cid
from storage.errors import VerificationError
from storage.unixfs_read import UnixfsReader
from tests.unit.runtime.worker_stand_in import stand_in, tiny_plan

FILE = 'send(dict(type="file", path="stdout")); send(dict(type="piece"), b"hi"); send(dict(type="end"))\n'


def held():
    """What this process holds: descriptors, threads, and child processes, zombies too."""
    descriptors = {f"descriptor {path.name}" for path in Path("/proc/self/fd").iterdir()}
    children = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
    return descriptors | {*threading.enumerate()} | {f"process {child}" for child in children}


@pytest.fixture(scope="session")
def caches(tmp_path_factory):
    """Wheels and images of all tests with a stand-in that makes images as it should."""
    return tmp_path_factory.mktemp("caches")


@pytest.fixture
def run(tmp_path, caches):
    """Execute a tiny plan with a stand-in; checks that nothing is left."""

    def execute(script, *, store=None, **plan):
        store = store or MemoryBlockStore()
        host = stand_in(tmp_path, script)
        engine = PyodideEngine(runtimes_dir=tmp_path / "runtimes", wheels_dir=caches / "wheels", host=host)
        made = tiny_plan(store, **plan)
        before = held()
        try:
            return engine.execute(made, store), UnixfsReader(store)
        finally:
            engine.stop()
            # What other tests of this process have left may go meanwhile.
            assert held() <= before

    return execute


def test_a_worker_that_behaves(run):
    execution, reader = run(FILE + 'send(dict(type="phase", name="run")); done(exit_code=7)')
    found = {name: reader.read_bytes(link.cid, 100) for name, link in reader.entries(execution.output)}
    assert found == {"exit_code": b"7", "result": b"", "stderr": b"", "stdout": b"hi"}
    assert (execution.exit_code, execution.timings_s.pop("image") > 0) == (7, True)
    assert execution.timings_s == {"boot": 0.001}


def test_what_the_worker_is_handed(run):
    script = """
assert os.environ.get("HOME") is None and os.getcwd() == "/" and start["epoch"] == 0
send(dict(type="file", path="stdout")); send(dict(type="piece"), start["guest"].encode()); send(dict(type="end"))
done()
"""
    execution, reader = run(script)
    guest = reader.read_bytes(reader.resolve(execution.output, "stdout"), 1000).decode()
    # Sorted, and numbers as Python writes them: whoever planned the task, the function sees the same.
    assert guest == (
        '{"args": {"a": 2.0, "b": 1}, "entry": "main", "env": {"Y": "2", "Z": "1"}, "source": "/function/function.py"}'
    )
    assert json.loads(guest)["args"]["a"] == 2.0


HOSTILE = {
    "silence": ("", "the worker died with status 0"),
    "killed": ("os.kill(os.getpid(), signal.SIGKILL)", "died with status -9: it left no message"),
    "message": ('sys.stderr.write("noise\\nFatal Error: heap\\n"); sys.exit(5)', "status 5: Fatal Error: heap"),
    "failed": ('send(dict(type="failed", message="Error: x\\n  at y"))', "^Error: x$"),
    "failed mutely": ('send(dict(type="failed"))', "None"),
    "half a frame": ('raw(b"\\x05\\0\\0\\0\\0\\0")', "died with status 0"),
    "half a header": ('raw(struct.pack("<II", 50, 0) + b"{")', "died with status 0"),
    "long header": ('raw(struct.pack("<II", 1 << 30, 0))', "too large"),
    "long payload": ('raw(struct.pack("<II", 2, (1 << 20) + 1) + b"{}")', "too large"),
    "not JSON": ('send(b"nonsense")', "not JSON"),
    "not UTF-8": ('send(b"\\xff\\xfe")', "not JSON"),
    "deep JSON": ('send(b"[" * 100000)', "not JSON"),
    "a list": ("send([1])", "no type"),
    "no type": ('send(dict(path="x"))', "no type"),
    "a number as type": ("send(dict(type=1))", "no type"),
    "outside": ('send(dict(type="directory", path="etc"))', "outside the output layout"),
    "no path": ('send(dict(type="directory"))', "without a path"),
    "dots": ('send(dict(type="directory", path="outputs/../../etc"))', "unsafe path"),
    "absolute": ('send(dict(type="directory", path="outputs//etc"))', "unsafe path"),
    "exit_code itself": (
        'send(dict(type="file", path="exit_code")); send(dict(type="end"))',
        "outside the output layout",
    ),
    "twice": (FILE + FILE, "there twice"),
    "directory for a stream": ('send(dict(type="directory", path="result"))', "stream that is no file"),
    "link for a stream": ('send(dict(type="symlink", path="stdout", target="x"))', "stream that is no file"),
    "link without target": ('send(dict(type="symlink", path="outputs/a/b"))', "without a target"),
    "file in a file": (
        'send(dict(type="file", path="outputs/a")); send(dict(type="end"))\n'
        'send(dict(type="directory", path="outputs/a/b"))',
        "no directory",
    ),
    "deep": ('send(dict(type="directory", path="outputs" + "/d" * 200))', "deep"),
    "interrupted": (
        'send(dict(type="file", path="stdout")); send(dict(type="phase", name="x"))',
        "in the middle of a file",
    ),
    "too much": (
        'send(dict(type="file", path="stdout"))\nfor _ in range(3): send(dict(type="piece"), bytes(1 << 20))',
        "more than the task's output limit",
    ),
    "exit code": ("done(exit_code=256)", "malformed: exit code 256"),
    "exit code as text": ('done(exit_code="0")', "malformed: exit code '0'"),
    "exit code as truth": ("done(exit_code=True)", "malformed: exit code True"),
    "digest": ('done(state_digest="0" * 63)', "malformed: state digest"),
    "digest in capitals": ('done(state_digest="A" * 64)', "malformed: state digest"),
    "timings": ("done(timings_ms=3)", "malformed"),
    "endless timings": ('done(timings_ms=dict(boot=float("inf")))', "malformed: time inf"),
    "no fields": ('send(dict(type="done"))', "malformed"),
    "foreign handle": ('ask(type="read", handle=99, position=0, length=1)', "not handed"),
    "negative handle": ('ask(type="lookup", handle=-1, name="x")', "not handed"),
    "handle as text": ('ask(type="list", handle="0")', "sent handle '0'"),
    "list of a file": (
        'found, _ = ask(type="lookup", handle=0, name="function.py"); ask(type="list", handle=found["handle"])',
        "directory",
    ),
    "read of a directory": ('ask(type="read", handle=0, position=0, length=1)', "file"),
    "long read": ('ask(type="read", handle=1, position=0, length=1 << 21)', "impossible range"),
    "negative read": ('ask(type="read", handle=1, position=-1, length=1)', "impossible range"),
    "far read": ('ask(type="read", handle=1, position=1 << 70, length=1)', "impossible range"),
    "fractional read": ('ask(type="read", handle=1, position=0.5, length=1)', "sent position 0.5"),
    "a name that is a path": ('ask(type="lookup", handle=0, name=["x"])', "sent name"),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_a_hostile_worker_gives_no_output(run, case):
    script, said = HOSTILE[case]
    with pytest.raises(UndeterminedError, match=said):
        run(script, data=b"input")


def test_the_guard_ends_a_worker_that_hangs(run):
    with pytest.raises(UndeterminedError, match=r"guard of 0\.3 s ended the worker; raise it with --timeout"):
        run("signal.pause()", wall_clock_s=0.3)


def test_a_worker_that_closes_its_pipe_and_stays_is_ended(run):
    with pytest.raises(UndeterminedError, match="guard"):
        run("os.close(writing); signal.pause()", wall_clock_s=0.3)


def test_questions_have_true_answers(run):
    script = """
names, _ = ask(type="list", handle=0)
entry, _ = ask(type="lookup", handle=0, name="function.py")
absent, _ = ask(type="lookup", handle=0, name="gone")
climb, _ = ask(type="lookup", handle=0, name="..")
_, text = ask(type="read", handle=entry["handle"], position=4, length=100)
_, past = ask(type="read", handle=entry["handle"], position=1000, length=5)
kinds = [found["kind"] for found in (entry, absent, climb)]
said = json.dumps([names["names"], kinds, entry["size"], text.decode(), len(past)])
send(dict(type="file", path="stdout")); send(dict(type="piece"), said.encode()); send(dict(type="end")); done()
"""
    execution, reader = run(script, data=b"input")
    said = json.loads(reader.read_bytes(reader.resolve(execution.output, "stdout"), 1000))
    assert said == [["function.py", "large"], ["file", "absent", "absent"], 21, "main(data): pass\n", 0]


class Harmed(MemoryBlockStore):
    """A store that loses or changes one block when told to."""

    lost = changed = None

    def get(self, cid):
        if cid == self.lost:
            self._blocks.pop(cid[4:], None)
        if cid == self.changed:
            self._blocks[cid[4:]] = b"Second"
        return super().get(cid)


TWO_LEAVES = bytes(1 << 20) + b"second"
SECOND = make_cid(RAW, b"second")
ASK = 'ask(type="read", handle=1, position=1 << 20, length=6)\ndone()'


def test_a_block_that_is_missing_makes_the_execution_undetermined(run):
    store = Harmed()
    store.lost = SECOND
    with pytest.raises(UndeterminedError, match="block is not in this store"):
        run(ASK, store=store, data=TWO_LEAVES)


def test_a_block_that_was_changed_is_a_verification_error(run):
    store = Harmed()
    store.changed = SECOND
    with pytest.raises(VerificationError):
        run(ASK, store=store, data=TWO_LEAVES)


def test_both_blocks_unharmed_give_an_output(run):
    execution, _ = run(ASK, store=Harmed(), data=TWO_LEAVES)
    assert execution.exit_code == 0


def test_an_interrupt_leaves_no_process(run):
    def interrupt(_phrase):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_with_progress(run, interrupt)


def run_with_progress(run, progress):
    execute = PyodideEngine.execute
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(PyodideEngine, "execute", lambda self, plan, store: execute(self, plan, store, progress))
        run('send(dict(type="phase", name="run")); signal.pause()')


def test_the_entropy_key_is_as_defined():
    store = MemoryBlockStore()
    plan = tiny_plan(store)
    assert entropy_key(plan) == hashlib.sha256(b"bacalhau-entropy/1\0task\0" + plan.task).hexdigest()


TWICE = """
while True:
    send(dict(type="file", path="stdout")); send(dict(type="piece"), b"%d" % os.getpid()); send(dict(type="end"))
    done()
    {after}
    start, _ = receive()
"""


@pytest.mark.parametrize(
    ("after", "workers"),
    [
        ('send(dict(type="pristine", reset_ms=1, pages=3))', 1),
        ('send(dict(type="spent", reason="memory has grown"))', 2),
        ('raw(struct.pack("<II", 50, 0) + b"{"); sys.exit(0)', 2),
        ('send(dict(type="done"))', 2),
    ],
)
def test_a_worker_serves_again_only_if_it_says_that_it_is_pristine(tmp_path, after, workers):
    store = MemoryBlockStore()
    host = stand_in(tmp_path, TWICE.format(after=after))
    engine = PyodideEngine(runtimes_dir=tmp_path / "runtimes", wheels_dir=tmp_path / "wheels", host=host)
    outputs = {engine.execute(tiny_plan(store), store).output for _ in range(2)}
    engine.stop()
    assert len(outputs) == workers


def test_a_worker_serves_one_submitter(tmp_path):
    store = MemoryBlockStore()
    host = stand_in(tmp_path, TWICE.format(after='send(dict(type="pristine", reset_ms=1, pages=3))'))
    engine = PyodideEngine(runtimes_dir=tmp_path / "runtimes", wheels_dir=tmp_path / "wheels", host=host)
    plans = [dataclasses.replace(tiny_plan(store), submitter=who) for who in ("one", "other", "one")]
    outputs = [engine.execute(plan, store).output for plan in plans]
    engine.stop()
    assert outputs[0] == outputs[2] != outputs[1]


HOSTILE_BUILDERS = {
    "silence": ("sys.exit(0)", "died with status 0"),
    "failed": ('send(dict(type="failed", message="Error: x"))', "^Error: x$"),
    "statement": ('send(dict(type="unfit", statement=10**9, reason=""))', "named statement"),
    "truth as statement": ('send(dict(type="unfit", statement=True, reason=""))', "named statement True"),
    "sizes": ('give_image(memory_bytes="1")', "described an image wrongly"),
    "part of a page": ("give_image(memory_bytes=65535)", "impossible size"),
    "empty": ("give_image(memory_bytes=0)", "impossible size"),
    "huge": ("give_image(memory_bytes=1 << 40)", "impossible size"),
    "modules": ('give_image(modules="sys")', "described an image wrongly"),
    "short": ("give_image(memory_bytes=1 << 17); sys.exit(0)", "died with status 0"),
    "long": ("give_image(state_bytes=3)", "less of an image"),
    "not JSON": (
        'send(dict(type="image", modules=[], state_bytes=1, memory_bytes=65536))\n'
        'send(dict(type="piece"), b"{"); send(dict(type="piece"), bytes(65536))',
        "not JSON",
    ),
}


@pytest.mark.parametrize("case", HOSTILE_BUILDERS)
def test_a_hostile_builder_leaves_no_image(tmp_path, case):
    script, said = HOSTILE_BUILDERS[case]
    store = MemoryBlockStore()
    host = stand_in(tmp_path, "", makes=script)
    engine = PyodideEngine(runtimes_dir=tmp_path / "runtimes", wheels_dir=tmp_path / "wheels", host=host)
    with pytest.raises(UndeterminedError, match=said):
        engine.execute(tiny_plan(store), store)
    engine.stop()
    kept = [path for path in (tmp_path / "images").glob("*/*") if path.is_dir() and path.name != "locks"]
    assert kept == []


def test_statements_that_are_unfit_are_left_out_one_by_one(tmp_path):
    makes = """
if opened["preload"] is not None:
    fit = [name for name, _ in opened["preload"] if name < "g"]
    unfit = [number for number, (name, _) in enumerate(opened["preload"]) if name.startswith("c")]
    if unfit: send(dict(type="unfit", statement=unfit[0], reason="it prints"))
    else: give_image(modules=["sys"] + [name for name, _ in opened["preload"]])
    sys.exit(0)
start, _ = receive()
"""
    store = MemoryBlockStore()
    host = stand_in(tmp_path, "done()", makes=makes)
    engine = PyodideEngine(runtimes_dir=tmp_path / "runtimes", wheels_dir=tmp_path / "wheels", host=host)
    engine.execute(tiny_plan(store), store)
    engine.stop()
    states = [json.loads(path.read_text()) for path in (tmp_path / "images").glob("*/*/state.json")]
    modules = max((state["modules"] for state in states), key=len)
    assert "math" in modules
    assert not [name for name in modules if name.startswith("c")]


def test_a_small_source_is_given_to_the_worker_when_it_starts(run):
    script = """
said = json.dumps([opened["source"], [mount["path"] for mount in start["mounts"]]])
send(dict(type="file", path="stdout")); send(dict(type="piece"), said.encode()); send(dict(type="end")); done()
"""
    execution, reader = run(script, data=b"input", has_large_source=False)
    source, mounts = json.loads(reader.read_bytes(reader.resolve(execution.output, "stdout"), 1000))
    assert source == [["function.py", "file", b"def main(data): pass\n".hex()]]
    assert mounts == ["/inputs/data", "/run/data"]


def test_files_that_were_harmed_on_the_disk_are_made_anew(tmp_path):
    store = MemoryBlockStore()
    host = stand_in(tmp_path, "done()")
    phrases = []
    for _ in range(2):
        engine = PyodideEngine(runtimes_dir=tmp_path / "runtimes", wheels_dir=tmp_path / "wheels", host=host)
        assert engine.execute(tiny_plan(store), store, phrases.append).exit_code == 0
        engine.stop()
        for pack in (tmp_path / "wheels" / "instrumented").iterdir():
            pack.chmod(0o644)
            pack.write_bytes(b"harmed" + pack.read_bytes()[6:])
    assert "repairing files that were harmed on the disk" in phrases
