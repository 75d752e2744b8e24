"""The GPUs that NVIDIA's driver tells of. Starts `nvidia-smi`, and reads its answer strictly and within bounds.

A machine without the program, or where it fails, has no GPUs, and the reason is kept: an operator who expects some
wants to know. `CUDA_VISIBLE_DEVICES` bounds what is counted, as it bounds what CUDA programs see.
Source: `nvidia-smi --help-query-gpu`; CUDA C++ Programming Guide, "CUDA Environment Variables".
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from threading import Timer
from typing import Final

from storage.errors import UnavailableError

PROGRAM: Final = "nvidia-smi"
ARGUMENTS: Final = ("--query-gpu=index,uuid,name,memory.total", "--format=csv,noheader,nounits")
VISIBLE: Final = "CUDA_VISIBLE_DEVICES"
MAX_GPUS: Final = 64
"""Of one machine; the largest have sixteen."""
_MAX_ANSWER_BYTES: Final = 64 << 10
PATIENCE_S: Final = 20.0
"""The driver takes seconds to wake when nothing keeps it loaded."""
_UUID: Final = re.compile(r"GPU-[0-9A-Za-z-]{1,80}")
_NAME: Final = re.compile(r"[\x20-\x7e]{1,100}")
_MEBIBYTE: Final = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Gpu:
    """One device."""

    index: int
    """Its number in this machine, as nvidia-smi counts."""
    uuid: str
    """`GPU-…`: what names it everywhere."""
    name: str
    """Of its model."""
    memory_bytes: int | None
    """None where the driver does not say."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GpuReading:
    """What was found."""

    gpus: tuple[Gpu, ...]
    """By index; those that may be used."""
    note: str
    """Why there are none, or not all that the machine has; empty if there is nothing to say."""


def find_gpus(environment: Mapping[str, str] | None = None) -> GpuReading:
    """Return the GPUs that this process may use. Never raises for what the machine is like.

    environment: where PATH and CUDA_VISIBLE_DEVICES are read, None for this process's own.
    """
    environment = os.environ if environment is None else environment
    program = shutil.which(PROGRAM, path=environment.get("PATH", os.defpath))
    if program is None:
        return GpuReading(gpus=(), note=f"{PROGRAM} is not on the PATH")
    try:
        return visible_gpus(parse_gpus(_answer(program, environment)), environment.get(VISIBLE))
    except UnavailableError as error:
        return GpuReading(gpus=(), note=f"{PROGRAM} {error.problem}")


def _answer(program: str, environment: Mapping[str, str]) -> str:
    kept = {name: environment[name] for name in ("PATH", "LD_LIBRARY_PATH") if name in environment}
    try:
        process = subprocess.Popen(
            [program, *ARGUMENTS],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,  # why it fails it tells on stdout, mostly
            env=kept | {"LC_ALL": "C"},
            start_new_session=True,
        )
    except OSError as error:
        raise UnavailableError(f"cannot be started: {(error.strerror or str(error)).lower()}") from error
    late = Timer(PATIENCE_S, _end, [process])
    late.start()
    try:
        said = b"" if process.stdout is None else process.stdout.read(_MAX_ANSWER_BYTES + 1)
        is_too_long = len(said) > _MAX_ANSWER_BYTES
        code = None if is_too_long else process.wait()
    finally:
        late.cancel()
        if process.poll() is None:
            _end(process)
        if process.stdout is not None:
            process.stdout.close()
        process.wait()
    if is_too_long:
        raise UnavailableError(f"says more than {_MAX_ANSWER_BYTES >> 10} KiB")
    return _checked(said.decode("utf-8", "replace"), code or 0)


def _end(process: subprocess.Popen[bytes]) -> None:
    """End a process and all that it has started: any of them may hold the pipe that is read."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)


def _checked(text: str, code: int) -> str:
    if code == -signal.SIGKILL:
        raise UnavailableError(f"did not answer in {PATIENCE_S:.0f} s, or was killed")
    if code != 0:
        first = next((line.strip() for line in text.splitlines() if line.strip()), "nothing")
        shown = "".join(letter if letter.isprintable() else "?" for letter in first[:120])
        raise UnavailableError(f"failed with exit code {code}: {shown}")
    return text


def parse_gpus(text: str) -> tuple[Gpu, ...]:
    """Read what nvidia-smi answers, one device a line: index, UUID, name, MiB.

    Raises:
        UnavailableError: a line is something else, a number or a UUID is there twice, or they are too many.
    """
    if text.strip() in ("", "No devices were found"):
        return ()
    lines = text.removesuffix("\n").split("\n")
    if len(lines) > MAX_GPUS:
        raise UnavailableError(f"tells of more than {MAX_GPUS} GPUs")
    gpus = tuple(_parse_line(number, line) for number, line in enumerate(lines, 1))
    if len({gpu.index for gpu in gpus}) != len(gpus) or len({gpu.uuid for gpu in gpus}) != len(gpus):
        raise UnavailableError("tells of one GPU twice")
    return tuple(sorted(gpus, key=lambda gpu: gpu.index))


def _parse_line(number: int, line: str) -> Gpu:
    # A name may have commas, the others have not.
    head, _, memory = line.rpartition(",")
    index, uuid, name = (*head.split(",", 2), "", "", "")[:3]
    index, uuid, name, memory = index.strip(), uuid.strip(), name.strip(), memory.strip()
    is_known = re.fullmatch("[0-9]{1,4}", index) and _UUID.fullmatch(uuid) and _NAME.fullmatch(name)
    if not is_known or not re.fullmatch(r"[0-9]{1,9}|\[N/A\]|\[Not Supported\]", memory):
        raise UnavailableError(f"gives a line {number} that is not index, UUID, name and MiB")
    size = int(memory) * _MEBIBYTE if memory[0] != "[" else None
    return Gpu(index=int(index), uuid=uuid, name=name, memory_bytes=size)


def visible_gpus(gpus: Sequence[Gpu], visible: str | None) -> GpuReading:
    """Return those that a value of CUDA_VISIBLE_DEVICES lets a process see, None for no such value.

    As CUDA reads it: numbers and beginnings of UUIDs, up to the first that names none; an empty value names none.
    Numbers are those of nvidia-smi, which CUDA's own are with CUDA_DEVICE_ORDER=PCI_BUS_ID. Slices (`MIG-…`) are not
    counted, so a name of one names none.
    """
    if visible is None:
        return GpuReading(gpus=tuple(gpus), note="" if gpus else f"{PROGRAM} tells of none")
    chosen: list[Gpu] = []
    for word in visible.split(","):
        named = [gpu for gpu in gpus if _names(word.strip(), gpu)]
        if len(named) != 1 or named[0] in chosen:
            break
        chosen.append(named[0])
    note = f"{VISIBLE} lets {len(chosen)} of {len(gpus)} be used" if len(chosen) < len(gpus) else ""
    found = tuple(sorted(chosen, key=lambda gpu: gpu.index))
    return GpuReading(gpus=found, note=note or ("" if gpus else f"{PROGRAM} tells of none"))


def _names(word: str, gpu: Gpu) -> bool:
    if word.isascii() and word.isdigit():
        return int(word[:9]) == gpu.index
    return word.startswith("GPU-") and len(word) > len("GPU-") and gpu.uuid.startswith(word)
