"""Reads a Jupyter notebook: checked by nbformat, and rid of all that is not its content.

What stays is what a person wrote: cells with their texts, tags and attachments. Old outputs, execution counts, ids and
the marks that editors leave are dropped, so that the same cells are the same function.
Source: https://nbformat.readthedocs.io/en/latest/format_description.html
"""

from __future__ import annotations

import json
import re
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from runtime.notebook_guest.cell_source import is_empty
from storage.counting import counted
from storage.errors import UserError

MOST_FILE_BYTES: Final = 128 << 20
"""With old outputs, which may be pictures."""
MOST_CELLS: Final = 1_000
"""The executed notebook is written anew with every cell."""

_KERNEL: Final = {"display_name": "Python 3", "language": "python", "name": "python3"}
_KEPT: Final = ("tags", "slideshow", "raw_mimetype", "format")
"""Metadata of a cell that its author wrote."""
_FORMAT: Final = {"nbformat": 4, "nbformat_minor": 5}


@dataclass(frozen=True, slots=True, kw_only=True)
class Notebook:
    """A notebook without outputs."""

    cells: tuple[Mapping[str, Any], ...]
    """Cells of format 4.5."""
    metadata: Mapping[str, Any]
    requirements: tuple[str, ...] | None
    """What its own metadata names, `bacalhau.requirements`; None if they name nothing."""
    where: str
    """The file, for messages."""

    def code_cells(self) -> Iterator[tuple[int, str]]:
        """Yield the number by which Jupyter counts a code cell, from 1, and its text; empty ones have no number."""
        texts = (cell["source"] for cell in self.cells if cell["cell_type"] == "code")
        yield from enumerate((text for text in texts if not is_empty(text)), start=1)

    def node(self) -> dict[str, Any]:
        """Return the notebook as JSON has it: one for all notebooks of the same cells."""
        return {"cells": list(self.cells), "metadata": self.metadata, **_FORMAT}


def read_notebook(path: Path) -> Notebook:
    """Read a notebook of format 4, or of format 3, which is brought up to date.

    Raises:
        UserError: it cannot be read, is no valid notebook, has no code, or is in another language; or nbformat is not
            installed.
    """
    require_nbformat()
    where = str(path)
    node = _parse(_read(path), where)
    major, minor = node.get("nbformat"), node.get("nbformat_minor", 0)
    if type(major) is not int or type(minor) is not int:
        raise UserError("is no notebook: it names no format", where=where, fix="save it with Jupyter")
    if major not in (3, 4):
        fix = "bring it to format 4: jupyter nbconvert --to notebook --nbformat 4 FILE"
        raise UserError(f"is a notebook of format {major}, and 3 and 4 are understood", where=where, fix=fix)
    node = _checked(node, major, minor, where)
    _check_language(node["metadata"], where)
    if len(node["cells"]) > MOST_CELLS:
        fix = "split it into several"
        raise UserError(
            f"has {counted(len(node['cells']), 'cell')}, and {MOST_CELLS} are the most", where=where, fix=fix
        )
    requirements = _own_requirements(node["metadata"], where)
    notebook = Notebook(
        cells=tuple(_stripped(cell, number) for number, cell in enumerate(node["cells"], start=1)),
        metadata=_kept_metadata(node["metadata"], requirements),
        requirements=requirements,
        where=where,
    )
    if not any(notebook.code_cells()):
        raise UserError("has no code", where=where, fix="write a code cell")
    return notebook


def require_nbformat() -> None:
    """Refuse to go on without the optional extra `notebooks`.

    Raises:
        UserError: it is not installed.
    """
    try:
        import nbformat  # noqa: F401
    except ImportError as error:
        fix = "install it: pip install 'bacalhau[notebooks]'"
        raise UserError("a notebook needs the package nbformat", where="run notebook", fix=fix) from error


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            data = file.read(MOST_FILE_BYTES + 1)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise UserError(f"cannot be read: {reason}", where=str(path), fix="check the path") from error
    if len(data) > MOST_FILE_BYTES:
        fix = "clear its outputs: jupyter nbconvert --clear-output --inplace FILE"
        raise UserError(f"has more than {MOST_FILE_BYTES >> 20} MiB", where=str(path), fix=fix)
    return data


def _parse(data: bytes, where: str) -> dict[str, Any]:
    try:
        node = json.loads(data.decode("utf-8-sig"), parse_constant=_refuse_constant)
        json.dumps(node, ensure_ascii=False).encode()  # no half of a surrogate pair is in it
    except (ValueError, RecursionError) as error:
        reason = str(error) if isinstance(error, ValueError) else "it is nested too deeply"
        raise UserError(f"is no notebook: {reason}", where=where, fix="give a .ipynb file") from error
    cells = node.get("cells", node.get("worksheets")) if isinstance(node, dict) else None
    if not isinstance(cells, list) or not all(isinstance(cell, dict) for cell in cells):
        raise UserError("is no notebook: it has no cells", where=where, fix="give a .ipynb file")
    return dict(node)


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def _checked(node: dict[str, Any], major: int, minor: int, where: str) -> dict[str, Any]:
    """Return a valid notebook of format 4, texts in one piece."""
    import nbformat
    from nbformat import reader, validator

    try:
        with warnings.catch_warnings():
            # Ids that are missing or there twice: none of them stays.
            warnings.simplefilter("ignore")
            _, node = validator.normalize(node, major, minor)
            validator.validate(node, version=major, version_minor=minor)
            read = reader.reads(json.dumps(node))  # type: ignore[no-untyped-call]
            return dict(nbformat.convert(read, 4))  # type: ignore[no-untyped-call]
    except validator.ValidationError as error:
        place = "".join(f"[{part!r}]" if isinstance(part, int) else f".{part}" for part in error.absolute_path)
        problem = f"is no valid notebook of format {major}.{minor}: {place.lstrip('.')}: {error.message}"
        raise UserError(_short(problem), where=where, fix="save it with Jupyter") from error
    except (AttributeError, KeyError, TypeError, ValueError, RecursionError) as error:
        problem = f"is no valid notebook of format {major}.{minor}: {error}"
        raise UserError(_short(problem), where=where, fix="save it with Jupyter") from error


def _check_language(metadata: Mapping[str, Any], where: str) -> None:
    for key, name in (("kernelspec", "language"), ("language_info", "name")):
        said = metadata.get(key, {})
        language = said.get(name) if isinstance(said, Mapping) else None
        if isinstance(language, str) and language and not re.match(r"i?python", language, re.IGNORECASE):
            raise UserError(f"is a notebook in {language}, and Python alone runs here", where=where, fix="")


def _own_requirements(metadata: Mapping[str, Any], where: str) -> tuple[str, ...] | None:
    own = metadata.get("bacalhau", {})
    said = own.get("requirements") if isinstance(own, Mapping) else None
    if said is None:
        return None
    if not isinstance(said, list) or not all(isinstance(line, str) and "\n" not in line for line in said):
        fix = 'write a list of texts, such as ["pandas==3.0.2"]'
        raise UserError("metadata bacalhau.requirements is no list of requirements", where=where, fix=fix)
    return tuple(said)


def _kept_metadata(metadata: Mapping[str, Any], requirements: tuple[str, ...] | None) -> dict[str, Any]:
    kept: dict[str, Any] = {key: metadata[key] for key in ("title", "authors") if key in metadata}
    if requirements is not None:
        kept["bacalhau"] = {"requirements": list(requirements)}
    return {**kept, "kernelspec": _KERNEL}


def _stripped(cell: Mapping[str, Any], number: int) -> dict[str, Any]:
    source = cell["source"].replace("\r\n", "\n").replace("\r", "\n")
    kept = {
        "cell_type": cell["cell_type"],
        "id": f"cell-{number}",
        "metadata": {key: cell["metadata"][key] for key in _KEPT if cell["metadata"].get(key)},
        "source": source,
    }
    if cell["cell_type"] == "code":
        return {**kept, "execution_count": None, "outputs": []}
    return {**kept, "attachments": cell["attachments"]} if cell.get("attachments") else kept


def _short(problem: str) -> str:
    line = " ".join(problem.split())
    return line if len(line) <= 240 else f"{line[:240]}…"
