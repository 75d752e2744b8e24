"""Imports that an image is made with: the function's own import statements, run once ahead.

`load` runs one of them; `finish` leaves the interpreter as a function is to find it. The host watches what an import
does besides (prints, opens files, draws randomness), and makes no image of what could be told from an import that the
function runs itself.
"""

import gc
import importlib
import json
import linecache
import os
import sys

import _faas_main

_WARM_UPS = 20
"""CPython adapts code to the types it meets within some ten runs."""
_TRANSIENT = ("/function", "/inputs", "/work", "/run", "/tmp", "/outputs")  # noqa: S108  the guest's own
"""What is another directory in every task."""


def load(number):
    """Run statement `number` of /run/preload.json, and say on /dev/exit_code whether it succeeded.

    2 means that it has, and that numpy's generator of random numbers came with it, which every task seeds anew.
    """
    with open("/run/preload.json", encoding="utf-8") as file:
        module, names = json.load(file)[number]
    had_generator = "numpy.random" in sys.modules
    try:
        __import__(module, None, None, names)
    except BaseException:
        code = 1
    else:
        code = 2 if "numpy.random" in sys.modules and not had_generator else 0
    _put("/dev/exit_code", b"%d" % code)


def warm_up(descriptions):
    """Run tasks that do nothing, until the interpreter has adapted to what comes before and after each one.

    Later tasks are quicker for it, and change less of memory. descriptions: files as for `_faas_main.run`.
    """
    main = sys.modules["__main__"]
    for _ in range(_WARM_UPS):
        for description in descriptions:
            _faas_main.run(description)
    sys.modules["__main__"] = main
    sys.modules.pop("function", None)


def finish():
    """Name the modules that are there on /dev/result, and leave the interpreter as tasks are to find it.

    What was seen of directories is forgotten; what is there is spared from being collected, so that a task need not
    touch it.
    """
    names = sorted({name.partition(".")[0] for name in sys.modules})
    _put("/dev/result", json.dumps(names).encode())
    for path in list(sys.path_importer_cache):
        if path.startswith(_TRANSIENT):
            del sys.path_importer_cache[path]
    importlib.invalidate_caches()
    linecache.clearcache()
    gc.collect()
    gc.freeze()


def _put(device, data):
    descriptor = os.open(device, os.O_WRONLY)
    os.write(descriptor, data)
    os.close(descriptor)
