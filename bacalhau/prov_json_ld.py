"""A provenance in W3C's vocabulary PROV-O, as JSON-LD. Source: PROV-O and JSON-LD 1.1, w3.org.

An execution is an Activity, and is called by its task; f, x and y are Entities; a node is an Agent. What PROV-O has no
word for (tier, dissent, what a result rests on) is in terms of our own. There are no times: records have none.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from bacalhau.lineage_drawing import footing_phrase
from bacalhau.provenance import Performed, Provenance, Vote
from storage.cid import CID, cid_text

TERMS: Final = "urn:bacalhau:terms:1:"
_CONTEXT: Final = {
    "prov": "http://www.w3.org/ns/prov#",
    "rdfs": "http://www.w3.org/2000/01/rdf-schema#",
    "bacalhau": TERMS,
    "label": "rdfs:label",
    "comment": "rdfs:comment",
    "used": {"@id": "prov:used", "@type": "@id"},
    "generatedBy": {"@id": "prov:wasGeneratedBy", "@type": "@id"},
    "derivedFrom": {"@id": "prov:wasDerivedFrom", "@type": "@id"},
    "agent": {"@id": "prov:agent", "@type": "@id"},
    "plan": {"@id": "prov:hadPlan", "@type": "@id"},
    "association": {"@id": "prov:qualifiedAssociation"},
    "evidence": {"@id": "bacalhau:evidence", "@type": "@id"},
    "claims": {"@id": "bacalhau:claims", "@type": "@id"},
    "dissent": {"@id": "bacalhau:dissent"},
    "parent": {"@id": "bacalhau:parent", "@type": "@id"},
}


def to_json_ld(provenance: Provenance) -> dict[str, Any]:
    """Return the document, its graph sorted by `@id`."""
    things: dict[str, dict[str, Any]] = {}
    for one in provenance:
        for thing in _things(one):
            known = things.setdefault(thing["@id"], {})
            for key, value in thing.items():
                known[key] = _joined(known.get(key), value)
    for cid in provenance.missing:
        known = things.setdefault(_iri(cid), {"@id": _iri(cid), "@type": "prov:Entity"})
        known["comment"] = "a record that is not here"
    return {"@context": _CONTEXT, "@graph": [things[name] for name in sorted(things)]}


def _joined(known: Any, value: Any) -> Any:
    """Join what two records say of one thing: lists of links are united, the rest is the same or the first."""
    if isinstance(known, list) and isinstance(value, list):
        return [*known, *(one for one in value if one not in known)]
    return value if known is None else known


def _things(one: Performed) -> Iterator[dict[str, Any]]:
    if one.function is not None:
        yield {"@id": _iri(one.function), "@type": ["prov:Entity", "prov:Plan"], "label": f"function {one.name}"}
    for name, content in one.inputs:
        yield {"@id": _iri(content), "@type": ["prov:Entity"], "label": f"input {name}"}
    if one.input is not None:
        yield {"@id": _iri(one.input), "@type": ["prov:Entity"], "label": "input with arguments, seed and epoch"}
    yield _record(one)
    activity = _activity(one)
    if activity is not None:
        yield activity
    yield _output(one)
    for vote in one.votes:
        yield {"@id": _agent(vote), "@type": ["prov:Agent", "prov:SoftwareAgent"], "label": vote.node}


def _activity(one: Performed) -> dict[str, Any] | None:
    if one.task is None:
        return None
    used = [one.function, one.input, *(content for _, content in one.inputs)]
    return {
        "@id": _iri(one.task),
        "@type": ["prov:Activity"],
        "label": f"execution of {one.name}",
        "used": [_iri(cid) for cid in dict.fromkeys(used) if cid is not None],
        "association": [_association(vote, one.function) for vote in one.votes if vote.agrees],
        "dissent": [_association(vote, one.function) for vote in one.votes if not vote.agrees],
    }


def _association(vote: Vote, function: CID | None) -> dict[str, Any]:
    return {
        "@type": "prov:Association",
        "agent": _agent(vote),
        **({} if function is None else {"plan": _iri(function)}),
        "claims": _iri(vote.output),
        "bacalhau:exitCode": vote.exit_code,
        "bacalhau:engine": vote.engine,
    }


def _output(one: Performed) -> dict[str, Any]:
    return {
        "@id": _iri(one.output),
        "@type": ["prov:Entity"],
        "label": f"output of {one.name}",
        "generatedBy": [] if one.task is None else [_iri(one.task)],
        "derivedFrom": [_iri(content) for _, content in one.inputs],
        "evidence": [_iri(one.record)],
        "bacalhau:footing": [one.footing.value],
    }


def _record(one: Performed) -> dict[str, Any]:
    return {
        "@id": _iri(one.record),
        "@type": ["prov:Entity", "bacalhau:Record"],
        "label": f"record of {one.name}",
        "comment": footing_phrase(one),
        "bacalhau:tier": one.tier,
        "bacalhau:footing": one.footing.value,
        "bacalhau:agreeing": one.agreeing,
        "bacalhau:dissenting": one.dissenting,
        "bacalhau:confidence": one.rule.get("confidence"),
        "parent": [_iri(parent) for parent in one.parents],
    }


def _iri(cid: CID) -> str:
    return f"ipfs://{cid_text(cid)}"


def _agent(vote: Vote) -> str:
    return f"_:{vote.node}"
