"""`bacalhau run notebook`: a notebook becomes a function directory, and that runs as `run python` runs one.

Every flag of `run python` that means something for a notebook is here too, from the same place.
"""

from __future__ import annotations

import os
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import click

from bacalhau.cli import run_python
from bacalhau.cli.options import named_path
from bacalhau.exit_codes import ExitCode
from storage.errors import UnavailableError, UserError

EXECUTED: Final = "outputs/outputs/notebook.ipynb"
"""In an output: the runner writes /outputs/notebook.ipynb."""
_NOT_HERE: Final = (
    "function", "code", "requirements", "entry", "args", "deterministic", "glob_pattern", "base_path", "batch_size",
    "max_failures", "seed",
)  # fmt: skip
"""Flags of `run python` that mean nothing here, or something else."""


@click.command("notebook", short_help="Run a Jupyter notebook deterministically.")
@click.argument("notebook", metavar="NB.ipynb", type=named_path)
@click.argument("executed", metavar="[OUT.ipynb]", required=False, type=named_path)
@click.option("-r", "requirements", metavar="FILE", type=named_path,
              help="Packages to install, instead of those that the notebook names.")  # fmt: skip
@click.option("-p", "args", metavar="NAME=VALUE", multiple=True,
              help="Set a parameter; JSON, or a bare word (as papermill does).")  # fmt: skip
@click.option("--seed", metavar="HEX", help="Seed of all randomness.  [default: the same for all notebooks]")
@click.pass_context
def command(ctx: click.Context, /, notebook: Path, executed: Path | None, **flags: Any) -> int:
    """Run the cells of a notebook in order on several nodes that must agree on every byte of the executed notebook.

    It is outputs/outputs/notebook.ipynb of the output, and is written to OUT.ipynb if that is named. A cell that fails
    ends the run (exit code 3); the notebook until there is the output all the same.
    """
    from runtime.notebook_file import read_notebook
    from runtime.notebook_function import SEED, advice, check_parameters, function_files

    flags = _defaults() | flags
    flags["seed"] = flags["seed"] or SEED
    run_python.refuse_unbuilt(flags)
    _check_executed(notebook, executed, flags)
    read = read_notebook(notebook)
    check_parameters(read, flags["args"])
    files = function_files(read, _content(flags["requirements"]))
    if said := advice(read, files):
        from bacalhau.render import stderr_console

        stderr_console().print(said)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="bacalhau-notebook-")))
        _write(files, folder / "function")
        flags["function"] = folder / "function"
        request = run_python.read_request(flags | {"requirements": None})
        if executed is None:
            flags["notes"] = ("executed notebook: bacalhau cat {output}/" + EXECUTED + " > executed.ipynb",)
        elif flags["output_dir"] is None:
            flags |= {"output_dir": folder / "output", "in_passing": True}
        code = run_python.carry_out(ctx, flags, request)
        if executed is not None:
            _keep(flags["output_dir"], executed, code)
    return code


def _defaults() -> dict[str, Any]:
    """Return what the flags of `run python` that are not here would be."""
    return dict.fromkeys(_NOT_HERE) | {"entry": "main", "deterministic": True}


def _check_executed(notebook: Path, executed: Path | None, flags: dict[str, Any]) -> None:
    """Refuse a place for the executed notebook that cannot be meant, before anything runs.

    Raises:
        UserError: as said.
    """
    if executed is None:
        return
    if flags["dry_run"] or flags["explain"] or not flags["wait"]:
        raise UserError("nothing is written when nothing has run", where=str(executed), fix="leave it out")
    if executed.suffix != ".ipynb" or executed.is_dir():
        raise UserError("is no name for a notebook", where=str(executed), fix="give a name that ends in .ipynb")
    if executed.resolve() == notebook.resolve():
        fix = "give another name: what is executed has lost the marks of its editor"
        raise UserError("is the notebook itself", where=str(executed), fix=fix)
    if not executed.absolute().parent.is_dir():
        raise UserError("its folder is not there", where=str(executed), fix=f"make it: mkdir -p {executed.parent}")


def _content(requirements: Path | None) -> bytes | None:
    if requirements is None:
        return None
    try:
        return requirements.read_bytes()
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise UserError(f"cannot be read: {reason}", where=f"-r {requirements}", fix="check the path") from error


def _write(files: dict[str, bytes], folder: Path) -> None:
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def _keep(place: Path, executed: Path, code: int) -> None:
    """Put the executed notebook where it was asked for, all of it or nothing; without agreement there is none.

    Raises:
        UnavailableError: it cannot be written.
    """
    from bacalhau.render import stderr_console

    produced = place / EXECUTED
    if code not in (ExitCode.DONE, ExitCode.FUNCTION_FAILED) or not produced.is_file():
        stderr_console().print(f"{executed} is not written: no executed notebook was agreed on")
        return
    partial = executed.with_name(f".{executed.name}.{os.getpid()}.partial")
    try:
        partial.write_bytes(produced.read_bytes())
        partial.replace(executed)
    except OSError as error:
        partial.unlink(missing_ok=True)
        reason = (error.strerror or str(error)).lower()
        raise UnavailableError(f"cannot be written: {reason}", where=str(executed), fix="check free space") from error
    stderr_console().print(f"executed notebook is in {executed}")


command.params += [param for param in run_python.command.params if param.name not in _NOT_HERE]
