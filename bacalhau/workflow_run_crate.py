"""The metadata of a Workflow Run RO-Crate: the form in which Zenodo and WorkflowHub take a computation and its results.

Sources: RO-Crate 1.1; Process Run Crate 0.5 and Workflow Run Crate 0.5 (w3id.org/ro/wfrun); Workflow RO-Crate 1.0.
Pure: what is in the crate is handed over, with sizes and digests. Records have no times, so actions have none.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias
from urllib.parse import quote

from bacalhau.lineage_drawing import footing_phrase, votes_phrase
from bacalhau.provenance import Image, Performed, Provenance
from storage.cid import CID, cid_text
from storage.counting import agrees, counted

METADATA_NAME: Final = "ro-crate-metadata.json"
GRAPH_NAME: Final = "provenance.json"
PROOF_NAME: Final = "record.car"
MODULE_NAME: Final = "module.wasm"
SOURCE_FOLDER: Final = "function"
OUTPUT_FOLDER: Final = "output"

_PROFILES: Final = (
    ("https://w3id.org/ro/wfrun/process/0.5", "Process Run Crate", "0.5"),
    ("https://w3id.org/ro/wfrun/workflow/0.5", "Workflow Run Crate", "0.5"),
    ("https://w3id.org/workflowhub/workflow-ro-crate/1.0", "Workflow RO-Crate", "1.0"),
)
_PARAMETER: Final = "https://bioschemas.org/profiles/FormalParameter/1.0-RELEASE"
_WORKFLOW: Final = "https://bioschemas.org/profiles/ComputationalWorkflow/1.0-RELEASE"
_LANGUAGES: Final = {
    f"{SOURCE_FOLDER}/function.py": ("https://www.python.org/", "Python"),
    f"{SOURCE_FOLDER}/{MODULE_NAME}": ("https://webassembly.org/", "WebAssembly"),
    GRAPH_NAME: ("https://www.json.org/", "JSON"),
}
"""By the main workflow: what there is of it; the last one always is."""

_MEDIA_TYPES: Final = {
    "car": "application/vnd.ipld.car",
    "csv": "text/csv",
    "json": "application/json",
    "pdf": "application/pdf",
    "png": "image/png",
    "py": "text/x-python",
    "svg": "image/svg+xml",
    "txt": "text/plain",
    "wasm": "application/wasm",
}
"""By the end of a name; fixed here, since what the system knows differs from machine to machine."""

Entity: TypeAlias = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class CrateFile:
    """A file of the crate."""

    path: str
    """From the crate's root, with slashes."""
    size: int
    """Bytes."""
    sha256: str


def make_metadata(
    provenance: Provenance, files: Sequence[CrateFile], *, proven: int, published: str, licence: str
) -> Entity:
    """Return the content of `ro-crate-metadata.json`.

    proven: records whose evidence is in the crate; published: a date as ISO 8601 has it, of publication, which is who
    publishes' to say; licence: the URL of one.
    """
    paths = [file.path for file in files]
    main = next((path for path in _LANGUAGES if path in paths), GRAPH_NAME)
    entities = [_descriptor(), _root(provenance, paths, main, proven, published, licence)]
    entities += [
        {"@id": url, "@type": "CreativeWork", "name": name, "version": version} for url, name, version in _PROFILES
    ]
    entities.append({"@id": licence, "@type": "CreativeWork", "name": licence})
    entities += [_file(file) for file in files if file.path != main]
    entities.append(_workflow(provenance.last, next(file for file in files if file.path == main)))
    entities += _parameters(provenance.last)
    url, name = _LANGUAGES[main]
    entities.append({"@id": url, "@type": "ComputerLanguage", "name": name})
    seen = {entity["@id"] for entity in entities}
    entities += [
        {
            "@id": _action_id(cid),
            "@type": "CreativeWork",
            "name": "a record that is not here",
            "identifier": cid_text(cid),
        }
        for cid in provenance.missing
    ]
    for one in provenance:
        for entity in _of_record(one, provenance, paths, main):
            if entity["@id"] not in seen:
                seen.add(entity["@id"])
                entities.append(entity)
    context = ["https://w3id.org/ro/crate/1.1/context", "https://w3id.org/ro/terms/workflow-run/context"]
    return {"@context": context, "@graph": entities}


def _descriptor() -> Entity:
    conforms = ("https://w3id.org/ro/crate/1.1", "https://w3id.org/workflowhub/workflow-ro-crate/1.0")
    return {
        "@id": METADATA_NAME,
        "@type": "CreativeWork",
        "about": _link("./"),
        "conformsTo": [_link(url) for url in conforms],
    }


def _root(provenance: Provenance, paths: Sequence[str], main: str, proven: int, published: str, licence: str) -> Entity:
    one = provenance.last
    lacking = len(provenance.missing)
    are = agrees(lacking, "is", "are")
    missing = f" {counted(lacking, 'record')} that it comes from {are} not here." if lacking else ""
    of = f"{proven} of {counted(len(provenance.performed), 'record')}"
    check = f"Anybody can check the evidence of {of} offline: bacalhau-audit {PROOF_NAME}."
    evidence = check if proven else "There is no evidence to check."
    return {
        "@id": "./",
        "@type": "Dataset",
        "name": f"Result of {one.name}, {cid_text(one.output)}",
        "description": (
            f"{footing_phrase(one).capitalize()}; {votes_phrase(one)}. {evidence} When it was computed is not "
            f"recorded: the function saw a clock of its own.{missing}"
        ),
        "datePublished": published,
        "license": _link(licence),
        "identifier": cid_text(one.record),
        "conformsTo": [_link(url) for url, _, _ in _PROFILES],
        "hasPart": [_link(_path_id(path)) for path in paths],
        "mainEntity": _link(_path_id(main)),
        "mentions": _links(_action_id(each.record) for each in reversed(provenance.performed)),
    }


def _file(file: CrateFile) -> Entity:
    names = {PROOF_NAME: "The evidence, which audits offline", GRAPH_NAME: "The records that this comes from"}
    return {
        "@id": _path_id(file.path),
        "@type": "File",
        "name": names.get(file.path, file.path.rpartition("/")[2]),
        "contentSize": str(file.size),
        "sha256": file.sha256,
        "encodingFormat": _media_type(file.path),
        **({"exampleOfWork": _link("#output")} if file.path.startswith(f"{OUTPUT_FOLDER}/") else {}),
    }


def _workflow(one: Performed, file: CrateFile) -> Entity:
    names = [name for name, _ in one.inputs] + [f"argument {name}" for name in sorted(one.args)]
    return {
        "@id": _path_id(file.path),
        "@type": ["File", "SoftwareSourceCode", "ComputationalWorkflow"],
        "name": one.name,
        "version": "" if one.function is None else cid_text(one.function),
        "programmingLanguage": _link(_LANGUAGES[file.path][0]),
        "conformsTo": _link(_WORKFLOW),
        "contentSize": str(file.size),
        "sha256": file.sha256,
        "encodingFormat": _media_type(file.path),
        **({} if one.function is None else {"url": _content_id(one.function)}),
        "input": _links(map(_parameter_id, names)),
        "output": _link("#output"),
        "softwareRequirements": [f"{package.name}=={package.version}" for package in one.packages],
    }


def _parameters(one: Performed) -> Iterator[Entity]:
    names = [(name, "Dataset") for name, _ in one.inputs]
    names += [(f"argument {name}", "PropertyValue") for name in sorted(one.args)]
    for name, kind in names:
        yield _parameter(_parameter_id(name), name, kind)
    yield _parameter("#output", "output", "File")
    yield {"@id": _WORKFLOW, "@type": "CreativeWork", "name": "ComputationalWorkflow profile", "version": "1.0-RELEASE"}
    yield {"@id": _PARAMETER, "@type": "CreativeWork", "name": "FormalParameter profile", "version": "1.0-RELEASE"}


def _parameter(name_id: str, name: str, kind: str) -> Entity:
    return {
        "@id": name_id,
        "@type": "FormalParameter",
        "name": name,
        "additionalType": kind,
        "conformsTo": _link(_PARAMETER),
    }


def _of_record(one: Performed, provenance: Provenance, paths: Sequence[str], main: str) -> Iterator[Entity]:
    is_last = one.record == provenance.root
    objects = [_content(name, cid, one, is_last=is_last) for name, cid in one.inputs]
    objects += [_argument(name, value, one, is_last=is_last) for name, value in sorted(one.args.items())]
    results = [path for path in paths if path.startswith(f"{OUTPUT_FOLDER}/")] if is_last else []
    tool = _path_id(main) if is_last else f"#function-{'' if one.function is None else cid_text(one.function)}"
    yield {
        "@id": _action_id(one.record),
        "@type": "CreateAction",
        "name": f"Execution of {one.name}",
        "description": f"{footing_phrase(one)}; {votes_phrase(one)}; record {cid_text(one.record)}",
        "instrument": _link(tool),
        "object": _links(entity["@id"] for entity in objects),
        "result": _links([_path_id(path) for path in results] or [_content_id(one.output)]),
        "identifier": cid_text(one.record),
        **_status(one),
        **({} if one.image is None else {"containerImage": _link(_image_id(one.image))}),
        **({"subjectOf": _link(PROOF_NAME)} if PROOF_NAME in paths else {}),
    }
    if one.image is not None:
        yield _container_image(one.image)
    yield from objects
    if not is_last:
        yield _output(one)
        yield {
            "@id": tool,
            "@type": "SoftwareApplication",
            "name": one.name,
            **(
                {}
                if one.function is None
                else {"softwareVersion": cid_text(one.function), "url": _content_id(one.function)}
            ),
        }


def _status(one: Performed) -> Entity:
    if one.exit_code is None:
        return {}
    if one.exit_code == 0:
        return {"actionStatus": "http://schema.org/CompletedActionStatus"}
    return {
        "actionStatus": "http://schema.org/FailedActionStatus",
        "error": f"the function ended with exit code {one.exit_code}, and the nodes agree on that",
    }


def _content(name: str, cid: CID, one: Performed, *, is_last: bool) -> Entity:
    from_parents = {"isBasedOn": _links(map(_action_id, one.parents))} if one.parents else {}
    return {
        "@id": _content_id(cid),
        "@type": "CreativeWork",
        "name": f"input {name}",
        "identifier": cid_text(cid),
        **from_parents,
        **({"exampleOfWork": _link(_parameter_id(name))} if is_last else {}),
    }


def _output(one: Performed) -> Entity:
    return {
        "@id": _content_id(one.output),
        "@type": "CreativeWork",
        "name": f"output of {one.name}",
        "identifier": cid_text(one.output),
    }


def _container_image(image: Image) -> Entity:
    """Return an image as workflow-run terms have it; without a registry, by its id alone."""
    registry, slash, name = (image.repository or "").partition("/")
    is_named = bool(slash) and ("." in registry or ":" in registry or registry == "localhost")
    where = {"registry": registry, "name": name} if is_named else {"registry": "docker.io", "name": image.repository}
    return {
        "@id": _image_id(image),
        "@type": "ContainerImage",
        "additionalType": _link("https://w3id.org/ro/terms/workflow-run#DockerImage"),
        "identifier": f"sha256:{image.config_sha256}",
        **({} if image.repository is None else where),
        **({} if image.manifest_sha256 is None else {"sha256": image.manifest_sha256}),
    }


def _argument(name: str, value: Any, one: Performed, *, is_last: bool) -> Entity:
    return {
        "@id": f"#argument-{cid_text(one.record)}-{quote(name, safe='')}",
        "@type": "PropertyValue",
        "name": name,
        "value": json.dumps(value, sort_keys=True),
        **({"exampleOfWork": _link(_parameter_id(f"argument {name}"))} if is_last else {}),
    }


def _link(url: str) -> dict[str, str]:
    return {"@id": url}


def _links(urls: Iterable[str]) -> Any:
    """Return links as RO-Crate wants them: one stands for itself, not in a list."""
    links = [_link(url) for url in urls]
    return links[0] if len(links) == 1 else links


def _media_type(path: str) -> str:
    name = path.rpartition("/")[2]
    plain = path in (f"{OUTPUT_FOLDER}/{stream}" for stream in ("stdout", "stderr", "exit_code"))
    return "text/plain" if plain else _MEDIA_TYPES.get(name.rpartition(".")[2].lower(), "application/octet-stream")


def _path_id(path: str) -> str:
    return quote(path)


def _image_id(image: Image) -> str:
    return f"#image-sha256-{image.config_sha256}"


def _content_id(cid: CID) -> str:
    return f"ipfs://{cid_text(cid)}"


def _action_id(record: CID) -> str:
    return f"#record-{cid_text(record)}"


def _parameter_id(name: str) -> str:
    return f"#input-{quote(name, safe='')}"
