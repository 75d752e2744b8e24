"""A provenance as JSON: everything that the other exports are made of, `bacalhau-graph/1`."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any, Final

from bacalhau.provenance import Performed, Provenance
from storage.cid import CID, cid_text

VERSION: Final = "bacalhau-graph/1"


def to_json(provenance: Provenance) -> dict[str, Any]:
    """Return the object of docs/export.md: the records, the oldest first."""
    return {
        "v": VERSION,
        "root": cid_text(provenance.root),
        "footing": provenance.last.footing.value,
        "records": [_record(one) for one in provenance],
        "missing": [cid_text(cid) for cid in provenance.missing],
    }


def as_text(value: Any) -> str:
    """Return JSON that is the same for the same value: keys sorted, no character outside ASCII."""
    return json.dumps(value, indent=1, sort_keys=True) + "\n"


def _record(one: Performed) -> dict[str, Any]:
    return {
        "record": cid_text(one.record),
        "tier": one.tier,
        "footing": one.footing.value,
        "task": _text(one.task),
        "function": {
            "cid": _text(one.function),
            "kind": one.kind or None,
            "source": _text(one.source),
            "module": _text(one.module),
            "image": None if one.image is None else asdict(one.image),
            "entry": one.entry,
            "runtime": _text(one.runtime),
            "profile": one.profile or None,
            "packages": [
                {"name": package.name, "version": package.version, "sha256": package.sha256} for package in one.packages
            ],
        },
        "input": {
            "cid": _text(one.input),
            "data": _text(one.data),
            "volumes": [{"path": path, "cid": cid_text(cid)} for path, cid in one.volumes],
            "args": dict(one.args),
            "seed": one.seed,
            "epoch": one.epoch,
        },
        "output": cid_text(one.output),
        "exit_code": one.exit_code,
        "rule": dict(one.rule),
        "agreeing": one.agreeing,
        "dissenting": one.dissenting,
        "receipts": [
            {
                "node": vote.node,
                "output": cid_text(vote.output),
                "exit_code": vote.exit_code,
                "engine": vote.engine,
                "agrees": vote.agrees,
            }
            for vote in one.votes
        ],
        "parents": [cid_text(parent) for parent in one.parents],
    }


def _text(cid: CID | None) -> str | None:
    return None if cid is None else cid_text(cid)
