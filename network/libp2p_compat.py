"""py-libp2p 0.8.1, imported without a compiler and mended. Only `libp2p_transport` imports this, before libp2p.

What is mended is in `libp2p_workarounds`. Both are of this release alone, so another one is refused.
"""

from __future__ import annotations

import importlib.util
import sys
import types
from importlib.metadata import PackageNotFoundError, version
from typing import Final

import trio

from storage.errors import UserError

VERSION: Final = "0.8.1"


class RefusedError(NotImplementedError):
    """Something was called that a node does not use, of a package that is not installed."""


def check_version() -> None:
    """Check that the one release is installed which was measured.

    Raises:
        UserError: it is not.
    """
    try:
        installed = version("libp2p")
    except PackageNotFoundError:
        raise UserError(
            "py-libp2p is not installed", fix="install bacalhau[network] (docs/network.md: without a compiler)"
        ) from None
    if installed != VERSION:
        raise UserError(f"py-libp2p is {installed} and must be {VERSION}", fix=f"install libp2p=={VERSION}")


def stand_in_for_absent() -> None:
    """Let libp2p be imported without two packages of which it needs nothing for ed25519 over Noise.

    fastecdsa 2 has no wheels and needs a compiler; it serves ECDSA keys, and peer ids are of ed25519 here. trio-typing
    serves annotations, and brings stubs of an old trio that hide trio's own types.
    """
    if importlib.util.find_spec("fastecdsa") is None:
        curve = types.SimpleNamespace(Curve=_Refusing, P256=None)
        _stand_in("fastecdsa", curve=curve, point=types.SimpleNamespace(Point=_Refusing), keys=None)
        _stand_in("fastecdsa.encoding", util=types.SimpleNamespace(int_bytelen=_Refusing))
        _stand_in("fastecdsa.encoding.sec1", SEC1Encoder=_Refusing)
    if importlib.util.find_spec("trio_typing") is None:
        _stand_in("trio_typing", TaskStatus=trio.TaskStatus, takes_callable_and_args=lambda function: function)


class _RefusingType(type):
    def __getattr__(cls, name: str) -> object:
        raise RefusedError(f"{name}: ECDSA keys need fastecdsa, which is not installed")


class _Refusing(metaclass=_RefusingType):
    """Stands for a class of a package that is not installed."""

    def __init__(self, *_args: object, **_kwargs: object) -> None:
        raise RefusedError("ECDSA keys need fastecdsa, which is not installed")


def _stand_in(name: str, **attributes: object) -> None:
    module = types.ModuleType(name)
    module.__path__ = []
    vars(module).update(attributes)
    sys.modules[name] = module


check_version()
stand_in_for_absent()
