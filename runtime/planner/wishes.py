"""What a requester says, and what an operator says of a node that serves: into rules and a question."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from runtime.planner.facts import MachineFacts, machine_rules
from runtime.planner.question import Question
from runtime.planner.rules import Bound, Condition, Origin, Rule
from runtime.planner.stack import (
    ENGINES_OF,
    PLACES_OF,
    REACHES_OUT,
    STRICT_ISOLATIONS,
    EngineName,
    Kind,
    Number,
    Part,
    Place,
    Stack,
)
from storage.counting import counted

LEAST_CONFIDENCE: Final = 2
"""One node alone is believed only when that is said."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """A number, and whether it was said: what is not said gives way to a policy, unless it is part of the task."""

    value: Number
    said: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Wishes:
    """The flags of one run that choose a stack."""

    kind: Kind = Kind.PYTHON
    nodes: Wish
    confidence: Wish
    timeout: Wish
    """Seconds."""
    memory: Wish
    """Bytes; part of the task, so it never gives way."""
    diverse: bool = False
    trust: str = ""
    """The flag, if nodes and confidence are what it comes to: the least then, and one node is no matter of its own."""
    strict: bool = False
    local: bool = False
    needs_node: tuple[str, ...] = ()
    """Flags that mean something to a running node alone."""
    has_node: bool = False
    """A node runs, and would be given the job."""
    gpu: bool = False
    networking: bool = False
    """It is to reach the network."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Serving:
    """The flags of a node that executes what others ask for."""

    kind: Kind = Kind.PYTHON
    engine: EngineName | None = None
    """None: any."""
    strict: bool = False


def run_question(wishes: Wishes, policy: tuple[Rule, ...], facts: MachineFacts) -> Question:
    """Return the question of one run."""
    return Question(
        kind=wishes.kind,
        places=PLACES_OF[wishes.kind],
        machine=facts.machine,
        wishes={
            "nodes": wishes.nodes.value,
            "confidence": wishes.confidence.value,
            "timeout": wishes.timeout.value,
            "memory": wishes.memory.value,
        },
        rules=(*_run_rules(wishes), *policy, *machine_rules(facts), *_node_rules(wishes)),
    )


def serve_question(serving: Serving, policy: tuple[Rule, ...], facts: MachineFacts) -> Question:
    """Return the question of a node: which engine it uses, and in what."""
    return Question(
        kind=serving.kind,
        places=(Place.SERVING,),
        machine=facts.machine,
        wishes={},
        rules=(*_serve_rules(serving), *policy, *machine_rules(facts)),
    )


def plain_stack(wishes: Wishes) -> Stack | None:
    """Return the answer to a question that needs no solver, None if it does: without a policy, and with flags of which
    none asks for an engine or an isolation. Of engines it is the simplest, which every installation has, in the best
    that there is when it starts; a test compares it with the solver's.
    """
    own = wishes.kind in (Kind.PYTHON, Kind.WASM) and not (wishes.strict or wishes.diverse)
    agrees = wishes.confidence.value >= LEAST_CONFIDENCE or wishes.confidence.said or bool(wishes.trust)
    if not own or not agrees or wishes.confidence.value > wishes.nodes.value:
        return None
    if wishes.needs_node and (wishes.local or not wishes.has_node):
        return None
    place = Place.NODES if wishes.has_node and not wishes.local else Place.EMBEDDED
    part = Part(engine=ENGINES_OF[wishes.kind][0], isolation=None)
    numbers = {name: getattr(wishes, name).value for name in ("nodes", "confidence", "timeout", "memory")}
    return Stack(
        kind=wishes.kind, place=place, parts=() if place is Place.NODES else (part,), numbers=numbers
    )  # fmt: skip


def _run_rules(wishes: Wishes) -> Iterator[Rule]:
    if wishes.strict:
        yield from _strict("only on this machine, in a strict jail", Place.EMBEDDED)
        if wishes.has_node and not wishes.local:
            # What one flag asks for must not make the nodes that agree one machine: that is to be said.
            words = "the node that runs here gets the job and chooses other machines"
            nodes = Condition(key="place", values=frozenset({Place.NODES.value}))
            yield _request(words, "no --local", nodes, fix="add --local")
    if wishes.diverse:
        yield _request("different engines", "--diverse", Condition(key="diverse", values=frozenset({"true"})))
    if wishes.local:
        words = "only nodes of this process"
        yield _request(words, "--local", Condition(key="place", values=frozenset({Place.EMBEDDED.value})))
    for flag in wishes.needs_node:
        words = "only nodes that a running node finds"
        yield _request(words, flag, Condition(key="place", values=frozenset({Place.NODES.value})))
    if wishes.kind in REACHES_OUT:
        yield _exactly_if("gpu", "a GPU", wishes.gpu, "--gpu")
        yield _exactly_if("networking", "a network", wishes.networking, "--network")
    yield from _numbers(wishes)


def _exactly_if(key: str, thing: str, is_wanted: bool, flag: str) -> Rule:
    """Return that the job gets something if it was asked for, and not otherwise."""
    condition = Condition(key=key, values=frozenset({str(is_wanted).lower()}))
    words, where, fix = (
        (thing, flag, "") if is_wanted else (f"without {thing}", f"no {flag}", f"ask for it with {flag}")
    )
    return _request(words, where, condition, fix=fix)


def _numbers(wishes: Wishes) -> Iterator[Rule]:
    yield from _trusted(wishes) if wishes.trust else _counted(wishes)
    if wishes.timeout.said:
        yield _exactly("timeout", wishes.timeout.value, f"{wishes.timeout.value:g} s for an execution", "--timeout")
    where, fix = ("--memory", "") if wishes.memory.said else ("no --memory", "ask for less with --memory")
    yield _exactly("memory", wishes.memory.value, f"{wishes.memory.value} bytes of memory", where, fix=fix)


def _trusted(wishes: Wishes) -> Iterator[Rule]:
    bounds = (Bound(key=key, at_most=False, value=getattr(wishes, key).value) for key in ("nodes", "confidence"))
    words = f"{_count(wishes.confidence.value)} at least that have to agree"
    yield _request(words, wishes.trust, *bounds, fix="ask for less trust")


def _counted(wishes: Wishes) -> Iterator[Rule]:
    if wishes.nodes.said:
        yield _exactly("nodes", wishes.nodes.value, f"exactly {_count(wishes.nodes.value)}", "--concurrency")
    if wishes.confidence.said:
        words = f"exactly {_count(wishes.confidence.value)} that have to agree"
        yield _exactly("confidence", wishes.confidence.value, words, "--confidence")
    else:
        bound = Bound(key="confidence", at_most=False, value=LEAST_CONFIDENCE)
        fix = "add --confidence 1 to trust a single node"
        yield _request("two nodes at least have to agree", "no --confidence", bound, fix=fix)


def _node_rules(wishes: Wishes) -> Iterator[Rule]:
    if not wishes.has_node:
        nodes = Condition(key="place", values=frozenset({Place.NODES.value}))
        yield Rule(
            words="no node runs here",
            origin=Origin.MACHINE,
            where="this machine",
            fix="start one with `bacalhau serve`",
            when=(nodes,),
            never=True,
        )


def _serve_rules(serving: Serving) -> Iterator[Rule]:
    if serving.strict:
        yield from _strict("only in a strict jail", Place.SERVING)
    if serving.engine is not None:
        only = Condition(key="engine", values=frozenset({serving.engine.value}))
        yield _request(f"only {serving.engine}", "--engine", only)


def _strict(words: str, place: Place) -> Iterator[Rule]:
    isolations = Condition(key="isolation", values=frozenset(one.value for one in STRICT_ISOLATIONS))
    here = Condition(key="place", values=frozenset({place.value}))
    yield _request(words, "--isolation strict", isolations, here)


def _count(value: Number) -> str:
    return counted(int(value), "node")


def _exactly(key: str, value: Number, words: str, where: str, fix: str = "") -> Rule:
    bounds = (Bound(key=key, at_most=at_most, value=value) for at_most in (True, False))
    return _request(words, where, *bounds, fix=fix)


def _request(words: str, where: str, *then: Condition | Bound, fix: str = "") -> Rule:
    """Return what a flag says, or the lack of one."""
    return Rule(words=words, origin=Origin.REQUEST, where=where, fix=fix or f"leave {where} out", then=then)
