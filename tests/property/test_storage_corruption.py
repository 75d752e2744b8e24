"""One flipped bit anywhere is found, named and refused: in each block, in a CAR, and under a tar stream."""

import io
import sqlite3

import pytest

from storage.blocks import MemoryBlockStore
from storage.car import read_car, write_car
from storage.cid import CID, DAG_PB, RAW, cid_of_digest, cid_text, make_cid, split_cid
from storage.dag_tar import DagTar
from storage.dag_walk import walk
from storage.errors import UnavailableError, UserError, VerificationError
from storage.sqlite_block_store import SqliteBlockStore
from storage.sqlite_pins import Pin, check_whole, hold, pin
from storage.sqlite_verify import verify
from storage.unixfs_export import export
from storage.unixfs_import import Importer
from storage.unixfs_profile import V1_2025
from storage.unixfs_read import UnixfsReader

TINY = type(V1_2025)(
    name="tiny",
    cid_version=1,
    chunk_bytes=8,
    links_per_node=3,
    raw_leaves=True,
    shard_estimate=V1_2025.shard_estimate,
    shard_threshold_bytes=300,
)


def tree(store):
    """Make a directory with a deep file, a shard, a symlink and small files; no two blocks are alike."""
    importer = Importer(store, TINY)
    shard = importer.directory({f"name {n}": importer.bytes(b"%d" % n) for n in range(12)})
    deep = importer.bytes(bytes(range(80)))
    return importer.directory({"deep": deep, "link": importer.symlink("deep"), "shard": shard}).cid


def flip(data, at):
    changed = bytearray(data)
    changed[at // 8] ^= 1 << at % 8
    return bytes(changed)


@pytest.fixture
def damaged(tmp_path):
    """Yield each block of the tree in turn, with a store in which one bit of it is flipped."""

    def each():
        plain = MemoryBlockStore()
        root = tree(plain)
        blocks = list(walk(plain, root))
        assert len(blocks) > 25
        with SqliteBlockStore(tmp_path / "blocks.sqlite") as store:
            store.put_many(blocks)
            for number, (cid, data) in enumerate(blocks):
                harm(tmp_path / "blocks.sqlite", cid, flip(data, number * 37 % (8 * len(data))))
                yield store, root, cid
                store.put(cid, data)
            assert verify(store, [root], silent).corrupt == ()

    return each


def harm(path, cid, data):
    connection = sqlite3.connect(path)
    changed = connection.execute("UPDATE blocks SET data = ? WHERE digest = ?", (data, split_cid(cid).digest))
    assert changed.rowcount == 1
    connection.commit()
    connection.close()


def silent(_phrase):
    pass


def test_a_flipped_bit_of_any_block_is_named_by_whoever_reads_it(damaged, tmp_path):
    for number, (store, root, cid) in enumerate(damaged()):
        target = tmp_path / f"out-{number}"
        readers = {
            "get": lambda store=store, cid=cid: store.get(cid),
            "walk": lambda store=store, root=root: list(walk(store, root)),
            "car": lambda store=store, root=root: write_car(io.BytesIO(), [root], walk(store, root)),
            "tar": lambda store=store, root=root: DagTar(UnixfsReader(store), root).read(),
            "export": lambda store=store, root=root, target=target: export(UnixfsReader(store), root, target),
        }
        for name, read in readers.items():
            with pytest.raises(VerificationError, match="does not match its CID") as caught:
                read()
            assert caught.value.where == cid_text(cid), name
        assert not target.exists()


def test_verify_names_exactly_the_damaged_block(damaged):
    for store, root, cid in damaged():
        found = verify(store, [root], silent)
        assert found.corrupt == (cid_of_digest(RAW, split_cid(cid).digest),)
        assert found.missing == ()


def test_a_damaged_node_is_neither_pinned_nor_held(damaged):
    for store, root, cid in damaged():
        if cid[1] == DAG_PB:
            for keep in (
                lambda store=store, root=root: pin(store, Pin(name="x", cid=root, profile=None, created_at=0)),
                lambda store=store, root=root: hold(store, root),
            ):
                with pytest.raises(VerificationError, match="does not match its CID"):
                    keep()


def test_a_flipped_bit_of_a_car_never_gives_a_whole_dag_unnoticed():
    store = MemoryBlockStore()
    root = tree(store)
    stream = io.BytesIO()
    write_car(stream, [root], walk(store, root))
    whole = stream.getvalue()
    refused = [at for at in range(0, 8 * len(whole), 7) if is_refused(flip(whole, at), root)]
    # The rest name a block by another codec or version of the CID: its bytes are checked and are the same.
    assert len(refused) > 0.97 * len(whole) * 8 / 7


def is_refused(data, root):
    """Tell whether a CAR is refused with the place; if it is not, it must have given every block as it is."""
    plain = MemoryBlockStore()
    tree(plain)
    try:
        assert take(data, root) == list(walk(plain, root))
    except (VerificationError, UnavailableError, UserError) as error:
        return bool(error.where)
    return False


def take(data, root):
    """Take a CAR as a whole DAG: what it says its root is, all of it, nothing missing."""
    archive, taken = read_car(io.BytesIO(data)), MemoryBlockStore()
    taken.put_many(archive.blocks)
    if archive.roots != (root,):
        raise VerificationError("another root", where=cid_text(CID(archive.roots[0])) if archive.roots else "none")
    check_whole(taken, archive.roots)
    return list(walk(taken, root))


def test_a_cut_of_a_car_is_noticed_at_every_byte():
    store = MemoryBlockStore()
    root = tree(store)
    stream = io.BytesIO()
    write_car(stream, [root], walk(store, root))
    for size in range(len(stream.getvalue())):
        with pytest.raises((VerificationError, UnavailableError)):
            take(stream.getvalue()[:size], root)


def test_the_tree_has_blocks_of_every_kind():
    store = MemoryBlockStore()
    kinds = {cid[1] for cid, _ in walk(store, tree(store))}
    assert kinds == {RAW, DAG_PB}
    assert UnixfsReader(store).stat(make_cid(RAW, b"7")).size == 1
