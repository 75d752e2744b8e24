"""What tasks are put together of, each brought here once: functions, and content that somebody named.

A function that several tasks share is prepared once, a content that several take is brought once. For several threads
at once: who needs what another thread is bringing waits for it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from threading import Lock
from typing import Any, Final, TypeAlias

from bacalhau.input_records import parent_records
from bacalhau.progress import Display
from bacalhau.services import Services
from network.job_store import JobStore
from runtime.contents import Noted
from runtime.engine import Engine, Plan
from runtime.flow_inputs import GivenLiteral, given_literal
from runtime.request import Request
from storage.sqlite_block_store import SqliteBlockStore

_NO_CODE: Final = "pass"
"""A script that is never run: its plan brings a content."""
_Key: TypeAlias = tuple[object, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Fetching:
    """Whom to ask for content that is not here; as the flags of `run python` have it."""

    sources: tuple[str, ...] = ()
    url_limit: str = Request().url_limit
    allow_private_urls: bool = False


@dataclass(kw_only=True)
class PreparedParts:
    """Functions and contents by what names them."""

    services: Services
    store: SqliteBlockStore
    jobs: JobStore
    engine: Engine
    display: Display
    fetching: Fetching = field(default_factory=Fetching)
    noted: list[Noted] = field(default_factory=list)
    """What was fetched."""
    _functions: dict[_Key, Plan] = field(default_factory=dict)
    _contents: dict[_Key, GivenLiteral] = field(default_factory=dict)
    _turns: dict[_Key, Lock] = field(default_factory=dict)

    def function(self, request: Request) -> Plan:
        """Return a plan with the function of a request; of its arguments the names alone matter here.

        Raises:
            UserError, UnavailableError, VerificationError: as `runtime.prepare.prepare`.
        """
        names = tuple(sorted(text.partition("=")[0] for text in request.args))
        key: _Key = (request.function, request.code, request.requirements, request.entry, names)
        if request.module is not None:
            key = (request.module, request.memory)  # whether it begins with more than it may have is told now
        with self._turn(key):
            if key not in self._functions:
                # Of a request only what the function is made of: its data is brought by itself.
                self._functions[key] = self._plan(replace(request, data=None, volumes=()))
            return self._functions[key]

    def content(self, text: str, *, is_data: bool) -> GivenLiteral:
        """Return what a text names, as `-i` (is_data) or `-v` has it, and the records here that it comes from.

        Raises:
            UserError, UnavailableError, VerificationError: as `runtime.prepare.prepare`.
        """
        key = (text, is_data)
        with self._turn(key):
            if key not in self._contents:
                self._contents[key] = self.bring(text, is_data=is_data)
            return self._contents[key]

    @property
    def given(self) -> tuple[GivenLiteral, ...]:
        """Return the contents that were brought so far."""
        return tuple(self._contents.values())

    def bring(self, text: str, *, is_data: bool) -> GivenLiteral:
        """Return the same, looked at anew: what a path or a URL names may have changed."""
        more: dict[str, Any] = {"data": text} if is_data else {"volumes": (f"{text}:/inputs/it",)}
        request = Request(code=_NO_CODE, **more)
        plan = self._plan(request)
        cid = plan.input.data if is_data else plan.input.volumes[0].cid
        assert cid is not None  # noqa: S101  it was asked for
        return given_literal(cid, parent_records(request, plan, self.store, self.jobs, self.services), self.store)

    def _plan(self, request: Request) -> Plan:
        fetching = self.fetching
        asked = replace(
            request,
            sources=fetching.sources,
            url_limit=fetching.url_limit,
            allow_private_urls=fetching.allow_private_urls,
        )
        return self.services.prepare(
            asked,
            store=self.store,
            engine=self.engine,
            progress=self.display.step,
            report=self.display.transfer,
            note=self.noted.append,
        )

    @contextmanager
    def _turn(self, key: _Key) -> Iterator[None]:
        with self._turns.setdefault(key, Lock()):
            yield
