"""Whether the policy of this home lets a container run: the planner's answer for the tier that nobody verifies."""

from __future__ import annotations

from pathlib import Path

from bacalhau.planning import accepted, answer_run, load_policy
from bacalhau.run_container import ContainerOrder
from bacalhau.services import Services
from runtime.container_plan import ContainerPlan
from runtime.planner.answer import named
from runtime.planner.rules import Rule, holds
from runtime.planner.stack import EngineName, Isolation, Kind, Machine, Part, Place, Stack
from runtime.planner.wishes import Wish, Wishes
from runtime.quantity import parse_bytes
from storage.errors import UserError


def check_policy(order: ContainerOrder, services: Services, further: Path | None) -> None:
    """Refuse an order that a policy forbids; without a policy nothing is looked at.

    A policy cannot change the order, as it may a function's: all that is asked for was said, or is part of the task.

    Raises:
        UserError: a policy cannot be read.
        UnavailableError: a policy forbids it, or there is no engine.
    """
    policy = load_policy(services.home, further)
    if not policy:
        return
    request = order.request
    wishes = Wishes(
        kind=Kind.DOCKER,
        nodes=Wish(value=order.times, said=True),
        confidence=Wish(value=order.times, said=True),
        timeout=Wish(value=request.content.timeout_s, said=True),
        memory=Wish(value=parse_bytes(request.content.memory, where="--memory"), said=True),
        gpu=request.gpus > 0,
        networking=request.network != "none",
    )
    accepted(answer_run(wishes, policy, services).answer, "run docker")


def check_policy_on_node(order: ContainerOrder, services: Services, further: Path | None) -> None:
    """Refuse an order that a policy does not have nodes run; what they use for it is theirs to choose.

    Raises:
        UserError: a policy cannot be read, or forbids it.
    """
    policy = load_policy(services.home, further)
    if not policy:
        return
    request = order.request
    stack = Stack(
        kind=Kind.DOCKER,
        place=Place.NODES,
        parts=(),
        gpu=request.gpus > 0,
        networking=request.network != "none",
        numbers={
            "nodes": order.times,
            "confidence": order.times,
            "timeout": request.content.timeout_s,
            "memory": parse_bytes(request.content.memory, where="--memory"),
        },
    )
    if objection := _broken(policy, stack, services.find_facts().machine):
        raise UserError(objection, where="run docker", fix="change the call, or the policy")


def objection_to_container(policy: tuple[Rule, ...], machine: Machine, plan: ContainerPlan) -> str:
    """Return which rule of a node's policy a container would break there that somebody asks for; empty if none."""
    stack = Stack(
        kind=Kind.DOCKER,
        place=Place.SERVING,
        parts=(Part(engine=EngineName.DOCKER, isolation=Isolation.CONTAINER),),
        gpu=plan.function.gpus > 0,
        networking=plan.function.network != "none",
        numbers={"timeout": plan.wall_clock_s, "memory": plan.input.limits.memory},
    )
    return _broken(policy, stack, machine)


def _broken(policy: tuple[Rule, ...], stack: Stack, machine: Machine) -> str:
    broken = (rule for rule in policy if rule.weight is None and not holds(rule, stack, machine))
    return next((f"not with the policy: {words}" for words in named(broken)), "")
