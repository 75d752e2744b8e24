"""Instrumented modules: made by js_host/instrument in a Node process, kept in a cache, checked whenever they are used.

A pack is made beside its place and moved there whole; several processes may make the same one at once, and make the
same bytes.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import tempfile
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Final, Literal

from runtime.engine_settings import NODE_FLAGS
from runtime.frames import Frame, read_frame, write_frame
from runtime.instrumented_pack import InstrumentedPack, open_pack, seal_pack
from runtime.node_client import Node
from runtime.wheel_index import STORED, WheelMember
from storage.errors import BacalhauError, UnavailableError, UserError, VerificationError

Kind = Literal["main", "side"]

SIDE_MODULE_SUFFIX: Final = ".so"

_TOOL_S: Final = 600.0
"""Guard against a machine that stands still; the largest wheel takes some seconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rewriter:
    """The rewriter of a runtime, and the Node that runs it."""

    host_dir: Path
    """Directory of the runtime's host modules; the rewriter is in `instrument/` below it."""
    node: Node

    @property
    def version(self) -> str:
        """Return the sha-256 over names and contents of the rewriter's own files, hex."""
        digest = hashlib.sha256(b"bacalhau-instrument/1\0")
        for path in sorted((self.host_dir / "instrument").glob("*.mjs"), key=lambda path: path.name.encode()):
            content = hashlib.sha256(path.read_bytes()).digest()
            digest.update(path.name.encode() + b"\0" + content)
        return digest.hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class ModuleSource:
    """Where a module's bytes lie in an open file."""

    name: str
    offset: int
    packed: int
    """Bytes in the file."""
    size: int
    """Bytes of the module."""
    method: int
    """`STORED` or `DEFLATED`, as in wheels."""


class InstrumentedCache:
    """Packs on disk, named by what they were made from and by the rewriter's version."""

    def __init__(self, directory: Path, rewriter: Rewriter) -> None:
        self._directory = directory
        self._rewriter = rewriter
        self._version = rewriter.version

    def open_main(self, wasm: Path) -> InstrumentedPack:
        """Return the pack of a main module, which holds one module.

        Raises:
            VerificationError: the rewriter refuses the module.
            UnavailableError: the rewriter did not run.
        """
        with wasm.open("rb") as file:
            digest, size = hashlib.file_digest(file, "sha256").hexdigest(), file.tell()
            source = ModuleSource(name=wasm.name, offset=0, packed=size, size=size, method=STORED)
            return self._open("main", file, digest, (source,), where=str(wasm))

    def open_wheel(
        self, wheel: BinaryIO, sha256: str, members: Sequence[WheelMember], *, where: str
    ) -> InstrumentedPack:
        """Return the pack of a wheel's side modules.

        wheel: open and already checked against `sha256` (hex). members: what `index_wheel` gave for it. Members called
        *.so that are no WebAssembly are left out. where: the wheel's file name, for errors.

        Raises:
            UserError: the rewriter refuses a module; the error names it.
            UnavailableError: the rewriter did not run.
        """
        sources = tuple(
            ModuleSource(
                name=member.path,
                offset=member.offset,
                packed=member.compressed_size,
                size=member.size,
                method=member.method,
            )
            for member in members
            if not member.is_dir and member.path.endswith(SIDE_MODULE_SUFFIX)
        )
        return self._open("side", wheel, sha256, sources, where=where)

    def _open(
        self, kind: Kind, file: BinaryIO, identity: str, sources: tuple[ModuleSource, ...], *, where: str
    ) -> InstrumentedPack:
        path = self.path_of(kind, identity)
        pack = open_pack(path)
        if pack is None:
            self._make(kind, file, sources, path, where=where)
            pack = open_pack(path)
        if pack is None:
            raise UnavailableError("the file was harmed while it was written", where=str(path), fix="check the disk")
        return pack

    def find(self, kind: Kind, identity: str) -> BinaryIO | None:
        """Open the pack of a module or wheel with this sha-256 (hex), unchecked; None if it is not here."""
        try:
            return self.path_of(kind, identity).open("rb")
        except FileNotFoundError:
            return None

    def path_of(self, kind: Kind, identity: str) -> Path:
        """Return where the pack of a module or wheel with this sha-256 (hex) is, or would be."""
        text = json.dumps([self._version, kind, identity], separators=(",", ":"))
        return self._directory / f"{hashlib.sha256(text.encode()).hexdigest()}.pack"

    def _make(self, kind: Kind, file: BinaryIO, sources: tuple[ModuleSource, ...], path: Path, *, where: str) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=".partial-")
        try:
            with os.fdopen(handle, "w+b") as out:
                modules = _instrument(self._rewriter, kind, file, sources, out, where=where) if sources else []
                seal_pack(out, modules)
            Path(name).chmod(0o444)
            Path(name).replace(path)
        finally:
            Path(name).unlink(missing_ok=True)


def _instrument(
    rewriter: Rewriter, kind: Kind, file: BinaryIO, sources: tuple[ModuleSource, ...], out: BinaryIO, *, where: str
) -> list[dict[str, Any]]:
    """Let the rewriter write all modules to `out`, and return their index entries."""
    request = {
        "type": "instrument",
        "output": out.fileno(),
        "modules": [
            {
                "name": source.name,
                "kind": kind,
                "fd": file.fileno(),
                "offset": source.offset,
                "packed": source.packed,
                "size": source.size,
                "method": source.method,
            }
            for source in sources
        ],
    }
    answer = _ask(rewriter, Frame(header=request), [file.fileno(), out.fileno()], where=where)
    if answer.type == "refused":
        raise _refusal(kind, str(answer.header.get("name")), str(answer.header.get("problem")), where=where)
    if answer.type != "done":
        raise UnavailableError(f"the rewriter answered {answer.type}", where=where, fix="report this")
    modules: list[dict[str, Any]] = answer.header["modules"]
    return modules


def _refusal(kind: Kind, name: str, problem: str, *, where: str) -> BacalhauError:
    if kind == "main":
        return VerificationError(f"the runtime's main module is refused: {problem}", where=where)
    fix = "choose another version of the package, or do without it"
    return UserError(f"its module {name} is refused: {problem}", where=where, fix=fix)


def _ask(rewriter: Rewriter, request: Frame, descriptors: list[int], *, where: str) -> Frame:
    """Run the tool once: one frame in, one frame out."""
    tool_in, to_tool = os.pipe()
    from_tool, tool_out = os.pipe()
    command = [
        str(rewriter.node.binary),
        *NODE_FLAGS,
        f"--allow-fs-read={rewriter.host_dir}",
        str(rewriter.host_dir / "instrument" / "tool.mjs"),
        str(tool_in),
        str(tool_out),
    ]
    try:
        process = subprocess.Popen(
            command,
            pass_fds=[tool_in, tool_out, *descriptors],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            env={},
            cwd="/",
        )
    except OSError as error:
        for descriptor in (to_tool, from_tool):
            os.close(descriptor)
        raise UnavailableError(f"Node could not be started: {error}", where=where) from error
    finally:
        os.close(tool_in)
        os.close(tool_out)
    guard = threading.Timer(_TOOL_S, process.kill)
    guard.start()
    with process, os.fdopen(to_tool, "wb") as writer, os.fdopen(from_tool, "rb") as reader:
        try:
            write_frame(writer, request)
            return read_frame(reader)
        except (EOFError, BrokenPipeError, VerificationError) as error:
            process.kill()
            raise UnavailableError(f"the rewriter failed: {_last_words(process)}", where=where) from error
        finally:
            process.wait()
            guard.cancel()


def _last_words(process: subprocess.Popen[bytes]) -> str:
    """Return the line in which Node says why it ended."""
    text = process.stderr.read(65536).decode("utf-8", "replace") if process.stderr is not None else ""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return next((line for line in lines if "Error" in line), lines[0] if lines else "it left no message")
