"""Find out what this machine has to run things with: engines, the jails that they start in, whether it is virtual.

Takes two or three tenths of a second, and less when an engine of this process has probed its jail already.
"""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from runtime.docker_api_client import engine_problem
from runtime.engine_host import find_host
from runtime.jail import JailReport, Level, at_level, levels
from runtime.jail_probe_client import probe, probe_layers
from runtime.planner.facts import EngineFacts, MachineFacts
from runtime.planner.stack import EngineName, Isolation, Machine
from runtime.wasm_release import engine_version
from storage.errors import UnavailableError

_HOSTS: Final = ((EngineName.PYODIDE_NODE, "node"), (EngineName.PYODIDE_BUN, "bun"))
_CPUINFO: Final = Path("/proc/cpuinfo")
_UNBUILT: Final = "this release cannot run {}"


def find_facts() -> MachineFacts:
    """Return what this machine has; what is not there is a fact, too."""
    return MachineFacts(machine=machine_kind(), engines=tuple(_engines()))


def machine_kind(cpuinfo: Path = _CPUINFO) -> Machine:
    """Return what the processor says: on x86-64, a hypervisor marks it; elsewhere nothing does.

    Source: Linux, Documentation/virt/kvm/x86/cpuid.rst; the bit is CPUID.1:ECX[31].
    """
    if sys.platform != "linux" or platform.machine() != "x86_64":
        return Machine.UNKNOWN
    try:
        text = cpuinfo.read_text("utf-8", "replace")
    except OSError:
        return Machine.UNKNOWN
    flags = next((line.partition(":")[2].split() for line in text.splitlines() if line.startswith("flags")), [])
    if not flags:
        return Machine.UNKNOWN
    return Machine.VM if "hypervisor" in flags else Machine.BARE


def _engines() -> Iterator[EngineFacts]:
    for engine, name in _HOSTS:
        try:
            host = find_host(name)
        except UnavailableError as error:
            yield EngineFacts(engine=engine, absent=error.problem, fix=error.fix)
        else:
            yield _jailed(engine, probe(host.binary, host.name))
    yield _wasmtime()
    yield _docker(os.environ)


def _docker(environment: Mapping[str, str]) -> EngineFacts:
    """Return whether containers can be run, without asking their engine: starting one would tell, and takes a while."""
    problem, fix = engine_problem(environment)
    if problem:
        return EngineFacts(engine=EngineName.DOCKER, absent=problem, fix=fix)
    lacking = "nothing here starts a virtual machine for a container"
    return EngineFacts(engine=EngineName.DOCKER, isolations=(Isolation.CONTAINER,), lacking=lacking)


def _wasmtime() -> EngineFacts:
    """Modules are run by this very Python in a process of its own, which is not tried here: the layers were."""
    try:
        engine_version()
        layers = probe_layers()
        return _jailed(EngineName.WASMTIME, at_level(layers, levels(layers)[0]))
    except UnavailableError as error:
        return EngineFacts(engine=EngineName.WASMTIME, absent=f"{error.where} {error.problem}", fix=error.fix)


def _jailed(engine: EngineName, report: JailReport) -> EngineFacts:
    """Return the levels from the best down: it started the engine, and those below have layers that hold.

    A virtual machine is not among them: nothing starts one yet.
    """
    had = levels(report.layers)
    below = had[had.index(report.level) :]
    missing = [f"{layer.name} {layer.detail}" for layer in report.layers if not layer.available and layer.detail]
    better = report.level is not Level.NAMESPACES
    lacking = "; ".join([*report.refused, *missing])[:300] if better else ""
    fix = "see `bacalhau doctor`" if better else ""
    return EngineFacts(
        engine=engine, isolations=tuple(Isolation(level.value) for level in below), lacking=lacking, fix=fix
    )
