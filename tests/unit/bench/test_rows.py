"""What measuring needs that can be seen without measuring."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from bench.peak_memory import descendants, high_water_mark, mark_in
from bench.processor_time import below_s, own_s, times_in
from bench.programs import CSV_BYTES, HELLO, JSON, PANDAS
from bench.registry import MEASUREMENTS, choose
from bench.size_rows import Repeated


def test_inputs_differ_by_number_and_have_their_size() -> None:
    for program, size in ((JSON, 10_000), (PANDAS, CSV_BYTES)):
        one, other = program.data(1), program.data(2)
        assert one != other
        assert (program.args(1), one) != (program.args(17), program.data(17))
        assert one == program.data(1)
        assert abs(len(one) - size) < size // 50
    assert HELLO.args(1) != HELLO.args(2)
    assert HELLO.data(1) == b""


def test_the_json_input_is_json() -> None:
    assert len(json.loads(JSON.data(3))) == 160


def test_a_large_input_repeats_its_piece() -> None:
    stream = Repeated(b"abcde", 12)
    parts = iter(lambda: stream.read(4), b"")
    assert b"".join(parts) == b"deabcdeabcde"


def test_rows_are_chosen_by_how_their_names_begin() -> None:
    assert choose([]) == MEASUREMENTS
    assert [one.name for one in choose(["cold", "reset"])] == ["cold-hello", "cold-pandas", "reset"]
    with pytest.raises(ValueError, match="no row begins with 'nothing'"):
        choose(["nothing"])


def test_names_of_rows_are_unique() -> None:
    names = [one.name for one in MEASUREMENTS]
    assert len(set(names)) == len(names)


def test_the_high_water_mark_is_read_from_the_status() -> None:
    assert mark_in("Name:\tnode\nVmHWM:\t    1024 kB\nVmRSS:\t  512 kB\n") == 1 << 20
    assert mark_in("Name:\tnode\nState:\tZ (zombie)\n") == 0


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_child_is_a_descendant_until_it_ends() -> None:
    parent = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    try:
        assert parent.pid in descendants(os.getpid())
    finally:
        parent.communicate(b"\n")
    assert high_water_mark(parent.pid) == 0


def test_processor_time_is_read_from_the_stat_whatever_the_name_is() -> None:
    ticks = os.sysconf("SC_CLK_TCK")
    after = " ".join(["S", *["0"] * 10, str(3 * ticks), str(ticks), str(5 * ticks), str(2 * ticks), "20", "0"])
    assert times_in(f"12 (a) R 1 (b) {after}\n") == (4.0, 7.0)


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_processor_time_is_of_a_process_and_of_what_it_has_waited_for() -> None:
    before = below_s(os.getpid())
    subprocess.run([sys.executable, "-c", "sum(range(5_000_000))"], check=True)
    assert below_s(os.getpid()) > before
    assert own_s(os.getpid()) > 0
