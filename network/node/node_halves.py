"""The two halves of a node, put together of what the node is made of and of what it does for both."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

import trio

from network.demand import room_of
from network.node.announcement import Announcement
from network.node.compute_side import ComputeSettings, ComputeSide, Mouth
from network.node.disk_promises import DiskPromises
from network.node.executor import Executor, threads_of
from network.node.measures import Measures
from network.node.node_parts import Connectable, NodeParts
from network.node.peer_book import PeerBook
from network.node.peer_source import PeerSource
from network.node.requester_side import RequesterSide
from network.node.settlement import Settlement
from network.node.shard_outputs import ShardOutputs
from network.node.shard_settlement import ShardSettlement
from network.node.spot_checks import SpotChecks
from network.node.task_header import Headers
from network.node.trust_book import TrustBook
from network.protocol_events import Misbehaved
from runtime.capacity_gate import CapacityGate
from runtime.capacity_ledger import CapacityLedger
from runtime.engine import Execution
from storage.blocks import BlockStore
from verifier.model import PeerId

MAX_OUTPUT_BYTES: Final = 1 << 30
"""Of an output that is fetched: what a run may give, four times over."""
MAX_OUTPUT_S: Final = 600.0
"""For one of several tries to fetch an output; what came by then stays."""


class Sources(Protocol):
    """Finds peers that may have blocks."""

    def __call__(self, first: Sequence[PeerId], max_bytes: int, max_s: float) -> list[PeerSource]:
        """Return them, those of `first` before all others."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Shared:
    """What a node does for its halves."""

    nursery: trio.Nursery
    transport: Connectable
    book: PeerBook
    measures: Measures
    sources: Sources
    in_thread: Callable[[Callable[[], Any]], Any]
    """Calls what uses the datastore, one at a time."""
    say: Callable[[PeerId, bytes], None]
    mouth: Mouth
    """What the compute node says things with: `say`, or a bad actor's."""
    count_offence: Callable[[Misbehaved], None]
    kept: Callable[[], None]
    heard_own: Callable[[Announcement], None]


def make_requester(parts: NodeParts, shared: Shared) -> RequesterSide:
    """Return the requester of a node; it does not run yet."""

    def sources(first: Sequence[PeerId]) -> list[PeerSource]:
        return shared.sources(first, MAX_OUTPUT_BYTES, MAX_OUTPUT_S)

    trust = TrustBook()
    shards = ShardSettlement(
        store=parts.store,
        datastore=parts.datastore,
        in_thread=shared.in_thread,
        outputs=ShardOutputs(store=parts.store, sources=sources, nursery=shared.nursery),
        make_job=parts.make_shards_job,
    )
    settlement = Settlement(
        store=parts.store,
        datastore=parts.datastore,
        in_thread=shared.in_thread,
        sources=sources,
        make_job=parts.make_job,
        make_container_job=parts.make_container_job,
        shards=shards,
        trust=trust,
        nursery=shared.nursery,
        kept=shared.kept,
        tell_span=parts.tell_span,
    )
    checks = SpotChecks(
        store=parts.store,
        trust=trust,
        rate=parts.spot_checks,
        sample=parts.sample_known,
        records=parts.records_of,
    )
    return RequesterSide(
        identity=parts.identity,
        store=parts.store,
        datastore=parts.datastore,
        in_thread=shared.in_thread,
        book=shared.book,
        settlement=settlement,
        trust=trust,
        checks=checks,
        find_known=parts.find_known,
        find_prior=parts.find_prior,
        check_inputs=parts.check_inputs,
        nursery=shared.nursery,
        say=shared.say,
        count_offence=shared.count_offence,
        kept=shared.kept,
        measures=shared.measures,
        tell_span=parts.tell_span,
    )


def make_compute(parts: NodeParts, settings: ComputeSettings, shared: Shared) -> ComputeSide:
    """Return the compute node of a node; it does not run yet."""
    headers = Headers()
    executor = Executor(
        node=parts.identity.peer,
        headers=headers,
        engine=parts.engine,
        store=parts.store,
        sources=lambda first: shared.sources([first], settings.total.disk, parts.max_wall_clock_s),
        fitness=parts.fitness,
        nursery=shared.nursery,
        gate=CapacityGate(CapacityLedger(room_of(settings.total), gpus=settings.gpus)),
        threads=threads_of(settings.total),
        disk=DiskPromises(parts.free_disk),
        wall_clock_s=parts.max_wall_clock_s,
        alter=_unaltered if parts.persona is None else parts.persona.alter,
        containers=parts.containers,
        measures=shared.measures,
    )
    return ComputeSide(
        identity=parts.identity,
        settings=settings,
        transport=shared.transport,
        store=parts.store,
        datastore=parts.datastore,
        in_thread=shared.in_thread,
        executor=executor,
        headers=headers,
        selection=parts.make_selection(),
        say=shared.mouth,
        heard_own=shared.heard_own,
        count_offence=shared.count_offence,
        measures=shared.measures,
        tell_span=parts.tell_span,
    )


def _unaltered(execution: Execution, _store: BlockStore) -> Execution:
    return execution
