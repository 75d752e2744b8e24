import base64
import hashlib
import json
import re
from xml.etree import ElementTree as ET

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from storage import dag_cbor
from storage.cid import DAG_CBOR, cid_text, make_cid, parse_cid
from tests.requirements_gate import need
from tests.unit.bacalhau.fakes import FakeEngine, Gave
from tests.unit.verifier.test_unverified import function as container_function
from tests.vectors.records.world import put_unverified
from verifier.model import store_node
from verifier.peer_id import public_key_of

SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture
def report(desk):
    return desk.run("-i", desk.file(b"hello"), "--arg", "greeting=<b>&\"'</b>")


@pytest.fixture
def child(desk, report):
    desk.engine = FakeEngine(lambda number, plan, store: Gave(result=b"the child's own"))
    return desk.run("-i", f"{report['output']}/result")


@pytest.fixture
def dissent(desk):
    """Two of three agree."""
    desk.engine = FakeEngine(lambda number, plan, store: Gave(result=b"odd" if number == 3 else b"even"))
    report = desk.run()
    assert report["verdict"] == "agreed"
    return report


@pytest.fixture
def tainted(desk):
    """A verified record whose parent is of the tier unverified."""
    first = desk.run("-i", desk.file(b"hello"))
    with desk.store() as store:
        record = dag_cbor.decode(store.get(parse_cid(first["record"])))
        named = {key: record[key] for key in ("task", "function", "input")}
        parent = cid_text(put_unverified(store, parse_cid(first["output"]), **named))
        return {"parent": parent, "record": put(store, record | {"parents": [parse_cid(parent)]})}


def put(store, node):
    data = dag_cbor.encode(node)
    cid = make_cid(DAG_CBOR, data)
    store.put(cid, data)
    return cid_text(cid)


def export(desk, name, form):
    said = desk("graph", "export", name, "--format", form)
    assert said.code == 0, said
    return said.text


def test_json_has_the_records_with_parents_first(desk, report, child):
    graph = json.loads(export(desk, child["record"], "json"))
    assert (graph["v"], graph["root"], graph["footing"]) == ("bacalhau-graph/1", child["record"], "verified")
    assert [one["record"] for one in graph["records"]] == [report["record"], child["record"]]
    first, last = graph["records"]
    assert last["parents"] == [report["record"]]
    assert (first["agreeing"], first["dissenting"], first["exit_code"]) == (3, 0, 0)
    assert first["input"]["args"] == {"greeting": "<b>&\"'</b>"}
    assert {one["node"] for one in first["receipts"]} == {one["node"] for one in report["receipts"]}
    assert graph["missing"] == []


@pytest.mark.parametrize("form", ["json", "json-ld", "dot", "svg", "in-toto"])
def test_an_export_is_the_same_each_time_and_for_each_name_of_the_record(desk, child, form):
    texts = {export(desk, child[name], form) for name in ("record", "output", "job") for _ in range(2)}
    assert len(texts) == 1


@pytest.mark.parametrize("form", ["json", "json-ld", "dot", "svg", "in-toto", "ro-crate"])
def test_dissent_is_named(desk, dissent, form, tmp_path):
    odd = next(one for one in dissent["receipts"] if not one["agrees"])
    if form == "ro-crate":
        assert desk("graph", "export", dissent["record"], "--format", form, "-o", tmp_path / "crate").code == 0
        text = (tmp_path / "crate" / "ro-crate-metadata.json").read_text()
    else:
        text = export(desk, dissent["record"], form)
        if form == "in-toto":
            text = base64.b64decode(json.loads(text)["payload"]).decode()
    if form in ("json", "json-ld", "in-toto"):
        assert odd["node"] in text
        assert odd["output"] in text
    else:
        assert "2 of 3 agree, 1 DISSENT" in text


@pytest.mark.parametrize("form", ["json", "json-ld", "dot", "svg"])
def test_taint_is_named(desk, tainted, form):
    text = export(desk, tainted["record"], form)
    assert "tainted" in text
    assert "unverified" in text
    assert "unverified" in export(desk, tainted["parent"], form)


def test_what_is_not_here_is_named_and_the_footing_is_unknown(desk, report, child):
    with desk.store() as store, store.writing() as connection:
        digest = parse_cid(report["record"])[4:]
        assert connection.execute("DELETE FROM blocks WHERE digest = ?", (digest,)).rowcount == 1
    graph = json.loads(export(desk, child["record"], "json"))
    assert (graph["footing"], graph["missing"]) == ("unknown", [report["record"]])
    assert "not here" in export(desk, child["record"], "svg")
    said = desk("graph", "export", child["record"], "--format", "in-toto")
    assert said.code == 4
    assert "is not signed for" in said.err


def test_dot_has_each_thing_once_and_quotes_what_others_wrote(desk, report, child):
    text = export(desk, child["record"], "dot")
    nodes = re.findall(r'^  "([^"]+)" \[label', text, re.MULTILINE)
    assert len(nodes) == len(set(nodes))
    assert sum(node.startswith("r_") for node in nodes) == 2
    edges = re.findall(r'^  "([^"]+)" -> "([^"]+)"', text, re.MULTILINE)
    assert {end for edge in edges for end in edge} <= set(nodes)
    assert (f"c_{report['output']}", f"r_{child['record']}") in edges
    assert text.count("{") == text.count("}") == 1


def test_svg_is_well_formed_and_boxes_do_not_overlap(desk, report, child):
    root = ET.fromstring(export(desk, child["record"], "svg"))  # noqa: S314  ours
    assert root.tag == f"{SVG}svg"
    boxes = []
    for group in root.iter(f"{SVG}g"):
        rect = group.find(f"{SVG}rect")
        boxes.append(tuple(float(rect.get(key)) for key in ("x", "y", "width", "height")))
    assert len(boxes) >= 6
    for number, (x, y, width, height) in enumerate(boxes):
        assert x >= 0
        assert x + width <= float(root.get("width"))
        assert y + height <= float(root.get("height"))
        for x2, y2, width2, height2 in boxes[:number]:
            assert x + width <= x2 or x2 + width2 <= x or y + height <= y2 or y2 + height2 <= y
    assert not [one for one in root.iter() if one.tag in (f"{SVG}script", f"{SVG}a", f"{SVG}image")]


def test_json_ld_says_what_was_used_and_what_came_of_it(desk, report, child):
    document = json.loads(export(desk, child["record"], "json-ld"))
    things = {thing["@id"]: thing for thing in document["@graph"]}
    assert list(things) == sorted(things)
    task = things[f"ipfs://{child['task']}"]
    assert task["@type"] == ["prov:Activity"]
    assert f"ipfs://{child['function']}" in task["used"]
    assert len(task["association"]) == 3
    output = things[f"ipfs://{child['output']}"]
    assert output["generatedBy"] == [f"ipfs://{child['task']}"]
    assert output["derivedFrom"][0] in task["used"]
    assert things[f"ipfs://{child['record']}"]["parent"] == [f"ipfs://{report['record']}"]
    used = {key for thing in document["@graph"] for key in thing if not key.startswith("@")}
    assert {key.partition(":")[0] for key in used} <= set(document["@context"])


def envelope_of(desk, name):
    return json.loads(export(desk, name, "in-toto"))


def test_the_statement_is_signed_as_dsse_says_by_this_machine(desk, report):
    """Checked from the specification alone: PAE(type, body) = "DSSEv1" SP LEN(type) SP type SP LEN(body) SP body."""
    envelope = envelope_of(desk, report["record"])
    payload, kind = base64.b64decode(envelope["payload"], validate=True), envelope["payloadType"]
    assert kind == "application/vnd.in-toto+json"
    message = b" ".join([b"DSSEv1", str(len(kind)).encode(), kind.encode(), str(len(payload)).encode(), payload])
    (signature,) = envelope["signatures"]
    peers = [line.split()[1] for line in desk("id").text.splitlines()]
    assert signature["keyid"] in peers
    key = Ed25519PublicKey.from_public_bytes(public_key_of(signature["keyid"]))
    key.verify(base64.b64decode(signature["sig"], validate=True), message)


def test_the_subjects_are_the_files_of_the_output(desk, report, tmp_path):
    statement = json.loads(base64.b64decode(envelope_of(desk, report["record"])["payload"]))
    assert statement["_type"] == "https://in-toto.io/Statement/v1"
    assert statement["predicateType"] == "https://slsa.dev/provenance/v1"
    assert desk("get", report["job"], "--output-dir", tmp_path / "got").code == 0
    got = {
        path.relative_to(tmp_path / "got").as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in (tmp_path / "got").rglob("*")
        if path.is_file() and path.name != "record.car"
    }
    assert {one["name"]: one["digest"]["sha256"] for one in statement["subject"]} == got
    predicate = statement["predicate"]
    assert predicate["buildDefinition"]["externalParameters"]["task"] == f"ipfs://{report['task']}"
    assert predicate["runDetails"]["metadata"] == {"invocationId": f"ipfs://{report['record']}"}
    said = predicate["runDetails"]["byproducts"][0]["annotations"]
    assert (said["tier"], said["footing"], said["agreeing"], said["dissenting"]) == ("verified", "verified", 3, 0)


def test_nothing_is_signed_that_does_not_audit(desk, report):
    with desk.store() as store:
        record = dag_cbor.decode(store.get(parse_cid(report["record"])))
        record["rule"]["confidence"] = 900
        forged = put(store, record)
    said = desk("graph", "export", forged, "--format", "in-toto")
    assert (said.code, said.out) == (1, b"")
    assert "is not signed for: its audit is invalid (rule: " in said.err


def test_an_unverified_record_is_signed_as_what_it_is(desk, tainted):
    statement = json.loads(base64.b64decode(envelope_of(desk, tainted["parent"])["payload"]))
    assert statement["predicate"]["runDetails"]["builder"]["id"] == "urn:bacalhau:builder:unverified:1"
    said = statement["predicate"]["runDetails"]["byproducts"][0]["annotations"]
    assert (said["tier"], said["nodes"]) == ("unverified", [])


@pytest.fixture
def crate(desk, child, tmp_path):
    path = tmp_path / "crate"
    flags = ["--published", "2026-11-27", "--licence", "https://spdx.org/licenses/CC0-1.0"]
    said = desk("graph", "export", child["record"], "--format", "ro-crate", "-o", path, *flags, "--json")
    assert said.code == 0, said
    assert said.json["footing"] == "verified"
    return path


def test_a_crate_describes_every_file_in_it(crate, child):
    metadata = json.loads((crate / "ro-crate-metadata.json").read_text())
    things = {thing["@id"]: thing for thing in metadata["@graph"]}
    files = {path.relative_to(crate).as_posix(): path for path in crate.rglob("*") if path.is_file()}
    described = {name for name, thing in things.items() if "File" in thing["@type"]}
    assert described == set(files) - {"ro-crate-metadata.json"}
    assert {one["@id"] for one in things["./"]["hasPart"]} == described
    for name in described:
        data = files[name].read_bytes()
        assert things[name]["sha256"] == hashlib.sha256(data).hexdigest(), name
        assert things[name]["contentSize"] == str(len(data))
    assert things["./"]["mainEntity"] == {"@id": "function/function.py"}
    assert things["./"]["datePublished"] == "2026-11-27"
    actions = [things[one["@id"]] for one in things["./"]["mentions"]]
    assert len(actions) == 2
    assert actions[0]["identifier"] == child["record"]
    linked = {
        one["@id"]
        for thing in metadata["@graph"]
        for value in thing.values()
        for one in (value if isinstance(value, list) else [value])
        if isinstance(one, dict)
    }
    assert {name for name in linked if name not in things} <= {
        "https://w3id.org/ro/crate/1.1",
        "https://www.python.org/",
    }


def test_the_evidence_in_a_crate_audits_deep(desk, crate):
    said = desk("audit", "--car", crate / "record.car", "--deep", "--json")
    assert (said.code, said.json["counts"]["valid"]) == (0, 2)


def test_a_crate_reads_back_with_rocrate(crate, child):
    rocrate = pytest.importorskip("rocrate.rocrate")
    read = rocrate.ROCrate(crate)
    assert read.mainEntity.id == "function/function.py"
    assert set(read.mainEntity.type) == {"File", "SoftwareSourceCode", "ComputationalWorkflow"}
    (last, *_) = read.root_dataset["mentions"]
    assert last.type == "CreateAction"
    assert last["instrument"] is read.mainEntity
    assert {entity.id for entity in last["result"]} >= {"output/result", "output/exit_code"}
    assert (crate / read.get("record.car").id).is_file()


def test_a_crate_is_the_same_each_time_and_never_replaces_anything(desk, crate, child, tmp_path):
    again = ["graph", "export", child["record"], "--format", "ro-crate", "--published", "2026-11-27"]
    again += ["--licence", "https://spdx.org/licenses/CC0-1.0", "-o"]
    assert desk(*again, crate).code == 2
    assert desk(*again, tmp_path / "other").code == 0
    for path in crate.rglob("*"):
        if path.is_file():
            assert path.read_bytes() == (tmp_path / "other" / path.relative_to(crate)).read_bytes(), path


@pytest.mark.filterwarnings("default")  # the validator's libraries warn of each other
def test_the_profile_holds_in_the_eyes_of_its_validator(crate):
    try:
        from rocrate_validator import models, services
    except ImportError as error:
        need("roc-validator", available=False, reason=f"{error}; install it with pip install roc-validator")
        raise
    for profile in ("process-run-crate-0.5", "workflow-run-crate-0.5"):
        settings = services.ValidationSettings(
            rocrate_uri=str(crate), profile_identifier=profile, requirement_severity=models.Severity.REQUIRED
        )
        try:
            issues = services.validate(settings).get_issues()
        except Exception as error:  # it wraps whatever keeps it from fetching the contexts of JSON-LD
            need("roc-validator", available="URLError" not in str(error), reason=str(error))
            raise
        assert [f"{one.check.identifier}: {one.message}" for one in issues] == []


def test_a_car_has_the_record_and_its_parents_as_roots(desk, child, tmp_path):
    said = desk("graph", "export", child["record"], "--format", "car", "-o", tmp_path / "x.car")
    assert said.code == 0
    assert desk("audit", child["record"], "--car", tmp_path / "x.car", "--deep").code == 0
    assert desk("graph", "export", child["record"], "--format", "car", "-o", tmp_path / "x.car").code == 2


@pytest.mark.parametrize(
    "arguments",
    [
        ["--format", "ro-crate"],
        ["--format", "car"],
        ["--format", "pdf"],
        ["--format", "ro-crate", "-o", "new", "--published", "yesterday"],
        ["--format", "ro-crate", "-o", "new", "--licence", "CC0"],
        ["-o", "no/such/folder/x.json"],
    ],
)
def test_a_wrong_call_leaves_nothing(desk, report, arguments, tmp_path):
    before = sorted(tmp_path.iterdir())
    said = desk("graph", "export", report["record"], *arguments)
    assert (said.code, said.out) == (2, b"")
    assert sorted(tmp_path.iterdir()) == before


def test_what_names_no_record_is_a_wrong_call(desk, report):
    assert desk("graph", "export", "beef").code == 2
    assert desk("graph", "export", report["task"], "--format", "json").code == 0
    assert desk("graph", "export", report["input"]).code == 1  # it is there, and is no record


def test_a_crate_whose_parents_are_gone_in_part_has_its_own_evidence(desk, report, child, tmp_path):
    with desk.store() as store, store.writing() as connection:
        digest = parse_cid(report["receipts"][0]["output"])[4:]
        wanted = parse_cid(report["input"])[4:]
        assert digest != wanted
        assert connection.execute("DELETE FROM blocks WHERE digest = ?", (wanted,)).rowcount == 1
    flags = ["--format", "ro-crate", "-o", tmp_path / "crate"]
    assert desk("graph", "export", child["record"], *flags).code == 0
    metadata = json.loads((tmp_path / "crate" / "ro-crate-metadata.json").read_text())
    root = next(thing for thing in metadata["@graph"] if thing["@id"] == "./")
    assert "the evidence of 1 of 2 records" in root["description"]
    assert desk("audit", "--car", tmp_path / "crate" / "record.car").code == 0


def test_a_crate_of_an_unverified_record_says_that_there_is_no_evidence(desk, tainted, tmp_path):
    flags = ["--format", "ro-crate", "-o", tmp_path / "crate"]
    assert desk("graph", "export", tainted["parent"], *flags).code == 0
    text = (tmp_path / "crate" / "ro-crate-metadata.json").read_text()
    assert "There is no evidence to check." in text
    assert "nobody vouches for it" in text
    assert not (tmp_path / "crate" / "record.car").exists()


def test_what_others_wrote_cannot_break_a_form(desk, report):
    """An unsound input with links where JSON belongs, and a path with everything in it."""
    nasty = 'a"b\\N<script>\u202e\x1b[31m&\n'
    with desk.store() as store:
        record = dag_cbor.decode(store.get(parse_cid(report["record"])))
        x = dag_cbor.decode(store.get(record["input"]))
        x |= {"args": {nasty: record["task"]}, "volumes": [{"path": nasty, "cid": record["task"]}], "epoch": 1 << 62}
        forged = put(store, record | {"input": parse_cid(put(store, x))})
    assert nasty in json.loads(export(desk, forged, "json"))["records"][0]["input"]["args"]
    json.loads(export(desk, forged, "json-ld"))
    ET.fromstring(export(desk, forged, "svg"))  # noqa: S314  ours
    for form in ("dot", "svg"):
        text = export(desk, forged, form)
        assert "\x1b" not in text
        assert "\u202e" not in text
    assert "<script>" not in export(desk, forged, "svg")
    assert "\\\\N" in export(desk, forged, "dot")


@pytest.fixture
def contained(desk):
    """A record of a container whose image came from a registry."""
    function_ = container_function(image=f"sha256:{'0a' * 32}", repo_digest=f"ghcr.io/owner/name@sha256:{'0b' * 32}")
    first = desk.run("-i", desk.file(b"hello"))
    with desk.store() as store:
        function = store_node(store, function_)
        return cid_text(put_unverified(store, parse_cid(first["output"]), function=function))


def test_a_container_names_the_digests_of_its_image(desk, contained, tmp_path):
    (record,) = json.loads(export(desk, contained, "json"))["records"]
    assert record["function"]["image"] == {
        "config_sha256": "0a" * 32, "repository": "ghcr.io/owner/name", "manifest_sha256": "0b" * 32,
    }  # fmt: skip
    envelope = json.loads(export(desk, contained, "in-toto"))
    statement = json.loads(base64.b64decode(envelope["payload"]))
    materials = statement["predicate"]["buildDefinition"]["resolvedDependencies"]
    assert {"name": "image configuration", "digest": {"sha256": "0a" * 32}} in materials
    assert {
        "name": "image",
        "uri": f"pkg:oci/name@sha256%3A{'0b' * 32}?repository_url=ghcr.io/owner/name",
        "digest": {"sha256": "0b" * 32},
    } in materials
    assert desk("graph", "export", contained, "--format", "ro-crate", "-o", tmp_path / "crate").code == 0
    graph = json.loads((tmp_path / "crate" / "ro-crate-metadata.json").read_text())["@graph"]
    (image,) = (entity for entity in graph if entity["@type"] == "ContainerImage")
    assert (image["registry"], image["name"], image["sha256"]) == ("ghcr.io", "owner/name", "0b" * 32)
    (action,) = (entity for entity in graph if entity["@type"] == "CreateAction")
    assert action["containerImage"] == {"@id": image["@id"]}
