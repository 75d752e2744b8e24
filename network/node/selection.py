"""Decides whether a node takes an offer: what must not run here, then what its operator does not want here. On trio.

Looks into the store and asks the operator's probes, so it takes seconds and is done before the machine of the node is
told of an offer. An answer is remembered for a minute, and is sought once for all who wait for it.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final, TypeAlias

import trio

from network.messages import Demand
from network.node.probe_command_client import ask_command
from network.node.probe_http_client import ask_url
from network.node.reasons import reason
from network.node.selection_policy import DataLocality, OfferedTask, SelectionPolicy, objection, unwelcome
from network.node.selection_question import question
from runtime.any_plan import AnyPlan
from runtime.container_plan import ContainerPlan
from runtime.fitness import KnowsRuntime, strangeness
from storage.blocks import BlockStore
from storage.cid import CID
from storage.errors import UnavailableError, VerificationError
from storage.sqlite_pins import check_whole
from verifier.model import PeerId

REMEMBERED_S: Final = 60.0
MAX_REMEMBERED: Final = 4_096
"""Answers, the oldest forgotten first; about 1 kB each."""
MAX_ASKING: Final = 64
"""Offers that wait for their answer; those of one requester are at most MAX_ASKING_EACH."""
MAX_ASKING_EACH: Final = 16
MAX_PROBES: Final = 4
"""Probes that run at a time: each may be a process."""
PROBE_S: Final = 5.0
"""Time limit of one probe. Requesters ask other nodes when two seconds are over."""
MAX_BLOCKS: Final = 100_000
"""That are looked for to find data whole: of a file, 100 GiB. About two seconds, and 12 MB while it lasts."""

NO_CONTAINERS: Final = "this node runs no containers: its operator has not said so"

_Key: TypeAlias = tuple[PeerId, CID, Demand]


@dataclass(frozen=True, slots=True)
class _Answer:
    refusal: str
    until_s: float


class JobSelection:
    """A policy at work. Belongs to one trio loop."""

    def __init__(
        self,
        policy: SelectionPolicy,
        store: BlockStore,
        *,
        knows_runtime: KnowsRuntime,
        objection_to_container: Callable[[ContainerPlan], str] | None = None,
        clock: Callable[[], float] = trio.current_time,
        probe_s: float = PROBE_S,
    ) -> None:
        """Begin with nothing remembered.

        objection_to_container: why a container is not run here, empty if it is; None: none ever is.
        store and both of these: used in a thread, one call at a time; clock: seconds that never go back.
        """
        self._policy = policy
        self._store = store
        self._knows_runtime = knows_runtime
        self._objection_to_container = objection_to_container
        self._clock = clock
        self._probe_s = probe_s
        self._answers: OrderedDict[_Key, _Answer] = OrderedDict()
        self._asking: dict[_Key, trio.Event] = {}
        self._asking_of: Counter[PeerId] = Counter()
        self._looking = trio.CapacityLimiter(1)
        self._asking_engine = trio.CapacityLimiter(1)
        """Apart: an engine that hangs keeps nobody waiting who has no container."""
        self._probing = trio.CapacityLimiter(MAX_PROBES)

    def unwelcome(self, requester: PeerId) -> str:
        """Return why an offer of a requester need not even be looked at; empty if it must be."""
        return unwelcome(self._policy, requester)

    async def refusal(self, offered: OfferedTask) -> str:
        """Return why the offer is refused, 1 to 255 bytes; empty if it is taken.

        What cannot be found out refuses. Another job of the same requester with the same task and demand gets the same
        answer while it is remembered.
        """
        if refusal := objection(self._policy, offered):
            return refusal
        key = (offered.requester, offered.plan.task, offered.demand)
        while (known := self._known(key)) is None:
            if key in self._asking:
                await self._asking[key].wait()  # without an answer if whoever asked was cancelled
                continue
            if len(self._asking) >= MAX_ASKING or self._asking_of[offered.requester] >= MAX_ASKING_EACH:
                return "too many offers are being looked at"
            with self._asks(key):
                self._remember(key, await self._find_out(offered))
        return known

    async def refusals(self, offered: Sequence[OfferedTask]) -> list[str]:
        """Return what `refusal` says of each of several offers of one requester: in one step, if nobody is asked."""
        policy = self._policy
        asks = policy.probe_exec is not None or policy.probe_http is not None
        if asks or policy.data_locality is DataLocality.LOCAL or any(map(_has_container, offered)):
            return [await self.refusal(one) for one in offered]
        known = [objection(policy, one) for one in offered]
        looked = iter(
            await trio.to_thread.run_sync(
                lambda: [self._look(one.plan) for one, why in zip(offered, known, strict=True) if not why],
                limiter=self._looking,
            )
        )
        return [why or next(looked) for why in known]

    def _known(self, key: _Key) -> str | None:
        answer = self._answers.get(key)
        return answer.refusal if answer is not None and self._clock() < answer.until_s else None

    def _remember(self, key: _Key, refusal: str) -> None:
        self._answers[key] = _Answer(refusal, self._clock() + REMEMBERED_S)
        self._answers.move_to_end(key)
        if len(self._answers) > MAX_REMEMBERED:
            self._answers.popitem(last=False)

    @contextmanager
    def _asks(self, key: _Key) -> Iterator[None]:
        answered = self._asking[key] = trio.Event()
        self._asking_of[key[0]] += 1
        try:
            yield
        finally:
            del self._asking[key]
            self._asking_of[key[0]] -= 1
            self._asking_of += Counter()  # forgets those of whom there is none
            answered.set()

    async def _find_out(self, offered: OfferedTask) -> str:
        # Not abandoned when cancelled: the thread uses the store, and what it does there has an end.
        limiter = self._asking_engine if _has_container(offered) else self._looking
        looked = await trio.to_thread.run_sync(self._look, offered.plan, limiter=limiter)
        return looked or await self._probe(offered)

    def _look(self, plan: AnyPlan) -> str:
        """Do what reads the disk, or asks the engine of containers."""
        try:
            if isinstance(plan, ContainerPlan):
                if refusal := self._look_at_container(plan):
                    return refusal
            elif refusal := strangeness(plan, self._knows_runtime):
                # It names a CID, which may be long: a reason that is too long could not be sent.
                return reason(refusal, otherwise="its runtime is not known here")
        except (UnavailableError, VerificationError):
            return "cannot tell whether the task's runtime may be started here"
        return absence(plan, self._store) if self._policy.data_locality is DataLocality.LOCAL else ""

    def _look_at_container(self, plan: ContainerPlan) -> str:
        if self._objection_to_container is None:
            return NO_CONTAINERS
        return reason(self._objection_to_container(plan), otherwise="") or ""

    async def _probe(self, offered: OfferedTask) -> str:
        policy, refusal = self._policy, ""
        if policy.probe_exec is None and policy.probe_http is None:
            return ""
        async with self._probing:
            if policy.probe_exec is not None:
                refusal = await ask_command(policy.probe_exec, question(offered), limit_s=self._probe_s)
            if policy.probe_http is not None and not refusal:
                refusal = await ask_url(policy.probe_http, question(offered), limit_s=self._probe_s)
        return refusal


def _has_container(offered: OfferedTask) -> bool:
    return isinstance(offered.plan, ContainerPlan)


def absence(plan: AnyPlan, store: BlockStore) -> str:
    """Return why the data and volumes of a task cannot be had from the store alone; empty if they are there, whole."""
    x = plan.input
    roots = [*([] if x.data is None else [x.data]), *(volume.cid for volume in x.volumes)]
    try:
        check_whole(store, roots, max_blocks=MAX_BLOCKS)
    except (UnavailableError, VerificationError) as error:
        return reason(f"its data is not here as a whole: {error.problem}", otherwise="its data is not here")
    return ""
