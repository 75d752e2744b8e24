"""The same task gives the same bytes and the same memory, wherever, whenever and beside whatever it runs."""

import dataclasses
import json
import os
import shutil
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.integration.conftest import House
from tests.integration.probed_function import PROBE
from tests.requirements_gate import need

pytestmark = [pytest.mark.integration, pytest.mark.xdist_group("leak probes")]

# Their random parts come from the seed, and a part of them is the time.
SEEDED_AND_TIMED = {"uuids", "message_ids"}


@pytest.fixture(scope="module")
def probed(session_home, session_store, tmp_path_factory, caches):
    with House(session_store, session_home, tmp_path_factory.mktemp("scratch"), caches) as house:
        yield house


@pytest.fixture(scope="module")
def first(probed):
    return probed.run(PROBE)


def test_the_probes_have_something_to_say(first):
    found = json.loads(first.result)
    failed = {name: text for group in found.values() for name, text in group.items() if text.startswith("'failed: ")}
    assert failed == {}
    assert len(found["fixed"]) > 60


def test_another_host_name_changes_nothing(probed, first):
    rename = 'hostname elsewhere && exec "$@"'
    unshare = shutil.which("unshare")
    works = (
        unshare is not None and subprocess.run([unshare, "--uts", "hostname", "elsewhere"], check=False).returncode == 0
    )
    need("uts", works and os.getuid() == 0, "another host name needs root and a namespace of its own")
    host = dataclasses.replace(probed.engine.host, launcher=(unshare, "--uts", "sh", "-c", rename, "sh"))
    there = probed.replaced(engine=dataclasses.replace(probed.engine, host=host)).execute(first.plan)
    assert there.execution.output == first.execution.output
    assert there.state_digest == first.state_digest
    assert there.execution.fuel == first.execution.fuel


def test_five_runs_agree_in_output_and_memory(probed, first, monkeypatch, tmp_path):
    """Two at a time, while a thread keeps a core busy, from another directory with another environment."""
    monkeypatch.chdir(tmp_path)
    for name, value in {"TZ": "Asia/Tokyo", "LANG": "tr_TR.UTF-8", "USER": "mallory", "PYTHONHASHSEED": "7"}.items():
        monkeypatch.setenv(name, value)
    done = threading.Event()

    def spin():
        while not done.is_set():
            sum(range(1000))

    busy = threading.Thread(target=spin)
    busy.start()
    try:
        with ThreadPoolExecutor(2) as pool:
            outcomes = list(pool.map(lambda _: probed.execute(first.plan), range(4)))
    finally:
        done.set()
        busy.join()
    assert {outcome.execution.output for outcome in outcomes} == {first.execution.output}
    assert {outcome.state_digest for outcome in outcomes} == {first.state_digest}
    assert {outcome.execution.fuel for outcome in outcomes} == {first.execution.fuel}


def test_nothing_of_the_host_is_seen(first, session_home):
    text = first.bytes("result") + first.bytes("stderr")
    for secret in (str(session_home), str(Path.cwd()), sys.prefix, "node_modules", "worker.mjs", "pyodide.asm"):
        assert secret.encode() not in text, secret


def groups(outcome):
    return json.loads(outcome.result)


def test_another_seed_changes_what_is_random_and_nothing_else(probed, first):
    one, other = probed.run(PROBE, seed="00"), probed.run(PROBE, seed="01")
    assert {name for name, text in groups(one)["seeded"].items() if text == groups(other)["seeded"][name]} == set()
    assert (groups(one)["timed"], groups(one)["fixed"]) == (groups(other)["timed"], groups(other)["fixed"])
    assert groups(one)["fixed"] == groups(first)["fixed"]
    assert one.execution.output != other.execution.output
    assert one.state_digest != other.state_digest


def test_another_epoch_changes_times_and_nothing_else(probed):
    one, other = probed.run(PROBE, seed="00", epoch=0), probed.run(PROBE, seed="00", epoch=1_700_000_000)
    assert {name for name, text in groups(one)["timed"].items() if text == groups(other)["timed"][name]} == set()
    assert groups(one)["fixed"] == groups(other)["fixed"]
    seeded_but_not_timed = {name: text for name, text in groups(one)["seeded"].items() if name not in SEEDED_AND_TIMED}
    assert seeded_but_not_timed.items() <= groups(other)["seeded"].items()


def test_the_default_seed_is_the_tasks_own(probed):
    source = "import os\ndef main(data, n): return os.urandom(8).hex()\n"
    one, other = probed.run(source, args=("n=1",)), probed.run(source, args=("n=2",))
    assert one.result != other.result
    assert len({probed.run(source, args=(f"n={n}",), seed="2a").result for n in (1, 2)}) == 1
