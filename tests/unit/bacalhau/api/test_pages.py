"""The pages' files and what they ask: who gets them, with which headers, and what is answered to nonsense."""

import json

import httpx
import pytest

from bacalhau.web.graph_view import graph_view
from bacalhau.web.page_files import LIBRARIES, read_page_files
from network.lineage_index import Filer
from network.result_store import Nodes
from storage import dag_cbor
from storage.cid import DAG_CBOR, cid_text, make_cid
from storage.unixfs_import import Importer
from tests.unit.bacalhau.fake_node import served
from tests.unit.bacalhau.record_nodes import record_node
from tests.unit.verifier.test_unverified import ENGINE, OTHER, unverified, verified
from verifier.graph_reading import read_facts
from verifier.model import node_cid, store_node
from verifier.unverified_types import UnverifiedRun

TASK = make_cid(DAG_CBOR, b"a task")


@pytest.fixture
def node(services, tmp_path):
    pages = read_page_files(lambda: None)
    with served(services, pages=pages) as node:
        yield node


@pytest.fixture
def open_client(node):
    with httpx.Client(base_url=node.url, trust_env=False, timeout=20) as client:
        yield client


@pytest.fixture
def client(node):
    with httpx.Client(
        base_url=node.url, headers={"Authorization": f"Bearer {node.token}"}, trust_env=False, timeout=20
    ) as client:
        yield client


def test_files_are_open_and_leave_a_page_nothing_but_this_origin(open_client):
    answer = open_client.get("/")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "<script>" not in answer.text
    assert " style=" not in answer.text
    script = open_client.get("/pages/main.js")
    assert script.headers["content-type"] == "text/javascript; charset=utf-8"
    assert script.headers["x-content-type-options"] == "nosniff"
    assert open_client.get("/pages/main.js", headers={"If-None-Match": script.headers["etag"]}).status_code == 304


def test_libraries_are_served_if_npm_has_brought_them(tmp_path):
    for name, place in LIBRARIES.items():
        (tmp_path / place).parent.mkdir(parents=True)
        (tmp_path / place).write_text(name)
    files = read_page_files(lambda: tmp_path)
    assert files["sigma.js"].content == b"sigma.js"
    assert set(LIBRARIES) & set(read_page_files(lambda: None)) == set()


@pytest.mark.parametrize("path", ["/pages/..%2Fapi", "/pages/page_files.py", "/pages/", "/pages/a/b", "/pages/%00"])
def test_there_are_no_other_files(open_client, path):
    assert open_client.get(path).status_code == 404


@pytest.mark.parametrize(
    "path", ["/pages/data/graph", "/pages/data/records/x", "/pages/data/files/x", "/pages/data/content/x"]
)
def test_what_they_show_needs_the_token(open_client, path):
    assert open_client.get(path).status_code == 401


def test_a_foreign_host_is_turned_away(open_client):
    assert open_client.get("/", headers={"Host": "evil.example"}).status_code == 421


def test_records_content_files_and_the_graph(client, services, task):
    job = client.post("/api/v1/jobs", json={"task": task}).json()["job"]
    assert job
    with services.open_store() as store:
        importer = Importer(store)
        inner = importer.directory({"a.txt": importer.bytes(b"hello")})
        run = UnverifiedRun(output=inner.cid, exit_code=0, engine=ENGINE)
        first = store_node(store, unverified(output=inner.cid, runs=(run,)))
        second = store_node(store, verified(first, output=inner.cid))
    output, text = cid_text(inner.cid), cid_text(second)
    said = client.get(f"/pages/data/records/{cid_text(first)}").json()
    assert (said["kind"], said["fields"]["output"]) == ("unverified-record/1", {"/": output})
    assert said["tainted"] is True
    below = client.get(f"/pages/data/records/{text}").json()
    assert (below["tainted"], below["taint"], below["disputes"]) == (True, [cid_text(first)], [])
    listed = client.get(f"/pages/data/content/{output}").json()
    assert [(one["name"], one["kind"], one["size"]) for one in listed["entries"]] == [("a.txt", "file", 5)]
    assert client.get(f"/pages/data/content/{text}", params={"path": "output/a.txt"}).json()["size"] == 5
    file = client.get(f"/pages/data/files/{output}", params={"path": "a.txt"})
    assert (file.content, file.headers["x-size"]) == (b"hello", "5")
    assert "sandbox" in file.headers["content-security-policy"]
    assert file.headers["content-disposition"] == "attachment"
    graph = client.get("/pages/data/graph", params={"of": text}).json()
    assert {one["cid"]: one["tainted"] for one in graph["nodes"]} == {text: True, cid_text(first): True}
    assert graph["edges"] == [[cid_text(first), text]]
    audit = client.post(f"/pages/data/records/{cid_text(first)}/audit").json()
    assert audit["verdict"] != "valid"
    assert (audit["tainted"], audit["taint"]) == (True, [cid_text(first)])


def test_a_contradiction_that_was_merged_is_drawn_with_what_it_contradicts(client, services):
    with services.open_store() as store, services.open_lineage() as lineage, services.open_results() as results:

        def put(output, **more):
            node = record_node(task=TASK, output=make_cid(DAG_CBOR, output), **more)
            data = dag_cbor.encode(node)
            cid = make_cid(DAG_CBOR, data)
            store.put(cid, data)
            return cid

        ours, theirs = put(b"one"), put(b"another")
        results.add(TASK, ours, nodes=Nodes.EMBEDDED, at=1.0)
        Filer(store, lineage).add([read_facts(store, theirs)], merged=True)
    found = client.get("/pages/data/graph", params={"of": cid_text(ours)}).json()
    assert {one["cid"]: one["disputed"] for one in found["nodes"]} == {cid_text(ours): True, cid_text(theirs): True}
    for one, other in ((ours, theirs), (theirs, ours)):
        said = client.get(f"/pages/data/records/{cid_text(one)}").json()
        assert said["disputes"] == [{"rival": cid_text(other), "of": cid_text(one)}]
        assert said["disputed_by"] == 1
    # What was merged is found by its output as well.
    named = cid_text(make_cid(DAG_CBOR, b"another"))
    assert client.get("/pages/data/graph", params={"of": named}).json()["focus"] == [cid_text(theirs)]


def test_what_is_not_known_is_not_drawn_as_verified(services):
    with services.open_store() as store:
        lone, grandchild = verified(OTHER), verified(node_cid(verified(OTHER)))
        forged = dag_cbor.encode({"v": "forged-record/1", "tier": "verified", "parents": []})
        store.put(make_cid(DAG_CBOR, forged), forged)
        roots = [store_node(store, lone), store_node(store, grandchild), make_cid(DAG_CBOR, forged)]
        drawn = {one["cid"]: one for one in graph_view(store, roots)["nodes"]}
        assert [drawn[cid_text(cid)]["tainted"] for cid in roots] == [None, None, None]
        assert drawn[cid_text(roots[2])]["tier"] is None
        cut = graph_view(store, [store_node(store, verified(store_node(store, verified())))], limit=1)
        assert [one["tainted"] for one in cut["nodes"]] == [None]


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("records/nonsense", 400),
        ("records/" + "a" * 300, 400),
        ("content/nonsense", 400),
        ("graph?of=nonsense", 400),
        ("graph?limit=0", 400),
        ("graph?limit=10001", 400),
        ("graph?what=1", 400),
        ("content/bafkqaaa?skip=-1", 400),
        (f"content/{cid_text(make_cid(DAG_CBOR, b'gone'))}", 503),
        (f"files/{cid_text(make_cid(DAG_CBOR, b'gone'))}", 400),
    ],
)
def test_nonsense_is_refused_in_one_line(client, path, status):
    answer = client.get(f"/pages/data/{path}")
    assert answer.status_code == status, answer.text
    assert "\n" not in json.loads(answer.text)["problem"]
