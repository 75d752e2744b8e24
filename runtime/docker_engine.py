"""Runs containers under Docker or Podman: `docker_api_client` talks to them, `container_call` says what they are told.

A run: make volumes, fill those of inputs through a container that never starts, attach, start, read what the program
writes until it ends, read its output volumes, remove everything. Whatever happens in between, everything is removed;
what a kill prevents, `sweep` does when the next process of this home looks.
"""

from __future__ import annotations

import tarfile
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager, nullcontext
from dataclasses import dataclass
from typing import IO, BinaryIO, Final, cast

from runtime.capacity_gate import CapacityGate
from runtime.container_call import (
    LABEL_HOME,
    LABEL_OWNER,
    LOADING,
    PODMAN,
    container_call,
    isolation_of,
    labels_of,
    loader_call,
)
from runtime.container_engine import MAX_KEPT_TEXT_BYTES, ContainerRun, ImageFacts, IncompleteRunError
from runtime.container_guard import MAX_LAYER_BYTES, RESERVE_BYTES, SLACK_BYTES, ContainerGuard
from runtime.container_lease_store import ContainerLeases
from runtime.container_mounts import Mount, input_mounts
from runtime.container_output import ContainerOutput
from runtime.container_plan import ContainerPlan
from runtime.disk_usage_client import disks_of, free_bytes
from runtime.docker_api_client import DockerApi
from runtime.engine import Progress, UndeterminedError, silent
from runtime.image_reference import check_reference, facts_of
from runtime.stop_signal import StopSignal
from storage.blocks import BlockStore, OverlayBlockStore
from storage.cid import CID, cid_text
from storage.dag_tar import DagTar
from storage.errors import UnavailableError, UserError, VerificationError
from storage.unixfs_read import UnixfsReader
from verifier.model import EngineInfo

_IN_MEMORY_BYTES: Final = 1 << 20
"""Of what a program writes; more goes to a temporary file."""
_LAST_EXIT_CODE: Final = 255
PULL_S: Final = 1800.0
"""For an image that somebody else named: its registry may be theirs, and give a byte now and then."""
AGAIN_S: Final = 10.0
"""Between two tries to remove what an engine would not remove."""


class DockerEngine:
    """A `ContainerEngine`."""

    def __init__(self, *, connect: Callable[[], DockerApi], leases: ContainerLeases, gate: CapacityGate) -> None:
        """Make an engine that asks nobody yet.

        connect: opens a connection of its own for each run; gate: nothing starts before it has room.
        """
        self._connect = connect
        self._leases = leases
        self._gate = gate
        self._lock = threading.Lock()
        self._idle = threading.Condition(self._lock)
        self._running: set[StopSignal] = set()
        self._is_stopped = False
        self._is_over = threading.Event()

    def find_image(self, reference: str, progress: Progress = silent) -> ImageFacts:
        """Return what an image is; see `ContainerEngine.find_image`."""
        check_reference(reference)
        with self._connect() as api:
            found = api.image(reference)
            if found is None:
                progress(f"pulling image {reference}")
                api.pull(reference)
                found = api.image(reference)
        if found is None:
            raise UnavailableError("was pulled and is not here", where=reference, fix="see the engine's own log")
        return facts_of(found, reference)

    def bring_image(self, digest: str, stop: StopSignal) -> ImageFacts:
        """Pull an image that somebody else named; see `ContainerEngine.bring_image`."""
        check_reference(digest)
        with self._connect() as api:
            pulling = _Pull()
            api.pull_as_nobody(digest, lambda hang_up: pulling.ending(hang_up, stop))
            found = api.image(digest)
        if pulling.is_late:
            raise UndeterminedError(f"pulling the image took longer than {PULL_S:g} s")
        if found is None:
            raise UndeterminedError("the image was not pulled")
        return facts_of(found, digest)

    def identify(self) -> tuple[str, str]:
        """Return the engine's name and architecture; see `ContainerEngine.identify`."""
        with self._connect() as api:
            return api.name, api.arch

    def has_image(self, image: str) -> bool:
        """Tell whether an image is here; see `ContainerEngine.has_image`."""
        with self._connect() as api:
            found = api.image(image)
        return found is not None and facts_of(found, image).id == image

    def run(
        self,
        plan: ContainerPlan,
        store: BlockStore,
        progress: Progress = silent,
        stop: StopSignal | None = None,
        gpus: Sequence[str] | None = None,
    ) -> ContainerRun:
        """Run a container to its end; see `ContainerEngine.run`."""
        own = StopSignal()
        ending = nullcontext() if stop is None else stop.ending(own.set)
        with self._listed(own), ending, ExitStack() as stack:
            held = stack.enter_context(self._gate.hold(plan.room, own)).gpus if gpus is None else gpus
            api = stack.enter_context(self._connect())
            owner = stack.enter_context(self._leases.owned())
            stack.callback(self._remove, api, owner, progress)
            labels = labels_of(self._leases.home(), owner, cid_text(plan.task))
            run = _Run(
                plan=plan,
                store=store,
                scratch=OverlayBlockStore(store),
                progress=progress,
                api=api,
                labels=labels,
            )
            return run.go(own, held)

    def sweep(self) -> Sequence[str]:
        """Remove what was left behind; see `ContainerEngine.sweep`."""
        removed: list[str] = []
        with self._connect() as api:
            for owner in sorted(api.label_values(LABEL_HOME, self._leases.home(), LABEL_OWNER)):
                with self._leases.left_behind(owner) as is_left:
                    if is_left:
                        removed += api.remove_labelled(LABEL_OWNER, owner)
        return removed

    def stop(self) -> None:
        """End what runs, and refuse later runs."""
        with self._lock:
            self._is_stopped = True
            self._is_over.set()
            running = list(self._running)
        for one in running:
            one.set()

    def end(self, within_s: float) -> None:
        """End what runs, and wait until nothing is left of it; see `ContainerEngine.end`."""
        self.stop()
        with self._idle:
            self._idle.wait_for(lambda: not self._running, within_s)

    @contextmanager
    def _listed(self, own: StopSignal) -> Iterator[None]:
        with self._lock:
            if self._is_stopped:
                raise UndeterminedError("the run was given up")
            self._running.add(own)
        try:
            yield
        finally:
            with self._idle:
                self._running.discard(own)
                self._idle.notify_all()

    def _remove(self, api: DockerApi, owner: str, progress: Progress) -> None:
        try:
            api.remove_labelled(LABEL_OWNER, owner)
        except UnavailableError as error:
            # The outcome of the run stands; the lease ends, so the next sweep of another process tries as well.
            progress(f"what is left of a container could not be removed: {error}")
            threading.Thread(target=self._remove_later, args=[owner], name="remove-later", daemon=True).start()

    def _remove_later(self, owner: str) -> None:
        """Remove what an engine would not remove now, as soon as it does; a node lives long."""
        while not self._is_over.wait(AGAIN_S):
            try:
                with self._connect() as api:
                    api.remove_labelled(LABEL_OWNER, owner)
            except UnavailableError:
                continue
            return


@dataclass(slots=True)
class _Pull:
    """An image on its way: it ends when nobody waits for it any more, or in time."""

    is_late: bool = False

    @contextmanager
    def ending(self, hang_up: Callable[[], None], stop: StopSignal) -> Iterator[None]:
        """Have it hung up when `stop` is set, or when it takes too long."""

        def late() -> None:
            self.is_late = True
            hang_up()

        timer = threading.Timer(PULL_S, late)
        timer.daemon = True
        with stop.ending(hang_up):
            timer.start()
            try:
                yield
            finally:
                timer.cancel()
        stop.refuse()


@dataclass(slots=True, kw_only=True)
class _Run:
    """One run."""

    plan: ContainerPlan
    store: BlockStore
    scratch: BlockStore
    """For what is put together to be mounted: no part of the task, and nobody needs it afterwards."""
    progress: Progress
    api: DockerApi
    labels: Mapping[str, str]

    def go(self, stop: StopSignal, gpus: Sequence[str]) -> ContainerRun:
        started = time.perf_counter()
        self.progress("laying out inputs")
        inputs = input_mounts(self.plan.input, self.scratch)
        container = self._make(inputs, gpus)
        prepared = time.perf_counter()
        with ExitStack() as stack:
            streams = [stack.enter_context(_spool()) for _ in range(2)]
            code, was_out_of_memory = self._run(container, stop, streams)
            finished = time.perf_counter()
            self.progress("collecting outputs")
            output = self._collect(container, code, streams)
        spent = {"prepare": prepared - started, "run": finished - prepared, "collect": time.perf_counter() - finished}
        return ContainerRun(
            task=self.plan.task,
            output=output,
            exit_code=code,
            engine=EngineInfo(
                name=self.api.name, version=self.api.version, arch=self.api.arch, isolation=isolation_of(self.plan)
            ),
            was_out_of_memory=was_out_of_memory,
            timings_s=spent,
        )

    def _make(self, inputs: Sequence[Mount], gpus: Sequence[str]) -> str:
        """Make volumes and the container, everything in place."""
        outputs = [output.path for output in self.plan.input.outputs]
        names = [f"bacalhau-{self.labels[LABEL_OWNER]}-{number}" for number in range(len(inputs) + len(outputs))]
        places = [self.api.create_input_volume(name, self.labels) for name in names[: len(inputs)]]
        most = self.plan.input.limits.output + 2 * SLACK_BYTES  # the guard is to end it, and not an error of its own
        places += [self.api.create_output_volume(name, self.labels, most) for name in names[len(inputs) :]]
        with ExitStack() as stack:
            scratch = UnixfsReader(self.scratch)
            contents = [stack.enter_context(DagTar(scratch, mount.cid)) for mount in inputs]
            self._check_disk(places, sum(content.size for content in contents))
            self._fill(names, contents)
        return self.api.create_container(
            container_call(
                self.plan,
                inputs=list(zip(inputs, names, strict=False)),
                outputs=list(zip(outputs, names[len(inputs) :], strict=True)),
                gpus=gpus,
                labels=self.labels,
                engine=self.api.name,
                layer_bytes=self._layer_bytes(),
            )
        )

    def _check_disk(self, places: Sequence[str], input_bytes: int) -> None:
        """Refuse to begin what may not come to its end."""
        layer = MAX_LAYER_BYTES if self.plan.function.writable_root else 0
        needed = input_bytes + self.plan.input.limits.output + SLACK_BYTES + layer + RESERVE_BYTES
        free = min(free_bytes(disks_of(place for place in places if place)).values(), default=needed)
        if free < needed:
            reason = (
                f"the engine's disk has {free >> 20} MiB free, and {needed >> 20} MiB are needed to begin, of which"
                f" {RESERVE_BYTES >> 20} stay free; free some, or give more room to the engine's directory"
            )
            raise IncompleteRunError(reason, is_of_engine=True)

    def _fill(self, names: Sequence[str], contents: Sequence[DagTar]) -> None:
        """Fill the volumes of inputs, which are the first of them, and open those of outputs to all users."""
        loader = self.api.create_container(loader_call(self.plan.function.image, names, self.labels))
        for number, content in enumerate(contents):
            self.api.unpack(loader, f"{LOADING}/{number}", cast("BinaryIO", content))
        outputs = [f"{LOADING}/{number}" for number in range(len(contents), len(names))]
        if self.api.name == PODMAN:  # unpacks beside a volume what is not for that one alone
            for place in outputs:
                self.api.unpack(loader, place, _open_to_all(["."]))
        else:  # leaves a directory as it is that it unpacks in
            self.api.unpack(loader, "/", _open_to_all(place.strip("/") for place in outputs))

    def _layer_bytes(self) -> int | None:
        """Return what a program's own copy of the image may come to, with the image; None: it has none."""
        if not self.plan.function.writable_root:
            return None
        found = self.api.image(self.plan.function.image) or {}
        return int(found.get("Size") or 0) + MAX_LAYER_BYTES + SLACK_BYTES

    def _run(self, container: str, stop: StopSignal, streams: Sequence[IO[bytes]]) -> tuple[int, bool]:
        """Start the container, read what it writes to its end, and return its exit code and whether memory ran out."""
        guard = ContainerGuard(
            connect=self.api.again,
            container=container,
            limit_s=self.plan.wall_clock_s,
            output_bytes=self.plan.input.limits.output,
            is_writable=self.plan.function.writable_root,
        )
        code, was_out_of_memory = 0, False
        with stop.ending(lambda: guard.give_up("was given up")):
            try:
                with self.api.attached(container) as attached:
                    self.progress("running the container")
                    self.api.start(container)
                    with guard.watching(attached.hang_up):
                        if guard.reason:  # said before there was anything to end
                            guard.end_now()
                        self._read(attached.pieces, streams, guard)
                        if not guard.has_hung_up:
                            code, was_out_of_memory = self.api.ended(container, lambda: guard.has_hung_up)
            except UnavailableError as error:
                if not guard.reason:
                    guard.reason, guard.is_of_engine = str(error), True
        if guard.reason:
            raise self._incomplete(guard.reason, streams, is_of_engine=guard.is_of_engine)
        return min(code, _LAST_EXIT_CODE), was_out_of_memory

    def _read(
        self, frames: Iterator[tuple[bytes | None, bytes | None]], streams: Sequence[IO[bytes]], guard: ContainerGuard
    ) -> None:
        """Keep what comes, up to the task's limit; what comes behind it is dropped until the container is gone."""
        room = self.plan.input.limits.output
        for pieces in frames:
            for piece, stream in zip(pieces, streams, strict=True):
                kept = (piece or b"")[:room]
                stream.write(kept)
                room -= len(kept)
                if piece and len(kept) < len(piece):
                    guard.give_up(f"wrote more than {self.plan.input.limits.output} bytes")

    def _collect(self, container: str, code: int, streams: Sequence[IO[bytes]]) -> CID:
        output = ContainerOutput(self.store, self.plan.input.limits.output)
        try:
            for name, stream in zip(("stdout", "stderr"), streams, strict=True):
                size = stream.tell()
                stream.seek(0)
                output.add_stream(name, cast("BinaryIO", stream), size)
            for mount in self.plan.input.outputs:
                with closing(self.api.archive(container, mount.path)) as pieces:
                    output.add_archive(mount.name, pieces)
            return output.finish(code)
        except VerificationError as error:
            raise self._incomplete(str(error), streams) from error
        except UserError as error:  # deeper than a tree may be
            raise self._incomplete(str(error), streams) from error

    def _incomplete(
        self, reason: str, streams: Sequence[IO[bytes]], *, is_of_engine: bool = False
    ) -> IncompleteRunError:
        stdout, stderr = (_head(stream) for stream in streams)
        return IncompleteRunError(reason, stdout=stdout, stderr=stderr, is_of_engine=is_of_engine)


def _spool() -> IO[bytes]:
    return tempfile.SpooledTemporaryFile(max_size=_IN_MEMORY_BYTES)


def _head(stream: IO[bytes]) -> bytes:
    stream.seek(0)
    return stream.read(MAX_KEPT_TEXT_BYTES)


def _open_to_all(places: Iterable[str]) -> bytes:
    """Return a tar that makes directories writable for everybody: any user may run in the container."""
    entries = b""
    for place in places:
        entry = tarfile.TarInfo(place)
        entry.type, entry.mode = tarfile.DIRTYPE, 0o777
        entries += entry.tobuf()
    return entries + bytes(2 * tarfile.BLOCKSIZE)  # and no more: Podman reads no padding, and calls it a broken pipe
