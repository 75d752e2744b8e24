"""Images: made once per key, whole or not at all, checked whenever they are opened."""

from __future__ import annotations

import errno
import hashlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

import pytest

from runtime import image_entry
from runtime.image_cache import ImageCache, Make
from runtime.image_entry import OpenImage
from runtime.image_model import PAGE_BYTES, ImageKey
from runtime.image_pages import BLOCK_BYTES, STATE_PAGE_BYTES, hash_parts
from storage.cid import DAG_CBOR, cid_text, make_cid
from storage.errors import UnavailableError

STATE = {"modules": ["json", "numpy"], "heap": 1.5, "text": "é", "none": None}
HARMED = "an image on the disk was harmed: replacing it"


def key_of(seed: int) -> ImageKey:
    return ImageKey(runtime=make_cid(DAG_CBOR, bytes([seed])), lock=None, preload=(("json", ()), ("numpy", ("array",))))


def memory_of(seed: int, pages: int = 3) -> bytes:
    return b"".join(hashlib.sha256(bytes([seed, page])).digest() * (PAGE_BYTES // 32) for page in range(pages))


def maker(seed: int, pages: int = 3) -> Make:
    def make(memory: BinaryIO) -> Mapping[str, Any]:
        memory.write(memory_of(seed, pages))
        return STATE

    return make


def refuse(_memory: BinaryIO) -> Mapping[str, Any]:
    raise AssertionError("made again")


@pytest.fixture
def cache(tmp_path: Path) -> ImageCache:
    return ImageCache(tmp_path / "images")


def put(cache: ImageCache, seed: int, pages: int = 3) -> None:
    cache.open_or_make(key_of(seed), maker(seed, pages)).close()


def contents(opened: OpenImage) -> tuple[str, Mapping[str, Any], bytes]:
    with opened:
        assert opened.memory.tell() == 0
        memory = opened.memory.read()
    assert len(memory) == opened.memory_bytes
    pages = [memory[at : at + STATE_PAGE_BYTES] for at in range(0, len(memory), STATE_PAGE_BYTES)]
    assert opened.page_hashes == b"".join(hashlib.sha256(page).digest() for page in pages)
    return cid_text(opened.cid), opened.state, memory


def names_in(tmp_path: Path) -> set[str]:
    return {path.name for path in (tmp_path / "images").iterdir()}


def test_the_second_time_it_is_there(cache: ImageCache, tmp_path: Path) -> None:
    assert cache.open(key_of(1)) is None
    made = contents(cache.open_or_make(key_of(1), maker(1)))
    assert made[1:] == (STATE, memory_of(1))
    for again in (cache, ImageCache(tmp_path / "images")):
        found = again.open(key_of(1))
        assert found is not None
        assert contents(found) == made
        assert contents(again.open_or_make(key_of(1), refuse)) == made
    assert names_in(tmp_path) == {key_of(1).name}


def test_the_cid_is_the_same_everywhere(cache: ImageCache, tmp_path: Path) -> None:
    def other_order(memory: BinaryIO) -> Mapping[str, Any]:
        memory.writelines(memory_of(1)[at : at + 1000] for at in range(0, 3 * PAGE_BYTES, 1000))
        return dict(reversed(STATE.items()))

    expected = "bafyreif7dd5zucjbmxz4vv2ncn2ljgtokibj7qdhwy6g2djc7pbzkx3j2q"
    assert contents(cache.open_or_make(key_of(1), maker(1)))[0] == expected
    assert contents(ImageCache(tmp_path / "other").open_or_make(key_of(1), other_order))[0] == expected


def test_a_memory_may_be_written_through_its_descriptor(cache: ImageCache) -> None:
    def make(memory: BinaryIO) -> Mapping[str, Any]:
        os.pwrite(memory.fileno(), memory_of(1), 0)
        return STATE

    assert contents(cache.open_or_make(key_of(1), make))[2] == memory_of(1)


def test_files_are_not_writable_and_the_descriptor_is_for_reading(cache: ImageCache, tmp_path: Path) -> None:
    with cache.open_or_make(key_of(1), maker(1)) as opened, pytest.raises(OSError, match="Bad file descriptor"):
        os.write(opened.memory.fileno(), b"x")
    assert {path.stat().st_mode & 0o777 for path in (tmp_path / "images" / key_of(1).name).iterdir()} == {0o444}


def harm(path: Path, how: str) -> None:
    path.chmod(0o644)
    data = bytearray(path.read_bytes())
    if how == "missing":
        path.unlink()
    elif how == "directory":
        path.unlink()
        path.mkdir()
    elif how == "flipped":
        data[len(data) // 2] ^= 1
        path.write_bytes(data)
    else:
        path.write_bytes({"empty": b"", "short": data[:-1], "long": data + b"\0", "zeros": bytes(len(data))}[how])


@pytest.mark.parametrize("how", ["missing", "directory", "flipped", "empty", "short", "long", "zeros"])
@pytest.mark.parametrize("name", ["memory", "pages", "state.json", "manifest"])
@pytest.mark.parametrize("restarted", [False, True])
def test_a_harmed_image_is_made_again(cache: ImageCache, tmp_path: Path, name: str, how: str, restarted: bool) -> None:
    first = contents(cache.open_or_make(key_of(1), maker(1)))
    harm(tmp_path / "images" / key_of(1).name / name, how)
    again = ImageCache(tmp_path / "images") if restarted else cache
    assert again.open(key_of(1)) is None
    phrases: list[str] = []
    assert contents(again.open_or_make(key_of(1), maker(1), phrases.append)) == first
    assert phrases == [HARMED]
    assert contents(again.open_or_make(key_of(1), refuse)) == first
    assert names_in(tmp_path) == {key_of(1).name}


def test_each_page_is_checked(cache: ImageCache, tmp_path: Path) -> None:
    put(cache, 1, pages=70)  # enough for two threads
    path = tmp_path / "images" / key_of(1).name / "memory"
    path.chmod(0o644)
    with path.open("r+b") as file:
        for at in range(17, 70 * PAGE_BYTES, PAGE_BYTES):
            (byte,) = os.pread(file.fileno(), 1, at)
            os.pwrite(file.fileno(), bytes([byte ^ 1]), at)
            assert cache.open(key_of(1)) is None
            os.pwrite(file.fileno(), bytes([byte]), at)
    cache.open_or_make(key_of(1), refuse).close()


def test_something_else_in_the_place_is_moved_away(cache: ImageCache, tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / key_of(1).name).write_text("a file")
    assert cache.open(key_of(1)) is None
    put(cache, 1)
    assert names_in(tmp_path) == {key_of(1).name}


def test_the_image_of_another_key_is_not_taken(cache: ImageCache, tmp_path: Path) -> None:
    put(cache, 1)
    (tmp_path / "images" / key_of(1).name).rename(tmp_path / "images" / key_of(2).name)
    assert cache.open(key_of(2)) is None
    assert contents(cache.open_or_make(key_of(2), maker(2)))[2] == memory_of(2)


def test_a_memory_is_hashed_once_as_long_as_it_is_as_it_was(
    cache: ImageCache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hashed: list[int] = []

    def counted(descriptor: int, size: int, part_bytes: int) -> bytes:
        if part_bytes == BLOCK_BYTES:
            hashed.append(size)
        return hash_parts(descriptor, size, part_bytes)

    monkeypatch.setattr(image_entry, "hash_parts", counted)
    put(cache, 1)
    put(cache, 1)
    assert len(hashed) == 1
    restarted = ImageCache(tmp_path / "images")
    put(restarted, 1)
    put(restarted, 1)
    assert len(hashed) == 2
    os.utime(tmp_path / "images" / key_of(1).name / "memory", ns=(5, 5))
    put(restarted, 1)
    assert len(hashed) == 3


def test_what_make_raises_goes_to_the_caller(cache: ImageCache, tmp_path: Path) -> None:
    def make(memory: BinaryIO) -> Mapping[str, Any]:
        memory.write(memory_of(1))
        raise BrokenPipeError("the worker died")

    with pytest.raises(BrokenPipeError):
        cache.open_or_make(key_of(1), make)
    assert names_in(tmp_path) == set()
    put(cache, 1)


@pytest.mark.parametrize("size", [0, 1, PAGE_BYTES - 1, PAGE_BYTES + 1])
def test_a_memory_that_is_not_made_of_pages_is_refused(cache: ImageCache, tmp_path: Path, size: int) -> None:
    def make(memory: BinaryIO) -> Mapping[str, Any]:
        memory.write(bytes(size))
        return STATE

    with pytest.raises(ValueError, match="not made of pages"):
        cache.open_or_make(key_of(1), make)
    assert names_in(tmp_path) == set()


def test_a_state_that_is_not_json_is_refused(cache: ImageCache, tmp_path: Path) -> None:
    def make(memory: BinaryIO) -> Mapping[str, Any]:
        memory.write(memory_of(1))
        return {"heap": float("nan")}

    with pytest.raises(ValueError, match="JSON"):
        cache.open_or_make(key_of(1), make)
    assert names_in(tmp_path) == set()


def test_a_directory_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    cache = ImageCache(tmp_path / "file" / "images")
    assert cache.open(key_of(1)) is None
    assert cache.entries() == []
    with pytest.raises(UnavailableError, match="cannot be written: not a directory") as caught:
        cache.open_or_make(key_of(1), refuse)
    assert caught.value.where == str(tmp_path / "file" / "images")
    assert "BACALHAU_DIR" in caught.value.fix


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT])
def test_no_room_is_told_in_one_sentence(cache: ImageCache, tmp_path: Path, code: int) -> None:
    def make(memory: BinaryIO) -> Mapping[str, Any]:
        memory.write(b"x")
        raise OSError(code, os.strerror(code))

    with pytest.raises(UnavailableError, match="make room there") as caught:
        cache.open_or_make(key_of(1), make)
    assert caught.value.where == str(tmp_path / "images")
    assert names_in(tmp_path) == set()
