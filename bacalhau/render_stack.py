"""How an explanation of a stack looks to a person."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from bacalhau.render import print_text
from bacalhau.terminal_text import one_line
from bacalhau.trust_report import explained_trust

_PLACES = {
    "nodes": "nodes that the node here finds",
    "embedded": "embedded nodes, processes of this command",
}


def print_explanation(said: Mapping[str, Any]) -> None:
    """Print the stack with its reasons on stdout, or what clashes."""
    if said["stack"] is None:
        print_text("nothing can run this. These cannot be had together, and any of them less would do:")
        for rule in said["clash"]:
            fix = f"; {rule['fix']}" if rule["fix"] else ""
            print_text(f"  {one_line(rule['words'])} ({one_line(rule['where'])}){one_line(fix)}")
        return
    for name, text in (*_stack(said["stack"], said.get("trust")), *_reasons(said)):
        print_text(f"{name:<11} {one_line(text)}")


def _stack(stack: Mapping[str, Any], trust: Mapping[str, Any] | None) -> Iterator[tuple[str, str]]:
    yield "runs", f"{stack['kind']}, tier {stack['tier']}"
    yield "place", _PLACES[stack["place"]]
    for part in stack["engines"]:
        yield "engine", f"{part['engine']}, isolation {part['isolation']}"
    yield "nodes", f"{stack['concurrency']}, of which {stack['confidence']} have to agree"
    if trust is not None:
        yield "trust", explained_trust(trust, stack["place"] == "nodes")
    limits = stack["limits"]
    yield "limits", f"{limits['memory']} bytes of memory, {limits['timeout_s']:g} s for an execution"
    given = [word for word in ("diverse", "gpu", "networking") if stack[word]]
    if given:
        yield "with", ", ".join(given)


def _reasons(said: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for words in said["departures"]:
        yield "changed", words
    for one in said["preferences"]:
        state = "kept" if one["kept"] else f"given up, costs {one['cost']}"
        yield "preference", f"{one['words']} ({one['where']}): {state}"
    if said["preferences"]:
        yield "cost", str(said["cost"])
    for one in said["alternatives"]:
        yield "not", f"{one['choice']} {one['value']}: {one['because']}"
