"""Images that travel as blocks: the same bytes and CID on the other side, or an error and nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, BinaryIO

import pytest

from runtime.image_cache import ImageCache
from runtime.image_model import PAGE_BYTES, Image, ImageKey, encode_state
from storage import dag_cbor
from storage.blocks import BlockStore, MemoryBlockStore
from storage.cid import CID, DAG_CBOR, cid_text, make_cid
from storage.dag_walk import walk
from storage.errors import UnavailableError, VerificationError
from storage.unixfs_import import Importer
from storage.unixfs_profile import LEGACY, V1_2025
from storage.unixfs_write import BlockBatch, NodeWriter
from verifier.model import Lock, store_node

RUNTIME, LOCK = make_cid(DAG_CBOR, b"runtime"), make_cid(DAG_CBOR, b"lock")
KEY = ImageKey(runtime=RUNTIME, lock=LOCK, preload=(("numpy", ()),))
# Two leaves of 1 MiB, one shorter, and a state of two leaves.
MEMORY = b"".join(bytes([page]) * PAGE_BYTES for page in range(40))
STATE = {"text": "x" * (1 << 20), "heap": 3}


def make(memory: BinaryIO) -> Mapping[str, Any]:
    memory.write(MEMORY)
    return STATE


@pytest.fixture
def served(tmp_path: Path) -> tuple[CID, MemoryBlockStore]:
    store = MemoryBlockStore()
    cache = ImageCache(tmp_path / "theirs")
    cache.open_or_make(KEY, make).close()
    return cache.export(KEY, store), store


@pytest.fixture
def ours(tmp_path: Path) -> ImageCache:
    return ImageCache(tmp_path / "ours")


def assert_empty(tmp_path: Path) -> None:
    assert list((tmp_path / "ours").iterdir()) == []


class Faulty(MemoryBlockStore):
    """A copy of a DAG in which one block is missing, or other bytes in its place and not checked."""

    def __init__(self, blocks: Iterable[tuple[CID, bytes]], cid: CID, lie: Callable[[bytes], bytes] | None) -> None:
        super().__init__()
        self.put_many((each, data) for each, data in blocks if each != cid)
        self._cid, self._lie = cid, lie
        self._data = next(data for each, data in blocks if each == cid)

    def get(self, cid: CID) -> bytes:
        return self._lie(self._data) if cid == self._cid and self._lie else super().get(cid)


def test_what_is_fetched_is_what_was_made(
    served: tuple[CID, MemoryBlockStore], ours: ImageCache, tmp_path: Path
) -> None:
    cid, store = served
    phrases: list[str] = []
    with ours.fetch(KEY, cid, store, phrases.append) as opened:
        assert (opened.cid, opened.state, opened.memory.read()) == (cid, STATE, MEMORY)
    assert phrases == ["fetching the image"]
    mine, theirs = ((tmp_path / name / KEY.name) for name in ("ours", "theirs"))
    for path in theirs.iterdir():
        assert (mine / path.name).read_bytes() == path.read_bytes()
    with ours.open_or_make(KEY, lambda _: pytest.fail("made again")) as opened:
        assert opened.memory.read() == MEMORY
    again = MemoryBlockStore()
    assert ours.export(cid, again) == cid
    assert list(walk(again, cid_below(again, cid))) == list(walk(store, cid_below(store, cid)))


def cid_below(store: BlockStore, cid: CID) -> CID:
    """Return the memory's CID: an image's node also links a runtime and a lock, which do not belong to it."""
    return Image.from_node(dag_cbor.decode(store.get(cid))).memory


def test_what_is_here_is_not_fetched(served: tuple[CID, MemoryBlockStore], ours: ImageCache) -> None:
    ours.open_or_make(KEY, make).close()
    with ours.fetch(KEY, served[0], MemoryBlockStore()) as opened:
        assert opened.cid == served[0]


def test_another_image_of_the_same_key_is_not_put_over_ours(
    served: tuple[CID, MemoryBlockStore], ours: ImageCache
) -> None:
    ours.open_or_make(KEY, lambda memory: {"written": memory.write(MEMORY[:PAGE_BYTES])}).close()
    with pytest.raises(VerificationError, match="is not the image that this machine has for the same key"):
        ours.fetch(KEY, *served)
    with ours.open_or_make(KEY, make) as opened:
        assert opened.memory.read() == MEMORY[:PAGE_BYTES]


def test_a_harmed_image_is_fetched_again(
    served: tuple[CID, MemoryBlockStore], ours: ImageCache, tmp_path: Path
) -> None:
    ours.fetch(KEY, *served).close()
    (tmp_path / "ours" / KEY.name / "pages").unlink()
    with ours.fetch(KEY, *served) as opened:
        assert opened.memory.read() == MEMORY


@pytest.mark.parametrize(
    "other",
    [
        ImageKey(runtime=LOCK, lock=LOCK, preload=KEY.preload),
        ImageKey(runtime=RUNTIME, lock=None, preload=KEY.preload),
        ImageKey(runtime=RUNTIME, lock=LOCK, preload=(("numpy", ("array",)),)),
    ],
)
def test_an_image_of_another_key_is_refused(
    served: tuple[CID, MemoryBlockStore], ours: ImageCache, tmp_path: Path, other: ImageKey
) -> None:
    with pytest.raises(VerificationError, match="another runtime, lock or preload") as caught:
        ours.fetch(other, *served)
    assert caught.value.where == cid_text(served[0])
    assert_empty(tmp_path)


def blocks_of(served: tuple[CID, MemoryBlockStore]) -> list[tuple[CID, bytes]]:
    cid, store = served
    data = store.get(cid)
    image = Image.from_node(dag_cbor.decode(data))
    return [(cid, data), *walk(store, image.state), *walk(store, image.memory)]


def test_without_any_block_nothing_is_known(
    served: tuple[CID, MemoryBlockStore], ours: ImageCache, tmp_path: Path
) -> None:
    blocks = blocks_of(served)
    assert len(blocks) == 1 + 3 + 4
    for missing, _ in blocks:
        with pytest.raises(UnavailableError, match="block is not in this store") as caught:
            ours.fetch(KEY, served[0], Faulty(blocks, missing, None))
        assert caught.value.where == cid_text(missing)
        assert_empty(tmp_path)


@pytest.mark.parametrize(
    "lie",
    [lambda data: data[:-1] + bytes([data[-1] ^ 1]), lambda data: data[:-1], lambda _: b"", lambda data: data * 2],
)
def test_no_block_is_believed(
    served: tuple[CID, MemoryBlockStore], ours: ImageCache, tmp_path: Path, lie: Callable[[bytes], bytes]
) -> None:
    blocks = blocks_of(served)
    for changed, _ in blocks:
        with pytest.raises(VerificationError):
            ours.fetch(KEY, served[0], Faulty(blocks, changed, lie))
        assert_empty(tmp_path)


def file_of(store: MemoryBlockStore, data: bytes) -> CID:
    return Importer(store).bytes(data).cid


def large_file(store: MemoryBlockStore, leaves: int) -> CID:
    """A file of so many times 1 MiB, in a few blocks."""
    batch = BlockBatch(store)
    with batch.open():
        writer = NodeWriter(batch, V1_2025)
        leaf = writer.leaf(bytes(1 << 20))
        full = writer.parent([leaf] * 1024)
        return writer.parent([full] * (leaves // 1024) + [leaf] * (leaves % 1024)).cid


def in_another_profile(store: MemoryBlockStore, data: bytes) -> CID:
    return Importer(store, LEGACY).bytes(data).cid


def directory(store: MemoryBlockStore) -> CID:
    return Importer(store).directory({}).cid


@pytest.mark.parametrize(
    ("state", "memory", "problem"),
    [
        (lambda store: file_of(store, b"[]"), None, "not a JSON object"),
        (lambda store: file_of(store, b"{"), None, "not JSON"),
        (lambda store: file_of(store, b'{"a": 1}'), None, "not canonical"),
        (lambda store: file_of(store, b'{"a":1e999}'), None, "not canonical"),
        (lambda store: file_of(store, b'{"a":' + b"[" * 100_000), None, "not JSON"),
        (directory, None, "not a file"),
        (lambda store: make_cid(DAG_CBOR, b"x"), None, "not UnixFS"),
        (lambda store: large_file(store, 65), None, "more than 64 MiB"),
        (lambda store: in_another_profile(store, encode_state(STATE)), None, "gives another image"),
        (None, lambda store: file_of(store, b""), "not made of pages"),
        (None, lambda store: file_of(store, bytes(PAGE_BYTES + 1)), "not made of pages"),
        (None, directory, "not a file"),
        (None, lambda store: large_file(store, 4097), "larger than 4 GiB"),
        (None, lambda store: in_another_profile(store, MEMORY), "gives another image"),
    ],
)
def test_what_no_image_has_is_refused(
    ours: ImageCache,
    tmp_path: Path,
    state: Callable[[MemoryBlockStore], CID] | None,
    memory: Callable[[MemoryBlockStore], CID] | None,
    problem: str,
) -> None:
    store = MemoryBlockStore()
    image = Image(
        runtime=RUNTIME,
        lock=LOCK,
        preload=KEY.modules,
        state=state(store) if state else file_of(store, encode_state(STATE)),
        memory=memory(store) if memory else file_of(store, MEMORY),
    )
    with pytest.raises(VerificationError, match=problem):
        ours.fetch(KEY, store_node(store, image), store)
    assert_empty(tmp_path)


def test_another_node_is_no_image(ours: ImageCache, tmp_path: Path) -> None:
    store = MemoryBlockStore()
    lock = store_node(store, Lock(python="3.14", platform="p", wheels=()))
    for cid in (lock, file_of(store, MEMORY)):
        with pytest.raises(VerificationError):
            ours.fetch(KEY, cid, store)
    assert_empty(tmp_path)


def test_only_what_is_here_can_be_exported(served: tuple[CID, MemoryBlockStore], ours: ImageCache) -> None:
    for key_or_cid in (KEY, served[0]):
        with pytest.raises(UnavailableError, match="not in this cache"):
            ours.export(key_or_cid, MemoryBlockStore())


def test_a_harmed_image_is_not_exported(served: tuple[CID, MemoryBlockStore], tmp_path: Path) -> None:
    path = tmp_path / "theirs" / KEY.name / "memory"
    path.chmod(0o644)
    path.write_bytes(MEMORY[::-1])
    store = MemoryBlockStore()
    for key_or_cid in (KEY, served[0]):
        with pytest.raises(UnavailableError):
            ImageCache(tmp_path / "theirs").export(key_or_cid, store)
    assert not store.has(served[0])
