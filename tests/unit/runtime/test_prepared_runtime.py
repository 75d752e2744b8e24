"""Which runtime an installation makes, told without Pyodide's package."""

from dataclasses import replace

import js_host
from runtime.prepared_runtime import make_runtime, runtime_of_this_release
from runtime.release import PYODIDE_FILES
from storage.blocks import MemoryBlockStore
from verifier.model import Runtime, load_node


def test_it_is_the_same_release_if_the_hosts_modules_are_the_same(tmp_path, monkeypatch):
    for name in PYODIDE_FILES:
        (tmp_path / name).write_text(name)
    store = MemoryBlockStore()
    cid = make_runtime(tmp_path, store)
    manifest = load_node(store, cid, Runtime)
    assert runtime_of_this_release(manifest) == cid

    # What another installation says of its own modules does not count; what differs here does.
    changed = tuple(
        replace(file, size=file.size + 1) if file.path == js_host.HOST_MODULES[0] else file for file in manifest.files
    )
    assert runtime_of_this_release(replace(manifest, files=changed)) == cid
    fewer = tuple(file for file in manifest.files if file.path != js_host.HOST_MODULES[0])
    assert runtime_of_this_release(replace(manifest, files=fewer)) == cid
    other_pyodide = tuple(
        replace(file, size=file.size + 1) if file.path in PYODIDE_FILES else file for file in manifest.files
    )
    assert runtime_of_this_release(replace(manifest, files=other_pyodide)) != cid
    assert runtime_of_this_release(replace(manifest, pyodide="1.2.3", profile="other")) == cid
    monkeypatch.setattr("js_host.HOST_MODULES", js_host.HOST_MODULES[1:])
    assert runtime_of_this_release(manifest) != cid
