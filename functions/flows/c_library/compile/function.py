"""Compile C and assembly to objects for x86-64, with ppci: a compiler that is Python, and so runs where Python does."""

import io
import logging
from pathlib import Path

import ppci.api
from ppci.common import CompilerError
from ppci.lang.c import COptions

INPUTS, HEADERS, OBJECTS = Path("/inputs"), Path("/include"), Path("/outputs")
MACHINE = "x86_64"


def main(data):
    """Compile every file of the input by itself.

    data: a directory of .c and .asm files; headers are mounted at /include. Files are read at /inputs.

    Returns {path of the source: bytes of machine code}; the objects, in ppci's own text form, are in /outputs.
    Raises ValueError where a file does not compile, with the line.
    """
    logging.disable(logging.WARNING)  # ppci warns of every function without a value
    sizes = {}
    for path in sorted(INPUTS.rglob("*")):
        if path.suffix in (".c", ".asm"):
            made = compiled(path)
            with (OBJECTS / f"{path.stem}.o").open("w", encoding="utf-8") as file:
                made.save(file)
            sizes[str(path.relative_to(INPUTS))] = made.byte_size
    return sizes


def compiled(path):
    """Return the object that a source file gives."""
    source = io.StringIO(path.read_text(encoding="utf-8"))
    try:
        if path.suffix == ".asm":
            return ppci.api.asm(source, MACHINE)
        options = COptions()
        options.add_include_path(str(HEADERS))
        return ppci.api.cc(source, MACHINE, coptions=options)
    except CompilerError as error:
        line = error.loc.row if error.loc else 0
        raise ValueError(f"{path.relative_to(INPUTS)}:{line}: {error.msg}") from None
