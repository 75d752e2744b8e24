"""What the machine gives to a pool, read from files of a made-up machine."""

import os
from pathlib import Path

import pytest

from runtime import pool_capacity
from runtime.machine_client import UNKNOWN_MEMORY_BYTES, usable_cores, usable_memory_bytes
from runtime.pool_capacity import PoolCapacity


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """Eight cores and 16 GiB, of which 12 are free; the process is in the group a/b."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(8)), raising=False)
    proc, groups = tmp_path / "proc", tmp_path / "cgroup"
    (proc / "self").mkdir(parents=True)
    (groups / "a" / "b").mkdir(parents=True)
    (proc / "meminfo").write_text(f"MemTotal: {16 << 20} kB\nMemFree: 1 kB\nMemAvailable:   {12 << 20} kB\n")
    (proc / "self" / "mounts").write_text(f"proc /proc proc rw 0 0\ncgroup2 {groups} cgroup2 rw 0 0\n")
    (proc / "self" / "cgroup").write_text("0::/a/b\n")
    return proc, groups


def test_a_machine_without_bounds(machine):
    proc, groups = machine
    (groups / "a" / "b" / "cpu.max").write_text("max 100000\n")
    (groups / "a" / "b" / "memory.max").write_text("max\n")
    assert usable_cores(proc) == 8
    assert usable_memory_bytes(proc) == 12 << 30


@pytest.mark.parametrize("group", ["a/b", "a", "."])
def test_a_group_bounds_what_is_inside(machine, group):
    proc, groups = machine
    (groups / group / "cpu.max").write_text("250000 100000\n")
    (groups / group / "memory.max").write_text(f"{2 << 30}\n")
    assert usable_cores(proc) == 2
    assert usable_memory_bytes(proc) == 2 << 30


def test_a_bound_above_what_there_is(machine):
    proc, groups = machine
    (groups / "cpu.max").write_text("6400000 100000\n")
    (groups / "memory.max").write_text(f"{64 << 30}\n")
    assert usable_cores(proc) == 8
    assert usable_memory_bytes(proc) == 12 << 30


def test_less_than_a_core_is_one(machine):
    proc, groups = machine
    (groups / "cpu.max").write_text("50000 100000\n")
    assert usable_cores(proc) == 1


@pytest.mark.parametrize("text", ["", "1", "x y", "1 0", "-1 5"])
def test_nonsense_bounds_nothing(machine, text):
    proc, groups = machine
    (groups / "cpu.max").write_text(text)
    (groups / "memory.max").write_text("-1")
    assert usable_cores(proc) == 8
    assert usable_memory_bytes(proc) == 12 << 30


def test_no_proc(tmp_path, monkeypatch):
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    monkeypatch.setattr(os, "sysconf", {"SC_PHYS_PAGES": 1 << 20, "SC_PAGE_SIZE": 4096}.__getitem__)
    assert usable_cores(tmp_path) == 1
    assert usable_memory_bytes(tmp_path) == 4 << 30


def test_nothing_tells_the_memory(tmp_path, monkeypatch):
    def refuse(name):
        raise ValueError(name)

    monkeypatch.setattr(os, "sysconf", refuse)
    assert usable_memory_bytes(tmp_path) == UNKNOWN_MEMORY_BYTES


def test_capacity_of_a_machine(monkeypatch):
    monkeypatch.setattr(pool_capacity, "usable_cores", lambda: 3)
    monkeypatch.setattr(pool_capacity, "usable_memory_bytes", lambda: 8 << 30)
    assert PoolCapacity.of_machine() == PoolCapacity(workers=3, memory_bytes=6 << 30)


def test_capacity_of_this_machine():
    capacity = PoolCapacity.of_machine()
    assert 1 <= capacity.workers <= (os.cpu_count() or 1)
    if Path("/proc/meminfo").exists():
        assert capacity.memory_bytes < os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.parametrize(("workers", "memory"), [(0, 1), (1, 0), (-1, 5)])
def test_a_pool_for_nobody(workers, memory):
    with pytest.raises(ValueError, match="serves nobody"):
        PoolCapacity(workers=workers, memory_bytes=memory)
