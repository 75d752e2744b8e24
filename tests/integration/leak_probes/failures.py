"""What errors say: tracebacks, warnings, refused calls, modules that do not load."""

import ctypes
import ctypes.util
import faulthandler
import importlib.machinery
import io
import os
import socket
import subprocess
import sys
import traceback
import warnings

from probing import FIXED, ask, probe, said


@probe(FIXED)
def tracebacks():
    import json

    texts = []
    for bad in (lambda: 1 / 0, lambda: json.loads("{bad"), lambda: int("x"), lambda: exec("1 +")):
        try:
            bad()
        except Exception:
            texts.append(traceback.format_exc())
    return texts, traceback.format_stack()[-1]


@probe(FIXED)
def warned():
    said_, sys.stderr = sys.stderr, io.StringIO()
    try:
        warnings.warn("hey", stacklevel=1)
        compile("'\\d'", "made.py", "exec")
        return sys.stderr.getvalue(), warnings.filters
    finally:
        sys.stderr = said_


@probe(FIXED)
def dumped_stack():
    with open("/tmp/stack", "w+") as file:
        faulthandler.dump_traceback(file)
        file.seek(0)
        return file.read(), faulthandler.is_enabled()


@probe(FIXED)
def failed_imports():
    def load(path):
        loader = importlib.machinery.ExtensionFileLoader("made", path)
        return loader.create_module(importlib.machinery.ModuleSpec("made", loader, origin=path))

    for name, content in {"empty": b"", "text": b"text" * 10, "wasm": b"\0asm\1\0\0\0" + b"x" * 40}.items():
        with open(f"/tmp/{name}.so", "wb") as file:
            file.write(content)
    places = "/tmp/empty.so", "/tmp/text.so", "/tmp/wasm.so", "/tmp/none.so", "/lib/python314.zip"
    names = "_winapi", "js", "pyodide_js", "tkinter", "readline", "no_such"
    return [said(load, p) for p in places], [said(ctypes.CDLL, p) for p in places], [said(__import__, n) for n in names]


@probe(FIXED)
def symbols():
    library = ctypes.CDLL(None)
    return said(getattr, library, "no_such_symbol"), said(ctypes.CDLL, "libc.so.6"), said(ctypes.util.find_library, "c")


@probe(FIXED)
def refused():
    return [
        said(os.fork), said(subprocess.run, ["true"]), said(os.system, "true"), said(os.popen, "true"),
        said(socket.socket),
        said(socket.getaddrinfo, "localhost", 80), said(socket.gethostbyname, "example.org"),
        said(socket.create_connection, ("127.0.0.1", 80)), said(os.open, "/proc/self/maps", os.O_RDONLY),
        said(os.execv, "/bin/true", ["true"]), ask(os, "mkfifo", "/tmp/fifo"), ask(os, "chroot", "/"),
    ]  # fmt: skip


@probe(FIXED)
def error_texts():
    return [(number, os.strerror(number)) for number in range(0, 140)]
