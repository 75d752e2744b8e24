"""How much jobs get: what the operator says, else what the machine has."""

from types import SimpleNamespace

import pytest

from runtime import machine_room as module
from runtime.capacity import Room
from runtime.machine_client import Reading
from runtime.machine_room import MachineRoom, RoomFlags, machine_room
from runtime.nvidia_client import Gpu, GpuReading
from runtime.pool_capacity import PoolCapacity
from storage.errors import UnavailableError, UserError

GPUS = tuple(Gpu(index=number, uuid=f"GPU-{number}", name="H100", memory_bytes=80 << 30) for number in range(2))
NONE = GpuReading(gpus=(), note="nvidia-smi is not on the PATH")
TWO = GpuReading(gpus=GPUS, note="")


@pytest.fixture
def look(tmp_path, monkeypatch):
    """A machine of three cores, 8 GiB of free memory and 100 GiB of free disk, with or without two GPUs."""
    monkeypatch.setattr(module, "read_cpu_milli", lambda: Reading(amount=3000, origin="cgroup: /sys/cpu.max"))
    monkeypatch.setattr(module, "read_memory_bytes", lambda: Reading(amount=8 << 30, origin="machine: memory"))
    monkeypatch.setattr("shutil.disk_usage", lambda place: SimpleNamespace(free=100 << 30))

    def call(found=NONE, **flags) -> MachineRoom:
        return machine_room(tmp_path / "not" / "yet" / "blocks.sqlite", RoomFlags(**flags), find=lambda: found)

    return call


def test_what_the_operator_says_is_taken_as_said(look):
    found = look(total_cpu="500m", total_memory="4Gb", total_disk="0")
    assert found.total == Room(cpu_milli=500, memory_bytes=4 << 30)
    assert look(total_cpu="64", total_memory="1Tb", total_disk="9Tb").total.cpu_milli == 64_000
    assert found.origins["cpu"] == "flag: --limit-total-cpu"


def test_the_rest_is_what_the_machine_has(look, tmp_path):
    found = look()
    assert found.total == found.job_most == Room(cpu_milli=3000, memory_bytes=6 << 30, disk_bytes=50 << 30)
    assert found.origins == {
        "cpu": "cgroup: /sys/cpu.max",
        "memory": "machine: memory, three quarters of it",
        "disk": f"machine: free on the disk of {tmp_path}, half of it",
        "gpu": "machine: nvidia-smi is not on the PATH",
    }
    assert look(total_cpu="1").total == Room(cpu_milli=1000, memory_bytes=6 << 30, disk_bytes=50 << 30)


def test_what_blocks_take_is_there_for_jobs_whose_inputs_they_are(look, tmp_path, monkeypatch):
    blocks = tmp_path / "not" / "yet" / "blocks.sqlite"
    blocks.parent.mkdir(parents=True)
    with blocks.open("wb") as file:
        file.truncate(7 << 30)  # without a byte on the disk
    assert look().total.disk_bytes == 57 << 30
    assert look().origins["disk"].endswith("half of it, and what its blocks take")


def test_a_quota_below_a_core_is_one(look, monkeypatch):
    monkeypatch.setattr(module, "read_cpu_milli", lambda: Reading(amount=250, origin="cgroup: x"))
    assert (look().total.cpu_milli, look().origins["cpu"]) == (1000, "cgroup: x, and one at least")


def test_gpus_are_counted_and_named(look):
    assert (look(TWO).total.gpus, look(TWO).gpus) == (2, GPUS)
    one = look(TWO, total_gpu="1")
    assert (one.total.gpus, one.gpus, one.job_most.gpus) == (1, GPUS[:1], 1)
    assert look(TWO, total_gpu="0").gpus == ()
    assert look(TWO, job_gpu="1").job_most.gpus == 1


def test_what_one_job_gets(look):
    found = look(job_cpu="1500m", job_memory="512Mb", job_disk="2Gb")
    assert found.job_most == Room(cpu_milli=1500, memory_bytes=512 << 20, disk_bytes=2 << 30)
    assert found.total == look().total
    assert found.to_json()[0] == {"of": "cpu", "total": "3", "job": "1500m", "origin": "cgroup: /sys/cpu.max"}


def test_the_real_machine_has_something(tmp_path):
    has = machine_room(tmp_path / "blocks.sqlite")
    assert has.total.cpu_milli >= 1000
    assert has.total.memory_bytes > 0
    assert all(entry["origin"].startswith(("machine: ", "cgroup: ")) for entry in has.to_json())


def test_a_pool_gets_what_jobs_get(look):
    assert PoolCapacity.of_room(look(total_cpu="2500m").total) == PoolCapacity(workers=2, memory_bytes=6 << 30)
    assert PoolCapacity.of_room(look(total_cpu="500m").total).workers == 1


def test_a_disk_that_cannot_be_looked_at_is_told_unless_it_is_not_asked(look, monkeypatch):
    def broken(place):
        raise OSError(5, "Input/output error")

    monkeypatch.setattr("shutil.disk_usage", broken)
    with pytest.raises(UnavailableError, match="cannot be looked at: Input/output error; give --limit-total-disk"):
        look()
    assert look(total_disk="1Gb").total.disk_bytes == 1 << 30


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        ({"total_cpu": "two"}, "--limit-total-cpu: 'two' is not a number of cores; write cores"),
        ({"total_cpu": "0"}, "--limit-total-cpu: '0' is nothing"),
        ({"total_cpu": "0m"}, "--limit-total-cpu: '0m' is nothing"),
        ({"total_memory": "4 cores"}, "--limit-total-memory: '4 cores' is not a size"),
        ({"total_memory": "0Gb"}, "--limit-total-memory: '0Gb' is nothing"),
        ({"total_memory": "999999999Tb"}, "--limit-total-memory: '999999999Tb' is more than any machine has"),
        ({"total_disk": "-1"}, "--limit-total-disk: '-1' is not a size"),
        ({"total_disk": "999999999Tb"}, "--limit-total-disk: '999999999Tb' is more than any machine has"),
        ({"total_gpu": "one"}, "--limit-total-gpu: 'one' is not a number of GPUs; write a whole number"),
        ({"total_gpu": "-1"}, "--limit-total-gpu: '-1' is not a number of GPUs"),
        ({"total_gpu": "1"},
         "--limit-total-gpu: 1 are more than the 0 that are here; nvidia-smi is not on the PATH"),
        ({"job_cpu": "0"}, "--limit-job-cpu: '0' is nothing"),
        ({"job_cpu": "3500m"}, "--limit-job-cpu: 3500m for one job is more than all jobs together get, 3; give less,"),
        ({"job_memory": "7Gb"}, "--limit-job-memory: 7Gb for one job is more than all jobs together get, 6Gb"),
        ({"job_disk": "much"}, "--limit-job-disk: 'much' is not a size"),
        ({"job_disk": "60Gb", "total_disk": "1Gb"},
         "--limit-job-disk: 60Gb for one job is more than all jobs together get, 1Gb"),
        ({"job_gpu": "1"}, "--limit-job-gpu: 1 for one job is more than all jobs together get, 0"),
    ],
)  # fmt: skip
def test_what_is_no_limit(look, flags, said):
    with pytest.raises(UserError) as raised:
        look(**flags)
    assert str(raised.value).startswith(said)
    assert raised.value.fix
