"""This Python as the program of a worker: where it and its library lie, and how it is started with three packages.

The worker gets the standard library, the engine, and the packages `runtime` and `storage` as code: no site, no other
package, no environment but what Python needs to find itself.
"""

from __future__ import annotations

import functools
import importlib.util
import os
import platform
import sys
import sysconfig
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from runtime.shared_libraries_client import listed_libraries
from runtime.worker_program import Program
from storage.errors import UnavailableError

PYTHON: Final = "python"
"""Name of this engine to a jail."""
PACKAGES: Final = ("runtime", "storage", "wasmtime")
_EXTENSIONS: Final = ("_ctypes", "_hashlib", "zlib", "_bz2", "_lzma", "_ssl", "_uuid")
"""Modules of the standard library that need shared libraries of their own."""
_FLAGS: Final = ("-s", "-S", "-P", "-B", "-X", "utf8")
_PROGRAM: Final = f"""
import sys
from importlib.util import module_from_spec, spec_from_file_location
for name, place in zip({PACKAGES!r}, sys.argv[1:{1 + len(PACKAGES)}]):
    spec = spec_from_file_location(name, place + "/__init__.py", submodule_search_locations=[place])
    sys.modules[name] = module_from_spec(spec)
    spec.loader.exec_module(sys.modules[name])
from runtime.wasm_worker import {{entry}}
{{entry}}(sys.argv[{1 + len(PACKAGES)}:])
"""
Bind = tuple[str, str]


def this_python() -> Program:
    """Return this interpreter as the program of a worker."""
    return Program(
        name=PYTHON,
        binary=python_binary(),
        directory=package_dir("runtime"),
        arguments=lambda inside: worker_arguments(inside, "main"),
        environment=worker_environment(),
        also=tuple(worker_binds()),
    )


@functools.cache
def python_binary() -> Path:
    """Return this interpreter's program, its links followed.

    Raises:
        UnavailableError: it does not know where it is.
    """
    if not sys.executable:
        raise UnavailableError("this Python does not know where its program is", where=PYTHON)
    return Path(sys.executable).resolve()


def package_dir(name: str) -> Path:
    """Return where a package lies.

    Raises:
        UnavailableError: it is not installed.
    """
    spec = importlib.util.find_spec(name)
    if spec is None or spec.origin is None:
        raise UnavailableError("is not installed", where=name, fix="install bacalhau again")
    return Path(spec.origin).resolve().parent


def worker_arguments(inside: str, entry: str) -> list[str]:
    """Return what stands behind the binary. inside: where `runtime` is in the jail; entry: of `wasm_worker`."""
    is_private = inside != os.fspath(package_dir("runtime"))
    places = [f"/{name}" if is_private else os.fspath(package_dir(name)) for name in PACKAGES]
    return [*_FLAGS, "-c", _PROGRAM.format(entry=entry), *places]


def worker_environment() -> Mapping[str, str]:
    """Return what Python needs to find its library, wherever its program seems to lie."""
    return {"PYTHONHOME": f"{sys.base_prefix}:{sys.base_exec_prefix}"}


@functools.cache
def worker_binds() -> Sequence[Bind]:
    """Return what a worker is made of beside the binary and the package `runtime`: path here, path inside.

    Raises:
        UnavailableError: a library is not here.
    """
    if sys.platform != "linux":
        return ()  # there are no jails
    library = {sysconfig.get_path("stdlib"), sysconfig.get_path("platstdlib")}
    places = sorted(path for path in library if Path(path).is_dir())
    inner = [path for path in places if not any(path.startswith(f"{outer}/") for outer in places)]
    packages = [(os.fspath(package_dir(name)), f"/{name}") for name in PACKAGES if name != "runtime"]
    return (*((path, path) for path in inner), *packages, *((os.path.realpath(path), path) for path in _libraries()))


def _libraries() -> list[str]:
    engine = package_dir("wasmtime") / f"linux-{platform.machine()}" / "_libwasmtime.so"
    found = [importlib.util.find_spec(name) for name in _EXTENSIONS]
    files = [Path(one.origin) for one in found if one is not None and one.origin and one.origin.endswith(".so")]
    libraries = [path for file in (engine, *files) for path in listed_libraries(python_binary(), file)]
    return list(dict.fromkeys(libraries))
