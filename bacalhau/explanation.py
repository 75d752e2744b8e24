"""Why a stack is as it is: the report that `--explain` prints. Pure, but for what the planner was asked."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from bacalhau.planning import Answered
from runtime.planner.answer import Alternative, Chosen, Clash, named
from runtime.planner.rules import Rule
from runtime.planner.stack import Part, Place, Stack
from runtime.planner.wishes import Wishes


def explained(answered: Answered, wishes: Wishes) -> dict[str, Any]:
    """Return what `--explain --json` prints: the stack with its reasons, or the clash."""
    from runtime.planner.choice import alternatives

    question, answer = answered.question, answered.answer
    if isinstance(answer, Clash):
        return {
            "stack": None,
            "cost": None,
            "preferences": [],
            "departures": [],
            "alternatives": [],
            "clash": [_rule(rule) for rule in answer.rules],
        }
    preferences = [rule for rule in question.rules if rule.weight is not None]
    return {
        "stack": stack_entry(answer.stack),
        "cost": answer.cost,
        "preferences": [_preference(rule, answer) for rule in preferences],
        "departures": list(departures(wishes, answer)),
        "alternatives": [_alternative(one, answer) for one in alternatives(question, answer.stack)],
        "clash": [],
    }


def stack_entry(stack: Stack) -> dict[str, Any]:
    """Return a stack as JSON."""
    return {
        "kind": stack.kind.value,
        "tier": stack.tier.value,
        "place": stack.place.value,
        "engines": [_part(part) for part in stack.parts],
        "diverse": stack.diverse,
        "gpu": stack.gpu,
        "networking": stack.networking,
        "limits": {"memory": stack.numbers["memory"], "timeout_s": stack.numbers["timeout"]},
        "concurrency": stack.numbers["nodes"],
        "confidence": stack.numbers["confidence"],
    }


def departures(wishes: Wishes, chosen: Chosen) -> Iterator[str]:
    """Yield what a policy has changed in what would have been done without it."""
    stack = chosen.stack
    if wishes.has_node and not wishes.local and stack.place is not Place.NODES:
        yield "runs on embedded nodes, although a node runs here: so the policy wants it"
    for name, words in (("nodes", "nodes run it"), ("confidence", "nodes have to agree"), ("timeout", "s at most")):
        usual, now = getattr(wishes, name).value, stack.numbers[name]
        if usual != now:
            yield f"{now:g} {words}, not {usual:g}: so the policy wants it"
    if stack.diverse and not wishes.diverse:
        yield "nodes use different engines: so the policy wants it"


def _part(part: Part) -> dict[str, Any]:
    return {"engine": part.engine.value, "isolation": None if part.isolation is None else part.isolation.value}


def _rule(rule: Rule) -> dict[str, Any]:
    return {"words": rule.words, "origin": rule.origin.value, "where": rule.where, "fix": rule.fix}


def _preference(rule: Rule, chosen: Chosen) -> dict[str, Any]:
    kept = rule not in chosen.given_up
    cost = 0 if kept else rule.weight
    return {"words": rule.words, "where": rule.where, "weight": rule.weight, "kept": kept, "cost": cost}


def _alternative(other: Alternative, chosen: Chosen) -> dict[str, Any]:
    more = other.cost - chosen.cost
    if other.clash:
        because = "; ".join(named(other.clash))
    elif more:
        because = f"what it gives up costs {other.cost}, {more} more"
    else:
        because = "costs no less, and is not as simple"
    return {
        "choice": other.key,
        "value": other.value,
        "because": because,
        "clash": [_rule(rule) for rule in other.clash],
        "cost": None if other.clash else other.cost,
    }
