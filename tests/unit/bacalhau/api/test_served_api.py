"""The API over a real socket: every call, and who may make it."""

import contextlib
import hashlib
import io
import json
import socket
from dataclasses import replace
from urllib.parse import urlsplit

import httpx
import pytest
from h2.connection import H2Connection
from h2.events import ResponseReceived

from bacalhau.api.app import MAX_STREAMS
from bacalhau.api.event_stream import MAX_FOLLOWERS
from bacalhau.api.http_server import MAX_CONNECTIONS
from bacalhau.proof import write_proof
from network.job_store import Job
from network.shard_list import listed, store_shards
from storage.car import car_pieces, read_car
from storage.cid import RAW, cid_text, make_cid, parse_cid
from storage.dag_size import claimed_bytes
from storage.dag_walk import walk
from storage.errors import UnavailableError
from storage.unixfs_import import Importer
from tests.unit.bacalhau.fake_node import PEER, served
from tests.unit.bacalhau.fakes import FakeEngine, Gave
from verifier.model import Input, Limits, Task, load_node, store_node

CAR = "application/vnd.ipld.car"
JOB = "ab" * 16


@pytest.fixture
def api(node):
    with client(node) as api:
        yield api


def client(node, **headers):
    sent = {"Authorization": f"Bearer {node.token}", **headers}
    return httpx.Client(base_url=f"{node.url}/api/v1", headers=sent, trust_env=False, timeout=20)


def submitted(api, task, **more):
    answer = api.post("/jobs", json={"task": task, **more})
    assert answer.status_code == 202, answer.text
    return answer.json()["job"]


def raw(node, request):
    """Send bytes as they are and return all that comes until the server closes."""
    parts = urlsplit(node.url)
    with socket.create_connection((parts.hostname, parts.port), timeout=20) as connection:
        connection.sendall(request)
        return b"".join(iter(lambda: connection.recv(65536), b""))


def send_for_ever(connection):
    while True:
        connection.sendall(bytes(65536))


def problem(answer):
    said = answer.json()
    assert set(said) == {"problem", "where", "fix"}
    assert "\n" not in "".join(said.values())
    return said


def test_health_and_description_need_no_token(node):
    with httpx.Client(base_url=f"{node.url}/api/v1", trust_env=False) as stranger:
        health = stranger.get("/health")
        assert (health.status_code, health.json()["ok"], health.json()["peer"]) == (200, True, PEER)
        assert stranger.get("/openapi.json").json()["openapi"] == "3.1.0"
        node.control.store_ok = False
        ill = stranger.get("/health")
        assert (ill.status_code, ill.json()["ok"]) == (503, False)


@pytest.mark.parametrize("path", ["/jobs", f"/jobs/{JOB}", "/node", "/blocks/bafy", "/nowhere", "/health/", "/"])
@pytest.mark.parametrize("header", [None, "Bearer", "Basic {}", "Bearer {}0", "Bearer x{}", "{}"])
def test_everything_else_needs_the_token(node, path, header):
    headers = {} if header is None else {"Authorization": header.format(node.token)}
    answer = httpx.get(f"{node.url}/api/v1{path}", headers=headers, trust_env=False)
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == "Bearer"
    assert node.token not in answer.text
    assert problem(answer)["problem"] == "the token is not right"


def test_two_tokens_are_none(node):
    head = f"GET /api/v1/node HTTP/1.1\r\nHost: {node.url[7:]}\r\nConnection: close\r\n"
    head += f"Authorization: Bearer {node.token}\r\n"
    assert raw(node, f"{head}\r\n".encode()).startswith(b"HTTP/1.1 200")
    assert raw(node, f"{head}Authorization: Bearer x\r\n\r\n".encode()).startswith(b"HTTP/1.1 401")


@pytest.mark.parametrize(
    "host",
    [
        "evil.example", "evil.example:{}", "127.0.0.1", "127.0.0.1:1", "10.0.0.1:{}", "localhost.evil.example:{}", "",
        ":{}", "127.0.0.1:{}0",
    ],
)  # fmt: skip
@pytest.mark.parametrize("path", ["/api/v1/node", "/api/v1/health", "/ipfs/bafkqaaa?format=raw"])
def test_a_rebound_name_is_turned_away(node, host, path):
    port = urlsplit(node.url).port
    answer = httpx.get(
        f"{node.url}{path}",
        headers={"Host": host.format(port), "Authorization": f"Bearer {node.token}"},
        trust_env=False,
    )
    assert answer.status_code == 421
    assert "access-control-allow-origin" not in answer.headers


@pytest.mark.parametrize("host", ["localhost:{}", "LOCALHOST:{}", "127.0.0.1:{}", "127.1.2.3:{}", "[::1]:{}"])
def test_names_of_loopback_are_ours(node, host):
    headers = {"Host": host.format(urlsplit(node.url).port)}
    assert httpx.get(f"{node.url}/api/v1/health", headers=headers, trust_env=False).status_code == 200


def test_a_host_that_the_operator_names_is_answered(services):
    with served(services, hosts=("node.example:8080", "Other.example")) as node:
        port = urlsplit(node.url).port
        for host, status in (
            ("node.example:8080", 200),
            ("NODE.example:8080", 200),
            ("node.example", 421),
            (f"node.example:{port}", 421),
            (f"other.example:{port}", 200),
            ("other.example:8080", 421),
        ):
            answer = httpx.get(f"{node.url}/api/v1/health", headers={"Host": host}, trust_env=False)
            assert answer.status_code == status


def test_a_page_of_another_origin_gets_no_permission(node, api):
    asked = {"Origin": "https://evil.example", "Access-Control-Request-Method": "POST"}
    preflight = httpx.options(f"{node.url}/api/v1/jobs", headers=asked, trust_env=False)
    assert preflight.status_code == 401
    for answer in (preflight, api.options("/jobs", headers=asked), api.get("/node", headers=asked)):
        assert not [name for name in answer.headers if name.startswith("access-control")]


def test_a_job_from_submission_to_proof(node, api, task):
    job = submitted(api, task, job=JOB, labels=["a"], selector={"zone": "a"}, timeout_s=5, origins=[{"url": "x"}])
    assert job == JOB
    running = api.get(f"/jobs/{job}").json()
    assert (running["state"], running["verdict"], running["report"], running["tier"]) == (
        "running",
        None,
        None,
        "unverified",
    )
    asked = running["submission"]
    # A worker with the function's memory and its engine; what the task holds, and what the function may write.
    held = claimed_bytes(node.control.store, parse_cid(task))
    assert held > 500
    assert asked["demand"] == {"cpu_milli": 1000, "memory": 1 << 30, "disk": (1 << 26) + held, "gpus": 0}
    assert (asked["selector"], asked["timeout_s"], asked["origins"]) == ({"zone": "a"}, 5.0, [{"url": "x"}])
    assert asked["rule"] == {"replication": 3, "confidence": 2, "diverse": False}
    for path in ("logs", "results"):
        early = api.get(f"/jobs/{job}/{path}")
        assert (early.status_code, problem(early)["problem"]) == (409, "has not ended yet")
    node.do(node.control.run, job)
    ended = api.get(f"/jobs/{job[:6]}").json()
    assert (ended["state"], ended["verdict"], ended["tier"]) == ("ended", "agreed", "verified")
    assert ended["report"]["result"] == "HELLO"
    for name in ("task", "output", "record"):
        assert api.get(f"/jobs/{ended[name]}").json() == ended
    logs = api.get(f"/jobs/{job}/logs").json()
    assert (logs["stdout"], logs["stderr"], logs["cut"]) == ("shouting\n", "", [])
    results = api.get(f"/jobs/{job}/results")
    assert results.headers["content-type"] == CAR
    car = read_car(io.BytesIO(results.content))
    assert car.roots == (parse_cid(ended["record"]),)
    proof = io.BytesIO()
    write_proof(node.control.store, parse_cid(ended["record"]), proof)
    assert results.content == proof.getvalue()


def test_what_was_not_verified_has_no_logs(node, api, task):
    node.control.engine = FakeEngine(lambda number, plan, store: Gave(result=str(number).encode()))
    job = submitted(api, task)
    node.do(node.control.run, job)
    assert api.get(f"/jobs/{job}").json()["verdict"] == "split"
    for path in ("logs", "results"):
        answer = api.get(f"/jobs/{job}/{path}")
        assert (answer.status_code, "was not verified (split)" in problem(answer)["problem"]) == (422, True)


def test_a_container_of_another_process_has_logs_and_no_proof(api, services):
    with services.open_store() as store, services.open_jobs() as jobs:
        output = Importer(store).bytes(b"y").cid
        report = {"engine": "docker", "stdout": "out\n", "stderr": "", "cut": [], "reason": "nobody checked it"}
        jobs.add(
            Job(
                id=JOB,
                created_at=0.0,
                labels=(),
                task=output,
                function=output,
                input=output,
                output=output,
                record=output,
                verdict="ran",
                tier="unverified",
                exit_code=0,
                report=report,
            )
        )
    assert api.get(f"/jobs/{JOB}").json()["tier"] == "unverified"
    logs = api.get(f"/jobs/{JOB}/logs")
    assert (logs.status_code, logs.json()["stdout"]) == (200, "out\n")
    answer = api.get(f"/jobs/{JOB}/results")
    assert (answer.status_code, "ran in a container" in problem(answer)["problem"]) == (422, True)


def test_the_same_again_is_the_same_job(node, api, task):
    for _ in range(2):
        assert submitted(api, task, job=JOB, min_bids=2) == JOB
    assert len(node.control.kept) == 1
    other = api.post("/jobs", json={"task": task, "job": JOB, "min_bids": 3})
    assert (other.status_code, problem(other)["problem"]) == (409, "another job has this id")
    assert submitted(api, task) != submitted(api, task)


def test_a_task_whose_blocks_are_not_here_names_one(api):
    task = cid_text(make_cid(0x71, b"not here"))
    answer = api.post("/jobs", json={"task": task})
    assert (answer.status_code, problem(answer)["where"]) == (424, task)


def test_parents_are_records_that_are_here(node, api, task):
    job = submitted(api, task)
    node.do(node.control.run, job)
    record = api.get(f"/jobs/{job}").json()["record"]
    absent = cid_text(make_cid(0x71, b"not here"))
    assert submitted(api, task, parents=[record])
    for parent, status in ((absent, 424), (task, 422)):
        answer = api.post("/jobs", json={"task": task, "parents": [parent]})
        assert (answer.status_code, problem(answer)["where"].partition(" ")[0]) == (status, parent)


def shards_at(node, task, *changes):
    """Put a list of shards into the node's store: the task's, with these changes to the input of each."""
    with node.services.open_store() as store:
        whole = load_node(store, parse_cid(task), Task)
        given = load_node(store, whole.input, Input)
        for number in (1, 2):
            store.put(data(number)["data"], b"%d" % number)
        inputs = [store_node(store, replace(given, **change)) for change in changes]
        shards = [listed(store_node(store, replace(whole, input=cid)), picks=1, first="x") for cid in inputs]
        return cid_text(store_shards(store, shards, data=given.data, pattern="/*", base="", batch_size=1))


def test_records_of_what_was_split_are_here_as_well(api, node, task):
    """One that is not gave no shard anything that could be found, so none would name it, and taint would end there."""
    shards = shards_at(node, task, data(1), data(2))
    absent = cid_text(make_cid(0x71, b"not here"))
    for parent, status in ((absent, 424), (task, 422)):
        answer = api.post("/jobs", json={"shards": shards, "data_parents": [parent]})
        assert (answer.status_code, problem(answer)["where"].partition(" ")[0]) == (status, parent)


def data(number):
    return {"data": make_cid(RAW, b"%d" % number)}


def test_a_list_of_shards_is_a_job(node, api, task):
    shards = shards_at(node, task, data(1), data(2))
    answer = api.post("/jobs", json={"shards": shards, "max_failures": 1, "no_cache": True})
    view = api.get(f"/jobs/{answer.json()['job']}").json()
    assert (view["task"], view["state"]) == (None, "running")
    asked = view["submission"]
    assert (asked["shards"], asked["shard_count"], asked["max_failures"], asked["no_cache"]) == (shards, 2, 1, True)
    for call in ("logs", "results", "shards"):
        assert api.get(f"/jobs/{view['job']}/{call}").status_code == 409


def test_a_list_of_what_is_no_job_is_refused(node, api, task):
    limits = {"limits": Limits(fuel=None, memory=1 << 40, output=1)}
    absent = cid_text(make_cid(0x71, b"not here"))
    for shards, status in (
        (absent, 424),
        (task, 422),
        (shards_at(node, task), 422),
        (shards_at(node, task, data(1), data(1)), 422),
        (shards_at(node, task, data(1), data(2) | {"args": {"x": 1}}), 422),
        (shards_at(node, task, data(1), data(2) | limits), 422),
    ):
        answer = api.post("/jobs", json={"shards": shards})
        assert answer.status_code == status, problem(answer)
    assert node.control.kept == {}


def test_a_node_that_is_no_task_is_false(node, api, task):
    with node.services.open_store() as store:
        function = next(cid for cid, _ in list(walk(store, parse_cid(task)))[1:])
    answer = api.post("/jobs", json={"task": cid_text(function)})
    assert (answer.status_code, "task/1" in problem(answer)["problem"]) == (422, True)


@pytest.mark.parametrize(
    ("body", "where"),
    [
        (b"", "body"),
        (b"[]", "body"),
        (b"{", "body"),
        (b"\xff", "body"),
        (b'{"task": NaN}', "body"),
        (b'{"task": 1e999}', "body"),
        (b'{"task": "\\ud800"}', "body"),
        (b'{"task": 1, "task": 2}', "body"),
        (b"[" * 100_000, "body"),
        (b'{"x":' + b"[" * 70 + b"]" * 70 + b"}", "body"),
        (b"1" * 5000, "body"),
        (b"{}", "task"),
        (b'{"task": 7}', "task"),
        (b'{"task": "hello"}', "task"),
        (b'{"task": "bafkqaaa"}', "task"),
    ],
)
def test_a_body_that_is_no_submission_is_one_clear_line(api, body, where):
    answer = api.post("/jobs", content=body, headers={"Content-Type": "application/json"})
    assert (answer.status_code, problem(answer)["where"]) == (400, where)


@pytest.mark.parametrize(
    ("wrong", "where"),
    [
        ({"extra": 1}, "extra"),
        ({"job": "AB" * 16}, "job"),
        ({"job": None}, "job"),
        ({"rule": []}, "rule"),
        ({"rule": {"votes": 1}}, "rule.votes"),
        ({"rule": {"replication": 0}}, "rule.replication"),
        ({"rule": {"replication": 1001}}, "rule.replication"),
        ({"rule": {"replication": True}}, "rule.replication"),
        ({"rule": {"confidence": 4}}, "rule.confidence"),
        ({"rule": {"diverse": 1}}, "rule.diverse"),
        ({"min_bids": -1}, "min_bids"),
        ({"min_bids": 1.0}, "min_bids"),
        ({"labels": "a"}, "labels"),
        ({"labels": [""]}, "labels[0]"),
        ({"labels": ["a", "b" * 256]}, "labels[1]"),
        ({"labels": ["a"] * 65}, "labels"),
        ({"selector": [["a", "b"]]}, "selector"),
        ({"selector": {"a": 1}}, "selector value"),
        ({"timeout_s": 0}, "timeout_s"),
        ({"timeout_s": "5"}, "timeout_s"),
        ({"timeout_s": 700_000}, "timeout_s"),
        ({"parents": ["x"]}, "parents[0]"),
        ({"origins": [1]}, "origins"),
        ({"shards": cid_text(make_cid(0x71, b"list"))}, "task"),
        ({"max_failures": 3}, "max_failures"),
        ({"no_cache": 1}, "no_cache"),
    ],
)
def test_each_key_is_checked(node, api, task, wrong, where):
    answer = api.post("/jobs", json={"task": task, **wrong})
    assert (answer.status_code, problem(answer)["where"]) == (400, where)
    assert node.control.kept == {}


def test_bodies_are_bounded_and_typed(node, api, task):
    large = api.post("/jobs", content=b" " * ((1 << 20) + 1), headers={"Content-Type": "application/json"})
    assert large.status_code == 413
    pieces = (b" " * 65536 for _ in range(17))
    assert api.post("/jobs", content=pieces, headers={"Content-Type": "application/json"}).status_code == 413
    for kind in ({}, {"Content-Type": "text/plain"}, {"Content-Type": "application/x-www-form-urlencoded"}):
        assert api.post("/jobs", content=json.dumps({"task": task}), headers=kind).status_code == 415
        assert api.put("/blocks", content=b"x", headers=kind).status_code == 415
    assert node.control.kept == {}


def test_a_body_that_nobody_reads_does_not_hold_the_connection(node):
    head = f"POST /api/v1/jobs HTTP/1.1\r\nHost: {node.url[7:]}\r\nContent-Length: 8000000\r\n\r\n".encode()
    for _ in range(MAX_CONNECTIONS + 2):  # more than there may be at once: each must have ended
        parts = urlsplit(node.url)
        with socket.create_connection((parts.hostname, parts.port), timeout=20) as connection:
            connection.sendall(head + bytes(200_000))
            assert connection.recv(12) == b"HTTP/1.1 401"
            with pytest.raises(ConnectionError):  # it is closed on us
                send_for_ever(connection)


def test_the_answer_to_a_body_that_is_refused_is_seen(node):
    body = bytes(1 << 20)
    for _ in range(20):
        answer = httpx.post(f"{node.url}/api/v1/jobs", content=body, trust_env=False)
        assert answer.status_code == 401


def test_the_description_names_every_path_and_method(node, api):
    from bacalhau.api.endpoint import Endpoint

    described = api.get("/openapi.json").json()["paths"]
    paths = [route for route in node.app._app.app.routes if route.path.startswith("/api/v1/")]
    routes = [(route.path.removeprefix("/api/v1"), route.app) for route in paths]
    apps = [(path, getattr(app, "_app", app)) for path, app in routes]  # without the bound on results
    served = {path: set(app._handlers) for path, app in apps if isinstance(app, Endpoint)}
    assert served == {path: {name.upper() for name in item} - {"PARAMETERS"} for path, item in described.items()}
    assert len(served) == 12


def test_unknown_paths_methods_and_parameters(api):
    assert problem(api.get("/nowhere"))["problem"] == "there is no such path"
    for method, path, allowed in (
        ("DELETE", "/jobs", "GET, POST"),
        ("HEAD", "/jobs", "GET, POST"),
        ("POST", "/blocks", "PUT"),
        ("PUT", "/node", "GET"),
    ):
        answer = api.request(method, path)
        assert (answer.status_code, answer.headers["allow"]) == (405, allowed)
    for path in ("/jobs?limit=0", "/jobs?limit=1001", "/jobs?limit=x", "/jobs?limit=1&limit=2", "/jobs?limits=1"):
        assert api.get(path).status_code == 400
    assert api.get("/jobs/").status_code == 404


@pytest.mark.parametrize(
    ("name", "status"),
    [("abcdef", 404), ("abc", 400), ("xyz!", 400), ("%00", 400), ("%F0%9F%98%80", 400), ("a" * 300, 400),
     (JOB, 404), (cid_text(make_cid(RAW, b"x")), 404)],
)  # fmt: skip
def test_names_that_are_no_jobs(api, name, status):
    for path in ("", "/events", "/logs", "/results"):
        assert api.get(f"/jobs/{name}{path}").status_code == status
    assert api.post(f"/jobs/{name}/cancel").status_code == status


def test_a_prefix_of_two_jobs_is_refused(node, api, task):
    for last in "01":
        submitted(api, task, job="ab" * 15 + f"c{last}")
    answer = api.get("/jobs/abab")
    assert (answer.status_code, problem(answer)["problem"]) == (404, "several jobs begin like this")
    assert api.get("/jobs/" + "ab" * 15 + "c1").json()["job"].endswith("c1")


def test_the_list_has_jobs_under_way_and_ended_once_each(node, api, task):
    first, second = submitted(api, task), submitted(api, task)
    node.do(node.control.run, first)
    rows = {row["job"]: row for row in api.get("/jobs").json()["jobs"]}
    assert {job: row["state"] for job, row in rows.items()} == {first: "ended", second: "running"}
    assert rows[first]["verdict"] == "agreed"
    assert len(api.get("/jobs?limit=1").json()["jobs"]) == 1


def test_cancel_gives_up_and_leaves_what_has_ended(node, api, task):
    job = submitted(api, task)
    assert api.post(f"/jobs/{job}/cancel").json() == {"job": job, "state": "ended", "cancelled": True}
    done = submitted(api, task)
    node.do(node.control.run, done)
    assert api.post(f"/jobs/{done[:8]}/cancel").json() == {"job": done, "state": "ended", "cancelled": False}


def test_events_as_lines_and_as_server_sent(node, api, task):
    job = submitted(api, task)
    node.do(node.control.run, job)
    lines = api.get(f"/jobs/{job}/events")
    events = [json.loads(line) for line in lines.text.splitlines()]
    assert lines.headers["content-type"] == "application/jsonl"
    assert [event["number"] for event in events] == list(range(1, len(events) + 1))
    assert [event["kind"] for event in events][:: len(events) - 1] == ["submitted", "ended"]
    assert events[0]["at"] == "2026-01-02T03:04:05.000+00:00"
    assert events[0]["job"] == job
    sent = api.get(f"/jobs/{job}/events?after=2", headers={"Accept": "text/event-stream"})
    assert sent.headers["content-type"] == "text/event-stream"
    blocks = sent.text.strip().split("\n\n")
    assert [block.splitlines()[0] for block in blocks] == [f"id: {event['number']}" for event in events[2:]]
    assert json.loads(blocks[0].splitlines()[1].removeprefix("data: ")) == events[2]


def test_following_goes_on_where_it_was_and_ends_with_the_job(node, api, task):
    job = submitted(api, task)
    seen = []
    with api.stream("GET", f"/jobs/{job}/events?follow=1") as answer:
        for line in answer.iter_lines():
            if line.startswith("id:"):
                seen.append(int(line.removeprefix("id:")))
                break
    node.do(node.control.run, job)
    with api.stream("GET", f"/jobs/{job}/events?follow=1", headers={"Last-Event-ID": str(seen[-1])}) as answer:
        seen += [int(line.removeprefix("id:")) for line in answer.iter_lines() if line.startswith("id:")]
    assert seen == list(range(1, len(node.control.told[job]) + 1))
    over = api.get(f"/jobs/{job}/events?follow=1", headers={"Last-Event-ID": str(seen[-1])})
    assert over.status_code == 204


def test_events_come_while_they_happen(node, api, task):
    job = submitted(api, task)
    with api.stream("GET", f"/jobs/{job}/events?follow=1") as answer:
        kinds = []
        for line in answer.iter_lines():
            if line.startswith("data:"):
                kinds.append(json.loads(line.removeprefix("data:"))["kind"])
                if kinds == ["submitted"]:
                    node.do(node.control.tell, job, "assigned", {"node": PEER})
                elif kinds == ["submitted", "assigned"]:
                    node.do(node.control.end, job)
    assert kinds == ["submitted", "assigned", "ended"]


def test_followers_are_bounded_and_a_lost_one_gives_its_place_back(node, api, task):
    job = submitted(api, task)
    assert MAX_FOLLOWERS < MAX_CONNECTIONS
    parts = urlsplit(node.url)
    head = f"GET /api/v1/jobs/{job}/events?follow=1 HTTP/1.1\r\nHost: {node.url[7:]}\r\n"
    head += f"Authorization: Bearer {node.token}\r\n\r\n"
    followers = []
    try:
        for _ in range(MAX_FOLLOWERS):
            connection = socket.create_connection((parts.hostname, parts.port), timeout=20)
            followers.append(connection)
            connection.sendall(head.encode())
            while b"submitted" not in connection.recv(65536):
                pass
        refused = api.get(f"/jobs/{job}/events?follow=1")
        assert (refused.status_code, refused.headers["retry-after"]) == (429, "10")
        assert api.get("/node").status_code == 200
        followers.pop().close()
        assert node.control.left.acquire(timeout=20)
        with api.stream("GET", f"/jobs/{job}/events?follow=1") as answer:
            assert answer.status_code == 200
    finally:
        for connection in followers:
            connection.close()


def test_an_embedded_job_of_this_home_has_the_events_that_its_report_knows(node, api, task):
    job = submitted(api, task)
    node.do(node.control.run, job)
    del node.control.kept[job]
    events = [json.loads(line) for line in api.get(f"/jobs/{job}/events").text.splitlines()]
    assert [event["kind"] for event in events] == ["submitted", "revealed", "revealed", "revealed", "verdict", "ended"]
    assert api.get(f"/jobs/{job}").json()["submission"] is None
    assert api.get(f"/jobs/{job}/events?follow=1&after=6").status_code == 204
    assert api.get(f"/jobs/{job}/events?follow=1&after=4").text.count("data:") == 2


def test_blocks_in_and_out(node, api):
    from storage.blocks import MemoryBlockStore

    here = MemoryBlockStore()
    root = Importer(here).bytes(b"x" * 3_000_000).cid
    blocks = list(walk(here, root))
    answer = api.put("/blocks", content=car_pieces([root], blocks), headers={"Content-Type": CAR})
    assert answer.json() == {
        "blocks": len(blocks), "bytes": sum(len(data) for _, data in blocks), "roots": [cid_text(root)]
    }  # fmt: skip
    for cid, data in blocks:
        got = api.get(f"/blocks/{cid_text(cid)}")
        assert (got.content, got.headers["content-type"]) == (data, "application/vnd.ipld.raw")
    assert api.get(f"/blocks/{cid_text(make_cid(RAW, b'other'))}").status_code == 404
    assert api.get("/blocks/hello").status_code == 400
    gateway = httpx.get(f"{node.url}/ipfs/{cid_text(root)}?format=car", trust_env=False)
    assert gateway.status_code == 200
    assert [cid for cid, _ in read_car(io.BytesIO(gateway.content)).blocks] == [cid for cid, _ in blocks]
    assert httpx.put(f"{node.url}/ipfs/{cid_text(root)}", trust_env=False).status_code == 405


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"hello",
        b"".join(car_pieces([], [(make_cid(RAW, b"truth"), b"a lie")])),
        b"".join(car_pieces([], [(make_cid(RAW, b"truth"), b"truth")]))[:-1],
        b"\xff" * 1000,
    ],
)
def test_a_car_that_is_none_is_refused(node, api, body):
    answer = api.put("/blocks", content=body, headers={"Content-Type": CAR})
    assert answer.status_code == 422
    problem(answer)
    assert not node.control.store.has(make_cid(RAW, b"truth"))


def test_a_proof_that_cannot_be_read_whole_is_cut_off(node, api, task):
    job = submitted(api, task)
    node.do(node.control.run, job)
    record = api.get(f"/jobs/{job}").json()["record"]
    with node.control.store.writing() as connection:
        connection.execute("DELETE FROM blocks WHERE digest = ?", (parse_cid(record)[4:],))
    answer = api.get(f"/jobs/{job}/results")
    assert (answer.status_code, problem(answer)["where"]) == (503, record)


def test_streams_that_nobody_reads_are_bounded(node, api):
    content = hashlib.shake_128(b"large").digest(16 << 20)
    root = cid_text(Importer(node.control.store).bytes(content).cid)
    parts = urlsplit(node.url)
    with contextlib.ExitStack() as stack:
        for _ in range(MAX_STREAMS):
            connection = stack.enter_context(socket.create_connection((parts.hostname, parts.port), timeout=20))
            connection.sendall(f"GET /ipfs/{root}?format=car HTTP/1.1\r\nHost: {node.url[7:]}\r\n\r\n".encode())
            assert connection.recv(12) == b"HTTP/1.1 200"
        answer = httpx.get(f"{node.url}/ipfs/{root}?format=raw", trust_env=False)
        assert (answer.status_code, problem(answer)["problem"]) == (429, "too many do this already")
        assert api.get("/node").status_code == 200


def test_an_error_of_the_node_has_its_status_and_a_bug_has_no_details(node, api, task, caplog):
    node.control.fails_with = UnavailableError("the disk is full", where="datastore", fix="make room")
    answer = api.post("/jobs", json={"task": task})
    assert answer.status_code == 503
    assert problem(answer) == {"problem": "the disk is full", "where": "datastore", "fix": "make room"}
    node.control.fails_with = RuntimeError("a secret")
    bug = api.post("/jobs", json={"task": task})
    assert bug.status_code == 500
    assert "secret" not in bug.text
    assert "a secret" in caplog.text
    assert api.get("/node").status_code == 200


def test_the_status_of_the_node(api):
    said = api.get("/node").json()
    assert (said["peer"], said["known_nodes"], said["labels"]) == (PEER, 3, {"zone": "a"})


@pytest.mark.parametrize(
    "request_",
    [
        b"\x00\x01\x02\x03\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET /api/v1/health HTTP/1.1\r\n\r\n",
        b"GET /api/v1/health HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        b"GET /" + b"a" * 40_000 + b" HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\n" + b"A: b\r\n" * 9000 + b"\r\n",
        b"POST /api/v1/jobs HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
        b"POST /api/v1/jobs HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
    ],
)
def test_malformed_http_is_answered_and_ends(node, request_):
    said = raw(node, request_.replace(b"\r\n", b"\r\nConnection: close\r\n", 1))
    assert said[:12] in (b"", *(b"HTTP/1.1 %d" % status for status in (400, 421, 431, 505)))
    assert httpx.get(f"{node.url}/api/v1/health", trust_env=False).status_code == 200


def test_http_2_and_websockets_are_not_spoken(node):
    parts = urlsplit(node.url)
    with socket.create_connection((parts.hostname, parts.port), timeout=20) as connection:
        h2 = H2Connection()
        h2.initiate_connection()
        named = [(":method", "GET"), (":path", "/api/v1/health"), (":scheme", "http"), (":authority", node.url[7:])]
        h2.send_headers(1, named, end_stream=True)
        connection.sendall(h2.data_to_send())
        answers = []
        while not answers:
            answers = [
                event for event in h2.receive_data(connection.recv(65536)) if isinstance(event, ResponseReceived)
            ]
        assert dict(answers[0].headers)[b":status"] == b"505"
    upgrade = f"GET /api/v1/node HTTP/1.1\r\nHost: {node.url[7:]}\r\nAuthorization: Bearer {node.token}\r\n"
    upgrade += "Connection: upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    upgrade += "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
    assert raw(node, upgrade.encode()).startswith(b"HTTP/1.1 403")
