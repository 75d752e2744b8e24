import hashlib
import os
import threading

import pytest

from runtime.wheel_store import WheelCache, WheelLedger, index_wheel
from storage.blocks import MemoryBlockStore
from storage.errors import UnavailableError, VerificationError
from storage.unixfs_import import Importer
from verifier.model import Wheel


@pytest.fixture
def store():
    return MemoryBlockStore()


@pytest.fixture
def data(make_wheel):
    return make_wheel("omega", "1.0", files={"omega/big.bin": os.urandom(3 << 20)})


@pytest.fixture
def wheel(store, data):
    return Wheel(
        name="omega",
        version="1.0",
        file_name="omega-1.0-py3-none-any.whl",
        sha256=hashlib.sha256(data).hexdigest(),
        wheel=Importer(store).bytes(data).cid,
    )


def test_the_file_is_made_once_and_its_descriptor_reads_the_wheel(tmp_path, store, wheel, data):
    cache = WheelCache(tmp_path)
    with cache.open(wheel, store) as file:
        assert os.pread(file.fileno(), len(data) + 1, 0) == data
        assert file.read() == data
        assert index_wheel(file)
    with cache.open(wheel, MemoryBlockStore()) as file:
        assert file.read() == data
    assert [path.name for path in tmp_path.iterdir()] == [f"{wheel.sha256}.whl"]


@pytest.mark.parametrize("harm", ["flip", "cut", "empty"])
def test_a_file_that_was_harmed_is_found_and_made_anew(tmp_path, store, wheel, data, harm):
    cache = WheelCache(tmp_path)
    cache.open(wheel, store).close()
    (path,) = tmp_path.iterdir()
    path.chmod(0o644)
    middle = len(data) // 2
    flipped = data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :]
    path.write_bytes({"flip": flipped, "cut": data[:middle], "empty": b""}[harm])
    with pytest.raises(UnavailableError):
        cache.open(wheel, MemoryBlockStore())
    with cache.open(wheel, store) as file:
        assert file.read() == data


def test_a_lock_whose_cid_and_hash_disagree_is_refused(tmp_path, store, wheel):
    other = Wheel(**{**{n: getattr(wheel, n) for n in wheel.__dataclass_fields__}, "sha256": "00" * 32})
    with pytest.raises(VerificationError, match="other bytes than its lock names"):
        WheelCache(tmp_path).open(other, store)
    assert list(tmp_path.iterdir()) == []


def test_missing_blocks_leave_nothing_behind(tmp_path, wheel):
    with pytest.raises(UnavailableError):
        WheelCache(tmp_path).open(wheel, MemoryBlockStore())
    assert list(tmp_path.iterdir()) == []


def test_many_at_once_get_the_same_file(tmp_path, store, wheel, data):
    cache, seen, gate = WheelCache(tmp_path), [], threading.Barrier(8)

    def work():
        gate.wait()
        with cache.open(wheel, store) as file:
            seen.append(file.read() == data)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert seen == [True] * 8
    assert len(list(tmp_path.iterdir())) == 1


def test_the_ledger_recalls_what_is_whole(tmp_path, store, wheel):
    ledger = WheelLedger(tmp_path)
    assert ledger.recall(wheel.sha256, store) is None
    ledger.remember(wheel.sha256, wheel.wheel)
    assert ledger.recall(wheel.sha256, store) == wheel.wheel


def test_the_ledger_forgets_what_is_missing_harmed_or_another_wheel(tmp_path, store, wheel):
    ledger = WheelLedger(tmp_path)
    ledger.remember(wheel.sha256, wheel.wheel)
    assert ledger.recall(wheel.sha256, MemoryBlockStore()) is None
    ledger.remember("11" * 32, wheel.wheel)
    assert ledger.recall("11" * 32, store) is None
    (tmp_path / wheel.sha256).write_text("not a CID")
    assert ledger.recall(wheel.sha256, store) is None


def test_the_ledger_finds_a_harmed_block(tmp_path, wheel, data):
    store = MemoryBlockStore()
    Importer(store).bytes(data)
    ledger = WheelLedger(tmp_path)
    ledger.remember(wheel.sha256, wheel.wheel)
    assert ledger.recall(wheel.sha256, store) == wheel.wheel
    key = max(store._blocks, key=lambda key: len(store._blocks[key]))
    store._blocks[key] = b"x" + store._blocks[key][1:]
    assert ledger.recall(wheel.sha256, store) is None
