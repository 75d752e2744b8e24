"""Images: the same bytes whoever makes them and in whatever order, and nothing in them that a task could not bear."""

import dataclasses
import json

import pytest

from runtime.image_source import choose_images
from runtime.pyodide_engine import PyodideEngine
from tests.adversary.escapes.side_module import side_module, wheel, with_wheel
from tests.integration.conftest import House, assert_same_machine

pytestmark = [pytest.mark.integration, pytest.mark.xdist_group("images")]

USES_NUMPY = {
    "function.py": (
        "import random\nimport numpy\n\ndef main(data):\n"
        "    drawn = [float(numpy.random.rand()), float(numpy.random.default_rng().random()), random.random()]\n"
        "    return [*drawn, numpy.random.randint(1000)]\n"
    ),
    "requirements.txt": "numpy==2.4.3\n",
}


@pytest.fixture(scope="module")
def home(session_home, session_store, tmp_path_factory, caches):
    with House(session_store, session_home, tmp_path_factory.mktemp("scratch"), caches) as house:
        yield house


def engine_with(home: House, images_dir) -> PyodideEngine:
    given = home.engine
    return PyodideEngine(runtimes_dir=given.runtimes_dir, wheels_dir=given.wheels_dir, images_dir=images_dir)


def images(house: House, plan) -> list:
    """Return (CID, memory, page hashes, state) of the images that a plan's task may start from, the best first."""
    found = []
    for key in choose_images(plan, house.store).keys:
        image = house.engine._source().cache.open(key)
        found.append((image.cid, image.memory.read(), image.page_hashes, image.state_text))
        image.close()
    return found


def test_two_machines_make_the_same_images(home, monkeypatch, tmp_path):
    """With other caches, from another directory, in another environment, another lock first."""
    plain = home.plan("def main(data):\n    return 1\n")
    package = home.plan(
        {"function.py": "import six\nimport json\n\ndef main(data):\n    return six.PY3\n", "requirements.txt": "six\n"}
    )
    other = home.plan({"function.py": "import idna\n\ndef main(data):\n    return 2\n", "requirements.txt": "idna\n"})
    here = [home.execute(plan) for plan in (plain, package)]
    monkeypatch.chdir(tmp_path)
    for name, value in {"TZ": "Asia/Tokyo", "LANG": "tr_TR.UTF-8", "PYTHONHASHSEED": "7"}.items():
        monkeypatch.setenv(name, value)
    engine = engine_with(home, tmp_path / "images")
    there = home.replaced(engine=engine)
    try:
        assert there.execute(other).exit_code == 0
        for plan, expected in ((package, here[1]), (plain, here[0])):
            assert_same_machine(there.execute(plan), expected)
            assert images(there, plan) == images(home, plan)
    finally:
        engine.stop()
    assert len({cid for cid, *_ in images(home, package)}) == 3


def signed(number: int) -> bytes:
    """Return a positive number in LEB128, as a constant in WebAssembly has it."""
    return bytes([number & 127 | 128, number >> 7 & 127 | 128, number >> 14 & 127 | 128, number >> 21])


NAUGHTY = {
    "prints.py": b"print('hello')\nHERE = True\n",
    "fails.py": b"import sys\nsys.fails_was_here = True\nraise RuntimeError('not today')\n",
    "draws.py": b"import os\nDRAWN = os.urandom(4).hex()\n",
    "writes.py": b"import os\nos.makedirs('/tmp/cache')\nopen('/tmp/cache/table', 'w').write('written')\n",
    "opens.py": b"HELD = open('/tmp/held', 'w')\n",
    "ends.py": b"import os\nos._exit(3)\n",
    "reads.py": b"import os\nFOUND = os.environ.get('SWITCH', 'off')\n",
    "shadowed.py": b"WHERE = 'package'\n",
    "fine.py": b"HELLO = 1\n",
}


def with_package(house: House, source, members=NAUGHTY, **request):
    """Plan a function whose lock has one more package, of these modules."""
    return with_wheel(house.plan(source, **request), wheel(members), house.store)


def modules_of(house: House, plan) -> set[str]:
    """Names of what is in the best image of a plan, of the package's."""
    image = house.engine._source().cache.open(choose_images(plan, house.store).keys[0])
    modules = set(image.state["modules"])
    image.close()
    return modules & {name.removesuffix(".py") for name in NAUGHTY}


LOOKS = """
import os, sys
def main(data, name=""):
    names = sorted(name for name in sys.modules if name in ("fine", "prints", "fails", "draws", "writes", "opens"))
    failed = []
    for name in ("prints", "fails", "draws", "writes", "opens"):
        try: __import__(name)
        except Exception as error: failed.append(f"{name}: {error}")
    found = sorted(os.path.join(folder, file) for folder, _, files in os.walk("/tmp") for file in files)
    text = open("/tmp/cache/table").read()
    return [names, failed, found, text, hasattr(sys, "fails_was_here"), sys.modules["draws"].DRAWN]
"""


def test_imports_that_an_image_would_hide_are_left_to_the_task(home):
    source = "import fine\n" + "".join(
        f'"""\nimport {name}\n"""\n' for name in ("prints", "fails", "draws", "writes", "opens", "ends")
    )
    plan = with_package(home, source + LOOKS, seed="01")
    first, second = home.execute(plan), home.execute(plan)
    assert_same_machine(second, first)
    assert first.exit_code == 0, first.stderr
    names, failed, found, text, was_here, drawn = json.loads(first.result)
    assert modules_of(home, plan) == {"fine", "writes"}
    assert names == ["fine", "writes"]
    assert failed == ["fails: not today"]
    assert first.stdout == "hello\n"
    assert (found, text, was_here) == (["/tmp/cache/table", "/tmp/held"], "written", True)
    other = json.loads(home.execute(with_package(home, source + LOOKS, seed="02")).result)
    assert other[-1] != drawn


def test_a_file_of_an_image_is_there_for_every_task_whatever_the_last_one_did_to_it(home):
    source = """
import writes
import os
def main(data, change=""):
    text = open("/tmp/cache/table").read()
    if change:
        open("/tmp/cache/table", "w").write("changed")
        os.rename("/tmp/cache", "/tmp/elsewhere")
    return text
"""
    plan, change = with_package(home, source), with_package(home, source, args=("change=1",))
    assert [home.execute(each).result for each in (plan, change, plan, change, plan)] == ["written"] * 5


def test_the_functions_own_module_comes_before_a_packages(home):
    function = {"function.py": "import shadowed\n\ndef main(data):\n    return shadowed.WHERE\n"}
    assert home.execute(with_package(home, function)).result == "package"
    function["shadowed.py"] = "WHERE = 'function'\n"
    assert home.execute(with_package(home, function)).result == "function"
    indirect = {**function, "function.py": "import own\n\ndef main(data):\n    return own.shadowed.WHERE\n"}
    indirect["own.py"] = "import fine\nimport shadowed\n"
    assert home.execute(with_package(home, indirect)).result == "function"


def test_the_functions_own_module_comes_before_the_standard_librarys(home):
    function = {
        "function.py": "import statistics, csv\n\ndef main(data):\n    return [statistics.mean([3]), csv.__name__]\n"
    }
    assert home.run(function).result == '[3,"csv"]'
    function["statistics.py"] = "def mean(_):\n    return 'mine'\n"
    assert home.run(function).result == '["mine","csv"]'


def test_packages_see_the_tasks_environment(home):
    source = "import reads\n\ndef main(data):\n    return reads.FOUND\n"
    results = [home.execute(with_package(home, source, env=env)).result for env in ((), ("SWITCH=on",), ())]
    assert results == ["off", "on", "off"]


def test_a_task_with_less_memory_than_the_image_runs_without_it(home):
    """The package's module is too large for the task; it does not need it."""
    members = {"large.py": b"HELD = bytearray(120 << 20)\n", "fine.py": b"HELLO = 1\n"}
    source = "try_it = None\nimport fine\n\ndef main(data):\n    return fine.HELLO\n\n'''\nimport large\n'''\n"
    small, large = (with_package(home, source, members, memory=memory) for memory in ("64Mb", "512Mb"))
    assert [home.execute(plan).result for plan in (small, large, small)] == ["1", "1", "1"]
    best = choose_images(small, home.store).keys[0]
    image = home.engine._source().cache.open(best)
    size, modules = image.memory_bytes, image.state["modules"]
    image.close()
    assert "large" in modules
    assert small.input.limits.memory < size < large.input.limits.memory
    assert home.execute(small).execution.state_digest != home.execute(large).execution.state_digest


def test_the_seed_decides_what_numpy_draws(home):
    one, same, other = (home.run(USES_NUMPY, seed=seed, memory="1Gb") for seed in ("01", "01", "02"))
    assert one.exit_code == 0, one.stderr
    assert_same_machine(same, one)
    assert all(a != b for a, b in zip(json.loads(one.result), json.loads(other.result), strict=True))
    unseeded = [home.run({**USES_NUMPY}, memory="1Gb", epoch=epoch).result for epoch in (1, 2)]
    assert unseeded[0] != unseeded[1]


def test_a_module_that_writes_where_it_has_no_business_leaves_every_task_the_same(home):
    """Its start function stores near the end of memory, where an image is empty, if it finds no Python there yet."""
    heap = [b"\x41" + signed(address) + b"\x28\2\0" for address in range(15_000_000, 18_000_000, 100_000)]
    is_new = heap[0] + b"".join(load + b"\x72" for load in heap[1:]) + b"\x45"
    end_of_memory = b"\x3f\0\x41\x10\x74\x41\xe8\x07\x6b"  # memory.size << 16, less 1,000
    store = end_of_memory + b"\x41\xc1\0\x3a\0\0"
    load_library = "import ctypes\nctypes.CDLL(__file__.replace('stray.py', 'writing_far.so'))\nHERE = 1\n"
    members = {
        "writing_far.so": side_module(is_new + b"\x04\x40" + store + b"\x0b", kind=0, starts=True),
        "stray.py": load_library.encode(),
    }
    plan = with_package(home, "import stray\n\ndef main(data):\n    return stray.HERE\n", members)
    first, second = home.execute(plan), home.execute(plan)
    assert first.exit_code == 0, first.stderr
    image = home.engine._source().cache.open(choose_images(plan, home.store).keys[0])
    image.close()
    assert "stray" in image.state["modules"]
    assert_same_machine(second, first)
    alone = dataclasses.replace(home.engine, keeps_workers=False)
    assert_same_machine(home.replaced(engine=alone).execute(plan), first)
