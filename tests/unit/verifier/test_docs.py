"""What is written down for other implementations is what the code does."""

import dataclasses
import re
from pathlib import Path

import pytest

from network.shard_list import ListedShard, ShardList, ShardPart
from verifier import graph_agreement, model
from verifier.audit import CHECKS
from verifier.commitment import PREIMAGE_VERSION
from verifier.container_types import ContainerFunction
from verifier.graph_audit import CHECKS as GRAPH_CHECKS
from verifier.graph_audit import MORE_CHECKS
from verifier.graph_types import AnnotatedGraph, Graph, GraphHead, LogEntry
from verifier.merge_types import Merge, MergedShard, MergePart
from verifier.schema import Schema
from verifier.unverified_types import UnverifiedRecord, UnverifiedRun
from verifier.wasm_types import WasmFunction, WasmRuntime

DOCS = Path(__file__).parents[3] / "docs"
KINDS = [
    kind for kind in vars(model).values() if isinstance(kind, type) and issubclass(kind, Schema) and kind is not Schema
] + [
    AnnotatedGraph, ContainerFunction, Graph, GraphHead, ListedShard, LogEntry, Merge, MergePart, MergedShard,
    ShardList, ShardPart, UnverifiedRecord, UnverifiedRun,
    WasmFunction, WasmRuntime,
]  # fmt: skip


def written() -> dict[str, dict[str, str]]:
    """Return the structs of the schema: fields and the rest of their line."""
    structs = re.findall(
        r"^type (\w+) struct \{\n(.*?)^\}", (DOCS / "record.ipldsch").read_text(), re.MULTILINE | re.DOTALL
    )
    return {name: dict(re.findall(r"^  (\w+)\s+(.*)$", body, re.MULTILINE)) for name, body in structs}


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_the_schema_has_the_fields_of_the_type(kind):
    fields = [field.name for field in dataclasses.fields(kind)]
    assert list(written()[kind.__name__]) == (["v", *fields] if kind.VERSION else fields)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_the_schema_says_the_version_and_what_may_be_null(kind):
    struct = written()[kind.__name__]
    if kind.VERSION:
        assert f'"{kind.VERSION}"' in struct["v"]
    for field in dataclasses.fields(kind):
        assert ("None" in str(field.type)) == ("nullable" in struct[field.name]), field.name


def test_nothing_else_is_in_the_schema():
    assert set(written()) == {kind.__name__ for kind in KINDS} | {"CommitmentPreimage"}
    assert PREIMAGE_VERSION in written()["CommitmentPreimage"]["v"]


def test_the_audit_is_described_check_by_check():
    listed = re.findall(r"^(\d+)\. \*\*(\w+)\.\*\*", (DOCS / "audit.md").read_text(encoding="utf-8"), re.MULTILINE)
    of_record = [(str(n), name) for n, (name, _) in enumerate(CHECKS, 1)]
    assert listed == [("0", "file"), *of_record, ("17", "ancestors"), ("18", "sample")]


def test_the_audit_of_a_graph_is_described_check_by_check():
    listed = re.findall(r"^(\d+)\. \*\*(\w+)\.\*\*", (DOCS / "graph.md").read_text(encoding="utf-8"), re.MULTILINE)
    of_several = (str(graph_agreement.NUMBER), "logs")
    of_more = ((str(n), name) for n, (name, _) in enumerate(MORE_CHECKS, 31))
    assert listed == [*((str(n), name) for n, (name, _) in enumerate(GRAPH_CHECKS, 21)), of_several, *of_more]
