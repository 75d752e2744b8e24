"""Runtimes and hosts with layers taken away, so that the layer behind can be seen to hold.

Production code has no switch for this: a weakened runtime is a copy of `js_host` in which pieces of text are replaced,
and so a runtime of its own, with a CID of its own. A piece that is no longer there is an error: the layer has moved,
and the tests that take it away have to follow.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Final

from runtime.engine_host import EngineHost

ENTRY_OF_SEAL: Final = '"""Take the JavaScript bridge apart, and make waiting move the virtual clock."""\n'

PIECES: Final[Mapping[str, tuple[tuple[str, str, str], ...]]] = {
    # The whole of Python's seal: bridge, importers, sleeping.
    "seal": (("guest/_faas_seal.py", ENTRY_OF_SEAL, f"{ENTRY_OF_SEAL}    return\n"),),
    # After boot, everything in the import table can still be called.
    "gate": (("gate.mjs", "this.#open = false;", ""),),
    "scripts": (("imports.mjs", "for (const name of REFUSED_CALLS)", "for (const name of [])"),),
    "sockets": (("imports.mjs", "for (const name of REFUSED_SYSCALLS)", "for (const name of [])"),),
    "system": (("imports.mjs", "_emscripten_system: () => -1,", ""),),
    # Side modules: by place, by the bytes of the file, by digest, by what they hold.
    "places": (("imports.mjs", 'return refuseModule(Module, "only modules of installed packages are loaded");', ";"),),
    "rereading": (("imports.mjs", "Module.HEAP32[bytes] = 0;", ""),),
    "admission": (("instrument/admission.mjs", "if (isThunk(bytes) || known.has(sha256Hex(bytes)))", "if (bytes)"),),
    "refusals": (
        ("instrument/instrument.mjs", "  refuseReservedNames(module);", ""),
        ("instrument/instrument.mjs", "if (isSide) refuseScripts(module);", ""),
    ),
    # The realm keeps a door to Node; the glue is evaluated as ever, because it looks for `process`.
    "realm": (
        (
            "lockdown.mjs",
            "export function lockDown(clock, fillGlue, report) {",
            "export function lockDown(clock, fillGlue, report) {\n  const door = process;",
        ),
        ("lockdown.mjs", "  Math.random = () => {", "  globalThis.door = door;\n  Math.random = () => {"),
    ),
    "modes": (("file_system.mjs", "if (writable.has(path)) return;", "return;"),),
    "links": (("collect.mjs", "if (!staysInside(to, target)) return;", ""),),
    "entries": (("collect.mjs", "count >= MAX_ENTRIES ||", ""),),
    "depth": (("collect.mjs", "names.length > MAX_DEPTH ||", ""),),
    "meter": (
        ("devices.mjs", "if (n > this.room) {", "if (false) {"),
        ("devices.mjs", "Math.min(bytes.length, this.meter.room)", "bytes.length"),
    ),
    "disk": (
        ("disk.mjs", "if (growth > 0 && world.diskUsed + growth > world.memoryLimit)", "if (false)"),
        ("disk.mjs", "if (world.diskUsed + NODE_BYTES > world.memoryLimit)", "if (false)"),
        ("disk.mjs", "if (world.diskUsed + bytes > world.memoryLimit)", "if (false)"),
    ),
    # The guest runs where Python has booted, and the bridge's objects of JavaScript are alive.
    "restoring": (
        (
            "worker.mjs",
            "const { starts_python: startsPython, makes_image: makesImage } = runtime;",
            "const [startsPython, makesImage] = [true, true];",
        ),
        (
            "worker.mjs",
            "else pristine = restore(instance, { files, wheels, world, compile }, start.image, payload);",
            """else {
    prepareGuest(instance, world);
    const { state } = finish(instance, { world, log }, []);
    const memory = instance.Module.HEAPU8.slice();
    instance.references = Object.fromEntries(Object.entries(instance.tables).map(([name, held]) =>
      [name, Array.from({ length: held.length }, (_, i) => held.get(i))]));
    instance.table.begin();
    const blocks = Array.from({ length: memory.length / 65536 }, (_, i) => memory.subarray(i * 65536, (i + 1) * 65536));
    pristine = { state, pristine: new PristineMemory(blocks, pageHashes(memory)) };
  }""",
        ),
        (
            "worker.mjs",
            'import { World } from "./world.mjs";',
            'import { pageHashes } from "./state_digest.mjs";\nimport { World } from "./world.mjs";',
        ),
    ),
    # An image holds modules whatever they keep outside of memory.
    "keepers": (("instrument/hidden_state.mjs", "(code === OP.GLOBAL_SET && argument !== pointer)", "false"),),
    # A worker is used again whatever its guest has asked for.
    "asking": (("pristine.mjs", 'if (world.gate.wasTried) return "JavaScript was asked for";', ""),),
    # Nor is it asked which objects of JavaScript the bridge holds.
    "references": (
        ("pristine.mjs", 'if (tables[name].length !== held.length) return "a table of references has grown";', ""),
        (
            "pristine.mjs",
            'if (!held.every((value, i) => tables[name].get(i) === value)) return "a table of references is another";',
            "",
        ),
    ),
    # Its memory stays as the last task has left it.
    "reset": (("worker.mjs", '(pristine.reset(memory, changed) ? null : "memory is another")', "null"),),
}
"""Layer -> (file below js_host, text, what stands there instead)."""

FLAGS: Final[Mapping[str, tuple[str, ...]]] = {
    "code-generation": ("--disallow-code-generation-from-strings",),
    "permission": ("--permission", "--allow-fs-read", "--no-addons"),
    "databases": ("--no-experimental-sqlite",),
}
"""Layer -> Node's flags that make it."""


def weaken(source: Path, target: Path, without: Iterable[str]) -> Path:
    """Copy `js_host` to `target` without the named layers and return the copy."""
    shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
    for layer in without:
        for name, there, instead in PIECES[layer]:
            path = target / name
            text = path.read_text("utf-8")
            assert text.count(there) == 1, f"{layer}: {there!r} is not once in {name}"
            path.write_text(text.replace(there, instead), "utf-8")
    return target


@dataclass(frozen=True, slots=True, kw_only=True)
class WeakHost(EngineHost):
    """Node with fewer flags."""

    without: tuple[str, ...]
    """Beginnings of the flags that are left out."""

    def command(self, runtime_dir: Path, stack_bytes: int) -> list[str]:
        """Return the command that runs the worker, without those flags."""
        words = EngineHost.command(self, runtime_dir, stack_bytes)
        assert all(any(word.startswith(flag) for word in words) for flag in self.without)
        return [word for word in words if not word.startswith(self.without)]


def weak_host(host: EngineHost, without: Iterable[str]) -> WeakHost:
    """Return the host without the flags of the named layers."""
    dropped = tuple(flag for layer in without for flag in FLAGS[layer])
    return WeakHost(**{field.name: getattr(host, field.name) for field in fields(host)}, without=dropped)
