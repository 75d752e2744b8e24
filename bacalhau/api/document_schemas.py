"""The JSON of the API as JSON Schemas: what `submission`, `job_view` and `network.node.control` read and write."""

from __future__ import annotations

from typing import Any, Final

from bacalhau.api.shard_handlers import MAX_SHARDS_LISTED
from bacalhau.api.submission import (
    DEFAULT_TIMEOUT_S,
    MAX_BIDS,
    MAX_LABELS,
    MAX_ORIGINS,
    MAX_PARENTS,
    MAX_TEXT_BYTES,
    MAX_TIMEOUT_S,
    MIN_TIMEOUT_S,
)
from network.shard_list import MAX_SHARDS
from verifier.compare import DEFAULT_CONFIDENCE, DEFAULT_REPLICATION
from verifier.credibility import BAD_SHARE, MAX_BAD_SHARE

_ID: Final = "^[0-9a-f]{32}$"
_MOST_VOTES: Final = 1000
_DIGEST: Final = "[a-h][a-z2-7]{50}[aeimquy4]"
"""What is left of 32 bytes in base32 behind the head of a CIDv1."""
_TASK_PATTERN: Final = f"^bafyrei{_DIGEST}$"
JOB_NAME: Final[dict[str, Any]] = {
    "type": "string",
    "pattern": f"^([0-9a-f]{{4,32}}|baf(ybei|yrei){_DIGEST})$",
    "description": "A job's id, the first digits of one (four at least), or the CID of its task, output or record.",
}
CID: Final[dict[str, Any]] = {
    "type": "string",
    "pattern": f"^baf(krei|ybei|yrei){_DIGEST}$",
    "description": "A CIDv1 of a raw, DAG-PB or DAG-CBOR block; every other form of one is read as well.",
}


def _object(*required: str, closed: bool = True, **properties: Any) -> dict[str, Any]:
    made: dict[str, Any] = {"type": "object", "properties": properties}
    if required:
        made["required"] = list(required)
    return {**made, "additionalProperties": False} if closed else made


def _all(**properties: Any) -> dict[str, Any]:
    """Return an object of exactly these."""
    return _object(*properties, **properties)


def _list(items: dict[str, Any], most: int | None = None) -> dict[str, Any]:
    made = {"type": "array", "items": items}
    return made if most is None else {**made, "maxItems": most}


def _number(low: int, high: int, default: int | None = None) -> dict[str, Any]:
    made: dict[str, Any] = {"type": "integer", "minimum": low, "maximum": high}
    return made if default is None else {**made, "default": default}


def _maybe(kind: str) -> dict[str, Any]:
    return {"type": [kind, "null"]}


_TEXT: Final[dict[str, Any]] = {"type": "string"}
_TEXTS: Final = _list(_TEXT)
_FLAG: Final[dict[str, Any]] = {"type": "boolean"}
_COUNT: Final[dict[str, Any]] = {"type": "integer", "minimum": 0}
_JOB: Final[dict[str, Any]] = {"type": "string", "pattern": _ID}
_WORD: Final[dict[str, Any]] = {"type": "string", "minLength": 1, "maxLength": MAX_TEXT_BYTES}
_WORDS_BY_NAME: Final[dict[str, Any]] = {"type": "object", "additionalProperties": _TEXT}
_ANY_OBJECT: Final[dict[str, Any]] = {"type": "object"}
_DEMAND: Final = _all(cpu_milli=_COUNT, memory=_COUNT, disk=_COUNT, gpus=_COUNT)
_STATE: Final[dict[str, Any]] = {"type": "string", "enum": ["running", "settling", "ended"]}
_DAG_CBOR_CID: Final[dict[str, Any]] = {"type": "string", "pattern": _TASK_PATTERN}

_SUMMARY: Final = {
    "job": _JOB,
    "created_at": _TEXT,
    "labels": _TEXTS,
    "state": _STATE,
    "cancelled": _FLAG,
    "task": _maybe("string"),
    "output": _maybe("string"),
    "record": _maybe("string"),
    "verdict": _maybe("string"),
    "tier": _TEXT,
    "exit_code": _maybe("integer"),
}
_RULE: Final = _all(replication=_number(1, _MOST_VOTES), confidence=_number(1, _MOST_VOTES), diverse=_FLAG)
_ASKED: Final = _all(
    rule=_RULE, demand=_DEMAND, min_bids=_COUNT, selector=_WORDS_BY_NAME, timeout_s={"type": "number"}, parents=_TEXTS,
    data_parents=_TEXTS,
    origins=_list(_ANY_OBJECT), shards=_maybe("string"), shard_count=_COUNT, max_failures=_maybe("integer"),
    no_cache=_FLAG, trust=_maybe("number"), bad_nodes=_maybe("number"), require_verified=_FLAG,
)  # fmt: skip
_ASKED_RULE: Final = {
    **_object(
        replication=_number(1, _MOST_VOTES, DEFAULT_REPLICATION),
        confidence=_number(1, _MOST_VOTES, DEFAULT_CONFIDENCE),
        diverse={**_FLAG, "default": False},
    ),
    "description": "The confidence is at most the replication. With trust: the least counts, by default 1 and 1.",
}

_TASK_OR_SHARDS: Final[dict[str, Any]] = {
    "oneOf": [{"required": ["task"]}, {"required": ["shards"]}],
    "dependentRequired": {"max_failures": ["shards"], "bad_nodes": ["trust"]},
}

SCHEMAS: Final[dict[str, Any]] = {
    "Problem": _all(problem=_TEXT, where=_TEXT, fix=_TEXT),
    "Submission": {**_object(
        job={**_JOB, "description": "Drawn by the submitter; the same id again is the same job."},
        task={**_DAG_CBOR_CID, "description": "CID of a task, whose blocks are here."},
        shards={**_DAG_CBOR_CID, "description": "In place of a task: CID of a list of shards, whose blocks are here."},
        max_failures={**_number(0, MAX_SHARDS), "description": "Failed shards after which the job is given up."},
        no_cache={**_FLAG, "default": False, "description": "Run also what was verified before."},
        rule=_ASKED_RULE,
        min_bids=_number(0, MAX_BIDS, 0),
        labels=_list(_WORD, MAX_LABELS),
        selector={
            "type": "object",
            "propertyNames": {"minLength": 1, "maxLength": MAX_TEXT_BYTES},
            "additionalProperties": _WORD,
            "maxProperties": MAX_LABELS,
            "description": "Labels that a node must have to be asked. Names and values are 1 to 255 bytes of UTF-8.",
        },
        timeout_s={
            "type": "number",
            "minimum": MIN_TIMEOUT_S,
            "maximum": MAX_TIMEOUT_S,
            "default": DEFAULT_TIMEOUT_S,
        },
        parents={**_list(_DAG_CBOR_CID, MAX_PARENTS), "uniqueItems": True, "description": "Records of the inputs."},
        data_parents={
            **_list(_DAG_CBOR_CID, MAX_PARENTS),
            "uniqueItems": True,
            "description": "Of a job over shards: records of the data that was split.",
        },
        require_verified={
            **_FLAG,
            "default": False,
            "description": "Refuse inputs that come from something unverified, as far as is known here.",
        },
        origins={**_list(_ANY_OBJECT, MAX_ORIGINS), "description": "Where fetched content came from."},
        trust={
            "type": "number",
            "minimum": 0.5,
            "exclusiveMaximum": 1,
            "description": "Probability that an answer is right, in place of counts. At most what 100 nodes give.",
        },
        bad_nodes={
            "type": "number",
            "exclusiveMinimum": 0,
            "maximum": MAX_BAD_SHARE,
            "default": BAD_SHARE,
            "description": "Share of the nodes that is assumed to be bad.",
        },
    ), **_TASK_OR_SHARDS},
    "Accepted": _all(job=_JOB),
    "Jobs": _all(jobs=_list(_all(**_SUMMARY))),
    "Job": _all(
        **_SUMMARY,
        submission={"oneOf": [{"type": "null"}, _ASKED]},
        report={"type": ["object", "null"], "description": "As `bacalhau run --json`; null until it has ended."},
    ),
    "Shards": _all(shards=_list(_ANY_OBJECT, MAX_SHARDS_LISTED)),
    "State": _all(job=_JOB, state=_STATE, cancelled=_FLAG),
    "Logs": _all(
        job=_JOB,
        state=_STATE,
        stdout=_TEXT,
        stderr=_TEXT,
        cut={**_TEXTS, "description": "Those that are longer than what is given."},
    ),
    "Event": _all(job=_JOB, number=_COUNT, at=_maybe("string"), kind=_TEXT, detail=_ANY_OBJECT),
    "SentEvent": {
        **_object(
            "id",
            "data",
            closed=False,
            id=_TEXT,
            data={
                **_TEXT,
                "contentMediaType": "application/json",
                "contentSchema": {"$ref": "#/components/schemas/Event"},
            },
        ),
        "description": "One server-sent event; its id is the number of the event.",
    },
    "Kept": _all(blocks=_COUNT, bytes=_COUNT, roots=_TEXTS),
    "Node": _all(
        peer=_TEXT, addresses=_TEXTS, roles=_TEXTS, connected=_TEXTS, labels=_WORDS_BY_NAME, engines=_TEXTS,
        total=_DEMAND, job_most=_DEMAND, free=_DEMAND, gpus=_TEXTS, gpu_note=_TEXT, known_nodes=_COUNT,
        running=_COUNT, jobs_open=_COUNT, store_ok=_FLAG,
    ),
    "Health": _all(ok=_FLAG, peer=_TEXT, version=_TEXT),
}  # fmt: skip
