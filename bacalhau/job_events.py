"""What happened to a job, as JSON and as lines for people. Pure.

Events of a node come from its datastore. A job of the embedded default kept none; its report says what is known,
without times in between.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from bacalhau.trust_report import equal_words
from storage.counting import agrees, counted

if TYPE_CHECKING:
    from network.node.datastore import JobEvent

LAST: Final = "ended"
"""The kind of a job's last event."""
_SPLIT: Final = ("glob_pattern", "base_path", "batch_size")
_COUNTED: Final = ("shards", "verified", "cached", "failed")
_PEER_DIGITS: Final = 8
"""The end of a peer id is enough to tell nodes apart."""


def event_json(event: JobEvent) -> dict[str, Any]:
    """Return an event as JSON."""
    at = datetime.fromtimestamp(event.at, UTC).isoformat(timespec="milliseconds")
    return {"job": event.job, "number": event.number, "at": at, "kind": event.kind, "detail": dict(event.detail)}


def events_of_report(report: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return what a report knows as events; `at` is None where no time was kept."""
    receipts = [("revealed", {name: one[name] for name in ("node", "output", "agrees")}) for one in report["receipts"]]
    failures = [("failed", {"node": one["node"], "reason": one["reason"]}) for one in report["undetermined"]]
    faults = [
        ("fault", {"node": one["node"], "reason": f"{one['kind']} {one['detail']}".strip()}) for one in report["faults"]
    ]
    verdict = {"verdict": report["verdict"], "output": report["output"], "record": report["record"]}
    over_shards = report.get("sharding")
    split = {name: over_shards[name] for name in _SPLIT} if over_shards else None
    told = [
        ("submitted", {"task": report["task"]} if split is None else {"input": report["input"], **split}),
        *([("shards", {name: over_shards[name] for name in _COUNTED})] if over_shards else ()),
        *receipts,
        *failures,
        *faults,
        ("verdict", {name: value for name, value in verdict.items() if value is not None}),
        (LAST, {}),
    ]
    return [
        {
            "job": report["job"],
            "number": number,
            "at": report["created_at"] if number == 1 else None,
            "kind": kind,
            "detail": detail,
        }
        for number, (kind, detail) in enumerate(told, 1)
    ]


def event_phrase(event: Mapping[str, Any]) -> str:
    """Return an event as a short phrase, the node first: what progress shows."""
    detail = dict(event["detail"])
    node = detail.pop("node", None)
    words = _PHRASES.get(event["kind"])
    try:
        said = _listed(event["kind"], detail) if words is None else words(detail)
    except (KeyError, TypeError):  # of another release
        said = _listed(event["kind"], detail)
    return f"node {node[-_PEER_DIGITS:]}: {said}" if isinstance(node, str) else said


def _listed(kind: str, detail: Mapping[str, Any]) -> str:
    return " ".join([kind, *(f"{name}={_shown(value)}" for name, value in detail.items())])


def _verdict(detail: Mapping[str, Any]) -> str:
    if detail.get("tier") == "unverified":
        return f"unverified: {detail['verdict']} {detail['alike']}/{detail['asked']}"
    if "receipts" not in detail:
        return _listed("verdict", detail)
    others = f", {detail['dissent']} of them in dissent" if detail["dissent"] else ""
    return f"verdict {detail['verdict']}: {counted(detail['receipts'], 'receipt')}{others}"


def _why(detail: Mapping[str, Any]) -> str:
    """Tell why so many, where a trust was asked for."""
    if "words" not in detail:
        return ""
    passes = ", ".join(map(str, detail["passes"]))
    with_passes = f"with {passes} {'pass' if passes == '1' else 'passes'}"
    return f", {with_passes}: {equal_words(detail['words'])} for a trust of {detail['trust']}"


def _asked(detail: Mapping[str, Any]) -> str:
    if "task" in detail:
        return f"task {detail['task']}"
    shards = counted(detail["shards"], "shard") if "shards" in detail else "shards"
    return f"{shards} of input {detail['input']}" if "input" in detail else shards


def _shards(count: int) -> str:
    return f"{counted(count, 'shard')} {agrees(count, 'has', 'have')}"


def _kinds(detail: Mapping[str, Any]) -> str:
    kinds = ((detail["cached"], "known from before"), (detail["failed"], "failed"))
    return "".join(f", {count} {what}" for count, what in kinds if count)


_PHRASES: Final[Mapping[str, Callable[[Mapping[str, Any]], str]]] = {
    "shards": lambda detail: f"{detail['ended']} of {_shards(detail['of'])} ended{_kinds(detail)}",
    "shard": lambda detail: f"shard {detail['shard']} failed: {detail['verdict']}, exit code {detail['exit_code']}",
    "given-up": lambda detail: f"given up: {counted(detail['failed'], 'shard')} failed",
    "submitted": lambda detail: f"submitted {_asked(detail)}",
    "assigned": lambda detail: f"assigned to {counted(len(detail['nodes']), 'node')}{_why(detail)}",
    "refused": lambda detail: f"does not take it: {detail['reason']}",
    "said": lambda detail: f"gave no output: {detail['reason']}" if "reason" in detail else f"says: {detail['output']}",
    "committed": lambda _: "committed",
    "revealed": lambda detail: f"revealed output {detail['output']}",
    "undetermined": lambda detail: f"its host failed: {detail['reason']}",
    "fault": lambda detail: f"broke a rule ({detail['kind']}): {detail['detail']}",
    "deadline": lambda detail: f"time for {detail['phase']} is over, round {detail['round']}",
    "fetching": lambda detail: f"fetching output {detail['output']}",
    "output-missing": lambda detail: f"nobody gives the output: {detail['reason']}",
    "verdict": _verdict,
    LAST: lambda detail: f"{LAST}, and could not be checked: {detail['reason']}" if "reason" in detail else LAST,
}


def event_line(event: Mapping[str, Any]) -> str:
    """Return an event as a line: number, time, phrase."""
    return f"{event['number']:>4}  {event['at'] or '-':<29}  {event_phrase(event)}"


def _shown(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value)
