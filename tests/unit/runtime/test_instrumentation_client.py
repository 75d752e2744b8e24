"""Packs of instrumented modules, made by the real Node."""

from __future__ import annotations

import dataclasses
import hashlib
import io
import shutil
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import js_host
from runtime.instrumentation_client import InstrumentedCache, Rewriter
from runtime.instrumented_pack import InstrumentedPack
from runtime.node_client import find_node
from runtime.wheel_index import index_wheel
from storage.errors import UnavailableError, UserError, VerificationError

MAGIC = b"\0asm\1\0\0\0"
DYLINK = b"\0\x09\x08dylink.0"
# (func (export "f") (result f64) (f64.div (f64.const 0) (f64.const 0)))
DIVIDE = b"\1\5\1\x60\0\1\x7c\3\2\1\0\7\5\1\1f\0\0\x0a\x17\1\x15\0\x44" + bytes(8) + b"\x44" + bytes(8) + b"\xa3\x0b"
SIDE = MAGIC + DYLINK + DIVIDE
SCRIPT = MAGIC + DYLINK + b"\1\4\1\x60\0\0\3\2\1\0\7\x0f\1\x0b__em_js__ow\0\0\x0a\4\1\2\0\x0b"
ILL_TYPED = SIDE.replace(b"\xa3\x0b", b"\xa0\x0b").replace(b"\x60\0\1\x7c", b"\x60\0\1\x7f")


@pytest.fixture(scope="module")
def rewriter() -> Rewriter:
    return Rewriter(host_dir=js_host.HOST_DIR, node=find_node())


@pytest.fixture
def cache(tmp_path: Path, rewriter: Rewriter) -> InstrumentedCache:
    return InstrumentedCache(tmp_path / "cache", rewriter)


def make_wheel(path: Path, members: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in {**members, "a-1.dist-info/RECORD": b""}.items():
            archive.writestr(name, content)
    return path


def open_wheel(cache: InstrumentedCache, path: Path) -> InstrumentedPack:
    with path.open("rb") as file:
        members = index_wheel(file, where=path.name)
        return cache.open_wheel(file, hashlib.sha256(path.read_bytes()).hexdigest(), members, where=path.name)


def contents(pack: InstrumentedPack) -> dict[str, bytes]:
    with pack.file as file:
        found = {}
        for module in pack.modules:
            file.seek(module.offset)
            found[module.name] = file.read(module.size)
            assert hashlib.sha256(found[module.name]).hexdigest() == module.sha256
        return found


def names_in(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_the_main_module_exports_the_counter(cache: InstrumentedCache, tmp_path: Path) -> None:
    path = tmp_path / "main.wasm"
    path.write_bytes(MAGIC + DIVIDE)
    made = contents(cache.open_main(path))
    assert list(made) == ["main.wasm"]
    assert made["main.wasm"].startswith(MAGIC)
    assert b"__faas_fuel" in made["main.wasm"]


def test_side_modules_of_a_wheel_import_the_counter(cache: InstrumentedCache, tmp_path: Path) -> None:
    wheel = make_wheel(tmp_path / "a.whl", {"a/x.so": SIDE, "a/y.so": SIDE + b"\0\2\1n", "a/z.py": b"pass"})
    made = contents(open_wheel(cache, wheel))
    assert list(made) == ["a/x.so", "a/y.so"]
    assert made["a/x.so"] == made["a/y.so"], "custom sections are dropped"
    assert b"\3env\x0b__faas_fuel\3\x7e\1" in made["a/x.so"]


def test_a_wheel_without_modules_needs_no_node(tmp_path: Path, rewriter: Rewriter) -> None:
    node = dataclasses.replace(rewriter.node, binary=tmp_path / "no-node")
    cache = InstrumentedCache(tmp_path / "cache", dataclasses.replace(rewriter, node=node))
    assert contents(open_wheel(cache, make_wheel(tmp_path / "a.whl", {"a/z.py": b"pass"}))) == {}


def test_libraries_of_other_systems_are_left_out(cache: InstrumentedCache, tmp_path: Path) -> None:
    wheel = make_wheel(tmp_path / "a.whl", {"a/x.so": SIDE, "a/linux.so": b"\x7fELF\2", "a/empty.so": b""})
    assert list(contents(open_wheel(cache, wheel))) == ["a/x.so"]


def test_the_second_time_the_pack_is_there(tmp_path: Path, rewriter: Rewriter) -> None:
    wheel = make_wheel(tmp_path / "a.whl", {"a/x.so": SIDE})
    first = contents(open_wheel(InstrumentedCache(tmp_path / "cache", rewriter), wheel))
    broken = dataclasses.replace(rewriter, node=dataclasses.replace(rewriter.node, binary=tmp_path / "no-node"))
    assert contents(open_wheel(InstrumentedCache(tmp_path / "cache", broken), wheel)) == first


@pytest.mark.parametrize("place", [0, 40, -1, -20, -40])
def test_a_harmed_pack_is_made_anew(cache: InstrumentedCache, tmp_path: Path, place: int) -> None:
    wheel = make_wheel(tmp_path / "a.whl", {"a/x.so": SIDE})
    first = contents(open_wheel(cache, wheel))
    (pack,) = (tmp_path / "cache").iterdir()
    pack.chmod(0o644)
    harmed = bytearray(pack.read_bytes())
    harmed[place] ^= 1
    pack.write_bytes(harmed)
    assert contents(open_wheel(cache, wheel)) == first


@pytest.mark.parametrize("size", [0, 10, 36, 100])
def test_a_pack_cut_short_is_made_anew(cache: InstrumentedCache, tmp_path: Path, size: int) -> None:
    wheel = make_wheel(tmp_path / "a.whl", {"a/x.so": SIDE})
    first = contents(open_wheel(cache, wheel))
    (pack,) = (tmp_path / "cache").iterdir()
    pack.chmod(0o644)
    pack.write_bytes(pack.read_bytes()[:size])
    assert contents(open_wheel(cache, wheel)) == first


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (SCRIPT, "carries JavaScript"),
        (SIDE[:-1], "unexpected end"),
        (ILL_TYPED, "not a valid module"),
        (MAGIC + DIVIDE, "a side module begins with section dylink.0"),
    ],
)
def test_a_refused_module_is_named_and_leaves_nothing(
    cache: InstrumentedCache, tmp_path: Path, content: bytes, problem: str
) -> None:
    wheel = make_wheel(tmp_path / "bad-1.whl", {"a/good.so": SIDE, "a/bad.so": content})
    with pytest.raises(UserError) as caught:
        open_wheel(cache, wheel)
    assert caught.value.where == "bad-1.whl"
    assert f"a/bad.so is refused: {problem}" in caught.value.problem
    assert names_in(tmp_path / "cache") == set()


def test_a_refused_main_module_is_no_fault_of_the_user(cache: InstrumentedCache, tmp_path: Path) -> None:
    path = tmp_path / "main.wasm"
    path.write_bytes(MAGIC + DIVIDE[:-3])
    with pytest.raises(VerificationError, match="main module is refused"):
        cache.open_main(path)


def test_without_node_nothing_is_known(tmp_path: Path, rewriter: Rewriter) -> None:
    node = dataclasses.replace(rewriter.node, binary=tmp_path / "no-node")
    cache = InstrumentedCache(tmp_path / "cache", dataclasses.replace(rewriter, node=node))
    with pytest.raises(UnavailableError, match="Node could not be started"):
        open_wheel(cache, make_wheel(tmp_path / "a.whl", {"a/x.so": SIDE}))
    assert names_in(tmp_path / "cache") == set()


def test_a_rewriter_that_dies_says_why(tmp_path: Path, rewriter: Rewriter) -> None:
    host = tmp_path / "host"
    shutil.copytree(js_host.HOST_DIR, host, ignore=shutil.ignore_patterns("__pycache__", "guest"))
    (host / "instrument" / "instrument.mjs").write_text("export const instrument = undefined;")
    cache = InstrumentedCache(tmp_path / "cache", dataclasses.replace(rewriter, host_dir=host))
    with pytest.raises(UnavailableError, match="instrument is not a function"):
        open_wheel(cache, make_wheel(tmp_path / "a.whl", {"a/x.so": SIDE}))


def test_another_rewriter_is_another_version(tmp_path: Path, rewriter: Rewriter) -> None:
    host = tmp_path / "host"
    shutil.copytree(js_host.HOST_DIR, host, ignore=shutil.ignore_patterns("__pycache__", "guest"))
    copy = dataclasses.replace(rewriter, host_dir=host)
    assert copy.version == rewriter.version
    with (host / "instrument" / "opcodes.mjs").open("a") as file:
        file.write("\n")
    assert copy.version != rewriter.version
    wheel = make_wheel(tmp_path / "a.whl", {"a/x.so": SIDE})
    for each in (rewriter, copy):
        contents(open_wheel(InstrumentedCache(tmp_path / "cache", each), wheel))
    assert len(names_in(tmp_path / "cache")) == 2


def test_many_at_once_make_one_pack(cache: InstrumentedCache, tmp_path: Path) -> None:
    wheel = make_wheel(tmp_path / "a.whl", {"a/x.so": SIDE})
    with ThreadPoolExecutor(4) as pool:
        made = list(pool.map(lambda _: contents(open_wheel(cache, wheel)), range(4)))
    assert all(each == made[0] for each in made)
    assert len(names_in(tmp_path / "cache")) == 1


def test_what_is_stored_is_read_like_what_is_deflated(cache: InstrumentedCache, tmp_path: Path) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr("a/x.so", SIDE)
        archive.writestr("a-1.dist-info/RECORD", b"")
    stored = tmp_path / "stored.whl"
    stored.write_bytes(buffer.getvalue())
    deflated = make_wheel(tmp_path / "deflated.whl", {"a/x.so": SIDE})
    assert contents(open_wheel(cache, stored)) == contents(open_wheel(cache, deflated))
