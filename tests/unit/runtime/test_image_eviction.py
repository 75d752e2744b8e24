"""Which images go when there are too many bytes."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

import pytest

from runtime.image_cache import ImageCache
from runtime.image_model import PAGE_BYTES, ImageKey
from runtime.image_shelf import CachedImage, discard, eviction_order, list_images
from storage.cid import DAG_CBOR, make_cid

ROOM = PAGE_BYTES + 4096
"""For an image of one page and what describes it."""


def key_of(seed: int) -> ImageKey:
    return ImageKey(runtime=make_cid(DAG_CBOR, bytes([seed])), lock=None)


def put(cache: ImageCache, seed: int, pages: int = 1) -> None:
    def make(memory: BinaryIO) -> Mapping[str, Any]:
        memory.write(bytes([seed]) * pages * PAGE_BYTES)
        return {"seed": seed}

    cache.open_or_make(key_of(seed), make).close()


@pytest.fixture
def images(tmp_path: Path) -> Path:
    return tmp_path / "images"


def seeds_in(cache: ImageCache) -> list[int]:
    names = {key_of(seed).name: seed for seed in range(1, 10)}
    return [names[image.name] for image in cache.entries()]


def test_the_least_recently_used_go(images: Path) -> None:
    cache = ImageCache(images, max_bytes=3 * ROOM)
    for seed in (1, 2, 3):
        put(cache, seed)
    assert seeds_in(cache) == [1, 2, 3]
    first = cache.open(key_of(1))
    assert first is not None
    first.close()
    assert seeds_in(cache) == [2, 3, 1]
    put(cache, 4)
    assert seeds_in(cache) == [3, 1, 4]
    put(cache, 5, pages=2)
    assert seeds_in(cache) == [4, 5]
    assert sum(image.size_bytes for image in cache.entries()) <= 3 * ROOM


def test_what_is_open_stays_and_the_next_one_goes(images: Path) -> None:
    cache = ImageCache(images, max_bytes=2 * ROOM)
    put(cache, 1)
    with cache.open_or_make(key_of(1), lambda _: {}) as opened:
        put(cache, 2)
        put(cache, 3)
        assert seeds_in(cache) == [1, 3]
        assert opened.memory.read() == bytes([1]) * PAGE_BYTES
    put(cache, 4)
    assert seeds_in(cache) == [3, 4]


def test_an_image_larger_than_the_limit_is_used_and_goes_first(images: Path) -> None:
    cache = ImageCache(images, max_bytes=2 * ROOM)
    put(cache, 1)
    put(cache, 2, pages=5)
    assert seeds_in(cache) == [1, 2], "it takes nothing else with it"
    opened = cache.open(key_of(2))
    assert opened is not None
    with opened:
        assert opened.memory.read() == bytes([2]) * 5 * PAGE_BYTES
        put(cache, 3)
        assert seeds_in(cache) == [1, 2, 3]
    put(cache, 4)
    assert seeds_in(cache) == [3, 4]


def test_the_time_of_use_is_not_that_of_access(images: Path) -> None:
    cache = ImageCache(images)
    for seed in (1, 2):
        put(cache, seed)
    for path in (images / key_of(1).name).iterdir():
        os.utime(path, ns=(1 << 62, path.stat().st_mtime_ns))
        path.read_bytes()
    assert seeds_in(cache) == [1, 2]


def test_harmed_images_are_listed_without_a_cid_and_can_be_removed(images: Path) -> None:
    cache = ImageCache(images)
    put(cache, 1)
    put(cache, 2)
    (images / key_of(1).name / "manifest").unlink()
    (images / key_of(2).name / "memory").unlink()
    harmed, other = cache.entries()
    assert (harmed.name, harmed.cid, harmed.last_used_ns) == (key_of(1).name, None, 0)
    assert harmed.size_bytes > PAGE_BYTES > other.size_bytes
    for seed in (1, 2, 3):
        assert cache.remove(key_of(seed).name)
    assert cache.entries() == []
    assert list(images.iterdir()) == []


def test_names_that_are_no_keys_are_left_alone(images: Path) -> None:
    cache = ImageCache(images, max_bytes=1)
    images.mkdir()
    for name in ("notes", "other.lock", ".partial-other"):
        (images / name).mkdir()
    put(cache, 1)
    put(cache, 2)
    assert cache.remove("../images")
    assert {path.name for path in images.iterdir()} == {"notes", "other.lock", ".partial-other", key_of(2).name}


def test_an_image_can_be_read_when_it_is_discarded(images: Path) -> None:
    cache = ImageCache(images)
    put(cache, 1)
    with cache.open_or_make(key_of(1), lambda _: {}) as opened:
        discard(images, key_of(1).name)
        discard(images, key_of(1).name)
        assert list_images(images) == []
        assert opened.memory.read() == bytes([1]) * PAGE_BYTES
    assert list(images.iterdir()) == []


def test_the_order_is_that_of_use_behind_what_never_fits() -> None:
    def image(name: str, size: int, used: int) -> CachedImage:
        return CachedImage(name=name, cid=None, size_bytes=size, last_used_ns=used)

    images = [image("c", 1, 5), image("large", 11, 9), image("b", 10, 2), image("a", 10, 2)]
    assert [image.name for image in eviction_order(images, 10)] == ["large", "a", "b", "c"]
