"""Compiled modules on disk: they are code, so what is not certainly ours is not there."""

import os

import pytest

from runtime import wasm_cache
from runtime.wasm_cache import CompiledCache

MODULE, OTHER, RUNTIME = b"module", b"other", b"runtime"


@pytest.fixture
def directory(tmp_path):
    return tmp_path / "modules"


def only_file(directory):
    (path,) = directory.iterdir()
    return path


def test_what_was_kept_is_found_for_this_module_runtime_and_machine(directory, monkeypatch):
    cache = CompiledCache(directory)
    assert cache.find(MODULE, RUNTIME) is None
    cache.keep(MODULE, RUNTIME, b"code")
    assert cache.find(MODULE, RUNTIME) == b"code"
    assert cache.find(OTHER, RUNTIME) is None
    assert cache.find(MODULE, OTHER) is None
    monkeypatch.setattr(wasm_cache, "machine_text", lambda: "another processor")
    assert cache.find(MODULE, RUNTIME) is None


def test_it_is_its_owners_alone(directory):
    CompiledCache(directory).keep(MODULE, RUNTIME, b"code")
    assert directory.stat().st_mode & 0o777 == 0o700
    assert only_file(directory).stat().st_mode & 0o777 == 0o600


def test_what_was_changed_is_not_there(directory):
    cache = CompiledCache(directory)
    cache.keep(MODULE, RUNTIME, b"code")
    path = only_file(directory)
    whole = path.read_bytes()
    for harmed in (whole[:-1], whole + b"x", whole[:5] + b"x" + whole[6:], b""):
        path.write_bytes(harmed)
        assert cache.find(MODULE, RUNTIME) is None
    path.write_bytes(whole)
    assert cache.find(MODULE, RUNTIME) == b"code"


def test_what_others_could_write_is_not_there(directory):
    cache = CompiledCache(directory)
    cache.keep(MODULE, RUNTIME, b"code")
    path = only_file(directory)
    for mode in (0o620, 0o602):
        path.chmod(mode)
        assert cache.find(MODULE, RUNTIME) is None
    path.chmod(0o600)
    elsewhere = path.rename(directory.parent / "elsewhere")
    path.symlink_to(elsewhere)
    assert cache.find(MODULE, RUNTIME) is None


def test_nothing_is_put_where_others_can_write(directory):
    directory.mkdir()
    directory.chmod(0o777)
    CompiledCache(directory).keep(MODULE, RUNTIME, b"code")
    assert list(directory.iterdir()) == []


def test_a_full_cache_gives_up_what_was_used_last_long_ago(directory):
    cache = CompiledCache(directory, max_bytes=200)
    for number, name in enumerate((b"a", b"b", b"c")):
        cache.keep(name, RUNTIME, bytes(30))
        for path in directory.iterdir():
            os.utime(path, ns=(number, number)) if path.stat().st_mtime_ns > 10**9 else None
    os.utime(next(path for path in directory.iterdir() if path.stat().st_mtime_ns == 0), ns=(9, 9))
    cache.keep(b"d", RUNTIME, bytes(30))
    assert [cache.find(name, RUNTIME) is not None for name in (b"a", b"b", b"c", b"d")] == [True, False, True, True]
    cache.keep(b"e", RUNTIME, bytes(500))
    assert cache.find(b"e", RUNTIME) is None


def test_a_directory_that_cannot_be_made_is_no_failure(tmp_path):
    (tmp_path / "file").write_text("")
    cache = CompiledCache(tmp_path / "file" / "modules")
    cache.keep(MODULE, RUNTIME, b"code")
    assert cache.find(MODULE, RUNTIME) is None


@pytest.mark.parametrize(("goes_on", "most_s"), [(True, 0.0), (False, 3600.0)])
def test_who_waits_goes_on_when_its_worker_has_ended_or_it_has_waited_long_enough(directory, goes_on, most_s):
    """As where another process is suspended while it compiles."""
    cache, entered = CompiledCache(directory), []
    with (
        cache.alone(MODULE, RUNTIME, pytest.fail, goes_on=pytest.fail, most_s=60.0),
        cache.alone(MODULE, RUNTIME, pytest.fail, goes_on=lambda: goes_on, most_s=most_s),
    ):
        entered.append(True)
    assert entered
    assert list(directory.iterdir()) == []


def test_where_there_can_be_no_lock_each_goes_on_for_itself(tmp_path):
    (tmp_path / "file").touch()
    with CompiledCache(tmp_path / "file" / "modules").alone(
        MODULE, RUNTIME, pytest.fail, goes_on=pytest.fail, most_s=60.0
    ):
        pass
