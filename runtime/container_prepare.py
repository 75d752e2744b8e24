"""From a request to the plan of a container: asks the engine for the image, brings inputs. Touches disk and network."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Final

from runtime import arguments
from runtime.container_call import user_of
from runtime.container_engine import ContainerEngine, ImageFacts
from runtime.container_mounts import input_mounts
from runtime.container_plan import ContainerPlan, make_container_plan
from runtime.container_request import ContainerRequest
from runtime.content_import import ContentImporter
from runtime.contents import Note, check_not_around
from runtime.downloads import Report
from runtime.engine import Progress
from runtime.image_reference import check_reference
from runtime.input_draft import MAX_TIMEOUT_S, OUTPUT_LIMIT
from runtime.inputs import bring_inputs, find_inputs, url_bounds
from runtime.mounts import check_places
from runtime.quantity import parse_bytes, parse_cores
from storage.blocks import BlockStore, OverlayBlockStore
from storage.cid import CID
from storage.content_fetch import ContentFetcher
from storage.endpoints import KINDS, Sources, read_endpoint
from storage.errors import UnavailableError, UserError
from storage.url_fetch import UrlFetcher
from verifier.container_types import ContainerFunction
from verifier.model import Input, Limits, ModelError

MIN_MEMORY: Final = 6 << 20
"""Docker takes no less."""
MAX_MEMORY: Final = 1 << 50
MAX_CORES_MILLI: Final = 1_000_000
MAX_GPUS: Final = 64
_FULL_ID: Final = re.compile(r"sha256:[0-9a-f]{64}")
_FLAGS: Final = {
    "command": "COMMAND", "entrypoint": "--entrypoint", "workdir": "-w", "user": "--user", "network": "--network",
    "env": "-e", "outputs": "-o", "volumes": "-v",
}  # fmt: skip


FindImage = Callable[[str, Progress], ImageFacts]


def find_image_anywhere(engine: ContainerEngine, reference: str, progress: Progress) -> ImageFacts:
    """Return what an image is, as `ContainerEngine.find_image` does; one that is named by its id may be unknown here.

    Of that one it is not known whom it names as its user.

    Raises:
        UserError, UnavailableError: as `ContainerEngine.find_image`.
    """
    check_reference(reference)
    is_id = _FULL_ID.fullmatch(reference) is not None
    try:
        if is_id and not engine.has_image(reference):
            return ImageFacts(id=reference, repo_digest=None, user="", arch="unknown")
        return engine.find_image(reference, progress)
    except UnavailableError as error:
        if is_id:
            return ImageFacts(id=reference, repo_digest=None, user="", arch="unknown")
        fix = f"{error.fix}; or name the image by its id, sha256:…, as the nodes have it"
        raise UnavailableError(error.problem, where=error.where, fix=fix) from error


def prepare_container(
    request: ContainerRequest,
    *,
    find_image: FindImage,
    store: BlockStore,
    cache_dir: Path,
    progress: Progress,
    report: Report,
    note: Note,
    hold: Callable[[CID], None],
) -> ContainerPlan:
    """Return the plan of a request; as `runtime.prepare.prepare` does of a function's.

    Raises:
        UserError: the request cannot be met; says what to change.
        UnavailableError: something needed is not here and could not be had.
        VerificationError: something fetched is not what it should be.
    """
    content = request.content
    draft, cpu_milli = _draft(request), _cores(request)
    bounds, endpoints = url_bounds(content), [read_endpoint(text, KINDS, "--from") for text in content.sources]
    with Sources(endpoints) as sources:
        fetcher = UrlFetcher(
            store=store, directory=cache_dir / "urls", bounds=bounds, progress=progress, report=report, hold=hold
        )
        content_fetcher = ContentFetcher(
            store=store, sources=sources, cache_dir=cache_dir, progress=progress, max_bytes=bounds.max_bytes
        )
        inputs = find_inputs(content, content_fetcher)
        for one in inputs.all:
            check_not_around(one.place, one.where, cache_dir)
        check_places(inputs.paths, data=inputs.data_path, outputs=[output.path for output in draft.outputs])
        function = _function(request, find_image(request.image, progress), cpu_milli)
        importer = ContentImporter(fetcher=fetcher, content_fetcher=content_fetcher, hold=hold, note=note)
        data, volumes = bring_inputs(inputs, importer)
    input_ = replace(draft, data=data, volumes=volumes)
    input_mounts(input_, OverlayBlockStore(store))  # what cannot be mounted is told now
    return make_container_plan(function, input_, store=store, wall_clock_s=content.timeout_s)


def _draft(request: ContainerRequest) -> Input:
    """Return the input without its contents: a wrong flag is told before anything is fetched."""
    content = request.content
    memory = parse_bytes(content.memory, where="--memory")
    if not MIN_MEMORY <= memory <= MAX_MEMORY:
        raise UserError(f"{content.memory} is out of range", where="--memory", fix="choose 6Mb or more")
    if not 0 < content.timeout_s <= MAX_TIMEOUT_S:
        raise UserError(f"{content.timeout_s} is out of range", where="--timeout", fix="give seconds, up to 30 days")
    try:
        return Input(
            data=None,
            volumes=(),
            outputs=arguments.parse_outputs(content.outputs),
            args={},
            env=arguments.parse_env(content.env),
            seed=None,
            epoch=content.epoch,
            limits=Limits(fuel=None, memory=memory, output=OUTPUT_LIMIT),
        )
    except ModelError as error:
        raise _out_of_bounds(error) from error


def _cores(request: ContainerRequest) -> int:
    milli = parse_cores(request.cpu, where="--cpu")
    if not 0 < milli <= MAX_CORES_MILLI:
        raise UserError(f"{request.cpu} is out of range", where="--cpu", fix="write cores, such as 2 or 0.5")
    if not 0 <= request.gpus <= MAX_GPUS:
        raise UserError(f"{request.gpus} is out of range", where="--gpu", fix=f"give up to {MAX_GPUS}")
    return milli


def _function(request: ContainerRequest, image: ImageFacts, cpu_milli: int) -> ContainerFunction:
    entrypoint = None if request.entrypoint is None else tuple(filter(None, [request.entrypoint]))
    try:
        return ContainerFunction(
            image=image.id,
            repo_digest=image.repo_digest,
            entrypoint=entrypoint,
            command=request.command or None,
            workdir=request.workdir,
            user=user_of(image.user, request.user),
            network=request.network,
            writable_root=request.writable_root,
            cpu_milli=cpu_milli,
            gpus=request.gpus,
        )
    except ModelError as error:
        raise _out_of_bounds(error) from error


def _out_of_bounds(error: ModelError) -> UserError:
    head = error.field.partition("[")[0].partition(".")[0]
    return UserError(error.problem, where=_FLAGS.get(head, error.field), fix="give a shorter or simpler value")
