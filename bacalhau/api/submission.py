"""Reads what `POST /jobs` brings: strict, bounded, and pure. Exactly these keys and types, or one clear line."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Final, TypeVar

from network.messages import Demand
from network.node.datastore import Submission
from network.shard_list import MAX_SHARDS
from network.trust_terms import LEAST_RULE
from storage.cid import CID, DAG_CBOR, SHA2_256, cid_text, codec_of, parse_cid, split_cid
from storage.errors import UserError
from verifier.bounds import MAX_JSON_DEPTH, MAX_NODES
from verifier.compare import make_rule
from verifier.credibility import BAD_SHARE, TrustGoal
from verifier.model import ModelError, Rule

MAX_TIMEOUT_S: Final = 7 * 86_400.0
"""What the protocol's messages can say."""
MIN_TIMEOUT_S: Final = 0.001
MAX_BIDS: Final = 1000
MAX_LABELS: Final = 64
"""Of a job, and in its selector."""
MAX_TEXT_BYTES: Final = 255
MAX_PARENTS: Final = MAX_NODES
"""What a record can name."""
MAX_ORIGINS: Final = 1024
MAX_CID_CHARACTERS: Final = 256
DEFAULT_TIMEOUT_S: Final = 600.0

_JOB: Final = re.compile(r"[0-9a-f]{32}")
_KEYS: Final = (
    "job", "task", "shards", "max_failures", "no_cache", "rule", "min_bids", "labels", "selector", "timeout_s",
    "parents", "data_parents", "origins", "trust", "bad_nodes", "require_verified",
)  # fmt: skip
_RULE_KEYS: Final = ("replication", "confidence", "diverse")
T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A submission as it was sent, checked."""

    job: str | None
    """None: the server draws one."""
    task: CID | None
    shards: CID | None
    """A list of shards (`network.shard_list`); either this or the task is there."""
    max_failures: int | None
    no_cache: bool
    rule: Rule
    min_bids: int
    labels: tuple[str, ...]
    selector: tuple[tuple[str, str], ...]
    timeout_s: float
    parents: tuple[CID, ...]
    """Sorted."""
    data_parents: tuple[CID, ...]
    """Sorted."""
    origins: tuple[Mapping[str, Any], ...]
    trust: TrustGoal | None
    """The rule says no more than the least counts then."""
    require_verified: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Needs:
    """What is found out about what a submission names."""

    demand: Demand
    """What the execution of one task takes of a node."""
    shard_count: int
    """0 of a single task."""
    unverified: bool = False
    """The task is of a container."""


def read_asked(body: bytes) -> Asked:
    """Read a body.

    Raises:
        UserError: it is no JSON object of these keys, types and bounds; `where` is the key.
    """
    fields = read_object(body)
    _check_keys(fields, _KEYS, "")
    if ("task" in fields) == ("shards" in fields):
        raise _wrong("task", "and shards are both there" if "task" in fields else "is missing, and shards as well")
    if "max_failures" in fields and "shards" not in fields:
        raise _wrong("max_failures", "is for a job over shards")
    if "data_parents" in fields and "shards" not in fields:
        raise _wrong("data_parents", "is for a job over shards")
    if "bad_nodes" in fields and "trust" not in fields:
        raise _wrong("bad_nodes", "means nothing without trust")
    trust = _trust(fields) if "trust" in fields else None
    return Asked(
        job=_maybe(fields, "job", _job_id, None),
        task=_maybe(fields, "task", _cid, None),
        shards=_maybe(fields, "shards", _cid, None),
        max_failures=_maybe(fields, "max_failures", _failures, None),
        no_cache=_maybe(fields, "no_cache", _flag, False),
        rule=_maybe(fields, "rule", partial(_rule, least=trust is not None), _default_rule(trust)),
        min_bids=_maybe(fields, "min_bids", _bids, 0),
        labels=_maybe(fields, "labels", _labels, ()),
        selector=_maybe(fields, "selector", _selector, ()),
        timeout_s=_maybe(fields, "timeout_s", _timeout, DEFAULT_TIMEOUT_S),
        parents=_maybe(fields, "parents", _parents, ()),
        data_parents=_maybe(fields, "data_parents", _parents, ()),
        origins=_maybe(fields, "origins", _origins, ()),
        trust=trust,
        require_verified=_maybe(fields, "require_verified", _flag, False),
    )


def make_submission(asked: Asked, *, job: str, created_at: float, needs: Needs) -> Submission:
    """Return the submission.

    Raises:
        UserError: it asks of a container what only what is verified has.
    """
    if needs.unverified and (asked.trust is not None or asked.rule.diverse):
        raise _wrong("rule.diverse" if asked.trust is None else "trust", "means nothing for a container")
    return Submission(
        job=job,
        created_at=created_at,
        task=asked.task,
        shards=asked.shards,
        shard_count=needs.shard_count,
        max_failures=asked.max_failures,
        no_cache=asked.no_cache,
        rule=asked.rule,
        demand=needs.demand,
        labels=asked.labels,
        selector=asked.selector,
        min_bids=asked.min_bids,
        timeout_s=asked.timeout_s,
        parents=asked.parents,
        data_parents=asked.data_parents,
        origins=asked.origins,
        trust=asked.trust,
        require_verified=asked.require_verified,
        unverified=needs.unverified,
    )


def is_same(one: Submission, other: Submission) -> bool:
    """Tell whether two submissions ask for the same, whenever they were made."""
    return replace(one, created_at=other.created_at) == other


def read_object(body: bytes) -> dict[str, Any]:
    """Read a JSON object: UTF-8, no key twice, finite numbers, not deep.

    Raises:
        UserError: it is something else.
    """
    try:
        value = json.loads(body.decode("utf-8"), parse_constant=_refuse_constant, object_pairs_hook=_distinct)
        _check_value(value, 0)
    except (ValueError, RecursionError) as error:
        said = "it is nested too deep" if isinstance(error, RecursionError) else str(error).partition("\n")[0]
        raise UserError(f"is not JSON: {said}", where="body") from error
    if not isinstance(value, dict):
        raise UserError("is not a JSON object", where="body")
    return value


def _refuse_constant(name: str) -> float:
    raise ValueError(f"{name} is no number")


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        raise ValueError("a key is there twice")
    return made


def _check_value(value: object, depth: int) -> None:
    if depth > MAX_JSON_DEPTH:
        raise ValueError(f"it is nested deeper than {MAX_JSON_DEPTH}")
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError("a number is too large")
    if isinstance(value, str):
        value.encode("utf-8")  # a lone surrogate cannot be kept
    elif isinstance(value, dict):
        for name, inner in value.items():
            _check_value(name, depth + 1)
            _check_value(inner, depth + 1)
    elif isinstance(value, list):
        for inner in value:
            _check_value(inner, depth + 1)


def _maybe(fields: Mapping[str, Any], key: str, read: Callable[[Any, str], T], default: T) -> T:
    return read(fields[key], key) if key in fields else default


def _check_keys(fields: Mapping[str, Any], known: tuple[str, ...], inside: str) -> None:
    unknown = sorted(set(fields) - set(known))
    if unknown:
        raise _wrong(f"{inside}{unknown[0][:80]}", f"is not a key here; there are {', '.join(known)}")


def _job_id(value: Any, key: str) -> str:
    if not isinstance(value, str) or not _JOB.fullmatch(value):
        raise _wrong(key, "must be 32 lower-case hex digits")
    return value


def _cid(value: Any, key: str) -> CID:
    if not isinstance(value, str) or not value.isascii() or len(value) > MAX_CID_CHARACTERS:
        raise _wrong(key, "must be a CID as text")
    try:
        cid = parse_cid(value)
    except UserError as error:
        raise _wrong(key, error.problem) from error
    if codec_of(cid) != DAG_CBOR or cid_text(cid) != value or split_cid(cid).hash_code != SHA2_256:
        raise _wrong(key, "must be the CID of a DAG-CBOR node, bafyrei…")
    return cid


def _trust(fields: Mapping[str, Any]) -> TrustGoal:
    asked = _number(fields["trust"], "trust")
    bad = _maybe(fields, "bad_nodes", _number, BAD_SHARE)
    try:
        return TrustGoal(asked=asked, bad=bad)
    except UserError as error:
        raise _wrong("bad_nodes" if error.where.startswith("--bad-nodes") else "trust", error.problem) from error


def _number(value: Any, key: str) -> float:
    if type(value) not in (int, float) or not 0 <= value <= 1:
        raise _wrong(key, "must be a number from 0 to 1")
    return float(value)


def _default_rule(trust: TrustGoal | None) -> Rule:
    return make_rule() if trust is None else LEAST_RULE


def _rule(value: Any, key: str, *, least: bool) -> Rule:
    if not isinstance(value, dict):
        raise _wrong(key, "must be an object")
    _check_keys(value, _RULE_KEYS, f"{key}.")
    usual = LEAST_RULE if least else make_rule()
    replication = _maybe(value, "replication", _votes, usual.replication)
    confidence = _maybe(value, "confidence", _votes, usual.confidence)
    diverse = _flag(value.get("diverse", False), f"{key}.diverse")
    if confidence > replication:
        raise _wrong(f"{key}.confidence", f"is more than the replication, {replication}")
    try:
        return make_rule(replication=replication, confidence=confidence, diverse=diverse)
    except ModelError as error:
        raise _wrong(f"{key}.{error.field}", error.problem) from error


def _votes(value: Any, key: str) -> int:
    return _integer(value, f"rule.{key}", 1, 1000)


def _bids(value: Any, key: str) -> int:
    return _integer(value, key, 0, MAX_BIDS)


def _failures(value: Any, key: str) -> int:
    return _integer(value, key, 0, MAX_SHARDS)


def _flag(value: Any, key: str) -> bool:
    if not isinstance(value, bool):
        raise _wrong(key, "must be true or false")
    return value


def _integer(value: Any, key: str, low: int, high: int) -> int:
    if type(value) is not int or not low <= value <= high:
        raise _wrong(key, f"must be an integer, {low} to {high}")
    return value


def _timeout(value: Any, key: str) -> float:
    if type(value) not in (int, float) or not MIN_TIMEOUT_S <= value <= MAX_TIMEOUT_S:
        raise _wrong(key, f"must be seconds, {MIN_TIMEOUT_S} to {MAX_TIMEOUT_S:.0f} (a week)")
    return float(value)


def _list(value: Any, key: str, most: int) -> list[Any]:
    if not isinstance(value, list) or len(value) > most:
        raise _wrong(key, f"must be a list of at most {most}")
    return value


def _labels(value: Any, key: str) -> tuple[str, ...]:
    return tuple(_text(one, f"{key}[{n}]") for n, one in enumerate(_list(value, key, MAX_LABELS)))


def _text(value: Any, key: str) -> str:
    if not isinstance(value, str) or not 0 < len(value.encode()) <= MAX_TEXT_BYTES:
        raise _wrong(key, f"must be a text of 1 to {MAX_TEXT_BYTES} bytes")
    return value


def _selector(value: Any, key: str) -> tuple[tuple[str, str], ...]:
    if not isinstance(value, dict) or len(value) > MAX_LABELS:
        raise _wrong(key, f"must be an object of at most {MAX_LABELS} labels")
    wanted = sorted((_text(name, f"{key} name"), _text(inner, f"{key} value")) for name, inner in value.items())
    return tuple(wanted)


def _parents(value: Any, key: str) -> tuple[CID, ...]:
    parents = sorted(_cid(one, f"{key}[{n}]") for n, one in enumerate(_list(value, key, MAX_PARENTS)))
    if len(set(parents)) != len(parents):
        raise _wrong(key, "has one twice")
    return tuple(parents)


def _origins(value: Any, key: str) -> tuple[Mapping[str, Any], ...]:
    origins = _list(value, key, MAX_ORIGINS)
    if not all(isinstance(one, dict) for one in origins):
        raise _wrong(key, "must be a list of objects")
    return tuple(origins)


def _wrong(key: str, problem: str) -> UserError:
    return UserError(problem, where=key, fix="see docs/api.md")
