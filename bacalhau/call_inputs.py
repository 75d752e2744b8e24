"""From a call of the Python API to the plan of its task: the function's source, and everything that it is given."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from bacalhau.flow_call import StepOptions, request_of
from bacalhau.prepared_parts import PreparedParts
from bacalhau.verified import Verified, VerifiedPath
from runtime.arguments import check_guest_path
from runtime.engine import Plan
from runtime.flow_inputs import data_place
from runtime.input_draft import draft_input
from runtime.mounts import check_places, nest
from runtime.plan import make_plan
from runtime.request import Request
from runtime.source_import import ENTRY_FILE
from storage.cid import CID
from storage.errors import UserError
from storage.unixfs_import import Importer
from verifier.model import Volume

if TYPE_CHECKING:
    from bacalhau.function_options import Data
    from bacalhau.python_function import Function

_REQUEST_OPTIONS: Final = ("env", "seed", "epoch", "fuel", "memory", "timeout_s")
"""Options of a function that a request has too."""


@dataclass(frozen=True, slots=True)
class CallInputs:
    """What reads calls; for several threads at once."""

    parts: PreparedParts

    def request(self, made: Function[Any], arguments: Mapping[str, Any]) -> Request:
        """Return the request of a call, without what it is given.

        Raises:
            UserError: the function cannot be captured, or an argument is no JSON.
        """
        options = made.options
        plain: StepOptions = {"entry": made.entry, "args": arguments, "outputs": options.get("outputs", {})}
        for name in _REQUEST_OPTIONS:
            if name in options:
                plain[name] = options[name]
        return request_of(made.where, made.directory(self.parts.services.home.cache_dir), plain)

    def plan(self, request: Request, data: Data, made: Function[Any]) -> tuple[Plan, tuple[CID, ...]]:
        """Return the plan of a call, and the records that its inputs come from.

        Raises:
            UserError, UnavailableError, VerificationError: as `runtime.prepare.prepare`.
        """
        volumes = [(path, self.given(one, made.where, is_data=False)) for path, one in self.volumes(made)]
        given, parents = self.given(data, made.where, is_data=True)
        paths = [path for path, _ in volumes]
        draft = draft_input(request, paths)
        store = self.parts.store
        place = None if given is None else data_place(given, store)
        check_places(paths, data=place, outputs=[output.path for output in draft.outputs])
        with _told_of(made, request):
            function = self.parts.function(request)
        mounted = [Volume(path=path, cid=cid) for path, (cid, _) in volumes if cid is not None]
        plan = make_plan(
            function.function,
            replace(draft, data=given, volumes=nest(mounted, store)),
            function.lock,
            store=store,
            wall_clock_s=request.timeout_s,
        )
        found = parents.union(*(records for _, (_, records) in volumes))
        return plan, tuple(sorted(found))

    def volumes(self, made: Function[Any]) -> list[tuple[str, Data]]:
        """Return what a function has mounted, by guest path; raises as `plan`."""
        volumes = made.options.get("volumes", {})
        return [(check_guest_path(path, f"{made.where}: volumes"), volumes[path]) for path in sorted(volumes)]

    def given(self, data: Data, where: str, *, is_data: bool) -> tuple[CID | None, frozenset[CID]]:
        """Bring what a caller hands over into the store; return its CID and the records that it comes from."""
        if data is None:
            if not is_data:
                raise UserError("a volume is None", where=where, fix="give bytes, a path, a CID or a result")
            return None, frozenset()
        if isinstance(data, bytes | bytearray | memoryview):
            return Importer(self.parts.store).bytes(bytes(data)).cid, frozenset()
        if isinstance(data, Verified):
            data = data / "result"
        if isinstance(data, VerifiedPath):
            data = f"{data.of.record}/output/{data.path}"
        if isinstance(data, str | os.PathLike):
            text = os.fspath(data)
            if not text:
                raise UserError("the input has an empty name", where=where, fix="give a path, a CID or a URL")
            found = self.parts.bring(text, is_data=is_data)
            return found.cid, found.parents
        if not isinstance(getattr(data, "read", lambda _size: "")(0), bytes):
            problem = f"a {type(data).__name__} is no input"
            fix = "give bytes, a path, CID or URL, a file that is open for reading bytes, or another call's result"
            raise UserError(problem, where=where, fix=fix)
        return Importer(self.parts.store).file(data).cid, frozenset()


@contextmanager
def _told_of(made: Function[Any], request: Request) -> Iterator[None]:
    """Let errors name the caller's own function, and not the copy of it in the cache."""
    try:
        yield
    except UserError as error:
        copied = str(request.function)
        if not error.where.startswith(copied):
            raise
        behind = error.where.removeprefix(copied)
        if made.signature is not None:
            behind = ""  # lines of captured text are not those of the caller
        elif made.where.endswith(".py"):
            behind = behind.removeprefix(f"/{ENTRY_FILE}")
        raise UserError(error.problem, where=made.where + behind, fix=error.fix) from error
