"""The real distribution and, through the machine's own settings, the real package index."""

import zipfile
from pathlib import Path

import pytest

from runtime.distribution import Kind, read_distribution
from runtime.downloads import Downloads
from runtime.lock import lock_requirements, standard_sources
from runtime.pylock import guest_tags
from runtime.requirements import parse_requirements
from runtime.resolve import Origin, resolve
from runtime.resolver_client import Question, UvResolver
from runtime.stub_index import write_stub_index
from runtime.wheel_store import WheelCache, index_wheel
from storage.blocks import MemoryBlockStore
from storage.cid import cid_text
from storage.errors import UnavailableError, UserError
from tests.requirements_gate import need
from verifier.model import store_node

pytestmark = pytest.mark.integration

LOCK_FILE = Path(__file__).parents[2] / "node_modules" / "pyodide" / "pyodide-lock.json"
STACK = "numpy\npandas\nscipy\nscikit-learn\nmatplotlib\npillow\nlxml\nsympy\n"


@pytest.fixture(scope="module")
def distribution():
    return read_distribution(LOCK_FILE)


@pytest.fixture(scope="module")
def stubs(distribution, tmp_path_factory):
    return write_stub_index(distribution, tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="module")
def registry():
    """The package index that this machine is set up for."""
    try:
        UvResolver().ask(Question(requirements="humanize\n", python="3.14", dependencies=False))
    except UnavailableError as error:
        need("registry", False, error.problem)


def test_every_wheel_of_the_distribution_runs_in_the_guest(distribution):
    accepted = {str(tag) for tag in guest_tags(distribution.python, distribution.platform)}
    for package in distribution.wheels():
        _, _, pythons, abis, platform = package.file_name.removesuffix(".whl").rsplit("-", 4)
        tags = {f"{python}-{abi}-{platform}" for python in pythons.split(".") for abi in abis.split(".")}
        assert tags & accepted, package.file_name


def test_every_package_of_the_distribution_resolves_from_the_distribution_alone(distribution, stubs):
    text = "".join(f"{package.name}\n" for package in distribution.wheels())
    requirements = parse_requirements(text, python=distribution.python)
    resolution = resolve(requirements, distribution=distribution, stubs=stubs, resolver=UvResolver())
    assert resolution.origin is Origin.DISTRIBUTION
    assert len(resolution.wheels) == len([p for p in distribution.packages.values() if p.kind is Kind.WHEEL])


def test_the_documentation_lists_the_packages_of_the_distribution(distribution):
    text = (Path(__file__).parents[2] / "docs" / "packages.md").read_text("utf-8")
    listed = text.split("## Packages of the runtime")[1].split("\n\n")[1].replace("**", "").replace("\n", " ")
    assert listed.split(", ") == [package.name for package in distribution.wheels()]


def test_the_scientific_stack_locks_to_the_known_cid(registry, distribution, tmp_path):
    store, resolver = MemoryBlockStore(), UvResolver()
    with Downloads() as downloads:
        sources = standard_sources(
            distribution=distribution, pyodide="314.0.3", downloads=downloads, resolver=resolver, cache_dir=tmp_path
        )
        lock = lock_requirements(STACK, distribution=distribution, store=store, sources=sources, cache_dir=tmp_path)
    cache, total = WheelCache(tmp_path / "wheels"), 0
    for wheel in lock.wheels:
        with cache.open(wheel, store) as file:
            members = index_wheel(file, where=wheel.file_name)
            file.seek(0)
            with zipfile.ZipFile(file) as archive:
                total += len([name for name in archive.namelist() if not name.endswith("/")])
        assert members
    assert total > 5000
    assert cid_text(store_node(store, lock)) == "bafyreic5gbq6ky6fuxpfjkshfgflsm5dysdb375z3tzkvhqk3epxrl7x4m"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("torch\n", "torch has no WebAssembly wheel"),
        ("pandas\nnumpy<2\n", "line 2: numpy<2 has no WebAssembly wheel; the runtime has numpy"),
        ("docopt\n", "only source"),
    ],
)
def test_what_the_index_has_not_for_the_guest_is_told(registry, distribution, stubs, text, said):
    requirements = parse_requirements(text, python=distribution.python)
    with pytest.raises(UserError, match=said):
        resolve(requirements, distribution=distribution, stubs=stubs, resolver=UvResolver())


def test_a_pure_package_is_taken_as_of_the_runtimes_release(registry, distribution, stubs):
    requirements = parse_requirements("humanize\n", python=distribution.python)
    resolution = resolve(requirements, distribution=distribution, stubs=stubs, resolver=UvResolver())
    assert resolution.origin is Origin.SNAPSHOT
    assert [wheel.version for wheel in resolution.wheels] == ["4.16.0"]
