"""The input of a task as far as texts tell it: arguments, environment, outputs, seed, clock, limits. Pure.

Made before there is content for it, because making it checks every bound: a wrong flag is told before anything is
fetched.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from runtime import arguments
from runtime.quantity import parse_bytes
from runtime.request import Request
from storage.cid import RAW, make_cid
from storage.errors import UserError
from verifier.model import Input, Limits, ModelError, Volume
from verifier.wasm_types import ARGUMENTS_KEY

MIN_MEMORY: Final = 64 << 20
MAX_MEMORY: Final = (4 << 30) - (64 << 10)
"""What 32-bit WebAssembly can address, less the page that stays unmapped."""

DEFAULT_FUEL: Final = 500_000_000_000
"""Half a minute of Python on a machine of 2020, more or less; --fuel changes it."""
MAX_FUEL: Final = (1 << 53) - 1

OUTPUT_LIMIT: Final = 256 << 20
"""Bytes of all outputs of one execution."""

MAX_EPOCH: Final = 253_402_300_799
"""The end of the year 9999, the last that `datetime` knows."""

MAX_TIMEOUT_S: Final = 30 * 86400.0


def draft_input(request: Request, paths: Sequence[str] = ()) -> Input:
    """Return the input of a request whose contents are empty files still.

    paths: where volumes are going to be mounted.

    Raises:
        UserError: a text cannot be read, or a value is out of bounds; names the flag.
    """
    args, env = _args(request), arguments.parse_env(request.env)
    outputs, seed = arguments.parse_outputs(request.outputs), arguments.parse_seed(request.seed)
    limits = _limits(request)
    _check_numbers(request)
    empty = make_cid(RAW, b"")
    try:
        return Input(
            data=None,
            volumes=tuple(Volume(path=path, cid=empty) for path in sorted(paths, key=str.encode)),
            outputs=outputs,
            args=args,
            env=env,
            seed=seed,
            epoch=request.epoch,
            limits=limits,
        )
    except ModelError as error:
        raise _out_of_bounds(error, is_module=request.module is not None) from error


def _args(request: Request) -> dict[str, Any]:
    """Return what the entry point gets by name, or a module as its arguments."""
    if request.module is None:
        return arguments.parse_args(request.args)
    if any("\0" in text for text in request.arguments):
        raise UserError("an argument holds a NUL byte", where="run wasm", fix="pass it as data with -i")
    return {ARGUMENTS_KEY: list(request.arguments)}


def _check_numbers(request: Request) -> None:
    if not 0 <= request.epoch <= MAX_EPOCH:
        fix = "give seconds since 1970, up to the end of the year 9999"
        raise UserError(f"{request.epoch} is out of range", where="--epoch", fix=fix)
    if not 0 < request.timeout_s <= MAX_TIMEOUT_S:
        raise UserError(f"{request.timeout_s} is out of range", where="--timeout", fix="give seconds, up to 30 days")


def _limits(request: Request) -> Limits:
    memory = parse_bytes(request.memory, where="--memory")
    if not MIN_MEMORY <= memory <= MAX_MEMORY:
        raise UserError(f"{request.memory} is out of range", where="--memory", fix="choose between 64Mb and 4095Mb")
    fuel = DEFAULT_FUEL if request.fuel is None else request.fuel
    if not 0 < fuel <= MAX_FUEL:
        raise UserError(f"{fuel} is out of range", where="--fuel", fix=f"choose between 1 and {MAX_FUEL}")
    return Limits(fuel=fuel, memory=memory // 65536 * 65536, output=OUTPUT_LIMIT)


def _out_of_bounds(error: ModelError, *, is_module: bool) -> UserError:
    """Tell what the model refuses in the words of the flag it came from."""
    if is_module and error.field.startswith("args"):
        return UserError(f"an argument {error.problem}", where="run wasm", fix="pass it as data with -i")
    flags = {"args": "--arg", "env": "-e", "volumes": "-v", "outputs": "-o", "path": "-v"}
    head = error.field.partition("[")[0].partition(".")[0]
    return UserError(error.problem, where=flags.get(head, error.field), fix="give a shorter or simpler value")
