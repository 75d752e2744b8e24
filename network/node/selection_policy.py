"""Which offers a node's operator lets it take: the policy, and all of it that can be decided at once. Pure.

What takes time (looking for data, asking the operator's probes) is in `selection`.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from urllib.parse import urlsplit

from network.messages import Demand
from runtime.any_plan import AnyPlan
from runtime.demand import least_room
from runtime.fitness import excess
from storage.errors import UserError, VerificationError
from verifier.model import PeerId
from verifier.peer_id import public_key_of


class DataLocality(StrEnum):
    """Where the data of a job may be."""

    ANYWHERE = "anywhere"
    """It is fetched when the job is assigned."""
    LOCAL = "local"
    """In this node's store, whole, before the offer is taken."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SelectionPolicy:
    """What the operator said. All of it must be met; without a word, every job that may run here at all is taken."""

    data_locality: DataLocality = DataLocality.ANYWHERE
    accepts_stateless: bool = True
    """Take jobs that have neither data nor volumes."""
    probe_exec: tuple[str, ...] | None = None
    """A command and its arguments; it gets the job on stdin, and exit code 0 takes it."""
    probe_http: str | None = None
    """An http or https URL; it gets the job in a POST, and a status of 200 to 299 takes it."""
    allowed_requesters: frozenset[PeerId] = frozenset()
    """Empty: everyone."""
    denied_requesters: frozenset[PeerId] = frozenset()
    """Goes before `allowed_requesters`."""
    max_memory: int | None = None
    """Bytes that a task may ask for; None: as many as runs get."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OfferedTask:
    """What a node is asked to run, and by whom."""

    requester: PeerId
    """Who the connection says they are."""
    job: str
    """32 hex digits, chosen by the requester."""
    demand: Demand
    plan: AnyPlan
    """The nodes of the task are here; its data need not be."""


def objection(policy: SelectionPolicy, offered: OfferedTask) -> str:
    """Return why the offer is refused, of all that is known without looking or asking; empty if nothing."""
    return unwelcome(policy, offered.requester) or _misfit(offered) or _unwanted(policy, offered.plan)


def objection_to_run(policy: SelectionPolicy, plan: AnyPlan) -> str:
    """Return why a task that was assigned is not run: the operator may have changed their mind, and restarted."""
    return unwelcome(policy, PeerId(plan.submitter)) or _unwanted(policy, plan)


def unwelcome(policy: SelectionPolicy, requester: PeerId) -> str:
    """Return that nothing is taken of a requester, whatever it offers; empty if something may be."""
    if requester in policy.denied_requesters:
        return "this node takes no jobs of this requester"
    if policy.allowed_requesters and requester not in policy.allowed_requesters:
        return "this node takes jobs of certain requesters alone"
    return ""


def _misfit(offered: OfferedTask) -> str:
    """Refuse what must not run here, whatever the operator says."""
    demand, least = offered.demand, least_room(offered.plan)
    if demand.cpu_milli < least.cpu_milli:
        return f"the offer demands {demand.cpu_milli} thousandths of a core, and its task takes {least.cpu_milli}"
    if demand.memory < least.memory_bytes:
        return f"the offer demands {demand.memory} bytes of memory, and its task takes {least.memory_bytes}"
    if demand.disk < least.disk_bytes:
        return f"the offer demands {demand.disk} bytes of disk, and its function may write {least.disk_bytes}"
    if demand.gpus != least.gpus:
        return f"the offer demands {demand.gpus} GPUs, and its task uses {least.gpus}"
    return excess(offered.plan)


def _unwanted(policy: SelectionPolicy, plan: AnyPlan) -> str:
    """Refuse what may run here, and which the operator does not want."""
    memory = plan.input.limits.memory
    if policy.max_memory is not None and memory > policy.max_memory:
        return f"this node takes jobs of up to {policy.max_memory} bytes of memory, and this one asks for {memory}"
    return _stateless(policy, plan)


def _stateless(policy: SelectionPolicy, plan: AnyPlan) -> str:
    has_state = plan.input.data is not None or bool(plan.input.volumes)
    return "" if has_state or policy.accepts_stateless else "this node takes no jobs without data"


def parse_peers(texts: Iterable[str], *, where: str) -> frozenset[PeerId]:
    """Read peer ids; `where` names the flag.

    Raises:
        UserError: one is none.
    """
    peers = frozenset(PeerId(text) for text in texts)
    for peer in sorted(peers):
        try:
            public_key_of(peer)
        except VerificationError as error:
            fix = "give the peer id that `bacalhau id` shows there"
            raise UserError(f"{peer[:80]!r} {error.problem}", where=where, fix=fix) from error
    return peers


def parse_command(text: str, *, where: str) -> tuple[str, ...]:
    """Split a command as a shell would, of which nothing else is done: no variables, no pipes.

    Raises:
        UserError: it is empty, or a quote has no end.
    """
    try:
        words = tuple(shlex.split(text))
    except ValueError as error:
        raise UserError(f"cannot be read: {str(error).lower()}", where=where, fix="close the quotes") from error
    if not words or "\0" in text:
        raise UserError("names no command", where=where, fix="write a program and its arguments")
    return words


def parse_probe_url(text: str, *, where: str) -> str:
    """Return the address of a probe.

    Raises:
        UserError: not an http or https URL.
    """
    try:
        parts = urlsplit(text)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise UserError(f"malformed address: {error}", where=where, fix="write http://HOST:PORT/PATH") from error
    if parts.scheme not in ("http", "https") or not host or port == 0 or parts.fragment or not text.isprintable():
        fix = "write http://HOST:PORT/PATH"
        raise UserError(f"{text[:200]!r} is not an http:// or https:// address", where=where, fix=fix)
    return text
