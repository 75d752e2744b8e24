"""Wheels, distributions, a package index and misbehaving servers, all on this machine."""

import contextlib
import hashlib
import io
import json
import os
import threading
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx
import pytest

from runtime.distribution import parse_distribution
from runtime.downloads import Downloads
from runtime.resolver_client import UvResolver

GUEST_TAG = "cp314-cp314-pyemscripten_2026_0_wasm32"


def build_wheel(name, version, *, requires=(), files=None, compression=zipfile.ZIP_DEFLATED):
    escaped = name.replace("-", "_")
    info = f"{escaped}-{version}.dist-info"
    contents = {f"{escaped}/__init__.py": f"version = {version!r}\n"} if files is None else dict(files)
    contents[f"{info}/METADATA"] = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n" + "".join(
        f"Requires-Dist: {requirement}\n" for requirement in requires
    )
    contents[f"{info}/WHEEL"] = "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    contents[f"{info}/RECORD"] = ""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", compression) as archive:
        for path, text in contents.items():
            archive.writestr(zipfile.ZipInfo(path), text, compression)
    return out.getvalue()


@pytest.fixture
def make_wheel():
    return build_wheel


class Wheelhouse:
    """A distribution of three packages: alpha needs beta, beta is pure, gamma is compiled and alone."""

    def __init__(self):
        self.files = {}
        entries = [
            self._entry("alpha", "1.5", GUEST_TAG, ["beta"]),
            self._entry("beta", "2.0", "py3-none-any", []),
            self._entry("gamma", "3.0", GUEST_TAG, []),
            {**self._entry("libdelta", "1.0", "x", []), "package_type": "shared_library", "file_name": "libdelta.zip"},
            {**self._entry("alpha-tests", "1.5", "x", ["alpha"]), "file_name": "alpha-tests.tar"},
        ]
        info = {"abi_version": "2026_0", "arch": "wasm32", "platform": "emscripten_5_0_3", "python": "3.14.0"}
        self.lock_file = json.dumps({"info": info, "packages": {e["name"]: e for e in entries}}).encode()
        self.distribution = parse_distribution(self.lock_file)

    def _entry(self, name, version, tag, depends):
        data = build_wheel(name, version, requires=depends)
        file_name = f"{name}-{version}-{tag}.whl"
        self.files[file_name] = data
        return {
            "name": name,
            "version": version,
            "file_name": file_name,
            "sha256": hashlib.sha256(data).hexdigest(),
            "depends": depends,
            "package_type": "package",
        }


@pytest.fixture(scope="session")
def wheelhouse():
    return Wheelhouse()


class LoopbackServer:
    """Serves `files` by path, `faults` say how: 404, wrong, truncated, endless, no-ranges, bad-range, huge-range."""

    def __init__(self):
        self.files = {}
        self.types = {}
        self.faults = {}
        self.requests = []
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._http.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._http.server_address[1]}"
        self._thread = threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.01})
        self._thread.start()

    def close(self):
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()

    def serve_index(self, packages):
        """packages: {name: [(file name, bytes, upload time or None)]} as a simple index (PEP 691)."""
        for name, wheels in packages.items():
            listed = []
            for file_name, data, uploaded in wheels:
                self.files[f"/files/{file_name}"] = data
                entry = {
                    "filename": file_name,
                    "url": f"{self.url}/files/{file_name}",
                    "hashes": {"sha256": hashlib.sha256(data).hexdigest()},
                }
                listed.append(entry | ({"upload-time": uploaded} if uploaded else {}))
            body = {"meta": {"api-version": "1.1"}, "name": name, "files": listed, "versions": []}
            self.files[f"/simple/{name}/"] = json.dumps(body).encode()
            self.types[f"/simple/{name}/"] = "application/vnd.pypi.simple.v1+json"

    def _handler(self):
        server = self

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, *args):
                pass

            def do_HEAD(self):
                self.answer(body=False)

            def do_GET(self):
                self.answer(body=True)

            def answer(self, *, body):
                server.requests.append((self.path, self.headers.get("Range")))
                data, fault = server.files.get(self.path), server.faults.get(self.path)
                if data is None or fault == 404:
                    self.send_error(404)
                    return
                if fault == "wrong":
                    data = bytes([data[0] ^ 1]) + data[1:]
                wanted = None if fault == "no-ranges" else self.headers.get("Range")
                self.send_response(206 if wanted else 200)
                self.send_header("Content-Type", server.types.get(self.path, "application/octet-stream"))
                if wanted:
                    first, last = (int(part) for part in wanted.removeprefix("bytes=").split("-"))
                    shift = 1 if fault == "bad-range" else 0
                    total = "9" * 5000 if fault == "huge-range" else len(data)
                    self.send_header("Content-Range", f"bytes {first + shift}-{last + shift}/{total}")
                    data = data[first : last + 1]
                else:
                    self.send_header("Accept-Ranges", "none" if fault == "no-ranges" else "bytes")
                if fault != "endless":
                    self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                if body:
                    # A client that has seen enough hangs up: no fault of ours.
                    with contextlib.suppress(ConnectionError):
                        while fault == "endless":
                            self.wfile.write(bytes(1 << 16))
                        self.wfile.write(data[: len(data) // 2] if fault == "truncated" else data)

        return Handler


@pytest.fixture
def server():
    running = LoopbackServer()
    yield running
    running.close()


@pytest.fixture
def downloads():
    with Downloads(httpx.Client(trust_env=False, follow_redirects=True)) as opened:
        yield opened


@pytest.fixture
def uv_environment(tmp_path):
    """A machine on which only the loopback can be reached."""
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path),
        "NO_PROXY": "127.0.0.1",
        "UV_CACHE_DIR": str(tmp_path / "uv-cache"),
        "UV_HTTP_RETRIES": "0",
        "UV_INDEX_URL": "http://127.0.0.1:9/simple",
    }


@pytest.fixture
def offline_uv(uv_environment):
    return UvResolver(uv_environment)


@pytest.fixture
def loopback_uv(uv_environment, server):
    return UvResolver(uv_environment | {"UV_INDEX_URL": f"{server.url}/simple"})
