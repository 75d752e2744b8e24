import hashlib
import json

import pytest

from runtime import lock as lock_module
from runtime.bundle import PACKAGE
from runtime.lock import lock_requirements, standard_sources
from runtime.resolver_client import UvResolver
from runtime.wheel_sources import CdnSource
from storage.blocks import MemoryBlockStore
from storage.errors import UnavailableError, UserError, VerificationError
from storage.unixfs_read import UnixfsReader
from verifier.model import Lock, store_node

EARLY, LATE = "2026-01-01T00:00:00Z", "2026-09-01T00:00:00Z"


@pytest.fixture
def machine(wheelhouse, downloads, server, uv_environment, tmp_path, monkeypatch):
    """Make machines: each with its own store and caches, all on the loopback server."""
    monkeypatch.setattr(lock_module, "CDN_URL", f"{server.url}/cdn/{{version}}/")
    monkeypatch.setattr(CdnSource, "name", "the CDN")

    class Machine:
        def __init__(self, name, *, index=True):
            url = f"{server.url}/simple" if index else "http://127.0.0.1:9/simple"
            self.store, self.cache_dir, self.phrases = MemoryBlockStore(), tmp_path / name, []
            self.resolver = UvResolver(uv_environment | {"UV_INDEX_URL": url})
            self.sources = standard_sources(
                distribution=wheelhouse.distribution,
                pyodide="314.0.3",
                downloads=downloads,
                resolver=self.resolver,
                cache_dir=self.cache_dir,
            )

        def lock(self, text):
            return lock_requirements(
                text,
                distribution=wheelhouse.distribution,
                store=self.store,
                sources=self.sources,
                cache_dir=self.cache_dir,
                resolver=self.resolver,
                progress=self.phrases.append,
            )

        def left_behind(self):
            return [path for path in self.cache_dir.rglob("*") if path.is_file() and path.name.startswith((".", "tmp"))]

    return Machine


@pytest.fixture
def cdn(server, wheelhouse):
    for name, data in wheelhouse.files.items():
        server.files[f"/cdn/314.0.3/{name}"] = data


def bundle_index(server, wheelhouse, make_wheel):
    files = {f"web/{name}": data for name, data in wheelhouse.files.items()}
    name, version = PACKAGE.split("==")
    file_name = f"{name.replace('-', '_')}-{version}-py3-none-any.whl"
    server.serve_index({name: [(file_name, make_wheel(name, version, files=files), LATE)]})


def test_the_store_holds_the_bytes_that_the_lock_names(machine, cdn, wheelhouse):
    here = machine("a")
    lock = here.lock("alpha\n")
    assert (lock.python, lock.platform) == ("3.14", "pyemscripten_2026_0_wasm32")
    assert [wheel.name for wheel in lock.wheels] == ["alpha", "beta"]
    for wheel in lock.wheels:
        data = UnixfsReader(here.store).read_bytes(wheel.wheel, 1 << 20)
        assert data == wheelhouse.files[wheel.file_name]
        assert hashlib.sha256(data).hexdigest() == wheel.sha256
    assert here.phrases == ["resolving packages", "fetching alpha 1.5", "fetching beta 2.0"]
    assert here.left_behind() == []


def test_the_same_lock_from_every_source_and_every_spelling(machine, cdn, server, wheelhouse, make_wheel):
    by_cdn = machine("cdn").lock("alpha\n")
    server.faults = dict.fromkeys(server.files, 404)
    bundle_index(server, wheelhouse, make_wheel)
    by_bundle = machine("bundle").lock("# the same\nAlpha >= 1 ; python_version > '3'\n\n")
    native = ("alpha-1.5-cp314-cp314-manylinux_2_17_x86_64.whl", make_wheel("alpha", "1.5"), EARLY)
    alpha, beta = (wheelhouse.distribution.packages[name].file_name for name in ("alpha", "beta"))
    published = {
        "alpha": [native, (alpha, wheelhouse.files[alpha], EARLY)],
        "beta": [(beta, wheelhouse.files[beta], EARLY)],
    }
    server.serve_index(published)
    server.faults |= {f"/simple/{PACKAGE.split('==')[0]}/": 404}
    by_index = machine("index").lock("beta\nalpha\n")
    store = MemoryBlockStore()
    assert len({store_node(store, lock) for lock in (by_cdn, by_bundle, by_index)}) == 1


def test_no_requirements_start_nothing(wheelhouse, tmp_path):
    lock = lock_requirements(
        "# none\n",
        distribution=wheelhouse.distribution,
        store=MemoryBlockStore(),
        sources=(),
        cache_dir=tmp_path / "cache",
        resolver=None,
    )
    assert lock == Lock(python="3.14", platform="pyemscripten_2026_0_wasm32", wheels=())
    assert list(tmp_path.iterdir()) == []


def test_a_second_time_nothing_is_asked_or_fetched(machine, cdn, server):
    here = machine("a")
    first = here.lock("alpha\n")
    requests = len(server.requests)
    here.resolver, here.sources = None, ()
    assert here.lock("alpha\n") == first
    assert len(server.requests) == requests


def test_what_was_lost_or_harmed_in_the_store_is_fetched_again(machine, cdn):
    here = machine("a")
    first = here.lock("alpha\n")
    key = next(iter(here.store._blocks))
    here.store._blocks[key] = here.store._blocks[key][:-1] + b"?"
    assert here.lock("alpha\n") == first
    here.store._blocks.clear()
    assert here.lock("alpha\n") == first
    assert UnixfsReader(here.store).open(first.wheels[0].wheel).read()


def test_answers_of_the_day_are_not_remembered_unless_pinned(machine, server, make_wheel):
    here = machine("a")
    server.serve_index({"omega": [("omega-1.0-py3-none-any.whl", make_wheel("omega", "1.0"), LATE)]})
    assert [wheel.version for wheel in here.lock("omega\n").wheels] == ["1.0"]
    assert not list(here.cache_dir.glob("resolutions/*"))
    here.lock("omega==1.0\n")
    (kept,) = here.cache_dir.glob("resolutions/*")
    assert json.loads(kept.read_bytes())["origin"] == "latest"


def test_a_harmed_cache_file_is_as_good_as_none(machine, cdn):
    here = machine("a")
    first = here.lock("alpha\n")
    for path in [*here.cache_dir.glob("resolutions/*"), *here.cache_dir.glob("wheel-cids/*")]:
        path.write_bytes(b"{")
    assert here.lock("alpha\n") == first


def test_nothing_reachable_says_what_was_tried_and_leaves_nothing(machine):
    here = machine("a", index=False)
    with pytest.raises(UnavailableError) as caught:
        here.lock("gamma\n")
    said = str(caught.value)
    assert "gamma 3.0" in said
    assert all(f"{name}: " in said for name in ("the CDN", "the package index", f"the bundle {PACKAGE}"))
    assert here.left_behind() == []
    assert not list(here.cache_dir.glob("wheel-cids/*"))


def test_a_source_that_lies_is_found_and_nothing_stays(machine, cdn, server, wheelhouse):
    server.faults[f"/cdn/314.0.3/{wheelhouse.distribution.packages['gamma'].file_name}"] = "wrong"
    here = machine("a")
    with pytest.raises(VerificationError, match="the CDN gave other bytes for gamma"):
        here.lock("gamma\n")
    assert here.store._blocks == {}
    assert here.left_behind() == []


def test_a_wheel_that_is_not_safe_to_unpack_never_enters_the_store(machine, server, make_wheel):
    data = make_wheel("omega", "1.0", files={"../outside.py": "x"})
    server.serve_index({"omega": [("omega-1.0-py3-none-any.whl", data, EARLY)]})
    here = machine("a")
    with pytest.raises(VerificationError, match=r"omega-1\.0.*check 2"):
        here.lock("omega\n")
    assert here.store._blocks == {}


def test_the_place_of_a_wrong_line_is_the_callers(wheelhouse, tmp_path):
    with pytest.raises(UserError, match=r"^function/requirements\.txt line 1: "):
        lock_requirements(
            "-e .",
            distribution=wheelhouse.distribution,
            store=MemoryBlockStore(),
            sources=(),
            cache_dir=tmp_path,
            where="function/requirements.txt",
        )
