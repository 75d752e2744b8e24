"""One trace of a job over several nodes, as an OTLP collector gets it; and which variables turn that on."""

import os
import threading
from contextlib import ExitStack, contextmanager
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from bacalhau import trace_client
from bacalhau.trace_client import exporters_of, open_tracing
from network.node.span import Span
from runtime.engine import UndeterminedError
from storage.errors import UserError
from storage.sqlite_block_store import SqliteBlockStore
from tests.unit.network.node.node_world import JOB, Engine, Net, put_task, submission, until_event
from tests.unit.network.node.offers import on_real_time

TRACE = sha256(JOB.encode()).digest()[:16]
ROOT = sha256(JOB.encode()).digest()[16:24]


class Collector:
    """Takes what OTLP exporters send over HTTP."""

    def __init__(self):
        self.spans = []
        """Each with its resource's attributes."""
        self.paths = set()
        collector = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                sent = ExportTraceServiceRequest.FromString(self.rfile.read(int(self.headers["Content-Length"])))
                collector.paths.add((self.path, self.headers["Content-Type"]))
                collector.spans += [
                    (words(part.resource.attributes), span)
                    for part in sent.resource_spans
                    for scope in part.scope_spans
                    for span in scope.spans
                ]
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *arguments):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    @contextmanager
    def running(self):
        thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield self
        finally:
            self.server.shutdown()
            thread.join()
            self.server.server_close()

    def named(self, name):
        return [(resource, span) for resource, span in self.spans if span.name == name]


def words(attributes):
    return {one.key: getattr(one.value, one.value.WhichOneof("value")) for one in attributes}


@pytest.fixture
def collector(monkeypatch):
    collector = Collector()
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url)
    with collector.running():
        yield collector


def tracing(node):
    return open_tracing(os.environ, node)


@on_real_time
async def test_spans_of_all_nodes_of_a_job_join_in_one_trace(tmp_path, collector):
    net = Net(tmp_path, [Engine(), Engine(b"a lie"), Engine(UndeterminedError("disk full")), Engine()])
    with SqliteBlockStore(net.requester.folder / "blocks.sqlite") as store:
        task = put_task(store)
    with ExitStack() as stack:
        for place in (net.requester, *net.nodes):
            place.tell_span = stack.enter_context(tracing(place.peer))
        async with net.running() as node:
            await node.submit(submission(task))
            await until_event(node, JOB, "ended")
    assert collector.paths == {("/v1/traces", "application/x-protobuf")}
    assert {span.trace_id for _, span in collector.spans} == {TRACE}
    ((resource, root),) = collector.named("job")
    assert (root.span_id, root.parent_span_id) == (ROOT, b"")
    assert (resource["service.name"], resource["service.instance.id"]) == ("bacalhau", net.requester.peer)
    others = [span for _, span in collector.spans if span is not root]
    assert {span.parent_span_id for span in others} == {ROOT}
    assert len({span.span_id for _, span in collector.spans}) == len(collector.spans)
    assert {span.name for span in others} == {"submit", "bids", "execution", "verification", "publication"}
    assert {words(span.attributes)["bacalhau.job"] for _, span in collector.spans} == {JOB}
    assert all(span.start_time_unix_nano <= span.end_time_unix_nano for _, span in collector.spans)
    executions = collector.named("execution")
    assert len({resource["service.instance.id"] for resource, _ in executions}) == len(executions) >= 3
    failed = {resource["service.instance.id"]: span.status for resource, span in executions if span.status.code == 2}
    assert set(failed) <= {net.nodes[2].peer}
    ((_, verification),) = collector.named("verification")
    assert words(verification.attributes)["bacalhau.verdict"] == "agreed"


def test_a_host_that_failed_is_an_error_with_its_reason_and_times_are_kept(collector):
    with tracing("somebody") as tell:
        tell(Span(job=JOB, name="execution", began_s=10.5, ended_s=12.0, problem="disk full", detail={"exit_code": 0}))
    ((_, span),) = collector.spans
    assert (span.status.code, span.status.message) == (2, "disk full")
    assert (span.start_time_unix_nano, span.end_time_unix_nano) == (10_500_000_000, 12_000_000_000)


def test_a_sampler_takes_whole_traces_on_every_node_alike(collector, monkeypatch):
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", "parentbased_traceidratio")
    monkeypatch.setenv("OTEL_TRACES_SAMPLER_ARG", "0.5")
    jobs = [f"{number:032x}" for number in range(64)]
    for node, names in (("a", ("job", "submit")), ("b", ("execution",))):
        with tracing(node) as tell:
            for job in jobs:
                for name in names:
                    tell(Span(job=job, name=name, began_s=1.0, ended_s=2.0))
    kept = {name: {span.trace_id for _, span in collector.named(name)} for name in ("job", "submit", "execution")}
    assert kept["job"] == kept["submit"] == kept["execution"]
    assert 0 < len(kept["job"]) < len(jobs)


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({}, ()),
        ({"OTEL_TRACES_EXPORTER": "none", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://x"}, ()),
        ({"OTEL_TRACES_EXPORTER": "otlp", "OTEL_SDK_DISABLED": "TRUE"}, ()),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://x"}, ("otlp",)),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://x"}, ("otlp",)),
        ({"OTEL_TRACES_EXPORTER": "console, otlp"}, ("console", "otlp")),
    ],
)
def test_the_usual_variables_turn_it_on(environ, expected):
    assert exporters_of(environ) == expected


@pytest.mark.parametrize(
    "environ",
    [
        {"OTEL_TRACES_EXPORTER": "zipkin"},
        {"OTEL_TRACES_EXPORTER": "otlp", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"},
    ],
)
def test_what_there_is_not_is_refused(environ):
    with pytest.raises(UserError):
        exporters_of(environ)


def test_off_there_is_nobody_to_tell():
    with open_tracing({}, "somebody") as tell:
        assert tell is None


def test_without_the_library_one_line_says_what_to_install(monkeypatch):
    monkeypatch.setattr(trace_client, "_is_there", lambda module: False)
    with (
        pytest.raises(UserError, match="opentelemetry-sdk"),
        open_tracing({"OTEL_TRACES_EXPORTER": "console"}, "somebody"),
    ):
        pass


def test_the_console_is_stderr(capsys):
    with open_tracing({"OTEL_TRACES_EXPORTER": "console"}, "somebody") as tell:
        tell(Span(job=JOB, name="job", began_s=1.0, ended_s=2.0))
    said = capsys.readouterr()
    assert said.out == ""
    assert f"0x{TRACE.hex()}" in said.err
