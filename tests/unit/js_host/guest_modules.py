"""Load a module of js_host/guest in this Python: those that use nothing of Pyodide behave here as there."""

import importlib.util
from types import ModuleType

import js_host


def load_guest(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, js_host.HOST_DIR / "guest" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
