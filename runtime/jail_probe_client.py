"""Find out what jail this machine offers: by trying every layer, and then the best level around a real engine."""

from __future__ import annotations

import contextlib
import functools
import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Final

from runtime import cgroup_client
from runtime.engine_settings import engine_environment, reserved_bytes
from runtime.jail import JailLimits, JailReport, Layer, Level, at_level, layers_of, levels
from runtime.jail_transport import bubblewrap_program, filter_file, launcher_command, open_cell
from runtime.python_host import PYTHON, package_dir, worker_arguments, worker_binds, worker_environment
from storage.errors import UnavailableError

_TIMEOUT_S: Final = 60.0
_LIMITS: Final = JailLimits(memory_bytes=1 << 30, cpu_s=60)
_SCRIPT: Final = "console.log(new WebAssembly.Memory({ initial: 1 }).buffer.byteLength)"
NAMESPACES: Final = ("userns", "mountns", "pidns", "netns", "ipcns", "utsns", "cgroupns")
_ANSWER: Final = "65536"


@functools.cache
def probe(binary: Path, engine: str = "node") -> JailReport:
    """Return what protects workers of this process on this machine. Takes about a tenth of a second, once.

    engine: what the binary is, one of `engine_host.HOSTS` or `python_host.PYTHON`.

    Raises nothing: a machine that offers nothing gets a report that says so.
    """
    layers = probe_layers()
    refused: list[str] = []
    for level in levels(layers):
        problem = "" if level is Level.NONE else _start(level, layers_of(level, layers), binary, engine)
        if not problem:
            return at_level(layers, level, tuple(refused))
        refused.append(f"{level.value}: {problem}")
    raise AssertionError("the level NONE needs nothing")


@functools.cache
def probe_layers() -> tuple[Layer, ...]:
    """Return all layers, each tried alone; which of them are in force is not decided yet."""
    return (*_tried_layers(), _bubblewrap_layer(), _cgroup_layer())


def _tried_layers() -> Iterator[Layer]:
    names = (*NAMESPACES, "no-new-privs", "no-capabilities", "landlock", "seccomp", "rlimits")
    if sys.platform != "linux":
        yield from (Layer(name=name, available=False, detail=f"not on {platform.system()}") for name in names)
        return
    tried = _trials()
    for name in names:
        detail = tried.get(name, "the trial gave no answer")
        yield Layer(name=name, available=not detail, detail=detail)


def _trials() -> dict[str, str]:
    """Run the trials; by name of the layer, empty if it held."""
    try:
        with filter_file(None) as program:
            done = subprocess.run(
                [*launcher_command("runtime.jail_trials"), str(program.fileno())],
                pass_fds=[program.fileno()],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                check=False,
                env={},
                timeout=_TIMEOUT_S,
            )
    except (OSError, subprocess.SubprocessError, UnavailableError):
        return {}
    return dict(line.split("\t", 1) for line in done.stdout.splitlines() if "\t" in line)


def _bubblewrap_layer() -> Layer:
    found = bubblewrap_program()
    return Layer(name="bubblewrap", available=found is not None, detail="" if found else "not installed")


def _cgroup_layer() -> Layer:
    try:
        parent = cgroup_client.find_parent()
        cgroup_client.end_group(
            cgroup_client.make_group(parent, memory_bytes=_LIMITS.memory_bytes, threads=_LIMITS.threads)
        )
    except (OSError, UnavailableError) as error:
        return Layer(name="cgroup", available=False, detail=str(error))
    return Layer(name="cgroup", available=True)


def _start(level: Level, names: tuple[str, ...], binary: Path, engine: str) -> str:
    """Run an engine in a jail of this level; return what went wrong, or nothing."""
    reading, writing = os.pipe()
    is_python = engine == PYTHON
    try:
        with tempfile.TemporaryDirectory() as empty, contextlib.ExitStack() as stack:
            cell = open_cell(
                level,
                names,
                binary=binary,
                engine=engine,
                runtime_dir=package_dir("runtime") if is_python else Path(empty),
                limits=replace(_LIMITS, reserved_bytes=reserved_bytes(engine)),
                watch=reading,
                environment=worker_environment() if is_python else engine_environment(engine, _LIMITS.stack_bytes),
                also=worker_binds() if is_python else (),
            )
            stack.callback(cell.close)
            done = subprocess.run(
                cell.command(worker_arguments(cell.runtime, "trial") if is_python else ["-e", _SCRIPT]),
                pass_fds=[reading, *cell.descriptors],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                check=False,
                env=dict(worker_environment()) if is_python else {},
                cwd="/",
                timeout=_TIMEOUT_S,
                start_new_session=True,
            )
    except (OSError, subprocess.SubprocessError, UnavailableError) as error:
        return str(error)
    finally:
        os.close(reading)
        os.close(writing)
    if done.stdout.strip() == _ANSWER and done.returncode == 0:
        return ""
    lines = done.stderr.strip().splitlines() or ["no message"]
    return f"{engine} ended with status {done.returncode}: {lines[0]}"
