"""From a request to run a module to a plan. Touches disk and network; what is cheap to find wrong is told first."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from runtime.content_import import Content, ContentImporter
from runtime.contents import Note, check_not_around, find, forget, ipfs_url, locate
from runtime.downloads import Report, quiet
from runtime.engine import NO_PACKAGES, Plan, Progress, silent
from runtime.input_draft import draft_input
from runtime.inputs import bring_inputs, find_inputs, url_bounds
from runtime.mounts import check_places
from runtime.plan import make_plan
from runtime.request import Request
from runtime.wasm_config import check_module, make_engine
from runtime.wasm_module import MAX_MODULE_BYTES, PAGE_BYTES, ModuleError
from runtime.wasm_release import wasm_runtime
from storage.blocks import BlockStore
from storage.cid import CID
from storage.content_fetch import ContentFetcher
from storage.endpoints import KINDS, Sources, read_endpoint
from storage.errors import UserError
from storage.sqlite_pins import check_whole
from storage.unixfs_read import UnixfsReader
from storage.url_fetch import UrlFetcher
from verifier.model import Input, store_node
from verifier.wasm_types import WasmFunction

_ADVICE = "build it as a command for WASI preview 1: wasm32-wasip1 (Rust), --target=wasm32-wasi (C), GOOS=wasip1 (Go)"


def prepare_wasm(
    request: Request,
    *,
    store: BlockStore,
    cache_dir: Path,
    progress: Progress = silent,
    report: Report = quiet,
    note: Note = forget,
    hold: Callable[[CID], None] | None = None,
) -> Plan:
    """Return the plan of a request that names a module; as `runtime.prepare.prepare`.

    Raises:
        UserError: the request cannot be met; says what to change.
        UnavailableError: something needed is not here and could not be fetched.
        VerificationError: something fetched is not what it should be.
    """
    if request.module is None:
        raise ValueError("the request names no module")
    said = draft_input(request)
    bounds, endpoints = url_bounds(request), [read_endpoint(text, KINDS, "--from") for text in request.sources]
    hold = hold or (lambda cid: check_whole(store, [cid]))
    with Sources(endpoints) as sources:
        fetcher = UrlFetcher(
            store=store, directory=cache_dir / "urls", bounds=bounds, progress=progress, report=report, hold=hold
        )
        content_fetcher = ContentFetcher(
            store=store, sources=sources, cache_dir=cache_dir, progress=progress, max_bytes=bounds.max_bytes
        )
        importer = ContentImporter(fetcher=fetcher, content_fetcher=content_fetcher, hold=hold, note=note)
        where = f"run wasm {request.module}"
        place, _ = find(locate(request.module, "run wasm", store), where, content_fetcher)
        inputs = find_inputs(request, content_fetcher)
        for content in inputs.all:
            check_not_around(content.place, content.where, cache_dir)
        check_places(inputs.paths, data=inputs.data_path, outputs=[output.path for output in said.outputs])
        draft = draft_input(request, inputs.paths)
        if isinstance(place, Path):
            _check(_read(place, where), draft, where)  # before it is copied
        module = importer.bring(
            Content(where=where, path=f"/{request.module}", place=place, url=ipfs_url(request.module))
        )
        if not isinstance(place, Path):
            _check(_stored(module, store, where), draft, where)
        function = WasmFunction(module=module, runtime=store_node(store, wasm_runtime()))
        data, volumes = bring_inputs(inputs, importer)
    return make_plan(
        function, replace(draft, data=data, volumes=volumes), NO_PACKAGES, store=store, wall_clock_s=request.timeout_s
    )


def _read(path: Path, where: str) -> bytes:
    if not path.is_file():
        raise UserError("is no file", where=where, fix=_ADVICE)
    try:
        with path.open("rb") as file:
            return file.read(MAX_MODULE_BYTES + 1)
    except OSError as error:
        raise UserError(
            f"cannot be read: {(error.strerror or '').lower()}", where=where, fix="check the path"
        ) from error


def _stored(module: CID, store: BlockStore, where: str) -> bytes:
    reader = UnixfsReader(store)
    if reader.stat(module).kind != "file":
        raise UserError("is no file", where=where, fix="name the module in it: CID/path/to/main.wasm")
    with reader.open(module) as stream:
        return stream.read(MAX_MODULE_BYTES + 1)


def _check(data: bytes, draft: Input, where: str) -> None:
    try:
        module = check_module(make_engine(), data)
    except ModuleError as error:
        raise UserError(str(error), where=where, fix=_ADVICE) from error
    needed = (module.memory_pages or 0) * PAGE_BYTES
    if needed > draft.limits.memory:
        problem = f"begins with {needed} bytes of memory, and --memory is {draft.limits.memory}"
        raise UserError(problem, where=where, fix="raise --memory")
