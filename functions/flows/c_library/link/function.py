"""Link objects to a program for Linux on x86-64."""

import io
from pathlib import Path

import ppci.api
from ppci.binutils.objectfile import ObjectFile
from ppci.common import CompilerError
from ppci.format.elf import write_elf

INPUTS, PROGRAM = Path("/inputs"), Path("/outputs/program")
LAYOUT = """
ENTRY(_start)
MEMORY code LOCATION=0x400000 SIZE=0x100000 { SECTION(code) }
MEMORY ram LOCATION=0x800000 SIZE=0x100000 { SECTION(data) }
"""


def main(data):
    """Link all objects of the input.

    data: a directory of objects as `compile` writes them, read at /inputs.

    Returns {"objects": how many, "bytes": of the program, "symbols": the names that they share}; the program, a static
    ELF executable, is /outputs/program.
    Raises ValueError where a name is missing or there twice.
    """
    objects = [load(path) for path in sorted(INPUTS.rglob("*.o"))]
    if not objects:
        raise ValueError("there are no objects")
    try:
        linked = ppci.api.link(objects, layout=io.StringIO(LAYOUT))
    except CompilerError as error:
        raise ValueError(f"does not link: {error.msg}") from None
    with PROGRAM.open("wb") as file:
        write_elf(linked, file, type="executable")
    names = sorted({symbol.name for one in objects for symbol in one.symbols if symbol.binding == "global"})
    return {"objects": len(objects), "bytes": PROGRAM.stat().st_size, "symbols": names}


def load(path):
    """Return an object."""
    with path.open(encoding="utf-8") as file:
        return ObjectFile.load(file)
