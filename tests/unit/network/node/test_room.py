"""How much a node has: what its operator says, else what the machine has."""

from types import SimpleNamespace

import pytest

from network.messages import Demand
from network.node import room
from network.node.room import total_room
from runtime.pool_capacity import PoolCapacity
from storage.errors import UnavailableError, UserError


@pytest.fixture(autouse=True)
def machine(monkeypatch):
    """A machine of three cores, 6 GiB for workers and 100 GiB of free disk."""
    monkeypatch.setattr(PoolCapacity, "of_machine", lambda: PoolCapacity(workers=3, memory_bytes=6 << 30))
    monkeypatch.setattr("shutil.disk_usage", lambda place: SimpleNamespace(free=100 << 30))


def test_what_the_operator_says_is_taken_as_said(tmp_path):
    assert total_room(tmp_path, cpu="500m", memory="4Gb", disk="0") == Demand(
        cpu_milli=500, memory=4 << 30, disk=0, gpus=0
    )
    assert total_room(tmp_path, cpu="64", memory="1Tb", disk="9Tb").cpu_milli == 64_000


def test_the_rest_is_what_the_machine_has(tmp_path):
    assert total_room(tmp_path) == Demand(cpu_milli=3000, memory=6 << 30, disk=50 << 30, gpus=0)
    assert total_room(tmp_path, cpu="1") == Demand(cpu_milli=1000, memory=6 << 30, disk=50 << 30, gpus=0)


def test_the_real_machine_has_something(tmp_path, monkeypatch):
    monkeypatch.undo()
    has = total_room(tmp_path)
    assert has.cpu_milli >= 1000
    assert has.cpu_milli % 1000 == 0
    assert has.memory > 0
    assert has.gpus == 0


def test_the_disk_is_that_of_the_directory_even_if_it_is_not_there_yet(tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr("shutil.disk_usage", lambda place: asked.append(place) or SimpleNamespace(free=7))
    assert total_room(tmp_path / "not" / "yet").disk == 3
    assert asked == [tmp_path]


def test_a_disk_that_cannot_be_looked_at_is_told_unless_it_is_not_asked(tmp_path, monkeypatch):
    def broken(place):
        raise OSError(5, "Input/output error")

    monkeypatch.setattr("shutil.disk_usage", broken)
    with pytest.raises(UnavailableError, match="give --limit-total-disk"):
        total_room(tmp_path)
    assert total_room(tmp_path, disk="1Gb").disk == 1 << 30


@pytest.mark.parametrize(
    ("limits", "said"),
    [
        ({"cpu": "two"}, "--limit-total-cpu: 'two' is not a number of cores"),
        ({"cpu": "0"}, "--limit-total-cpu: '0' is nothing"),
        ({"cpu": "0m"}, "--limit-total-cpu: '0m' is nothing"),
        ({"memory": "4 cores"}, "--limit-total-memory: '4 cores' is not a size"),
        ({"memory": "0Gb"}, "--limit-total-memory: '0Gb' is nothing"),
        ({"memory": "999999999Tb"}, "--limit-total-memory: '999999999Tb' is more than any machine has"),
        ({"disk": "-1"}, "--limit-total-disk: '-1' is not a size"),
        ({"disk": "999999999Tb"}, "--limit-total-disk: '999999999Tb' is more than any machine has"),
    ],
)
def test_what_is_no_limit(tmp_path, limits, said):
    with pytest.raises(UserError) as raised:
        total_room(tmp_path, **limits)
    assert str(raised.value).startswith(said)


def test_flags_are_named_as_the_command_names_them():
    assert (room.CPU, room.MEMORY, room.DISK) == ("--limit-total-cpu", "--limit-total-memory", "--limit-total-disk")
