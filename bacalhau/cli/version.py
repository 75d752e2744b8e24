"""`bacalhau version`: the versions of everything that decides a result."""

from __future__ import annotations

import platform

import click

from bacalhau import __version__
from bacalhau.cli.options import json_option, services_of
from bacalhau.exit_codes import ExitCode


@click.command("version", short_help="Show the versions of everything that decides a result.")
@json_option
@click.pass_context
def command(ctx: click.Context, /, as_json: bool) -> int:
    """Show versions, and the CIDs of the runtimes: of Python's once Pyodide is here."""
    from bacalhau.checkup import runtime_cid
    from bacalhau.render import print_fields, print_json
    from runtime.node_client import find_node
    from runtime.release import PROFILE, PYODIDE_VERSION, PYTHON_VERSION
    from runtime.wasm_profile import PROFILE as WASM_PROFILE
    from runtime.wasm_release import engine_version, wasm_runtime_cid
    from storage.cid import cid_text

    versions = {
        "bacalhau": __version__,
        "pyodide": PYODIDE_VERSION,
        "guest_python": PYTHON_VERSION,
        "node": find_node().version,
        "profile": PROFILE,
        "runtime": runtime_cid(services_of(ctx).home),
        "wasmtime": engine_version(),
        "wasm_profile": WASM_PROFILE,
        "wasm_runtime": cid_text(wasm_runtime_cid()),
        "python": platform.python_version(),
    }
    print_json(versions) if as_json else print_fields(versions, versions)
    return ExitCode.DONE
