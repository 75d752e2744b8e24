"""The way to JavaScript: by import, by what Python still holds, by name, by number."""

from __future__ import annotations

from typing import Final

from tests.adversary.escapes.attempt import Attempt, Ending

_NO_MODULE: Final = "ModuleNotFoundError: No module named {!r}: JavaScript is not reachable from a function"
_UNKNOWN: Final = 'AttributeError: Tried to lookup unknown symbol "{}" in dynamic lib: __main__'


def _import(statement: str, module: str) -> Attempt:
    return Attempt(name=statement, code=statement, met=_NO_MODULE.format(module))


IMPORTS: Final = (
    _import("import js", "js"),
    _import("from js import eval", "js"),
    _import("import pyodide_js", "pyodide_js"),
    _import("from pyodide.code import run_js", "pyodide"),
    _import("from pyodide.ffi import JsProxy, to_js, create_proxy", "pyodide"),
    _import("import pyodide.http", "pyodide"),
    _import("import _pyodide_core", "_pyodide_core"),
    _import("import _pyodide._importhook", "_pyodide"),
    _import("import micropip", "micropip"),
)

FOUND: Final = (
    Attempt(
        name="import with a finder list of one's own",
        code="""
            import importlib.machinery
            before = sys.meta_path[:]
            sys.meta_path[:] = [importlib.machinery.BuiltinImporter, importlib.machinery.PathFinder]
            try: import _pyodide_core
            finally: sys.meta_path[:] = before
            """,
        met=_NO_MODULE.format("_pyodide_core"),
    ),
    Attempt(
        name="load the bridge's Python from where it lies",
        code="""
            import importlib.util, zipimport
            spec = zipimport.zipimporter("/lib/python314.zip").find_spec("pyodide")
            module = importlib.util.module_from_spec(spec)
            spec.loader.exec_module(module)
            """,
        met=_NO_MODULE.format("pyodide"),
    ),
    Attempt(
        name="bring the bridge back with reload",
        code="import importlib, types; importlib.reload(types.ModuleType('js'))",
        met="ImportError: module js not in sys.modules",
    ),
    Attempt(
        name="builtins of the bridge in sys.modules",
        code="return [n for n, m in sys.modules.items() if type(m).__name__ == 'JsProxy' or 'pyodide' in n]",
        met="returned []",
    ),
    Attempt(
        name="proxies among all objects, their referrers and referents",
        code="""
            kinds = lambda o: {k.__name__ for k in type.mro(type(o))}
            seen, found, queue = set(), [], list(gc.get_objects())
            while queue:
                thing = queue.pop()
                if id(thing) in seen: continue
                seen.add(id(thing))
                if "JsProxy" in kinds(thing) and not isinstance(thing, type): found.append(repr(type(thing)))
                queue += gc.get_referents(thing)
            return found
            """,
        met="returned []",
    ),
    Attempt(
        name="proxies in frames, closures, tracebacks and exceptions",
        code="""
            found, names = [], ("JsProxy", "JsException")
            frame = sys._getframe()
            while frame:
                found += [k for k, v in {**frame.f_globals, **frame.f_locals}.items() if type(v).__name__ in names]
                frame = frame.f_back
            for function in gc.get_objects():
                for cell in getattr(function, "__closure__", None) or ():
                    try: found += [type(cell.cell_contents).__name__] * (type(cell.cell_contents).__name__ in names)
                    except ValueError: pass
            return found
            """,
        met="returned []",
    ),
    Attempt(
        name="instances of the bridge's types, which hold no JavaScript",
        code="""
            made = []
            def below(kind): return [kind, *(k for sub in type.__subclasses__(kind) for k in below(sub))]
            for kind in {k for k in below(object) if k.__name__ in ("JsProxy", "JsBuffer", "JsWeakRef", "JsBigInt")}:
                for make in (kind, lambda: object.__new__(kind), lambda: kind.__new__(kind)):
                    try: thing = make()
                    except (TypeError, NameError): continue
                    made.append((kind.__name__, hasattr(thing, "constructor"), hasattr(thing, "then")))
            return [*{name for name, *_ in made}] != [] and {use for _, *uses in made for use in uses}
            """,
        met="returned {False}",
    ),
    Attempt(
        name="bridge functions that something still holds",
        code="""
            names, held = ("run_js", "eval_code", "CodeRunner", "webloop", "to_js", "create_proxy"), []
            for thing in gc.get_objects():
                if getattr(thing, "__name__", "") in names and hasattr(thing, "__globals__"):
                    held += [n for n, v in thing.__globals__.items() if type(v).__name__ == "JsProxy"]
            return held
            """,
        met="returned []",
    ),
    Attempt(name="the fuel counter by name", code="LIB.__faas_fuel", met=_UNKNOWN.format("__faas_fuel")),
    Attempt(
        name="the script section of the main module", code="LIB.__start_em_js", met=_UNKNOWN.format("__start_em_js")
    ),
)

ENDINGS: Final = (
    Ending(name="a script by name", code="evaluate('1')", exit_code=139),
    Ending(
        name="a script by its number in the function table",
        code="""
            number = ctypes.cast(LIB.emscripten_run_script_int, ctypes.c_void_p).value
            ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_char_p)(number)(b"1")
            """,
        exit_code=139,
    ),
    Ending(
        name="the bridge's core, by what the seal itself keeps",
        code="""
            import _imp, importlib.machinery
            make = [c.cell_contents for c in _imp.create_builtin.__closure__ if type(c.cell_contents) is type(len)][0]
            core = make(importlib.machinery.ModuleSpec("_pyodide_core", importlib.machinery.BuiltinImporter))
            core.to_js([1])
            """,
        exit_code=139,
    ),
    # The glue stumbles over a handle that nobody gave out.
    Ending(name="a wild handle", code="LIB._dlsym_catchup_js(77, 0)", exit_code=139),
)
