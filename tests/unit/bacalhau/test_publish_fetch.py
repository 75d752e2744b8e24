import json
import os
import re
import socket
import subprocess
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Event, Thread

import pytest

from bacalhau.home import Home
from storage import dag_cbor
from storage.cid import DAG_CBOR, DAG_PB, RAW, cid_text, make_cid, parse_cid
from storage.gateway_answer import answer
from storage.ipld_path import content_at
from storage.unixfs_import import Importer
from verifier.model import Record, load_node


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


def test_whoever_publishes_a_proof_is_told_of_the_log_and_of_the_audit(desk):
    job = desk.run()["job"]
    first = desk("publish", job, "--to", "car:a b.car")
    assert re.fullmatch(r"log of 12D3\w+: 1 new entry, 1 in all\nnext: bacalhau-audit 'a b.car'\n", first.err)
    root = first.text.strip()
    assert re.fullmatch(r"log of 12D3\w+: 0 new entries, 1 in all\n", desk("publish", job, "--to", "dir:x").err)
    assert desk("publish", root, "--to", "car:b.car").err == "next: bacalhau-audit b.car\n"
    assert desk("publish", root, "--to", "car:c.car", "--json").err == ""
    assert desk("publish", root, "--to", "car:d.car", "--plain").err == "", "content alone proves nothing"


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


def test_where_no_daemon_is_a_file_is_offered(desk, tree):
    with socket.create_server(("127.0.0.1", 0)) as closed:
        place = f"http://127.0.0.1:{closed.getsockname()[1]}"
    said = desk("publish", tree, "--to", f"kubo:{place}")
    assert (said.code, said.out) == (4, b"")
    assert f"{place}: nothing answers there; is it running there? A file needs no daemon: --to car:FILE" in said.err


def test_what_is_not_here_needs_a_source(desk):
    said = desk("fetch", cid_text(make_cid(RAW, b"gone")), "-o", "back")
    assert said.code == 4
    assert "name a source: --from kubo:URL, gateway:URL or car:FILE" in said.err


@pytest.mark.parametrize(
    ("call", "problem"),
    [
        (("publish", "nonsense", "--to", "car:x"), "job id"),
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


@pytest.mark.parametrize("kind", ["car", "dir"])
def test_a_name_that_is_too_long_is_a_wrong_call_before_anything_is_published(desk, kind):
    report = desk.run()
    said = desk("publish", report["job"], "--to", f"{kind}:{'a' * 5000}")
    assert (said.code, said.out) == (2, b"")
    assert "aaa…: its name is too long for this machine; give a shorter one" in said.err
    assert len(said.err) < 200
    assert "nothing was published here" in desk("graph", "log").err


def cid_at(desk, text):
    with desk.store() as store:
        root, _, path = text.partition("/")
        return cid_text(content_at(store, parse_cid(root), path))


def test_with_a_path_only_what_it_leads_to_is_fetched(desk, other, tree, tmp_path):
    desk("publish", tree, "--to", "car:x.car")
    sub = cid_at(desk, f"{tree}/sub")
    said = other("fetch", f"{tree}/sub", "-o", "back", "--from", "car:x.car", "--json")
    # The tree's own node, on the way; the directory; the file in it.
    assert said.json["cid"] == sub
    assert (said.json["path"], said.json["blocks"]) == (str(tmp_path / "back"), 3)
    assert (tmp_path / "back" / "a.txt").read_bytes() == b"deep"
    assert not (tmp_path / "back" / "b.bin").exists()
    assert [json.loads(line)["cid"] for line in other("store", "pins", "--json").text.splitlines()] == [sub]
    assert other("cat", f"{tree}/sub/a.txt").out == b"deep"
    assert other("cat", f"{tree}/b.bin").code == 4
    # What the way needed and nothing else does goes with the garbage; what was fetched stays.
    assert other("store", "gc").code == 0
    assert other("cat", f"{sub}/a.txt").out == b"deep"
    assert other("ls", tree).code == 4


def test_a_path_is_written_as_elsewhere(desk, other, tmp_path):
    (tmp_path / "tree" / "a b").mkdir(parents=True)
    (tmp_path / "tree" / "a b" / "c?").write_bytes(b"odd")
    tree = desk("add", "tree").text.strip()
    desk("publish", tree, "--to", "car:x.car")
    file = cid_at(desk, f"{tree}/a b/c?")
    for text in (f"{tree}/a b/c?", f"/ipfs/{tree}/a b/c?", f"ipfs://{tree}/a%20b/c%3F", f"{tree}//a b/c?/"):
        assert other("fetch", text, "--from", "car:x.car").text == f"{file}\n"
        assert other("cat", text).out == b"odd"


@pytest.mark.parametrize(
    ("path", "source", "code", "problem"),
    [
        ("gone", True, 2, "'gone' is not there"),
        ("sub/a.txt/x", True, 2, "is not a directory"),
        ("sub/../b.bin", True, 2, "'..' is not a name"),
        ("sub", False, 4, "block is not in this store"),
    ],
)
def test_a_path_that_leads_nowhere(desk, other, tree, path, source, code, problem):
    desk("publish", tree, "--to", "car:x.car")
    said = other("fetch", f"{tree}/{path}", "-o", "back", *(("--from", "car:x.car") if source else ()))
    assert (said.code, said.out) == (code, b"")
    assert problem in said.err
    assert other("store", "pins").text == ""
    if not source:
        assert "name a source: --from kubo:URL, gateway:URL or car:FILE" in said.err


def test_sources_may_stand_in_the_environment(desk, other, tree, monkeypatch):
    desk("publish", tree, "--to", "car:x.car")
    monkeypatch.setenv("BACALHAU_FROM", "car:x.car car:x.car")
    assert other("fetch", tree).text == f"{tree}\n"


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


def test_a_path_may_begin_in_a_record(desk, other, tmp_path):
    report = desk.run("-i", desk.file(b"hello"))
    record, output = report["record"], report["output"]
    desk("publish", record, "--to", "car:x.car")
    said = other("fetch", f"{record}/output/result", "-o", "back", "--from", "car:x.car", "--json").json
    # The record, the output's directory, the file: of the function, the input and the receipts nothing.
    assert (said["cid"], said["blocks"]) == (cid_at(desk, f"{output}/result"), 3)
    assert (tmp_path / "back").read_bytes() == b"HELLO"
    assert other("fetch", f"{record}/output/outputs", "-o", "d", "--from", "car:x.car").code == 0
    assert (tmp_path / "d" / "outputs" / "made.txt").read_bytes() == b"made"
    # Through a second block of data; what that links to comes as well.
    receipt = other("fetch", f"{record}/receipts/0", "--from", "car:x.car", "--json").json
    assert other("cat", f"{receipt['cid']}/output/result").out == b"HELLO"
    assert desk("cat", f"{record}/receipts/0/output/result").out == b"HELLO"
    (entry,) = (json.loads(line) for line in desk("ls", f"{record}/output/outputs", "--json").text.splitlines())
    assert (entry["name"], entry["kind"]) == ("outputs", "directory")


def test_a_list_of_what_records_gave_makes_them_parents(desk, tmp_path):
    first = desk.run("-i", desk.file(b"one", "one.txt"))
    second = desk.run("-i", desk.file(b"two", "two.txt"))
    lines = [
        f"ipfs://{first['record']}/output/result a.txt",
        f"ipfs://{second['output']}/outputs/outputs/made.txt",
        f"ipfs://{desk('add', desk.file(b'raw', 'raw.txt')).text.strip()} raw.txt",
    ]
    (tmp_path / "list").write_text("\n".join(lines))
    # The fake engine reads a file as the input: that is what a volume does not need to be.
    report = desk.run("-v", "@list:/inputs/list")
    with desk.store() as store:
        parents = load_node(store, parse_cid(report["record"]), Record).parents
    assert sorted(map(cid_text, parents)) == sorted([first["record"], second["record"]])
    assert desk("audit", report["record"], "--json").json["verdict"] == "valid"


@pytest.mark.parametrize(
    ("path", "problem"),
    [
        ("", "/: is data, not a file or directory; name one of its links: "),
        ("task", "/task: is data, not a file or directory; name one of its links: input, function"),
        ("outptu", "/outptu: 'outptu' is not there: {record} is a map; it has v, rule, task, tier"),
        ("rule", "/rule: is a map inside the block {record}, and no link to content"),
        ("tier/x", "'x' is not there: {record}/tier is a text"),
        ("output/gone", "/output/gone: 'gone' is not there: {output} is a directory without it; list the directory"),
    ],
)
def test_a_path_in_a_record_that_leads_nowhere(desk, path, problem):
    report = desk.run()
    # What is data has no bytes to show, but links to list.
    for command in ("cat",) if "is data" in problem else ("cat", "ls"):
        said = desk(command, f"{report['record']}/{path}")
        assert (said.code, said.out) == (2, b"")
        assert problem.format(**report) in said.err


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
