"""The runtime's own files, and blocks and workers that fail while the real Node runs."""

import os
import signal
import threading
from pathlib import Path

import pytest

from runtime.engine import UndeterminedError
from runtime.prepared_runtime import open_runtime
from storage.blocks import OverlayBlockStore
from storage.cid import CID, RAW, make_cid
from storage.errors import UnavailableError, VerificationError
from tests.integration.conftest import House

pytestmark = pytest.mark.integration

READ_ALL = "def main(data):\n  try: return str(len(data.read()))\n  except BaseException as e: return repr(e)\n"
TWO_LEAVES = bytes(1 << 20) + b"the second leaf"


@pytest.fixture
def changed_runtime(house, tmp_path):
    """A house with a runtime laid out on its own, and the path of that."""
    own = house.replaced(home=tmp_path / "own")
    plan = house.plan("def main(data): return 'ran'\n")
    return own, plan, open_runtime(plan.function.runtime, house.store, own.home / "runtimes").path


def test_folders_may_lie_behind_links(house, tmp_path):
    for name in ("runtimes", "cache"):
        (tmp_path / "real" / name).mkdir(parents=True)
        (tmp_path / "linked").mkdir(exist_ok=True)
        (tmp_path / "linked" / name).symlink_to(tmp_path / "real" / name)
    linked = House(house.store, tmp_path / "linked", tmp_path)
    with linked:
        assert linked.run("def main(data): return 'ran'\n").result == "ran"


@pytest.mark.parametrize("name", ["pyodide.asm.wasm", "worker.mjs", "guest/_faas_main.py", "python_stdlib.zip"])
def test_a_changed_file_is_named(changed_runtime, name):
    own, plan, path = changed_runtime
    content = bytearray((path / name).read_bytes())
    content[len(content) // 2] ^= 1
    (path / name).write_bytes(content)
    with pytest.raises(VerificationError, match=r"was changed; remove .* and run again") as caught:
        own.execute(plan)
    assert caught.value.where == str(path / name)
    assert f"remove {path} " in caught.value.fix


def test_a_missing_file_is_named_and_removal_mends_it(changed_runtime):
    own, plan, path = changed_runtime
    (path / "clock.mjs").unlink()
    with pytest.raises(VerificationError, match=r"clock\.mjs"):
        own.execute(plan)
    for file in sorted(path.rglob("*"), reverse=True):
        file.rmdir() if file.is_dir() else file.unlink()
    path.rmdir()
    assert own.execute(plan).result == "ran"


def test_a_runtime_can_be_laid_out_from_blocks_alone(house, tmp_path):
    """No npm package is needed for what a record names: its blocks are."""
    plan = house.plan("def main(data): return 'again'\n")
    other = house.replaced(home=tmp_path / "other")
    assert other.execute(plan).state_digest == house.execute(plan).state_digest
    assert [path.name[:4] for path in (tmp_path / "other" / "runtimes").iterdir()] == ["bafy"]


class Harmed(OverlayBlockStore):
    """Loses or changes one block."""

    def __init__(self, below, cid: CID, error: Exception) -> None:
        super().__init__(below)
        self._cid, self._error = cid, error

    def get(self, cid: CID) -> bytes:
        if cid == self._cid:
            raise self._error
        return super().get(cid)


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (UnavailableError("block is not in this store"), UndeterminedError),
        (VerificationError("block is not what its CID says"), VerificationError),
    ],
)
def test_a_block_that_fails_under_a_running_function_gives_no_output(house, error, expected):
    """Not even to a function that catches everything."""
    plan = house.plan(READ_ALL, data=TWO_LEAVES)
    assert house.execute(plan).result == str(len(TWO_LEAVES))
    store = Harmed(house.store, make_cid(RAW, b"the second leaf"), error)
    with pytest.raises(expected, match=error.problem):
        house.execute(plan, store)


def children() -> list[int]:
    listed = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
    return [int(pid) for pid in listed]


def descriptors() -> list[str]:
    return sorted(path.name for path in Path("/proc/self/fd").iterdir())


def test_a_killed_worker_is_undetermined_and_leaves_nothing(house: House):
    plan = house.plan("def main(data):\n  while True: pass\n")
    before = descriptors(), threading.active_count(), children()

    def kill_when_running(phrase):
        if phrase == "running the function":
            for pid in set(children()) - set(before[2]):
                os.kill(pid, signal.SIGKILL)

    with pytest.raises(UndeterminedError, match="died with status -9"):
        house.engine.execute(plan, house.store, kill_when_running)
    assert (descriptors(), threading.active_count(), children()) == before


def test_an_interrupt_leaves_no_node_behind(house):
    plan = house.plan("def main(data):\n  while True: pass\n")
    before = descriptors(), threading.active_count(), children()

    def interrupt(phrase):
        if phrase == "running the function":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        house.engine.execute(plan, house.store, interrupt)
    assert (descriptors(), threading.active_count(), children()) == before
