"""A notebook as a function: its cells, the packages they need and the runner, as files of an ordinary directory.

    function.py         calls the runner
    notebook.json       what the notebook has beside its cells
    _cells/             the cells, a file for each code cell (runtime/notebook_guest/cell_files.py)
    _imports.py         what the cells import, for the image (docs/images.md); never read by the run itself
    requirements.txt    the packages
    _notebook/          the runner, from `runtime/notebook_guest`

A run reads nothing of a cell before its turn has come: what it has done until then is the same whatever follows.

Pure but for reading the runner's own files. Parameters are arguments of the function: they change its input only.
"""

from __future__ import annotations

import difflib
import hashlib
import re
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from runtime.arguments import parse_args
from runtime.notebook_file import Notebook
from runtime.notebook_guest.cell_files import cell_files
from runtime.notebook_guest.cell_source import RefusedError, packages_of, read_cell
from runtime.notebook_guest.parameters import PARAMETERS
from runtime.preload import Statement, read_statements
from runtime.source_import import ENTRY_FILE, MAX_SOURCE_BYTES, REQUIREMENTS_FILE
from storage.errors import UserError

RUNNER: Final = "_notebook"
IMPORTS: Final = "_imports"
SEED: Final = hashlib.sha256(b"bacalhau-notebook/1").hexdigest()
"""Of every notebook for which nobody has named one: drawn from the task, as for functions, it would change what the
first cell draws when the last one is edited."""

_RUNNER_FILES: Final = Path(__file__).parent / "notebook_guest"
_ASSIGNMENT: Final = re.compile(r"^([A-Za-z_]\w*)\s*(?::[^=\n]+)?=(?!=)", re.MULTILINE)
_OTHER_NAMES: Final = {
    "PIL": "pillow", "bs4": "beautifulsoup4", "cv2": "opencv-python", "dateutil": "python-dateutil",
    "skimage": "scikit-image", "sklearn": "scikit-learn", "yaml": "pyyaml",
}  # fmt: skip
"""Modules whose packages have other names."""
_THERE: Final = sys.stdlib_module_names | {"IPython", RUNNER, IMPORTS}
_SEEDED: Final = ("scipy", "sklearn")
"""They seed generators of NumPy's when they are loaded. An image holds them only where NumPy's own comes with them, so
they are named before what brings it too, such as pandas."""
_ENTRY: Final = '''"""Runs the notebook that is in the files beside it.

Its cells import what the next line leads to, which is for the image that a run starts from:

import {imports}
"""

from {runner}.runner import main

__all__ = ["main"]
'''
_LISTED: Final = '''"""What the cells import. It is read, and never run.

{imports}
"""
'''


def function_files(notebook: Notebook, requirements: bytes | None) -> dict[str, bytes]:
    """Return the files of the function of a notebook, by path.

    requirements: a file to use instead of what the notebook names.

    Raises:
        UserError: a cell asks for what is not there, or the cells are too large; names the cell.
    """
    _check_cells(notebook)
    imports = "\n".join(map(_statement, _imports(notebook)))
    files = {
        ENTRY_FILE: _ENTRY.format(imports=IMPORTS, runner=RUNNER).encode(),
        f"{IMPORTS}.py": _LISTED.format(imports=imports).encode(),
        **cell_files(notebook.node()),
        REQUIREMENTS_FILE: _requirements(notebook) if requirements is None else requirements,
        **{f"{RUNNER}/{file.name}": file.read_bytes() for file in sorted(_RUNNER_FILES.glob("*.py"))},
    }
    if sum(map(len, files.values())) > MAX_SOURCE_BYTES:
        fix = "give data with -i or -v, and pictures in texts as links"
        raise UserError(
            f"has more than {MAX_SOURCE_BYTES >> 20} MiB without its outputs", where=notebook.where, fix=fix
        )
    return files


def check_parameters(notebook: Notebook, texts: Iterable[str]) -> None:
    """Refuse parameters that the notebook does not have.

    texts: name=value, as typed.

    Raises:
        UserError: one is malformed, or the cell that is tagged `parameters` does not assign it.
    """
    texts = tuple(texts)
    try:
        names = parse_args(texts)
    except UserError as error:
        where, fix = error.where.replace("--arg", "-p"), error.fix.replace("--arg", "-p")
        raise UserError(error.problem, where=where, fix=fix) from error
    known = parameters_of(notebook)
    if names and known is None:
        fix = f"tag the cell that sets the defaults with {PARAMETERS!r}"
        raise UserError(f"has no cell that is tagged {PARAMETERS!r}", where=notebook.where, fix=fix)
    unknown = [name for name in names if name not in (known or ())]
    if unknown:
        close = difflib.get_close_matches(unknown[0], known or (), 1)
        fix = f"did you mean {close[0]!r}?" if close else f"it has: {', '.join(known or ()) or 'none'}"
        raise UserError(f"has no parameter {', '.join(map(repr, unknown))}", where=notebook.where, fix=fix)


def parameters_of(notebook: Notebook) -> tuple[str, ...] | None:
    """Return the names that the cell of parameters assigns, None if there is no such cell."""
    tagged = (cell for cell in notebook.cells if PARAMETERS in cell["metadata"].get("tags", ()))
    cell = next(tagged, None)
    return None if cell is None else tuple(dict.fromkeys(_ASSIGNMENT.findall(cell["source"])))


def advice(notebook: Notebook, files: dict[str, bytes]) -> str:
    """Return what to do where cells import packages and nothing names any, empty if there is nothing to say."""
    if files[REQUIREMENTS_FILE].strip():
        return ""
    names = dict.fromkeys(module.partition(".")[0] for module, _ in _imports(notebook))
    packages = [_OTHER_NAMES.get(name, name) for name in names if name not in _THERE]
    if not packages:
        return ""
    said = f"{notebook.where} imports {', '.join(packages)} and names no packages"
    return f"{said}: write `# requirements: {', '.join(packages)}` into its first code cell, or use -r"


def _check_cells(notebook: Notebook) -> None:
    for number, text in notebook.code_cells():
        try:
            read_cell(text, is_first=number == 1)
        except RefusedError as error:
            raise UserError(str(error), where=_place(notebook, number)) from error


def _requirements(notebook: Notebook) -> bytes:
    """Return what the notebook itself names: its metadata, or else its first code cell."""
    lines = notebook.requirements
    if lines is None:
        number, text = next(notebook.code_cells())
        try:
            lines = packages_of(text)
        except RefusedError as error:
            raise UserError(str(error), where=_place(notebook, number)) from error
    return "".join(f"{line}\n" for line in lines).encode()


def _imports(notebook: Notebook) -> list[Statement]:
    """Return what the cells import, each once; IPython is the runner's own."""
    found = dict.fromkeys(statement for _, text in notebook.code_cells() for statement in read_statements(text))
    kept = [one for one in found if one[0].partition(".")[0] not in ("IPython", RUNNER, IMPORTS, "__future__")]
    return sorted(kept, key=lambda one: one[0].partition(".")[0] not in _SEEDED)


def _statement(statement: Statement) -> str:
    module, names = statement
    return f"from {module} import {', '.join(names)}" if names else f"import {module}"


def _place(notebook: Notebook, number: int) -> str:
    return f"{notebook.where} code cell {number}"
