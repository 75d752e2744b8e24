"""From a request to a plan: reads source and data, locks packages, prepares the runtime. Touches disk and network.

Checks come cheapest first, so that a typo is told before anything is fetched, and nothing enters the store before all
that need no network have passed.
"""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from runtime import arguments, source_check
from runtime.contents import (
    Content,
    ContentImporter,
    Note,
    check_not_around,
    check_not_empty,
    forget,
    is_directory,
    locate,
)
from runtime.distribution import read_distribution
from runtime.downloads import Downloads, Report, quiet
from runtime.engine import Engine, Plan, Progress, silent
from runtime.lock import lock_requirements, standard_sources
from runtime.mounts import check_places, nest
from runtime.npm_client import pyodide_package
from runtime.plan import make_plan
from runtime.prepared_runtime import make_runtime
from runtime.quantity import parse_bytes
from runtime.release import DISTRIBUTION_FILE, PLATFORM, PYODIDE_VERSION, PYTHON_VERSION
from runtime.request import Request
from runtime.resolver_client import UvResolver
from runtime.source_import import ENTRY_FILE, REQUIREMENTS_FILE, Source, import_source, read_source
from storage.blocks import BlockStore, OverlayBlockStore
from storage.cid import CID, RAW, make_cid
from storage.errors import UserError
from storage.unixfs_read import UnixfsReader
from storage.url_client import Bounds
from storage.url_fetch import UrlFetcher
from verifier.model import Function, Input, Limits, Lock, ModelError, Volume, store_node

MIN_MEMORY = 64 << 20
MAX_MEMORY = (4 << 30) - (64 << 10)
"""What 32-bit WebAssembly can address, less the page that stays unmapped."""

DEFAULT_FUEL = 500_000_000_000
"""Half a minute of Python on a machine of 2020, more or less; --fuel changes it."""
MAX_FUEL = (1 << 53) - 1

OUTPUT_LIMIT = 256 << 20
"""Bytes of all outputs of one execution."""

MAX_URL_BYTES = 1 << 40
"""The most that `--url-limit` may allow for one URL."""

MAX_EPOCH = 253_402_300_799
"""The end of the year 9999, the last that `datetime` knows."""

MAX_TIMEOUT_S = 30 * 86400.0

_CHECK_TIMEOUT_S = 120.0
_SYNTAX_CHECK = """
import json, sys
try:
    compile(open("/function/checked.py", "rb").read(), "function.py", "exec", dont_inherit=True)
except SyntaxError as error:
    print(json.dumps([error.lineno or 1, error.msg]))
"""


def prepare(
    request: Request,
    *,
    store: BlockStore,
    cache_dir: Path,
    engine: Engine,
    progress: Progress = silent,
    report: Report = quiet,
    note: Note = forget,
) -> Plan:
    """Return the plan of a request.

    progress: told when a step begins. report: told how many bytes of a download have come. note: told where fetched
    content came from.

    Raises:
        UserError: the request cannot be met; says what to change.
        UnavailableError: something needed is not here and could not be fetched.
        VerificationError: something fetched is not what it should be.
    """
    source = read_source(request.function, request.code, request.requirements)
    args = arguments.parse_args(request.args)
    outputs, limits = arguments.parse_outputs(request.outputs), _limits(request)
    env, seed = arguments.parse_env(request.env), arguments.parse_seed(request.seed)
    _check_numbers(request)
    entry = None if request.code is not None else request.entry
    if entry is None and args:
        raise UserError("a script takes no arguments", where="--arg", fix="use -e NAME=value, or a function file")
    module = source_check.parse(source.content(ENTRY_FILE) or b"", ENTRY_FILE)
    if entry is not None and not entry.isidentifier():
        raise UserError(f"{entry!r} is not the name of a function", where="--entry", fix="give the function's name")
    if not isinstance(module, source_check.SyntaxProblem) and entry is not None:
        source_check.check_entry(module, entry=entry, args=args, where=source.where)

    bounds = _url_bounds(request)
    wanted, further = _wanted(request, store)
    for content in (*further, *([] if wanted is None else [wanted])):
        check_not_around(content.place, content.where, cache_dir)
    paths = [volume.path for volume in further]
    check_places(paths, data=None if wanted is None else wanted.path, outputs=[output.path for output in outputs])
    # Made before there is content for it, because making it checks every bound.
    draft = _draft(request.epoch, paths, args=args, env=env, seed=seed, outputs=outputs, limits=limits)

    package = pyodide_package(cache_dir, progress)
    if isinstance(module, source_check.SyntaxProblem):
        _confirm_syntax(source, module, package, store=store, engine=engine)
    lock = _lock(source, package, store=store, cache_dir=cache_dir, progress=progress, report=report)
    runtime = make_runtime(package, store)
    function = Function(source=import_source(source, store), entry=entry, lock=store_node(store, lock), runtime=runtime)
    fetcher = UrlFetcher(store=store, directory=cache_dir / "urls", bounds=bounds, progress=progress, report=report)
    importer = ContentImporter(store=store, fetcher=fetcher, progress=progress, note=note)
    data, volumes = _import_contents(wanted, further, importer)
    input_ = replace(draft, data=data, volumes=volumes)
    return make_plan(function, input_, lock, store=store, wall_clock_s=request.timeout_s)


def _draft(epoch: int, paths: list[str], **fields: Any) -> Input:
    """Return an input whose contents are empty files still."""
    empty = make_cid(RAW, b"")
    try:
        volumes = tuple(Volume(path=path, cid=empty) for path in sorted(paths, key=str.encode))
        return Input(data=None, volumes=volumes, epoch=epoch, **fields)
    except ModelError as error:
        raise _out_of_bounds(error) from error


def _check_numbers(request: Request) -> None:
    if not 0 <= request.epoch <= MAX_EPOCH:
        fix = "give seconds since 1970, up to the end of the year 9999"
        raise UserError(f"{request.epoch} is out of range", where="--epoch", fix=fix)
    if not 0 < request.timeout_s <= MAX_TIMEOUT_S:
        raise UserError(f"{request.timeout_s} is out of range", where="--timeout", fix="give seconds, up to 30 days")


def _out_of_bounds(error: ModelError) -> UserError:
    """Tell what the model refuses in the words of the flag it came from."""
    flags = {"args": "--arg", "env": "-e", "volumes": "-v", "outputs": "-o", "path": "-v"}
    head = error.field.partition("[")[0].partition(".")[0]
    return UserError(error.problem, where=flags.get(head, error.field), fix="give a shorter or simpler value")


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


def _limits(request: Request) -> Limits:
    memory = parse_bytes(request.memory, where="--memory")
    if not MIN_MEMORY <= memory <= MAX_MEMORY:
        raise UserError(f"{request.memory} is out of range", where="--memory", fix="choose between 64Mb and 4095Mb")
    fuel = DEFAULT_FUEL if request.fuel is None else request.fuel
    if not 0 < fuel <= MAX_FUEL:
        raise UserError(f"{fuel} is out of range", where="--fuel", fix=f"choose between 1 and {MAX_FUEL}")
    return Limits(fuel=fuel, memory=memory // 65536 * 65536, output=OUTPUT_LIMIT)


def _wanted(request: Request, store: BlockStore) -> tuple[Content | None, list[Content]]:
    """Return the data, if any, and the volumes; nothing is imported yet."""
    data, volumes = None, []
    if request.data is not None:
        place, where = locate(request.data, "-i", store), f"-i {request.data}"
        check_not_empty(place, where, store)
        data = Content(where=where, path="/inputs" if is_directory(place, store) else "/inputs/data", place=place)
    for text in request.volumes:
        named, path = arguments.split_volume(text)
        volumes.append(Content(where=f"-v {text}", path=path, place=locate(named, "-v", store)))
    return data, volumes


def _url_bounds(request: Request) -> Bounds:
    limit = parse_bytes(request.url_limit, where="--url-limit")
    if not 0 < limit <= MAX_URL_BYTES:
        raise UserError(f"{request.url_limit} is out of range", where="--url-limit", fix="choose up to 1024Gb")
    return Bounds(max_bytes=limit, allow_private=request.allow_private_urls)


def _import_contents(
    data: Content | None, volumes: list[Content], importer: ContentImporter
) -> tuple[CID | None, tuple[Volume, ...]]:
    brought = None if data is None else importer.bring(data)
    if data is not None and brought is not None:
        check_not_empty(brought, data.where, importer.store)  # of a URL it is known only now
    mounted = [Volume(path=volume.path, cid=importer.bring(volume)) for volume in volumes]
    return brought, nest(mounted, importer.store)


def _confirm_syntax(
    source: Source, problem: source_check.SyntaxProblem, package: Path, *, store: BlockStore, engine: Engine
) -> None:
    """Let the guest's own grammar decide whether the source is wrong: the host's may be older."""
    store = OverlayBlockStore(store)
    runtime = make_runtime(package, store)
    lock = Lock(python=PYTHON_VERSION, platform=PLATFORM, wheels=())
    checker = Source(
        files=(("checked.py", source.content(ENTRY_FILE) or b""), (ENTRY_FILE, _SYNTAX_CHECK.encode())), where="check"
    )
    function = Function(source=import_source(checker, store), entry=None, lock=store_node(store, lock), runtime=runtime)
    limits = Limits(fuel=None, memory=MIN_MEMORY * 4, output=1 << 20)
    input_ = Input(data=None, volumes=(), outputs=(), args={}, env={}, seed=None, epoch=0, limits=limits)
    plan = make_plan(function, input_, lock, store=store, wall_clock_s=_CHECK_TIMEOUT_S)
    execution = engine.execute(plan, store)
    reader = UnixfsReader(store)
    said = reader.read_bytes(reader.resolve(execution.output, "stdout"), 1 << 16)
    if said.strip():
        line, message = _guest_problem(json.loads(said))
        raise UserError(f"syntax error: {message}", where=f"{source.where}:{line}", fix="correct the line")
    if execution.exit_code != 0:
        version = ".".join(map(str, sys.version_info[:2]))
        raise UserError(
            f"does not parse: {problem.message} (Python {version} here, {PYTHON_VERSION} in the guest)",
            where=f"{source.where}:{problem.line}",
            fix="correct the line",
        )


def _guest_problem(answer: Any) -> tuple[int, str]:
    line, message = answer
    return int(line), str(message)
