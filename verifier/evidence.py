"""The nodes that a record leads to, loaded once each, with the reason where one cannot be had."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, TypeVar

from storage.blocks import BlockStore
from storage.cid import CID, cid_text
from storage.errors import BacalhauError, UnavailableError, VerificationError
from verifier.model import CommitmentList, Function, Input, Lock, Receipt, Record, Runtime, Task, load_node
from verifier.schema import Schema
from verifier.wasm_types import AnyFunction, WasmFunction, kind_of_function, runtime_kind

T = TypeVar("T", bound=Schema)


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """A record under audit. `load` says what is wrong with a node; the others only that they need it."""

    store: BlockStore
    cid: CID
    """Of the record."""
    loaded: dict[tuple[CID, type[Schema]], Any] = field(default_factory=dict)
    """A node, or why it cannot be had, by its CID and what it was to be: one CID may be named as two things."""

    def load(self, cid: CID, kind: type[T]) -> T:
        """Return the node; the same error again if it failed before.

        Raises:
            UnavailableError, VerificationError: as `load_node`.
        """
        if (cid, kind) not in self.loaded:
            self.loaded[cid, kind] = self._load(cid, kind)
        found: T | BacalhauError = self.loaded[cid, kind]
        if isinstance(found, BacalhauError):
            raise found
        return found

    def _load(self, cid: CID, kind: type[T]) -> T | BacalhauError:
        try:
            return load_node(self.store, cid, kind)
        except (UnavailableError, VerificationError) as error:
            return error

    def need(self, cid: CID, kind: type[T]) -> T:
        """Return a node that another check is responsible for.

        Raises:
            UnavailableError: it cannot be had, for whatever reason; the check in charge names it.
        """
        try:
            return self.load(cid, kind)
        except VerificationError as error:
            raise UnavailableError(f"needs a sound {kind.VERSION}", where=cid_text(cid)) from error

    @property
    def record(self) -> Record:
        """The record itself."""
        return self.need(self.cid, Record)

    @property
    def function_kind(self) -> type[Function | WasmFunction]:
        """What the record's f is, as it says itself; a Python function's where it is not here."""
        try:
            return kind_of_function(self.store, self.record.function)
        except UnavailableError:
            return Function

    @property
    def function(self) -> AnyFunction:
        """The record's f."""
        return self.need(self.record.function, self.function_kind)

    @property
    def input(self) -> Input:
        """The record's x."""
        return self.need(self.record.input, Input)

    @property
    def commitments(self) -> CommitmentList:
        """The list of the last round."""
        return self.need(self.record.commitments, CommitmentList)

    def receipts(self) -> list[Receipt]:
        """Return the record's receipts, those that dissent included."""
        return [self.need(cid, Receipt) for cid in (*self.record.receipts, *self.record.dissent)]

    def nodes(self) -> Iterator[tuple[CID, type[Schema]]]:
        """Yield every node of the closure, as far as they can be reached."""
        yield self.cid, Record
        record = self.record
        yield from ((record.task, Task), (record.function, self.function_kind), (record.input, Input))
        yield record.commitments, CommitmentList
        for cid in (*record.receipts, *record.dissent):
            yield cid, Receipt
            for receipt in self.tried(cid, Receipt):
                yield receipt.round, CommitmentList
        for function in self.tried(record.function, self.function_kind):
            if isinstance(function, Function):
                yield function.lock, Lock
            yield function.runtime, runtime_kind(function)
        yield from ((cid, Record) for cid in record.parents)

    def trees(self) -> Iterator[CID]:
        """Yield the root of every UnixFS DAG of the closure, as far as they can be reached."""
        record = self.record
        yield record.output
        for module in self.tried(record.function, WasmFunction) if self.function_kind is WasmFunction else ():
            yield module.module
        for function in self.tried(record.function, Function) if self.function_kind is Function else ():
            yield function.source
            yield from (wheel.wheel for lock in self.tried(function.lock, Lock) for wheel in lock.wheels)
            yield from (file.cid for runtime in self.tried(function.runtime, Runtime) for file in runtime.files)
        for x in self.tried(record.input, Input):
            yield from () if x.data is None else (x.data,)
            yield from (volume.cid for volume in x.volumes)

    def tried(self, cid: CID, kind: type[T]) -> list[T]:
        """Return the node alone, or nothing if it cannot be had."""
        try:
            return [self.load(cid, kind)]
        except (UnavailableError, VerificationError):
            return []
