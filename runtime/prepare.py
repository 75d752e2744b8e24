"""From a request to a plan: reads source and data, locks packages, prepares the runtime. Touches disk and network.

Checks come cheapest first, so that a typo is told before anything is fetched, and nothing enters the store before all
that need no network have passed.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from runtime import source_check
from runtime.content_import import ContentImporter
from runtime.contents import Note, check_not_around, forget
from runtime.distribution import read_distribution
from runtime.downloads import Downloads, Report, quiet
from runtime.engine import Engine, Plan, Progress, silent
from runtime.guest_grammar import ask_guest
from runtime.input_draft import draft_input
from runtime.inputs import bring_inputs, find_inputs, url_bounds
from runtime.lock import lock_requirements, standard_sources
from runtime.mounts import check_places
from runtime.npm_client import pyodide_package
from runtime.plan import make_plan
from runtime.prepared_runtime import make_runtime
from runtime.release import DISTRIBUTION_FILE, PYODIDE_VERSION, PYTHON_VERSION
from runtime.request import Request
from runtime.resolver_client import UvResolver
from runtime.source_import import ENTRY_FILE, REQUIREMENTS_FILE, Source, import_source, read_source
from storage.blocks import BlockStore
from storage.cid import CID
from storage.content_fetch import ContentFetcher
from storage.endpoints import KINDS, Sources, read_endpoint
from storage.errors import UserError
from storage.sqlite_pins import check_whole
from storage.url_fetch import UrlFetcher
from verifier.model import Function, Lock, store_node


def prepare(
    request: Request,
    *,
    store: BlockStore,
    cache_dir: Path,
    engine: Engine,
    progress: Progress = silent,
    report: Report = quiet,
    note: Note = forget,
    hold: Callable[[CID], None] | None = None,
) -> Plan:
    """Return the plan of a request.

    progress: told when a step begins. report: told how many bytes of a download have come. note: told where fetched
    content came from. hold: keeps what is below a CID while this process works, and raises if not all of it is here
    (`sqlite_pins.hold`); without it the latter alone is done, which is enough where nobody collects garbage.

    Raises:
        UserError: the request cannot be met; says what to change.
        UnavailableError: something needed is not here and could not be fetched.
        VerificationError: something fetched is not what it should be.
    """
    source = read_source(request.function, request.code, request.requirements)
    said = draft_input(request)
    entry = None if request.code is not None else request.entry
    if entry is None and said.args:
        raise UserError("a script takes no arguments", where="--arg", fix="use -e NAME=value, or a function file")
    module = source_check.parse(source.content(ENTRY_FILE) or b"", ENTRY_FILE)
    if entry is not None and not entry.isidentifier():
        raise UserError(f"{entry!r} is not the name of a function", where="--entry", fix="give the function's name")
    if not isinstance(module, source_check.SyntaxProblem) and entry is not None:
        source_check.check_entry(module, entry=entry, args=said.args, where=source.where)

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
        inputs = find_inputs(request, content_fetcher)
        for content in inputs.all:
            check_not_around(content.place, content.where, cache_dir)
        check_places(inputs.paths, data=inputs.data_path, outputs=[output.path for output in said.outputs])
        draft = draft_input(request, inputs.paths)

        package = pyodide_package(cache_dir, progress)
        if isinstance(module, source_check.SyntaxProblem):
            _confirm_syntax(source, module, package, store=store, engine=engine)
        lock = _lock(source, package, store=store, cache_dir=cache_dir, progress=progress, report=report)
        runtime, of_lock = make_runtime(package, store), store_node(store, lock)
        function = Function(source=import_source(source, store), entry=entry, lock=of_lock, runtime=runtime)
        data, volumes = bring_inputs(inputs, importer)
    return make_plan(
        function, replace(draft, data=data, volumes=volumes), lock, store=store, wall_clock_s=request.timeout_s
    )


def _lock(
    source: Source, package: Path, *, store: BlockStore, cache_dir: Path, progress: Progress, report: Report
) -> Lock:
    content = source.content(REQUIREMENTS_FILE) or b""
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise UserError("is not UTF-8 text", where=REQUIREMENTS_FILE, fix="save it as UTF-8") from error
    distribution, resolver = read_distribution(package / DISTRIBUTION_FILE), UvResolver()
    with Downloads() as downloads:
        sources = standard_sources(
            distribution=distribution,
            pyodide=PYODIDE_VERSION,
            downloads=downloads,
            resolver=resolver,
            cache_dir=cache_dir,
        )
        return lock_requirements(
            text,
            distribution=distribution,
            store=store,
            sources=sources,
            cache_dir=cache_dir,
            resolver=resolver,
            progress=progress,
            report=report,
        )


def _confirm_syntax(
    source: Source, problem: source_check.SyntaxProblem, package: Path, *, store: BlockStore, engine: Engine
) -> None:
    """Let the guest's own grammar decide whether the source is wrong: the host's may be older."""
    answer = ask_guest(source.content(ENTRY_FILE) or b"", package, store=store, engine=engine)
    if answer.problem is not None:
        where = f"{source.where}:{answer.problem.line}"
        raise UserError(f"syntax error: {answer.problem.message}", where=where, fix="correct the line")
    if not answer.is_known:
        version = ".".join(map(str, sys.version_info[:2]))
        raise UserError(
            f"does not parse: {problem.message} (Python {version} here, {PYTHON_VERSION} in the guest)",
            where=f"{source.where}:{problem.line}",
            fix="correct the line",
        )
