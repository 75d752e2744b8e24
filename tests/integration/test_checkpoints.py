"""A run that goes on from a checkpoint ends as the whole one: same output, same fuel, same memory.

Everything that a run can do between two steps and that is not in the linear memory is in `CELLS` or `HABITS`.
"""

import dataclasses
import json
import logging
from contextlib import contextmanager
from pathlib import Path

import pytest
import trio

from network.demand import demand_of
from network.message_codec import session_id
from runtime.checkpoint_model import Taken, read_questions
from runtime.checkpoint_store import CheckpointStore, list_checkpoints
from runtime.demand import task_room
from runtime.notebook_file import read_notebook
from runtime.notebook_function import SEED, function_files
from runtime.pyodide_engine import make_pool
from storage.dag_walk import walk
from storage.sqlite_block_store import SqliteBlockStore
from storage.unixfs_read import UnixfsReader
from tests.integration.conftest import Outcome, assert_same_machine
from tests.integration.stack_world import PATIENCE_S
from tests.unit.network.node.node_world import Net, submission, until_event
from tests.unit.runtime.notebook_world import cell, notebook_of
from verifier.compare import make_rule
from verifier.model import Receipt, Record, load_node

pytestmark = pytest.mark.integration

NOTEBOOKS = Path(__file__).parents[2] / "functions" / "notebooks"

CELLS = (
    """import asyncio, os, random, sys, tempfile, time, uuid
print(random.random(), uuid.uuid4(), os.urandom(3), time.time(), id(object()), os.stat('/work').st_ino)
kept = open('/tmp/kept', 'w+')
kept.write('first'); kept.flush()
other = os.dup(kept.fileno())
os.symlink('/tmp/kept', 'link')
pipe = [os.close(end) for end in os.pipe()]""",
    """os.mkdir('sub', 0o750); open('sub/a', 'w').write('x' * 70_000)
os.rename('sub/a', 'sub/b'); os.utime('sub/b', (5, 7.25)); os.chmod('sub/b', 0o640)
os.rename('sub', '/tmp/sub'); os.chdir('/tmp/sub')
open('/outputs/extra.txt', 'w').write('kept')
removed = open('gone', 'w').close(); os.remove('gone')
task = asyncio.create_task(asyncio.sleep(50, 'slept'))
print('error', file=sys.stderr)
1 / 0""",
    """print(await asyncio.wait_for(task, 60), time.time(), random.random(), uuid.uuid4())
kept.write(' second'); kept.seek(0); print(kept.read(), os.lseek(other, 0, 1))
grown = bytearray(40 << 20); grown[-1] = 1
print(os.getcwd(), open('data').read() if os.path.exists('data') else open('/inputs/data').read(3))""",
    """for folder, folders, files in os.walk('/tmp'): print(folder, folders, files)
print([(s.st_ino, s.st_mtime, s.st_mode, s.st_size) for s in map(os.stat, ('/tmp/sub/b', '/tmp/sub', '/work/link'))])
os.remove('/tmp/sub/b'); os.close(other); kept.close()
print(random.random(), len(grown), os.listdir('/proc/self/fd'), tempfile.mkdtemp())
print(os.statvfs('/').f_files, time.monotonic(), id(object()))""",
)
ENDS = {
    2: ("raise KeyError('x')", 1),  # it may; the next cell misses what it would have set
    3: ("while True: pass", 152),
    4: ("import fractions\nprint(fractions.Fraction(1, 3))", 0),
}
"""What is put in front of a cell, counted from 1, and the exit code then."""


def notebook(tmp_path, *cells):
    path = tmp_path / "n.ipynb"
    path.write_text(json.dumps(notebook_of(*cells)))
    return function_files(read_notebook(path), None)


@pytest.fixture
def runs(house, tmp_path):
    """Run a function whole, or as a node that keeps a checkpoint after every step."""
    engine = dataclasses.replace(house.engine, checkpoints_dir=tmp_path / "checkpoints", checkpoint_after_s=0.0)

    class Runs:
        said: list[str]

        def whole(self, files, **request):
            return house.execute(house.plan(files, seed=SEED, **request))

        def going_on(self, files, *, node="node", **request):
            plan = dataclasses.replace(house.plan(files, seed=SEED, **request), checkpoints_of=node)
            self.said = []
            return Outcome(plan, engine.execute(plan, house.store, self.said.append), UnixfsReader(house.store))

        @property
        def gone_on(self):
            return next((phrase for phrase in self.said if "going on" in phrase), None)

        @property
        def kept(self):
            return [path for path, _ in list_checkpoints(tmp_path / "checkpoints")]

    return Runs()


def cells_of(*changes):
    """Return the cells with lines put in front of some; the second may raise what it raises."""
    texts = list(CELLS)
    for number, lines in changes:
        texts[number - 1] = f"{lines}\n{texts[number - 1]}"
    return [cell(text, *(["raises-exception"] if number == 2 else [])) for number, text in enumerate(texts, start=1)]


def test_whatever_cell_is_changed_a_run_that_goes_on_is_the_whole_run(runs, tmp_path):
    request = {"data": b"input", "fuel": 3_000_000_000}
    first = notebook(tmp_path, *cells_of())
    whole = runs.whole(first, **request)
    assert whole.exit_code == 0, whole.stderr
    assert_same_machine(runs.going_on(first, **request), whole)
    assert runs.gone_on is None
    assert sorted(path.name[:2] for path in runs.kept) == ["1-", "2-", "3-", "4-"]
    for number, (lines, exit_code) in ENDS.items():
        changed = notebook(tmp_path, *cells_of((number, lines)))
        gone_on = runs.going_on(changed, **request)
        which = "cell 1" if number == 2 else f"cells 1 to {number - 1}"
        assert runs.gone_on == f"notebook: {which} of 4 unchanged, going on from there"
        again = runs.whole(changed, **request)
        assert again.exit_code == exit_code, again.stderr
        assert_same_machine(gone_on, again)
    longer = notebook(tmp_path, *cells_of(), cell("text", kind="markdown"))
    gone_on = runs.going_on(longer, **request)
    assert runs.gone_on == "notebook: cells 1 to 4 of 4 unchanged, going on from there"
    assert_same_machine(gone_on, runs.whole(longer, **request))


STEPS = """
import random

def main(data, n=3):
    found = [random.random()]
    %s
    yield
    for step in range(n):
        found.append(random.random())
        yield
    return found
"""


def test_any_function_that_yields_runs_in_steps(runs, house):
    plain = runs.whole({"function.py": STEPS.replace("yield", "pass") % "pass"})
    stepped = runs.going_on({"function.py": STEPS % "pass"}, args=("n=3",))
    assert (stepped.exit_code, stepped.result) == (0, plain.result)
    assert len(runs.kept) == 4
    # Its text is what it has read first, so nothing else goes on from there; it is the same function after all.
    again = runs.going_on({"function.py": STEPS % "pass"}, args=("n=3",))
    assert runs.gone_on == "4 steps unchanged, going on from there"
    assert_same_machine(again, stepped)
    runs.going_on({"function.py": STEPS % "'other'"}, args=("n=3",))
    assert runs.gone_on is None


HABITS = """
import ctypes, os

def main():
    ends = os.pipe()
    yield
    for end in ends:
        os.close(end)
    gone = open("gone", "w")
    os.remove("gone")
    yield
    gone.close()
    folder = os.open("/tmp", os.O_RDONLY)
    yield
    os.close(folder)
    yield
    callback = ctypes.CFUNCTYPE(ctypes.c_int)(lambda: 1)
    yield
    return [callback(), os.pipe(), os.stat("/work").st_ino]
"""


def test_a_state_that_cannot_be_written_down_is_not_kept_and_later_ones_are(runs):
    stepped = runs.going_on({"function.py": HABITS})
    assert stepped.exit_code == 0, stepped.stderr
    assert [path.name[:2] for path in runs.kept] == ["4-"]
    assert_same_machine(runs.going_on({"function.py": HABITS}), stepped)
    assert runs.gone_on == "4 steps unchanged, going on from there"


FREED = """
import ctypes

CALLBACK = ctypes.CFUNCTYPE(ctypes.c_int)

def main():
    callback = CALLBACK(lambda: 7)
    address = ctypes.c_void_p.from_address(ctypes.addressof(callback)).value
    del callback
    yield
    other = CALLBACK(lambda: 8)
    again = ctypes.c_void_p.from_address(ctypes.addressof(other)).value
    print(address == again, CALLBACK(address)(), flush=True)
    del other
    yield
    CALLBACK(address)()
"""


def test_a_callback_that_was_freed_is_gone_in_both_runs(runs):
    files = {"function.py": FREED}
    whole = runs.whole(files)
    assert (whole.exit_code, whole.stdout) == (139, "True 8\n")
    for steps in ("0-", "1-", "2-"):
        for path in runs.kept:
            if path.name[:2] > steps:
                path.unlink()
        assert_same_machine(runs.going_on(files), whole)
        assert (runs.gone_on is None) == (steps == "0-")


TAKEN = """
import ctypes

library = ctypes.CDLL(None)

def main():
    taken = library.strlen
    closure = library.malloc(64)
    address = ctypes.c_void_p.from_address(ctypes.addressof(taken)).value
    ctypes.c_uint32.from_address(closure).value = address
    library.ffi_closure_free(closure)
    yield
"""


def test_a_function_that_was_taken_out_of_the_table_is_not_written_down(runs):
    assert runs.going_on({"function.py": TAKEN}).exit_code == 0
    assert runs.kept == []


TIMES = """
import os

def main():
    open("x", "w").close()
    for time in (1e16, -1e16):
        try:
            os.utime("x", (0, time))
        except OSError as error:
            print(error.strerror)
    os.utime("x", (8.64e12, -8.64e12))
    return os.stat("x").st_mtime
"""


def test_a_time_that_no_date_can_be_is_an_error_of_the_function(house):
    outcome = house.run({"function.py": TIMES})
    assert (outcome.exit_code, outcome.result) == (0, "-8640000000000.0"), outcome.stderr
    assert outcome.stdout == "Invalid argument\n" * 2


def test_behind_a_million_steps_a_run_goes_on_without_checkpoints(runs):
    files = {"function.py": STEPS % "pass"}
    first = runs.going_on(files, args=("n=1",))
    for path in runs.kept:
        if path.name.startswith("1-"):
            of_first_step = path.read_bytes()
            key, store = path.parent.name, CheckpointStore(directory=path.parent.parent)
        path.unlink()
    # One that says that it is of the millionth step: nobody waits for a million.
    length = int.from_bytes(of_first_step[-36:-32], "little")
    trailer = json.loads(of_first_step[-36 - length : -36])
    state, rest = of_first_step[: trailer["state_bytes"]], of_first_step[trailer["state_bytes"] : -36 - length]
    assert state.startswith(b'{"steps":1,')
    body = state.replace(b'"steps":1,', b'"steps":1000000,', 1) + rest
    questions = read_questions(trailer["questions"])
    taken = Taken(steps=1_000_000, questions=questions, state_bytes=len(state) + 6, data_bytes=len(rest))
    store.keep(key, taken, [("function.py", "file", files["function.py"].encode().hex())], iter([body]))
    assert_same_machine(runs.going_on(files, args=("n=1",)), first)
    assert runs.gone_on == "1000000 steps unchanged, going on from there"
    assert [path.name[:8] for path in runs.kept] == ["1000000-"]


def test_one_that_was_harmed_or_is_of_another_node_is_not_gone_on_from(runs):
    files = {"function.py": STEPS % "pass"}
    first = runs.going_on(files)
    for path in runs.kept:
        data = bytearray(path.read_bytes())
        data[len(data) // 3] ^= 1
        path.write_bytes(data)
    assert_same_machine(runs.going_on(files), first)
    assert "a checkpoint could not be used: running the function from its beginning" in runs.said
    assert_same_machine(runs.going_on(files), first)
    assert runs.gone_on is not None
    assert_same_machine(runs.going_on(files, node="other"), first)
    assert runs.gone_on is None


@pytest.mark.slow("makes an image of its own")
@pytest.mark.parametrize("name", ["climate", "wines"])
def test_packages_that_load_modules_while_they_run(runs, name):
    """Matplotlib, pandas and scikit-learn; each needs an image of its own."""
    notebook = read_notebook(NOTEBOOKS / f"{name}.ipynb")
    data = str(NOTEBOOKS.parent / {"climate": "plot", "wines": "train_model"}[name] / "input.csv")
    runs.going_on(function_files(notebook, None), data=data)
    code = [number for number, one in enumerate(notebook.cells) if one["cell_type"] == "code"]
    for number in (len(code) - 1, 1):
        cells = list(notebook.cells)
        at = code[number]
        cells[at] = {**cells[at], "source": f"print('changed')\n{cells[at]['source']}"}
        changed = function_files(dataclasses.replace(notebook, cells=tuple(cells)), None)
        gone_on = runs.going_on(changed, data=data)
        assert runs.gone_on is not None
        assert_same_machine(gone_on, runs.whole(changed, data=data))


@contextmanager
def nodes_in_memory(house, tmp_path):
    """Two nodes with engines and checkpoints of their own, and a requester, on a network of memory."""
    engines = [
        dataclasses.replace(
            house.engine, checkpoints_dir=tmp_path / f"checkpoints{number}", checkpoint_after_s=0.0, pool=make_pool()
        )
        for number in range(2)
    ]
    try:
        yield Net(tmp_path, engines)
    finally:
        for engine in engines:
            engine.stop()


def test_nodes_of_a_network_go_on_from_their_own_checkpoints_and_agree_as_on_the_whole(house, tmp_path, caplog):
    first = house.plan(notebook(tmp_path, cell("x = 1"), cell("print(x)")), seed=SEED)
    changed = house.plan(notebook(tmp_path, cell("x = 1"), cell("print(x + 1)")), seed=SEED)
    whole = house.execute(changed).execution
    rule = make_rule(replication=2, confidence=2)

    def gone_on(job):
        """Return the names of the sessions in which a node went on from a checkpoint, each once for each node."""
        sessions = {session_id(net.requester.peer, job, plan.task) for plan in (first, changed)}
        said = [one.session for one in caplog.records if "going on from there" in one.message]
        return sum(name in sessions for name in said)

    async def run():
        with SqliteBlockStore(net.requester.folder / "blocks.sqlite") as store:
            for plan in (first, changed):
                store.put_many(walk(house.store, plan.task))
        async with net.running() as node:
            for number, plan in (("1", first), ("2", changed), ("3", changed)):
                demand = demand_of(task_room(plan, house.store))
                more = {"rule": rule, "demand": demand, "no_cache": number == "3"}
                await node.submit(submission(plan.task, number * 32, **more))
                await until_event(node, number * 32, "ended")

    async def bounded():
        with trio.fail_after(PATIENCE_S):
            await run()

    with nodes_in_memory(house, tmp_path) as net, caplog.at_level(logging.DEBUG, "network.node.executor"):
        trio.run(bounded)
    assert [gone_on(number * 32) for number in "123"] == [0, 2, 0]
    with SqliteBlockStore(net.requester.folder / "blocks.sqlite") as store:
        for job in ("2" * 32, "3" * 32):
            record = load_node(store, net.requester.finished()[job].record, Record)
            receipts = [load_node(store, cid, Receipt) for cid in record.receipts]
            assert {receipt.node for receipt in receipts} == {place.peer for place in net.nodes}
            told = {(receipt.output, receipt.fuel, receipt.state_digest) for receipt in receipts}
            assert told == {(whole.output, whole.fuel, whole.state_digest)}
