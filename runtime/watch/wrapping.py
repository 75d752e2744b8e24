"""Makes a watched task of a task: the same function and input, with `runtime.watch.guest` around it.

The watched task is another function with another CID: what it gives is for comparing with other watched runs, and never
for a receipt. The ordinary runtime is not changed by any of it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from runtime.engine import Plan
from runtime.plan import make_plan
from runtime.preload import statements_of
from runtime.source_import import ENTRY_FILE
from storage.blocks import BlockStore
from storage.cid import CID
from storage.errors import UnavailableError, UserError
from storage.unixfs_graft import finished_entry
from storage.unixfs_import import Importer
from storage.unixfs_read import UnixfsReader
from storage.unixfs_tree import TreeBuilder
from verifier.model import Input, OutputMount
from verifier.wasm_types import WasmFunction

GUEST_DIR: Final = Path(__file__).parent / "guest"
FOLDER: Final = "bacalhau_watch"
"""Beside the function's own files; the name that the guest's modules have there."""
MODULES: Final = ("ledger", "marks", "marked", "sources", "tar_order", "lines", "entry")
"""In an order in which each finds those that it imports."""
REPORT_NAME: Final = "bacalhau-watch"
REPORT_DIR: Final = "/bacalhau-watch"
"""Collected as an output of its own: what the watch writes down."""
MOST_SOURCE: Final = 10 << 20
_MOST_REPORT: Final = 64 << 20

_STUB: Final = '''"""
{imports}
"""
def _load():
    import sys, types
    package = types.ModuleType("{folder}")
    package.__path__ = []
    sys.modules[package.__name__] = package
    for name in {modules!r}:
        module = types.ModuleType("{folder}." + name)
        module.__package__ = package.__name__
        sys.modules[module.__name__] = module
        with open("/function/{folder}/" + name + ".txt", encoding="utf-8") as file:
            text = file.read()
        exec(compile(text, "/lib/python3.14/_faas_watch_" + name + ".py", "exec", dont_inherit=True), vars(module))
    return sys.modules["{folder}.entry"].main
main = _load()
'''
"""What stands where the function stood. The image reads the imports from its docstring, and warms them up as before."""


def watched_plan(plan: Plan, settings: Mapping[str, Any], store: BlockStore, *, reports: bool = False) -> Plan:
    """Return the watched task of a task; puts its blocks into `store`.

    settings: see `runtime.watch.guest.entry`. reports: collect REPORT_DIR.

    Raises:
        UserError: the function uses the watch's own name.
        UnavailableError, VerificationError: the source cannot be read.
    """
    of = plan.function
    if isinstance(of, WasmFunction):
        raise UserError("a WebAssembly module has no lines of Python", fix="compare its outputs with --no-rerun")
    function = replace(of, source=_watched_source(of.source, store), entry="main")
    watched = _watched_input(plan, of.entry, settings, reports=reports)
    return make_plan(function, watched, plan.lock, store=store, wall_clock_s=plan.wall_clock_s)


def _watched_input(plan: Plan, entry: str | None, settings: Mapping[str, Any], *, reports: bool) -> Input:
    args = {"entry": entry, "args": dict(plan.input.args), "settings": dict(settings)}
    outputs = plan.input.outputs
    if reports:
        mount = OutputMount(name=REPORT_NAME, path=REPORT_DIR)
        outputs = tuple(sorted((*outputs, mount), key=lambda one: one.name.encode()))
    return replace(plan.input, args=args, outputs=outputs)


def _watched_source(source: CID, store: BlockStore) -> CID:
    reader = UnixfsReader(store)
    tree = TreeBuilder(Importer(store))
    for name, link in reader.entries(source):
        if name == FOLDER:
            raise UserError("is the name of the watch's own folder", where=name, fix="rename it in the function")
        if name != ENTRY_FILE:
            tree.add_entry(name, finished_entry(store, link.cid))
    function = reader.read_bytes(reader.resolve(source, ENTRY_FILE), MOST_SOURCE)
    tree.add_file(f"{FOLDER}/user_function.txt", function)
    for name in MODULES:
        tree.add_file(f"{FOLDER}/{name}.txt", (GUEST_DIR / f"{name}.py").read_bytes())
    statements = statements_of(reader, source)
    imports = "\n".join(
        f"from {module} import {', '.join(names)}" if names else f"import {module}" for module, names in statements
    )
    tree.add_file(ENTRY_FILE, _STUB.format(imports=imports, folder=FOLDER, modules=MODULES).encode())
    return tree.finish().cid


def read_report(output: CID, store: BlockStore, name: str) -> list[Any]:
    """Return what the watch wrote into a file of REPORT_DIR: JSON, one value a line; empty if it wrote none.

    The function could have written there as well: whoever uses what is returned checks its form.

    Raises:
        UnavailableError: it is no JSON, or too long.
    """
    reader = UnixfsReader(store)
    try:
        file = reader.resolve(output, f"outputs/{REPORT_NAME}/{name}")
    except UserError:
        return []
    try:
        lines = reader.read_bytes(file, _MOST_REPORT).decode("utf-8").splitlines()
        return [json.loads(line) for line in lines]
    except (UserError, ValueError, RecursionError) as error:
        raise malformed_report() from error


def malformed_report() -> UnavailableError:
    """Return the error for a report that the watch did not write."""
    return UnavailableError("what the watch has written down was changed by the function", fix="see what it writes to")
