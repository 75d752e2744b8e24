"""Content goes to a real Kubo and comes back, and both give it the same CIDs."""

from __future__ import annotations

import hashlib
import json
import os
import socket
import subprocess
import sys

import pytest

from storage import dag_cbor
from storage.block_source import BlockAbsentError
from storage.blocks import ForgetfulBlockStore, MemoryBlockStore
from storage.car_file import write_car_file
from storage.cid import CID, DAG_CBOR, IDENTITY, RAW, cid_text, make_cid, parse_cid
from storage.content_fetch import ContentFetcher
from storage.dag_fetch import fetch_dag
from storage.dag_walk import walk
from storage.errors import PeerError, UnavailableError
from storage.gateway_client import GatewayClient
from storage.http_client import HttpClient
from storage.kubo_client import KuboClient
from storage.sqlite_block_store import SqliteBlockStore
from storage.unixfs_import import Importer
from storage.unixfs_read import UnixfsReader
from tests.integration.kubo_daemon import KuboDaemon, kubo_binary
from tests.vectors.records.world import World


@pytest.fixture(scope="module")
def daemon(tmp_path_factory):
    with KuboDaemon(kubo_binary(), tmp_path_factory.mktemp("kubo")) as running:
        yield running


@pytest.fixture
def client(daemon):
    one = KuboClient(HttpClient(daemon.url))
    yield one
    one.close()


@pytest.fixture
def here():
    return MemoryBlockStore()


def noise(seed: str, size: int) -> bytes:
    return hashlib.shake_128(seed.encode()).digest(size)


@pytest.fixture
def tree(tmp_path):
    """Several chunks, their edges, an empty file and directory, hidden and strange names, symlinks, a HAMT."""
    root = tmp_path / "tree"
    (root / "sub" / "empty").mkdir(parents=True)
    for size in (0, 1, (1 << 20) - 1, 1 << 20, (1 << 20) + 1, 5_000_000):
        (root / f"{size}.bin").write_bytes(noise(f"{size}", size))
    (root / ".hidden").write_bytes(b"h")
    (root / "sub" / "größe 'x'\n").write_bytes(b"name")
    (root / "sub" / "link").symlink_to("../1.bin")
    (root / "many").mkdir()
    for number in range(5000):
        (root / "many" / f"{number:05}-{'n' * 30}").write_bytes(b"%d" % number)
    return root


def test_ipfs_add_gives_our_cids(daemon, here, tree):
    importer = Importer(here)
    assert daemon.ipfs("add", "-r", "-H", "-Q", "--cid-version=1", str(tree)) == cid_text(importer.path(tree).cid)
    for path in sorted(tree.glob("*.bin")):
        assert daemon.ipfs("add", "-Q", str(path)) == cid_text(importer.path(path).cid)


def test_a_path_is_followed_block_by_block_and_the_rest_stays_there(daemon, tree, tmp_path):
    root = parse_cid(daemon.ipfs("add", "-r", "-H", "-Q", "--cid-version=1", str(tree)))
    for client in (KuboClient(HttpClient(daemon.url)), GatewayClient(HttpClient(daemon.gateway_url))):
        here = MemoryBlockStore()
        fetcher = ContentFetcher(
            store=here, sources=lambda client=client: [client], cache_dir=tmp_path, progress=lambda _: None
        )
        for path, content in (("many/00077-" + "n" * 30, b"77"), ("sub/größe 'x'\n", b"name")):
            found = fetcher.find(root, path)
            fetcher.fetch(found.cid)
            reader = UnixfsReader(here)
            assert reader.read_bytes(reader.resolve(root, path), 100) == content
        # The root, `many` with a shard or two of its hundreds, `sub`; the two files.
        assert 3 <= sum(here.has(cid) for cid, _ in walk(everything(tree), root) if cid[1] != RAW) <= 6
        client.close()


def everything(tree):
    store = MemoryBlockStore()
    Importer(store).path(tree)
    return store


def test_ipfs_add_of_ten_thousand_files_gives_our_cid(daemon, tmp_path):
    for number in range(10_000):
        folder = tmp_path / "tree" / f"d{number % 37}"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"f{number}").write_bytes(noise(f"{number}", number % 3000))
    ours = cid_text(Importer(ForgetfulBlockStore()).path(tmp_path / "tree").cid)
    assert daemon.ipfs("add", "-r", "-H", "-Q", "--only-hash", "--cid-version=1", str(tmp_path / "tree")) == ours


@pytest.mark.slow("hashes 4 GiB twice")
def test_ipfs_add_of_four_gib_gives_our_cid(daemon, tmp_path):
    """More than 1,024 chunks, so two levels; the file is sparse, and each chunk begins differently."""
    with (tmp_path / "big").open("wb") as stream:
        for number in range(4096):
            stream.seek(number << 20)
            stream.write(b"%d" % number)
        stream.truncate(4 << 30)
    ours = cid_text(Importer(ForgetfulBlockStore()).path(tmp_path / "big").cid)
    assert daemon.ipfs("add", "-Q", "--only-hash", "--cid-version=1", str(tmp_path / "big")) == ours
    (tmp_path / "big").unlink()


def test_what_is_pushed_is_pinned_and_read_by_kubo(daemon, client, here, tree):
    root = Importer(here).path(tree).cid
    pushed = client.push(root, walk(here, root))
    assert pushed.blocks == len(list(walk(here, root)))
    assert client.is_pinned(root)
    assert daemon.ipfs("pin", "ls", "--type=recursive", "-q", cid_text(root)) == cid_text(root)
    assert daemon.ipfs("cat", f"{cid_text(root)}/many/04999-{'n' * 30}") == "4999"
    assert daemon.ipfs("cat", f"{cid_text(root)}/sub/größe 'x'\n") == "name"


def test_what_kubo_added_comes_whole(daemon, client, here, tree):
    root = parse_cid(daemon.ipfs("add", "-r", "-H", "-Q", str(tree)))
    mine = MemoryBlockStore()
    assert Importer(mine).path(tree).cid == root
    gateway = GatewayClient(HttpClient(daemon.gateway_url))
    for source in (client, gateway):
        store = MemoryBlockStore()
        fetched = fetch_dag(store, root, [source])
        assert list(walk(store, root)) == list(walk(mine, root))
        assert (fetched.blocks, fetched.faults) == (len(list(walk(mine, root))), ())
    gateway.close()


def test_cids_of_version_0_come_too(daemon, client, here):
    text = daemon.ipfs(
        "add", "-Q", "--cid-version=0", "--raw-leaves=false", "--chunker=size-262144", data=noise("v0", 1_000_000)
    )
    root = parse_cid(text)
    assert text.startswith("Qm")
    fetch_dag(here, root, [client])
    assert len(list(walk(here, root))) == 5


def test_records_are_pushed_pinned_and_pulled(client, here):
    file = Importer(here).bytes(noise("record", 3_000_000)).cid
    inline = CID(bytes([1, RAW, IDENTITY, 2]) + b"hi")
    node = dag_cbor.encode({"output": file, "exit_code": 0, "note": inline})
    record = make_cid(DAG_CBOR, node)
    here.put(record, node)
    client.push(record, walk(here, record))
    there = MemoryBlockStore()
    fetch_dag(there, record, [client])
    assert list(walk(there, record)) == list(walk(here, record))


def test_a_dag_that_kubo_has_in_part_is_noticed_and_named(daemon, client, here, tmp_path):
    root = Importer(here).bytes(noise("part", 5_000_000)).cid
    blocks = list(walk(here, root))
    write_car_file(tmp_path / "part.car", root, blocks[:3])
    daemon.ipfs("dag", "import", "--pin-roots=false", str(tmp_path / "part.car"))
    there = MemoryBlockStore()
    with pytest.raises(BlockAbsentError, match="could not find") as caught:
        fetch_dag(there, root, [client])
    assert caught.value.where == daemon.url
    assert [cid for cid, _ in blocks if there.has(cid)] == [cid for cid, _ in blocks[:3]]


def test_a_dag_that_is_not_whole_is_not_pinned(client, here):
    root = Importer(here).bytes(noise("half", 3_000_000)).cid
    with pytest.raises(UnavailableError, match="could not pin"):
        client.push(root, list(walk(here, root))[:2])
    assert not client.is_pinned(root)


def test_a_wrong_block_is_refused_by_kubo(client, here):
    root = make_cid(RAW, b"right")
    with pytest.raises(UnavailableError, match="daemon says"):
        client.push(root, [(root, b"wrong")])
    assert not client.is_pinned(root)


def test_a_block_that_kubo_does_not_have_is_absent(client, daemon):
    with pytest.raises(BlockAbsentError):
        client.block(make_cid(RAW, b"nowhere"))
    gateway = GatewayClient(HttpClient(daemon.gateway_url))
    with pytest.raises(BlockAbsentError):
        fetch_dag(MemoryBlockStore(), make_cid(RAW, b"nowhere"), [gateway])
    gateway.close()


def test_the_gateway_is_no_rpc(daemon):
    client = KuboClient(HttpClient(daemon.gateway_url))
    with pytest.raises(UnavailableError, match="not a Kubo daemon's RPC"):
        client.version()
    client.close()


def test_a_daemon_that_restarts_in_the_middle_of_a_push(client, daemon, here):
    root = Importer(here).bytes(noise("push", 40_000_000)).cid

    def blocks():
        for number, block in enumerate(walk(here, root)):
            if number == 10:
                daemon.restart()
            yield block

    with pytest.raises(UnavailableError, match="connection broke off") as caught:
        client.push(root, blocks())
    assert caught.value.where == daemon.url
    assert not client.is_pinned(root)
    client.push(root, walk(here, root))
    assert client.is_pinned(root)


def test_a_daemon_that_dies_in_the_middle_of_a_fetch(client, daemon, here):
    root = Importer(here).bytes(noise("fetch", 40_000_000)).cid
    client.push(root, walk(here, root))

    class Dying(MemoryBlockStore):
        """Kills the daemon when the first blocks have come."""

        def put_many(self, blocks):
            super().put_many(blocks)
            daemon.stop(kill=True)

    there = Dying()
    with pytest.raises(UnavailableError, match=r"nothing answers there|broke off"):
        fetch_dag(there, root, [client])
    came = sum(there.has(cid) for cid, _ in walk(here, root))
    assert 0 < came < len(list(walk(here, root)))
    daemon.restart()
    there.put_many = super(Dying, there).put_many
    assert fetch_dag(there, root, [client]).blocks == len(list(walk(here, root))) - came
    assert list(walk(there, root)) == list(walk(here, root))


def test_a_damaged_repository_does_not_damage_ours(client, daemon, here, tmp_path):
    """Kubo does not hash what it reads from its disk: whoever pulls must."""
    root = Importer(here).bytes(noise("damage", 3_000_000)).cid
    client.push(root, walk(here, root))
    leaf = list(walk(here, root))[1]
    for path in daemon.blocks_dir.rglob("*.data"):
        if path.read_bytes() == leaf[1]:
            path.chmod(0o600)
            path.write_bytes(leaf[1][:-1] + b"!")
            break
    else:
        pytest.fail("the block is not where it was looked for")
    there = MemoryBlockStore()
    with pytest.raises(PeerError, match="sent wrong bytes") as caught:
        fetch_dag(there, root, [client])
    assert caught.value.peer == daemon.url
    assert not there.has(leaf[0])


def bacalhau(home, *arguments):
    environment = {**os.environ, "BACALHAU_DIR": str(home)}
    done = subprocess.run(
        [sys.executable, "-m", "bacalhau", *map(str, arguments)],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout.strip(), done.stderr


def test_publish_and_fetch_go_round(daemon, tree, tmp_path):
    code, cid, said = bacalhau(tmp_path / "one", "add", tree)
    assert code == 0, said
    code, out, said = bacalhau(tmp_path / "one", "publish", cid, "--to", f"kubo:{daemon.url}")
    assert (code, out) == (0, cid), said
    assert "publishing to Kubo 0.43" in said
    assert daemon.ipfs("pin", "ls", "--type=recursive", "-q", cid) == cid
    target = tmp_path / "back"
    code, out, said = bacalhau(tmp_path / "two", "fetch", cid, "-o", target, "--from", f"kubo:{daemon.url}", "--json")
    assert (code, json.loads(out)["path"]) == (0, str(target)), said
    assert sorted(path.relative_to(target) for path in target.rglob("*")) == sorted(
        path.relative_to(tree) for path in tree.rglob("*")
    )
    assert all(path.read_bytes() == (tree / path.name).read_bytes() for path in target.glob("*.bin"))
    code, again, _ = bacalhau(tmp_path / "two", "add", target)
    assert (code, again) == (0, cid)


def test_a_graph_is_published_and_audited_from_the_other_side(daemon, tmp_path):
    home = tmp_path / "one"
    world = World()
    record = world.build()
    (home / "store").mkdir(parents=True, mode=0o700)
    with SqliteBlockStore(home / "store" / "blocks.sqlite") as store:
        store.put_many(world.store.kept.items())
    code, root, said = bacalhau(home, "publish", cid_text(record), "--to", f"kubo:{daemon.url}")
    assert code == 0, said
    assert daemon.ipfs("pin", "ls", "--type=recursive", "-q", root) == root
    code, _, said = bacalhau(tmp_path / "two", "fetch", root, "--from", f"kubo:{daemon.url}")
    assert code == 0, said
    code, out, said = bacalhau(tmp_path / "two", "audit", root, "--json")
    assert (code, json.loads(out)["verdict"]) == (0, "valid"), said
    code, out, said = bacalhau(tmp_path / "two", "graph", "merge", root, "--json")
    assert (code, json.loads(out)["merged"][0]["new"]) == (0, 1), said


def test_a_daemon_that_is_not_there_is_told(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as closed:
        place = f"kubo:http://127.0.0.1:{closed.getsockname()[1]}"
    cid = cid_text(make_cid(RAW, b"nowhere"))
    for command in (("publish", cid, "--to", place), ("fetch", cid, "-o", tmp_path / "out", "--from", place)):
        code, out, said = bacalhau(tmp_path / "home", *command)
        assert (code, out) == (4, "")
        assert f"{place[5:]}: nothing answers there; is it running there?" in said
        assert ("--to car:FILE" in said) is (command[0] == "publish")
    assert [path.name for path in tmp_path.iterdir()] == ["home"]
