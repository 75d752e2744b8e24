"""Spans to an OpenTelemetry collector over HTTP, or to stderr: as the OTEL_* variables say, and not without them.

The one file that imports OpenTelemetry. Spans are sent in batches by a thread of the library; when a collector is away
they are lost, and nobody waits for it, but for some seconds when the node ends.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.util import find_spec
from threading import Lock
from typing import TYPE_CHECKING, Any, Final

from network.node.span import JOB, Span, Tell, span_id, trace_id
from storage.errors import UserError

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import SpanProcessor

EXPORTER: Final = "OTEL_TRACES_EXPORTER"
EXPORTERS: Final = ("otlp", "console", "none")
ENDPOINTS: Final = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
PROTOCOLS: Final = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
PROTOCOL: Final = "http/protobuf"
NEEDED: Final = ("opentelemetry.sdk", "opentelemetry.exporter.otlp.proto.http")


def exporters_of(environ: Mapping[str, str]) -> tuple[str, ...]:
    """Return where spans go to, of EXPORTERS; nothing where tracing is off.

    Raises:
        UserError: a variable asks for what there is not.
    """
    if environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return ()
    asked = environ.get(EXPORTER, "").strip() or ("otlp" if any(environ.get(name) for name in ENDPOINTS) else "none")
    names = tuple(dict.fromkeys(name.strip() for name in asked.split(",")))
    if unknown := [name for name in names if name not in EXPORTERS]:
        raise UserError(f"there is no exporter {unknown[0]!r}", where=EXPORTER, fix=f"use {', '.join(EXPORTERS)}")
    protocol = next((environ[name] for name in PROTOCOLS if environ.get(name)), PROTOCOL)
    if "otlp" in names and protocol != PROTOCOL:
        raise UserError(f"traces are sent as {PROTOCOL} alone", where=PROTOCOLS[1], fix=f"set it to {PROTOCOL}")
    return tuple(name for name in names if name != "none")


@contextmanager
def open_tracing(environ: Mapping[str, str], node: str) -> Iterator[Tell | None]:
    """Yield what takes spans; None where tracing is off. What was taken is sent before the block ends.

    node: the peer id, the resource's `service.instance.id`.

    Raises:
        UserError: a variable asks for what there is not, or the extra `telemetry` is not installed.
    """
    exporters = exporters_of(environ)
    if not exporters:
        yield None
        return
    if not all(map(_is_there, NEEDED)):
        fix = "install it: pip install 'bacalhau[telemetry]', or unset the variable"
        raise UserError("traces need the package opentelemetry-sdk", where=EXPORTER, fix=fix)
    tracer = _Tracer([_processor(name) for name in exporters], node, environ)
    try:
        yield tracer.tell
    finally:
        tracer.close()


def _is_there(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:  # a package above it
        return False


def _processor(exporter: str) -> SpanProcessor:
    from opentelemetry.sdk.trace.export import BatchSpanProcessor, ConsoleSpanExporter, SimpleSpanProcessor

    if exporter == "console":  # stdout is for what commands answer
        return SimpleSpanProcessor(ConsoleSpanExporter(out=sys.stderr))
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

    return BatchSpanProcessor(OTLPSpanExporter())


class _Tracer:
    """Makes spans of the library, with the ids of a job's trace."""

    def __init__(self, processors: list[SpanProcessor], node: str, environ: Mapping[str, str]) -> None:
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.id_generator import RandomIdGenerator

        class Ids(RandomIdGenerator):
            """Random span ids, but for a span that was told which it has."""

            job = ""
            span: int | None = None

            def generate_trace_id(self) -> int:
                return trace_id(self.job)

            def generate_span_id(self) -> int:
                return super().generate_span_id() if self.span is None else self.span

        self._lock = Lock()
        self._ids = Ids()
        name = {} if environ.get("OTEL_SERVICE_NAME") else {"service.name": "bacalhau"}
        resource = Resource.create({**name, "service.instance.id": node})
        self._provider = TracerProvider(resource=resource, id_generator=self._ids, shutdown_on_exit=False)
        for processor in processors:
            self._provider.add_span_processor(processor)
        self._library = self._provider.get_tracer("bacalhau")

    def tell(self, span: Span) -> None:
        """Take a span: whether it is kept is for the sampler to say, by the trace's id, so on all nodes alike."""
        from opentelemetry.trace import Status, StatusCode

        with self._lock:
            is_root = span.name == JOB
            self._ids.job = span.job
            self._ids.span = span_id(span.job, span.key) if is_root or span.key else None
            made = self._library.start_span(
                span.name,
                context=None if is_root else self._below(span.job, span.below),
                start_time=_nanoseconds(span.began_s),
                attributes={f"bacalhau.{name}": value for name, value in (*span.detail.items(), ("job", span.job))},
            )
        if span.problem:
            made.set_status(Status(StatusCode.ERROR, span.problem))
        made.end(end_time=_nanoseconds(max(span.began_s, span.ended_s)))

    def close(self) -> None:
        """Send what was taken."""
        self._provider.shutdown()

    def _below(self, job: str, key: str) -> Any:
        """Return the context of a job's span, which its requester makes or has made; of one below it, by its key."""
        from opentelemetry.context import Context
        from opentelemetry.sdk.trace.sampling import Decision
        from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags, set_span_in_context

        identity = trace_id(job)
        sampled = self._provider.sampler.should_sample(Context(), identity, JOB).decision is Decision.RECORD_AND_SAMPLE
        flags = TraceFlags(TraceFlags.SAMPLED if sampled else TraceFlags.DEFAULT)
        parent = SpanContext(trace_id=identity, span_id=span_id(job, key), is_remote=True, trace_flags=flags)
        return set_span_in_context(NonRecordingSpan(parent), Context())


def _nanoseconds(seconds: float) -> int:
    return int(seconds * 1_000_000_000)
