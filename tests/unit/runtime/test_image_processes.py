"""Several processes and threads want images at once; some of them are killed."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, BinaryIO

import pytest

from runtime.image_cache import ImageCache
from runtime.image_model import PAGE_BYTES, ImageKey
from storage import file_lock
from storage.cid import DAG_CBOR, make_cid

STAND_IN = Path(__file__).with_name("image_maker_stand_in.py")
WAITING = "waiting for another process that makes this image"


def key_of(seed: int) -> ImageKey:
    return ImageKey(runtime=make_cid(DAG_CBOR, bytes([seed])), lock=None)


def make_one(memory: BinaryIO) -> Mapping[str, Any]:
    memory.write(bytes([1]) * 10 * PAGE_BYTES)
    return {"seed": 1}


def refuse(_memory: BinaryIO) -> Mapping[str, Any]:
    raise AssertionError("made again")


class Other:
    """Another process at work."""

    def __init__(self, directory: Path, seed: int, *limits: int) -> None:
        command = [sys.executable, str(STAND_IN), str(directory), str(seed), *map(str, limits)]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1)

    def line(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().rstrip("\n")

    def go_on(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write("\n")

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def end(self) -> None:
        with self.process:
            self.process.kill()


Start = Callable[..., Other]


@pytest.fixture
def images(tmp_path: Path) -> Path:
    return tmp_path / "images"


@pytest.fixture
def start(images: Path) -> Iterator[Start]:
    others: list[Other] = []

    def start_one(seed: int, *limits: int) -> Other:
        others.append(Other(images, seed, *limits))
        return others[-1]

    yield start_one
    for other in others:
        other.end()


def names_in(images: Path) -> set[str]:
    return {path.name for path in images.iterdir()}


def test_processes_make_an_image_once(start: Start, images: Path) -> None:
    first = start(1)
    assert first.line() == "making"
    others = [start(1) for _ in range(3)]
    assert [other.line() for other in others] == [WAITING] * 3
    first.go_on()
    opened = first.line()
    assert opened.startswith("open bafyrei")
    assert [other.line() for other in others] == [opened] * 3
    for each in (first, *others):
        each.go_on()
        assert each.line() == "read True"
        assert each.process.wait() == 0
    assert names_in(images) == {key_of(1).name}


def test_threads_make_an_image_once(images: Path) -> None:
    cache, waiting, made = ImageCache(images), threading.Semaphore(0), []

    def make(memory: BinaryIO) -> Mapping[str, Any]:
        for _ in range(3):
            waiting.acquire()
        made.append(True)
        return make_one(memory)

    def take(_: int) -> bytes:
        with cache.open_or_make(key_of(1), make, lambda phrase: waiting.release() if phrase == WAITING else None) as it:
            return it.memory.read()

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(take, range(4))) == [bytes([1]) * 10 * PAGE_BYTES] * 4
    assert made == [True]


def test_images_of_other_keys_do_not_wait(start: Start) -> None:
    first, second = start(1), start(2)
    assert (first.line(), second.line()) == ("making", "making")


def test_after_a_killed_maker_the_next_one_makes_it(start: Start, images: Path) -> None:
    first = start(1)
    assert first.line() == "making"
    others = [start(1), start(1)]
    assert [other.line() for other in others] == [WAITING] * 2
    first.kill()
    # Which of the two is next is the kernel's choice: the one that is makes it and says so, the other opens it.
    for other in others:
        other.go_on()
    lines = [other.line() for other in others]
    assert sorted(line.split()[0] for line in lines) == ["making", "open"]
    maker = others[lines.index("making")]
    assert maker.line() == next(line for line in lines if line != "making")
    assert names_in(images) == {key_of(1).name}


def test_what_a_killed_maker_left_is_removed_and_what_a_living_one_makes_is_kept(start: Start, images: Path) -> None:
    dead, living = start(1), start(2)
    assert (dead.line(), living.line()) == ("making", "making")
    dead.kill()
    left = {f".partial-{key_of(1).name}", f"{key_of(1).name}.lock"}
    kept = {f".partial-{key_of(2).name}", f"{key_of(2).name}.lock"}
    assert names_in(images) == left | kept
    (images / ".trash-left").mkdir()
    ImageCache(images).open_or_make(key_of(3), make_one).close()
    assert names_in(images) == kept | {key_of(3).name}
    living.go_on()
    assert living.line().startswith("open ")
    assert names_in(images) == {key_of(2).name, key_of(3).name}


def test_no_room_for_the_memory_leaves_nothing(start: Start, images: Path) -> None:
    other = start(1, 5 * PAGE_BYTES)
    assert other.line() == "making"
    other.go_on()
    line = other.line()
    assert line.startswith(f"error UnavailableError {images}: cannot be written: file too large; make room there")
    assert names_in(images) == set()


def test_what_another_process_reads_is_not_evicted(start: Start, images: Path) -> None:
    reader = start(1)
    assert reader.line() == "making"
    reader.go_on()
    assert reader.line().startswith("open ")
    cache = ImageCache(images, max_bytes=1)
    cache.open_or_make(key_of(2), make_one).close()
    assert not cache.remove(key_of(1).name)
    assert names_in(images) == {key_of(1).name, key_of(2).name}
    reader.go_on()
    assert reader.line() == "read True"
    reader.process.wait()
    cache.open_or_make(key_of(3), make_one).close()
    assert names_in(images) == {key_of(3).name}


def test_a_descriptor_that_was_handed_on_holds_the_image(images: Path) -> None:
    cache = ImageCache(images)
    with cache.open_or_make(key_of(1), make_one) as opened:
        command = [sys.executable, "-c", "input()"]
        worker = subprocess.Popen(command, stdin=subprocess.PIPE, pass_fds=[opened.memory.fileno()])
    assert not cache.remove(key_of(1).name)
    worker.communicate(b"\n")
    assert cache.remove(key_of(1).name)
    assert cache.open(key_of(1)) is None


def test_readers_keep_what_is_taken_from_under_them(images: Path) -> None:
    """Eviction at every step of a reader: it sees the whole image, or none."""
    cache, done = ImageCache(images, max_bytes=1), threading.Event()
    seen: list[bool] = []

    def read() -> None:
        reader = ImageCache(images)
        while not done.is_set() or True not in seen:
            opened = reader.open(key_of(1))
            seen.append(opened is not None)
            if opened is not None:
                with opened:
                    assert opened.memory.read() == bytes([1]) * 10 * PAGE_BYTES
                    assert opened.state == {"seed": 1}

    with ThreadPoolExecutor(2) as pool:
        readers = [pool.submit(read) for _ in range(2)]
        for _ in range(100):
            cache.open_or_make(key_of(1), make_one).close()
            cache.open_or_make(key_of(2), make_one).close()
        done.set()
        cache.open_or_make(key_of(1), make_one).close()
        for each in readers:
            each.result()


@pytest.mark.parametrize("replaced", [False, True])
def test_an_image_evicted_between_opening_and_locking_is_none(
    images: Path, monkeypatch: pytest.MonkeyPatch, replaced: bool
) -> None:
    cache, share = ImageCache(images), file_lock.share
    cache.open_or_make(key_of(1), make_one).close()

    def share_late(file: BinaryIO) -> None:
        monkeypatch.setattr(file_lock, "share", share)
        assert cache.remove(key_of(1).name)
        if replaced:
            cache.open_or_make(key_of(1), make_one).close()
        share(file)

    monkeypatch.setattr(file_lock, "share", share_late)
    assert cache.open(key_of(1)) is None
    cache.open_or_make(key_of(1), refuse if replaced else make_one).close()


def test_descriptors_are_closed(images: Path) -> None:
    cache = ImageCache(images)
    cache.open_or_make(key_of(1), make_one).close()
    before = len(os.listdir("/dev/fd"))  # noqa: PTH208
    for seed in (1, 2):
        cache.open_or_make(key_of(seed), make_one).close()
    (images / key_of(1).name / "pages").unlink()
    assert cache.open(key_of(1)) is None
    with pytest.raises(AssertionError, match="made again"):
        cache.open_or_make(key_of(1), refuse)
    assert len(os.listdir("/dev/fd")) == before  # noqa: PTH208
