"""The stack that a flow runs on: what was asked for, as the operator's policy lets it be had."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bacalhau.planning import ONE_PART, load_policy, plan_run
from bacalhau.run_flow import FlowOrder
from bacalhau.services import Services
from bacalhau.trust_report import trust_flag
from runtime.flow_graph import Graph
from runtime.planner.stack import Kind, Part
from runtime.planner.wishes import Wish, Wishes
from runtime.quantity import parse_bytes
from runtime.request import DEFAULT_TIMEOUT_S
from verifier.compare import make_rule

if TYPE_CHECKING:
    from runtime.planner.answer import Chosen


def with_flow_stack(
    order: FlowOrder, services: Services, *, said: Collection[str], policy: Path | None = None
) -> tuple[FlowOrder, Wishes, Chosen]:
    """Return an order as its stack has it, what was wished for, and the stack: one for all steps of the flow.

    said: which of `concurrency` and `confidence` were asked for, and do not only have their defaults; policy: a file
    that holds besides that of the home.

    Raises:
        UserError: the policy is not understood, or the wishes contradict each other.
        UnavailableError: policy or machine do not let them be had.
    """
    wishes = _wishes(order, said)
    chosen = plan_run(wishes, load_policy(services.home, policy), services)
    modules = _stack_of_modules(order, wishes, chosen, services, policy)
    numbers = chosen.stack.numbers
    rule = make_rule(
        replication=int(numbers["nodes"]), confidence=int(numbers["confidence"]), diverse=chosen.stack.diverse
    )
    graph = _with_timeout(order.graph, float(numbers["timeout"]))
    parts = chosen.stack.parts or ONE_PART
    return replace(order, graph=graph, rule=rule, parts=parts, modules=modules), wishes, chosen


def _stack_of_modules(
    order: FlowOrder, wishes: Wishes, chosen: Chosen, services: Services, policy: Path | None
) -> Part | None:
    """Return what runs the steps that are modules, if there are any: with the numbers of the other steps' stack."""
    if all(step.request.module is None for step in order.graph.steps):
        return None
    numbers = chosen.stack.numbers
    names = ("nodes", "confidence", "timeout", "memory")
    named: dict[str, Any] = {name: Wish(value=numbers[name], said=True) for name in names}
    same = replace(wishes, kind=Kind.WASM, **named)
    (part,) = plan_run(same, load_policy(services.home, policy), services).stack.parts
    return part


def _wishes(order: FlowOrder, said: Collection[str]) -> Wishes:
    """Return what the most demanding step asks for."""
    requests = [step.request for step in order.graph.steps]
    timeout_s = max(request.timeout_s for request in requests)
    memory = max(parse_bytes(request.memory, where="memory") for request in requests)
    return Wishes(
        nodes=Wish(value=order.rule.replication, said="concurrency" in said),
        confidence=Wish(value=order.rule.confidence, said="confidence" in said),
        timeout=Wish(value=timeout_s, said=timeout_s != DEFAULT_TIMEOUT_S),
        memory=Wish(value=memory, said=True),
        diverse=order.rule.diverse,
        trust=trust_flag(order.trust),
        strict=order.strict,
        local=True,
    )


def _with_timeout(graph: Graph, most_s: float) -> Graph:
    """Give no step more time than the stack has."""
    steps = tuple(
        replace(step, request=replace(step.request, timeout_s=min(step.request.timeout_s, most_s)))
        for step in graph.steps
    )
    return replace(graph, steps=steps)
