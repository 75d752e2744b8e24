"""What the services of this environment do for whoever asks them again and again."""

from bacalhau.services import default_services
from runtime.capacity import Room
from runtime.pool_capacity import PoolCapacity
from storage.cid import RAW, make_cid

OWN = make_cid(RAW, b"this release's")


def test_the_runtime_is_made_once_however_many_strangers_ask_for_others(tmp_path, monkeypatch):
    made = []
    monkeypatch.setenv("BACALHAU_DIR", str(tmp_path))
    monkeypatch.setattr("runtime.npm_client.pyodide_package", lambda cache_dir: cache_dir)
    monkeypatch.setattr("runtime.prepared_runtime.make_runtime", lambda package, store: made.append(store) or OWN)
    knows = default_services().knows_runtime
    assert not any(knows(make_cid(RAW, b"%d" % number)) for number in range(10))
    assert knows(OWN)
    assert len(made) == 1


def test_engines_of_one_run_share_what_the_machine_has(tmp_path, monkeypatch):
    monkeypatch.setenv("BACALHAU_DIR", str(tmp_path))
    monkeypatch.setattr("runtime.engine_host.find_host", lambda name: name)
    make = default_services().make_engine
    first = make(room=Room(cpu_milli=3000, memory_bytes=5 << 30))
    assert first.pool.capacity == PoolCapacity(workers=3, memory_bytes=5 << 30)
    assert make("bun", beside=first).pool is first.pool
    assert make().pool is not first.pool
