"""Checks 1-6, 12 and 13 of the audit: what the record names is here, is what its CID says, and fits together."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from typing import Final

from storage.cid import CID, cid_text
from storage.counting import counted
from storage.dag_pb import Link
from storage.errors import UnavailableError, VerificationError
from storage.unixfs_load import is_raw
from storage.unixfs_members import MAX_MEMBERS
from storage.unixfs_names import MAX_DEPTH
from storage.unixfs_read import UnixfsReader
from verifier.audit_edges import EdgeSearch
from verifier.audit_reading import FileReading
from verifier.audit_report import Finding, Outcome, examine, examine_each, examine_several
from verifier.closure import Visit, visit_trees
from verifier.evidence import Evidence
from verifier.graph_reading import read_facts
from verifier.model import Input, Lock, Receipt, Record, Runtime, RuntimeFile, Task, Wheel, version_of
from verifier.unverified_types import UnverifiedRecord
from verifier.wasm_types import MAGIC, WasmFunction, WasmRuntime, arguments_of, check_module_start, runtime_kind

MAX_FINDINGS: Final = 1000
"""Files of an output that are told to be wrong or missing; what is behind them is not read."""


def check_record(evidence: Evidence) -> Outcome:
    """Check 1: the one node that nothing vouches for but its own CID."""
    return examine(_check_tier, evidence) or examine(evidence.load, evidence.cid, Record), cid_text(evidence.cid)


def _check_tier(evidence: Evidence) -> None:
    """What claims nothing is not wrong: there is nothing to check."""
    if version_of(evidence.store, evidence.cid) == UnverifiedRecord.VERSION:
        raise UnavailableError("is of the tier unverified: there are no receipts", where=cid_text(evidence.cid))


def check_blocks(evidence: Evidence) -> Outcome:
    """Check 2: nodes one by one, for a dissenting receipt's output is nobody's y and need not be here; then trees."""
    blocks = size = 0
    findings: list[Finding] = []
    for visit in _visits(evidence):
        blocks, size = blocks + 1, size + visit.size
        if visit.error is not None:
            findings += examine(_raise, visit.error)
    return findings, f"{counted(blocks, 'block')}, {size} bytes"


def _visits(evidence: Evidence) -> Iterator[Visit]:
    for cid in dict.fromkeys(cid for cid, _ in evidence.nodes()):
        yield next(visit_trees(evidence.store, [cid]))
    yield from visit_trees(evidence.store, dict.fromkeys(evidence.trees()))


def _raise(error: Exception) -> None:
    raise error


def check_task(evidence: Evidence) -> Outcome:
    """Check 3: the nodes of the task, that they are the record's, and that the input is content."""
    record = evidence.record
    parts = [(record.task, Task), (record.function, evidence.function_kind), (record.input, Input)]
    findings = [finding for cid, kind in parts for finding in examine(evidence.load, cid, kind)]
    findings += examine(_check_triple, evidence)
    findings += examine(lambda: _check_function(evidence))
    findings += examine(lambda: evidence.load(evidence.function.runtime, runtime_kind(evidence.function)))
    findings += examine_several(_check_contents, evidence)
    return findings, cid_text(record.task)


def _check_function(evidence: Evidence) -> None:
    """A Python function has packages; a module has none, and arguments of its own form."""
    if isinstance(evidence.function, WasmFunction):
        arguments_of(evidence.input)
    else:
        evidence.load(evidence.function.lock, Lock)


def _check_triple(evidence: Evidence) -> None:
    record = evidence.record
    task = evidence.need(record.task, Task)
    if task.function != record.function:
        raise VerificationError("the record's function is not the task's", where=cid_text(record.function))
    if task.input != record.input:
        raise VerificationError("the record's input is not the task's", where=cid_text(record.input))


def _check_contents(evidence: Evidence) -> list[Finding]:
    """Refuse what no engine could have been given; only the roots are looked at."""
    x = evidence.input
    contents = ([] if x.data is None else [x.data]) + [volume.cid for volume in x.volumes]
    return examine_each(UnixfsReader(evidence.store).stat, contents)


def check_source(evidence: Evidence) -> Outcome:
    """Check 4: there is something to run."""
    function, reader = evidence.function, UnixfsReader(evidence.store)
    if isinstance(function, WasmFunction):
        return examine(_check_module_file, reader, function.module), "a WebAssembly module"
    if function.entry is None:
        return examine(lambda: list(reader.entries(function.source))), "a script"
    return examine(_check_function_file, reader, function.source), f"function.py, entry point {function.entry}"


def _check_module_file(reader: UnixfsReader, module: CID) -> None:
    with reader.open(module) as stream:
        check_module_start(stream.read(len(MAGIC)))


def _check_function_file(reader: UnixfsReader, source: CID) -> None:
    if reader.stat(reader.resolve(source, "function.py")).kind != "file":
        raise VerificationError("function.py is not a file", where=cid_text(source))


def check_wheels(evidence: Evidence) -> Outcome:
    """Check 5: tie what package indexes know to the bytes that ran."""
    if isinstance(evidence.function, WasmFunction):
        return [], "a module has no packages"
    lock = evidence.need(evidence.function.lock, Lock)
    files = FileReading(UnixfsReader(evidence.store))

    def look(wheel: Wheel) -> None:
        digest = hashlib.sha256()
        for chunk in files.chunks(wheel.wheel):
            digest.update(chunk)
        if digest.hexdigest() != wheel.sha256:
            raise VerificationError("is not the file that the lock names by sha256", where=wheel.file_name)

    return examine_each(look, lock.wheels), counted(len(lock.wheels), "wheel")


def check_runtime(evidence: Evidence) -> Outcome:
    """Check 6: the files are those of the manifest."""
    if isinstance(evidence.function, WasmFunction):
        made = evidence.need(evidence.function.runtime, WasmRuntime)
        return [], f"{made.profile}, {made.engine} {made.version}"
    runtime = evidence.need(evidence.function.runtime, Runtime)
    files = FileReading(UnixfsReader(evidence.store))

    def look(file: RuntimeFile) -> None:
        size = files.count(file.cid)
        if size != file.size:
            raise VerificationError(f"has {size} bytes, not {file.size} as the manifest says", where=file.path)

    return examine_each(look, runtime.files), f"{runtime.profile}, {counted(len(runtime.files), 'file')}"


def check_output(evidence: Evidence) -> Outcome:
    """Check 12: y is whole, and ended as the receipts say."""
    record, reader = evidence.record, UnixfsReader(evidence.store)
    findings = examine_several(_check_exit_code, evidence, reader) + _read_files(reader, record.output)
    return findings, cid_text(record.output)


def _check_exit_code(evidence: Evidence, reader: UnixfsReader) -> list[Finding]:
    record = evidence.record
    written = reader.read_bytes(reader.resolve(record.output, "exit_code"), 8)
    if not re.fullmatch(rb"(0|[1-9][0-9]{0,2})\n?", written):
        raise VerificationError("exit_code is not a decimal number", where=cid_text(record.output))

    def look(cid: CID) -> None:
        receipt = evidence.need(cid, Receipt)
        if receipt.exit_code != int(written):
            raise VerificationError(f"exit code is {int(written)}, not {receipt.exit_code}", where=receipt.node)

    return examine_each(look, record.receipts)


def _read_files(reader: UnixfsReader, output: CID) -> list[Finding]:
    """Read all files; a directory that is not here does not hide what is wrong beside it."""
    files, findings, listed = FileReading(reader), list[Finding](), 0
    unlisted: set[CID] = set()  # each is tried and told once: it may be linked a million times

    def read(path: str, link: Link) -> None:
        size = files.count(link.cid)
        claimed = link.tsize if is_raw(link.cid) and link.tsize else reader.stat(link.cid).size
        if size != claimed:
            raise VerificationError(f"has {size} bytes, its link claims {claimed}", where=path)

    def walk(directory: CID, prefix: str, depth: int) -> None:
        nonlocal listed
        if depth >= MAX_DEPTH:
            raise VerificationError(f"tree is more than {MAX_DEPTH} directories deep", where=cid_text(output))
        if directory in unlisted:
            return
        unlisted.add(directory)
        entries = list(reader.entries(directory))
        unlisted.remove(directory)
        listed += len(entries)
        if listed > MAX_MEMBERS:
            raise VerificationError(f"tree has more than {MAX_MEMBERS} members", where=cid_text(output))
        for name, link in entries:
            if len(findings) < MAX_FINDINGS and listed <= MAX_MEMBERS:
                findings.extend(examine(look, link, prefix + name, depth))

    def look(link: Link, path: str, depth: int) -> None:
        kind = "file" if is_raw(link.cid) else reader.stat(link.cid).kind
        if kind == "directory":
            walk(link.cid, f"{path}/", depth + 1)
        elif kind == "file":
            read(path, link)

    return examine(walk, output, "", 0) + findings


def check_parents(evidence: Evidence) -> Outcome:
    """Check 13: the edges of the graph are real."""
    x, reader = evidence.input, UnixfsReader(evidence.store)
    edges = EdgeSearch(reader, {volume.cid for volume in x.volumes} | ({x.data} if x.data is not None else set()))
    unverified: list[CID] = []

    def look(cid: CID) -> None:
        parent = read_facts(evidence.store, cid)
        if not parent.is_verified:
            unverified.append(cid)
        if not edges.leads_from(parent.output):
            raise VerificationError("nothing of its output is an input of this task", where=cid_text(cid))

    findings = examine_each(look, evidence.record.parents)
    notes = [counted(len(evidence.record.parents), "parent")]
    notes += [f"{edges.weak} by nothing but an empty file or directory"] if edges.weak else []
    notes += [f"{len(unverified)} of the tier unverified"] if unverified else []
    return findings, ", ".join(notes)
