"""`/metrics` in Prometheus' text format: what a node has counted, and how much there is (docs/telemetry.md).

Behind the token like the API. The text is made by prometheus-client, of the extra `telemetry`, which is imported with
the first scrape: a node that nobody scrapes does not load it, and without it the answer is 404 and says so.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import TYPE_CHECKING, Final

import trio
from starlette.requests import Request
from starlette.responses import Response

from bacalhau import __version__
from bacalhau.api.answers import RefusedError
from bacalhau.api.request_counts import RequestCounts
from network.node.measures import CONVICTIONS, EXECUTIONS, MESSAGES, OTHER, VERDICTS, Levels, Measures, Seconds
from runtime.cache_counts import HIT, IMAGE, MISS, WHEEL, CacheCounts, KeepsCaches
from runtime.engine import Engine
from storage.sqlite_block_layout import Usage
from storage.sqlite_block_store import SqliteBlockStore

if TYPE_CHECKING:
    from prometheus_client.metrics_core import Metric

METRICS: Final = "/metrics"
LIBRARY: Final = "prometheus_client"
CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeMetrics:
    """What a node's metrics are taken from."""

    measures: Measures
    levels: Callable[[], Levels]
    """Called in the loop."""
    store: SqliteBlockStore
    engine: Engine
    requests: RequestCounts = field(default_factory=RequestCounts)

    async def text(self) -> bytes:
        """Return all metrics as they are now.

        Raises:
            UnavailableError: the store cannot be read.
        """
        from prometheus_client.exposition import generate_latest
        from prometheus_client.registry import CollectorRegistry

        usage = await trio.to_thread.run_sync(self.store.usage)
        registry = CollectorRegistry(auto_describe=False)
        registry.register(_Families(self, usage))
        return generate_latest(registry)


class MetricsHandler:
    """Answers for `/metrics`."""

    def __init__(self, metrics: NodeMetrics | None) -> None:
        """Take what it tells; None where no node runs."""
        self._metrics = metrics

    async def __call__(self, request: Request) -> Response:
        """Answer one request.

        Raises:
            RefusedError: 404, there are none.
        """
        where = request.url.path
        if self._metrics is None:
            raise RefusedError(404, "no node runs here, so there is nothing to measure", where=where)
        if find_spec(LIBRARY) is None:
            fix = "install it: pip install 'bacalhau[telemetry]'"
            raise RefusedError(404, "metrics need the package prometheus-client", where=where, fix=fix)
        return Response(await self._metrics.text(), headers={"Content-Type": CONTENT_TYPE})


class _Families:
    """The metrics of one scrape, as prometheus-client takes them. Every label that there can be is there from the
    start, at 0: a rate over something that appears with its first event would miss that event."""

    def __init__(self, node: NodeMetrics, usage: Usage) -> None:
        self._node = node
        self._usage = usage

    def collect(self) -> Iterator[Metric]:
        """Yield them in a fixed order."""
        yield from self._levels()
        yield from self._work()
        yield from self._verification()
        yield from self._requests()

    def _levels(self) -> Iterator[Metric]:
        from prometheus_client.metrics_core import GaugeMetricFamily as Gauge

        levels, usage = self._node.levels(), self._usage
        info = Gauge("bacalhau_build_info", "1; the version is in the label.", labels=["version"])
        info.add_metric([__version__], 1)
        yield info
        yield Gauge("bacalhau_jobs_open", "Jobs of this requester without a verdict.", levels.jobs_open)
        yield Gauge("bacalhau_tasks_open", "Tasks of those jobs without a verdict.", levels.tasks_open)
        yield Gauge("bacalhau_tasks_unassigned", "Tasks that wait for nodes to bid.", levels.tasks_unassigned)
        yield Gauge(
            "bacalhau_offers_waiting", "Offers and assignments that wait for room at this compute node.",
            levels.offers_waiting,
        )  # fmt: skip
        yield Gauge("bacalhau_executions_running", "Executions under way here.", levels.executions)
        yield Gauge("bacalhau_peers_connected", "Peers that this node is connected with.", levels.peers)
        yield Gauge("bacalhau_datastore_healthy", "1 if the datastore could be written when last tried.",
                    float(levels.is_healthy))  # fmt: skip
        yield Gauge("bacalhau_store_blocks", "Blocks in the store.", usage.blocks)
        yield Gauge("bacalhau_store_bytes", "Bytes of all blocks in the store.", usage.bytes)
        if usage.quota is not None:
            yield Gauge("bacalhau_store_quota_bytes", "Bytes that blocks may have, if bounded.", usage.quota)

    def _work(self) -> Iterator[Metric]:
        from prometheus_client.metrics_core import CounterMetricFamily as Count

        measures = self._node.measures
        messages = Count("bacalhau_messages", "Protocol messages, repetitions included.", labels=["direction", "kind"])
        for direction, counts in (("sent", measures.sent), ("received", measures.received)):
            for kind in dict.fromkeys((*MESSAGES.values(), OTHER)):
                messages.add_metric([direction, kind], counts[kind])
        yield messages
        bids = Count("bacalhau_bids", "Bids of this compute node: sent, won (assigned), declined.", labels=["outcome"])
        bids.add_metric(["sent"], measures.sent["bid"])
        bids.add_metric(["won"], measures.received["assign"])
        bids.add_metric(["declined"], measures.received["decline"])
        yield bids
        executions = [(outcome, measures.executions[outcome]) for outcome in EXECUTIONS]
        yield _histogram("bacalhau_execution_seconds", "Executions here by outcome.", executions, label="outcome")
        yield _histogram("bacalhau_worker_reset_seconds", "Workers' ways back to their image.", [("", measures.resets)])
        yield Count("bacalhau_fuel", "Fuel that functions took here.", measures.fuel)
        yield Count("bacalhau_fuel_seconds", "Seconds that metered functions took here.", measures.fuel_s)
        engine = self._node.engine
        caches = engine.caches if isinstance(engine, KeepsCaches) else CacheCounts()
        looks = Count("bacalhau_cache_lookups", "Looks for images and wheels on this disk.", labels=["cache", "result"])
        for cache in (IMAGE, WHEEL):
            for result in (HIT, MISS):
                looks.add_metric([cache, result], caches.of(cache, result))
        yield looks

    def _verification(self) -> Iterator[Metric]:
        from prometheus_client.metrics_core import CounterMetricFamily as Count

        measures = self._node.measures
        yield Count("bacalhau_jobs_accepted", "Jobs that this requester has accepted.", measures.jobs)
        verdicts = Count("bacalhau_verdicts", "Tasks that ended at this requester, by verdict.", labels=["verdict"])
        for verdict in VERDICTS:
            verdicts.add_metric([verdict], measures.verdicts[verdict])
        yield verdicts
        yield Count("bacalhau_disagreements", "Tasks about which nodes said different things.", measures.disagreements)
        yield Count("bacalhau_dissents", "Receipts that did not say what was agreed.", measures.dissents)
        convictions = Count("bacalhau_convictions", "Peers proven to have broken the rules.", labels=["kind"])
        for kind in dict.fromkeys((*CONVICTIONS, *sorted(measures.convictions))):
            convictions.add_metric([kind], measures.convictions[kind])
        yield convictions
        yield Count("bacalhau_offences", "Messages of peers that broke the rules, without proof.", measures.offences)

    def _requests(self) -> Iterator[Metric]:
        from prometheus_client.metrics_core import CounterMetricFamily as Count

        requests = Count("bacalhau_api_requests", "Answers of the HTTP server.", labels=["path", "status"])
        for (path, status), count in sorted(self._node.requests.answered.items()):
            requests.add_metric([path, str(status)], count)
        yield requests


def _histogram(name: str, words: str, parts: list[tuple[str, Seconds]], *, label: str = "") -> Metric:
    from prometheus_client.metrics_core import HistogramMetricFamily

    family = HistogramMetricFamily(name, words, labels=[label] if label else [])
    for value, seconds in parts:
        buckets = [("+Inf" if bound == float("inf") else str(bound), count) for bound, count in seconds.summed()]
        family.add_metric([value] if label else [], buckets, seconds.total_s)
    return family
