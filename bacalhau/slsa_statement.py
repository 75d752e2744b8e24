"""Provenance of an output's files as an in-toto statement with SLSA's predicate, in a signed DSSE envelope.

Who signs is whoever exports, with a key of this machine: it states that this record was audited here and found valid
(or is of the tier `unverified`, and says so). It is no further receipt, and does not say that the output is right.
Sources: in-toto Attestation Framework v1, SLSA v1 provenance, DSSE v1 (secure-systems-lab/dsse, protocol.md).
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote

from bacalhau.lineage_drawing import footing_phrase
from bacalhau.provenance import Image, Performed, Provenance
from storage.cid import CID, cid_text
from verifier.identity import Identity

STATEMENT: Final = "https://in-toto.io/Statement/v1"
PREDICATE: Final = "https://slsa.dev/provenance/v1"
PAYLOAD_TYPE: Final = "application/vnd.in-toto+json"
BUILD_TYPE: Final = "urn:bacalhau:build-type:task:1"
_BUILDERS: Final = {"verified": "urn:bacalhau:builder:quorum:1", "unverified": "urn:bacalhau:builder:unverified:1"}


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputFile:
    """One file of the output."""

    path: str
    sha256: str
    """Of the whole file's bytes, hex."""


def make_statement(provenance: Provenance, files: Sequence[OutputFile]) -> dict[str, Any]:
    """Return the statement about the files of the last record's output.

    files: all of them, by path; there is at least `exit_code`.
    """
    one = provenance.last
    output = f"ipfs://{cid_text(one.output)}"
    return {
        "_type": STATEMENT,
        "subject": [
            {"name": file.path, "uri": f"{output}/{quote(file.path)}", "digest": {"sha256": file.sha256}}
            for file in files
        ],
        "predicateType": PREDICATE,
        "predicate": {"buildDefinition": _definition(one), "runDetails": _details(one)},
    }


def _definition(one: Performed) -> dict[str, Any]:
    inputs = [{"name": name, "uri": f"ipfs://{cid_text(cid)}"} for name, cid in one.inputs]
    parents = [{"name": "parent record", "uri": f"ipfs://{cid_text(parent)}"} for parent in one.parents]
    packages = [
        {
            "name": package.file_name,
            "uri": f"pkg:pypi/{package.name}@{quote(package.version, safe='')}",
            "downloadLocation": f"ipfs://{cid_text(package.wheel)}",
            "digest": {"sha256": package.sha256},
        }
        for package in one.packages
    ]
    parts = (("function", one.function), ("source", one.source), ("module", one.module), ("runtime", one.runtime))
    named = [{"name": name, "uri": f"ipfs://{cid_text(cid)}"} for name, cid in parts if cid is not None]
    return {
        "buildType": BUILD_TYPE,
        "externalParameters": {
            "task": _uri(one.task),
            "function": _uri(one.function),
            "entry": one.entry,
            "input": _uri(one.input),
            "args": dict(one.args),
            "seed": one.seed,
            "epoch": one.epoch,
        },
        "internalParameters": {"rule": dict(one.rule), "profile": one.profile or None},
        "resolvedDependencies": [*named, *_images(one.image), *inputs, *parents, *packages],
    }


def _images(image: Image | None) -> Iterator[dict[str, Any]]:
    """Yield what a container was made of: by the id that ran, and by what its registry calls it."""
    if image is None:
        return
    yield {"name": "image configuration", "digest": {"sha256": image.config_sha256}}
    if image.repository is not None and image.manifest_sha256 is not None:
        name = quote(image.repository.rpartition("/")[2], safe="")
        at = quote(image.repository, safe="/")
        uri = f"pkg:oci/{name}@sha256%3A{image.manifest_sha256}?repository_url={at}"
        yield {"name": "image", "uri": uri, "digest": {"sha256": image.manifest_sha256}}


def _details(one: Performed) -> dict[str, Any]:
    return {
        "builder": {"id": _BUILDERS.get(one.tier, _BUILDERS["unverified"])},
        "metadata": {"invocationId": f"ipfs://{cid_text(one.record)}"},
        "byproducts": [
            {
                "name": "verification",
                "uri": f"ipfs://{cid_text(one.record)}",
                "annotations": {
                    "tier": one.tier,
                    "footing": one.footing.value,
                    "meaning": footing_phrase(one),
                    "agreeing": one.agreeing,
                    "dissenting": one.dissenting,
                    "exitCode": one.exit_code,
                    "nodes": [vote.node for vote in one.votes if vote.agrees],
                    "dissent": [
                        {"node": vote.node, "output": f"ipfs://{cid_text(vote.output)}"}
                        for vote in one.votes
                        if not vote.agrees
                    ],
                },
            }
        ],
    }


def sign_statement(statement: dict[str, Any], identity: Identity) -> dict[str, Any]:
    """Return the DSSE envelope; ed25519 is deterministic, so the same statement and key give the same bytes."""
    payload = json.dumps(statement, sort_keys=True, separators=(",", ":")).encode("ascii")
    signature = identity.key.sign(pre_authentication(PAYLOAD_TYPE, payload))
    return {
        "payloadType": PAYLOAD_TYPE,
        "payload": base64.b64encode(payload).decode("ascii"),
        "signatures": [{"keyid": identity.peer, "sig": base64.b64encode(signature).decode("ascii")}],
    }


def pre_authentication(kind: str, payload: bytes) -> bytes:
    """Return the bytes that DSSE signs: both lengths are in them, so that no pair reads as another."""
    return b"DSSEv1 %d %s %d %s" % (len(kind.encode()), kind.encode(), len(payload), payload)


def _uri(cid: CID | None) -> str | None:
    return None if cid is None else f"ipfs://{cid_text(cid)}"
