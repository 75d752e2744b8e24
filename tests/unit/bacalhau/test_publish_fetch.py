import os
import subprocess
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Event, Thread

import pytest

from bacalhau.home import Home
from storage import dag_cbor
from storage.cid import DAG_CBOR, DAG_PB, RAW, cid_text, make_cid
from storage.gateway_answer import answer
from storage.unixfs_import import Importer


@pytest.fixture
def other(desk, tmp_path):
    """The same command with another home."""
    return type(desk)(home=Home(tmp_path / "other"), engine=desk.engine, read_output=desk.read_output)


@pytest.fixture
def tree(desk, tmp_path):
    (tmp_path / "tree" / "sub").mkdir(parents=True)
    (tmp_path / "tree" / "b.bin").write_bytes(bytes(range(256)) * 9000)
    (tmp_path / "tree" / "sub" / "a.txt").write_bytes(b"deep")
    return desk("add", "tree").text.strip()


def test_a_tree_goes_round_through_a_file(desk, other, tree, tmp_path):
    said = desk("publish", tree, "--to", "car:x.car", "--json").json
    assert (said["cid"], said["to"], said["blocks"]) == (tree, "car:x.car", 6)
    fetched = other("fetch", tree, "-o", "back", "--from", "car:x.car", "--json").json
    assert fetched == {"cid": tree, "path": str(tmp_path / "back"), "blocks": 6, "bytes": said["bytes"]}
    assert (tmp_path / "back" / "b.bin").read_bytes() == (tmp_path / "tree" / "b.bin").read_bytes()
    assert (tmp_path / "back" / "sub" / "a.txt").read_bytes() == b"deep"
    assert other("fetch", tree, "--json").json == {"cid": tree, "path": None, "blocks": 0, "bytes": 0}


def test_what_is_printed(desk, other, tree):
    assert desk("publish", tree, "--to", "car:x.car").text == f"{tree}\n"
    assert other("fetch", tree, "--from", "car:x.car").text == f"{tree}\n"
    assert other("fetch", tree, "-o", "back").text == "back\n"


def test_nothing_is_replaced(desk, tree, tmp_path):
    (tmp_path / "x.car").write_bytes(b"mine")
    for call in (("publish", tree, "--to", "car:x.car"), ("fetch", tree, "-o", "x.car")):
        said = desk(*call)
        assert (said.code, said.out) == (2, b"")
        assert "is there already" in said.err
    assert (tmp_path / "x.car").read_bytes() == b"mine"


def test_nothing_half_is_left(desk, other, tree, tmp_path):
    desk("publish", tree, "--to", "car:x.car")
    whole = (tmp_path / "x.car").read_bytes()
    (tmp_path / "x.car").write_bytes(whole[:-5])
    before = sorted(path.name for path in tmp_path.iterdir())
    said = other("fetch", tree, "-o", "back", "--from", "car:x.car")
    assert (said.code, said.out) == (1, b"")
    assert "x.car: CAR is wrong" in said.err
    gone = cid_text(make_cid(DAG_PB, b"gone"))
    assert desk("publish", gone, "--to", "car:gone.car").code == 4
    assert sorted(path.name for path in tmp_path.iterdir() if path.name != "other") == before


def test_what_is_not_here_needs_a_source(desk):
    said = desk("fetch", cid_text(make_cid(RAW, b"gone")), "-o", "back")
    assert said.code == 4
    assert "name a source: --from kubo:URL, gateway:URL or car:FILE" in said.err


@pytest.mark.parametrize(
    ("call", "problem"),
    [
        (("publish", "nonsense", "--to", "car:x"), "not a CID"),
        (("publish", "{tree}", "--to", "gateway:http://x"), "write car:FILE or kubo:URL"),
        (("publish", "{tree}", "--to", "x.car"), "not a place"),
        (("publish", "{tree}", "--to", "car:"), "names nothing"),
        (("publish", "{tree}", "--to", "kubo:/ip4/127.0.0.1/tcp/5001"), "not an http:// or https:// address"),
        (("publish", "{tree}", "--to", "car:no/x.car"), "folder does not exist"),
        (("fetch", "{tree}", "-o", "no/x"), "folder does not exist"),
        (("fetch", "{tree}", "-o", ""), "empty"),
        (("fetch", "{tree}", "--from", "ftp:x"), "write car:FILE or kubo:URL or gateway:URL"),
        (("fetch", "{tree}", "--from", "car:none.car"), "cannot be read"),
    ],
)
def test_wrong_calls(desk, tree, call, problem):
    said = desk(*(part.replace("{tree}", tree) for part in call))
    assert (said.code, said.out) == (2, b"")
    assert problem in said.err


def test_data_is_fetched_but_is_no_file(desk, other):
    with desk.store() as store:
        leaf = Importer(store).bytes(b"leaf").cid
        node = dag_cbor.encode([leaf])
        record = make_cid(DAG_CBOR, node)
        store.put(record, node)
    desk("publish", cid_text(record), "--to", "car:x.car")
    said = other("fetch", cid_text(record), "-o", "back", "--from", "car:x.car")
    assert said.code == 2
    assert "is data, not a file or directory" in said.err
    assert other("fetch", cid_text(record), "--from", "car:x.car").code == 0
    assert other("cat", cid_text(leaf)).out == b"leaf"


class CountingGateway(ThreadingHTTPServer):
    """Our gateway on loopback, which holds every answer back until it is told to go on."""

    daemon_threads = True

    def __init__(self, store):
        super().__init__(("127.0.0.1", 0), _Handler)
        self.store = store
        self.asked = []
        self.go = Event()
        self.url = f"http://127.0.0.1:{self.server_port}"


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self.server.asked.append(self.path)
        self.server.go.wait()
        path, _, query = self.path.partition("?")
        said = answer(self.server.store, "GET", path.encode(), query.encode(), {})
        self.send_response(said.status)
        for name, value in said.headers:
            self.send_header(name, value)
        self.end_headers()
        for piece in said.body:
            self.wfile.write(piece)

    def log_message(self, *_arguments):
        pass


def test_two_processes_that_fetch_one_cid_download_it_once(desk, tree, tmp_path):
    with desk.store() as store, CountingGateway(store) as gateway:
        Thread(target=gateway.serve_forever, daemon=True).start()
        calls = [_fetch(tmp_path, tree, gateway.url, name) for name in ("one", "two")]
        # The second is told to wait while the first has no answer yet: only then is one given.
        waiting = None
        for process in calls:
            for line in process.stderr:
                waiting = process if "another process fetches it: waiting" in line else waiting
                if "waiting" in line or "fetching from" in line:
                    break
        gateway.go.set()
        ends = [(*process.communicate(), process.returncode) for process in calls]
        gateway.shutdown()
        assert [end[2] for end in ends] == [0, 0], ends
        assert waiting is not None
        assert len(gateway.asked) == 1
        for name in ("one", "two"):
            assert (tmp_path / name / "b.bin").stat().st_size == 9000 * 256


def _fetch(folder: Path, cid: str, url: str, name: str):
    return subprocess.Popen(
        [sys.executable, "-m", "bacalhau", "fetch", cid, "-o", name, "--from", f"gateway:{url}"],
        cwd=folder,
        env={**os.environ, "BACALHAU_DIR": str(folder / "shared-home"), "PYTHONPATH": str(Path(__file__).parents[3])},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
