"""Command line and Python API: the only floor that prints."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from bacalhau.flow import Flow as Flow
    from bacalhau.flow import FlowResult as FlowResult
    from bacalhau.flow_call import FlowStep as FlowStep
    from bacalhau.notebook_magic import load_ipython_extension as load_ipython_extension

__version__: Final = "0.1.0"

_PLACES: Final = {
    "Flow": "bacalhau.flow",
    "FlowResult": "bacalhau.flow",
    "FlowStep": "bacalhau.flow_call",
    "load_ipython_extension": "bacalhau.notebook_magic",
}
"""Where a name comes from: loaded when it is first used, since `import bacalhau` must not load a planner."""


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(_PLACES[name]), name)
