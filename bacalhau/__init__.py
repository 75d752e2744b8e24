"""Command line and Python API: the only floor that prints.

    import bacalhau

    @bacalhau.function(requirements=["pandas"])
    def total(data, column="price"):
        import pandas
        return float(pandas.read_csv(data)[column].sum())

    r = total("prices.csv", column="price")
    r.value, r.record, r.audit()["verdict"]

docs/python.md has the whole of it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from bacalhau.call_errors import FunctionError as FunctionError
    from bacalhau.call_errors import NotVerifiedError as NotVerifiedError
    from bacalhau.content import add as add
    from bacalhau.executor import Executor as Executor
    from bacalhau.flow import Flow as Flow
    from bacalhau.flow import FlowResult as FlowResult
    from bacalhau.flow_call import FlowStep as FlowStep
    from bacalhau.function_options import Data as Data
    from bacalhau.notebook_magic import load_ipython_extension as load_ipython_extension
    from bacalhau.python_function import Function as Function
    from bacalhau.python_function import function as function
    from bacalhau.python_function import load_function as load_function
    from bacalhau.sharded import Sharded as Sharded
    from bacalhau.verified import Verified as Verified
    from storage.errors import BacalhauError as BacalhauError
    from storage.errors import PeerError as PeerError
    from storage.errors import UnavailableError as UnavailableError
    from storage.errors import UserError as UserError
    from storage.errors import VerificationError as VerificationError

__version__: Final = "0.1.0"

_PLACES: Final = {
    "BacalhauError": "storage.errors",
    "Data": "bacalhau.function_options",
    "Executor": "bacalhau.executor",
    "Flow": "bacalhau.flow",
    "FlowResult": "bacalhau.flow",
    "FlowStep": "bacalhau.flow_call",
    "Function": "bacalhau.python_function",
    "FunctionError": "bacalhau.call_errors",
    "NotVerifiedError": "bacalhau.call_errors",
    "PeerError": "storage.errors",
    "Sharded": "bacalhau.sharded",
    "UnavailableError": "storage.errors",
    "UserError": "storage.errors",
    "VerificationError": "storage.errors",
    "Verified": "bacalhau.verified",
    "add": "bacalhau.content",
    "function": "bacalhau.python_function",
    "load_function": "bacalhau.python_function",
    "load_ipython_extension": "bacalhau.notebook_magic",
}
"""Where a name comes from: loaded when it is first used, since `import bacalhau` must not load a planner."""

__all__ = [*_PLACES, "__version__"]


if not TYPE_CHECKING:  # or every name would be there

    def __getattr__(name: str) -> Any:
        if name not in _PLACES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        import importlib

        value = getattr(importlib.import_module(_PLACES[name]), name)
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_PLACES})
