"""A stand-in for the API of an engine on a Unix socket: remembers what it was asked, and plays one container."""

from __future__ import annotations

import io
import json
import re
import socketserver
import struct
import tarfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler
from pathlib import Path

IMAGE = f"sha256:{'0a' * 32}"


class FakeDocker:
    """What it was asked, as (method, path, body), and what its container does."""

    def __init__(self, *, name: str = "Engine", code: int = 0) -> None:
        self.name = name
        self.code = code
        self.started = threading.Event()
        self.over = threading.Event()
        """Its container writes, and lives until this is set: by a kill, or by the test."""
        self.over.set()
        self.hung = False
        """No question is answered any more."""
        self.released = threading.Event()
        self.pulling = threading.Event()
        """It has said the first word of a pull, and says no other until it is released."""
        self.credentials: list[str] = []
        """What came along for a registry."""
        self.calls: list[tuple[str, str, object]] = []
        self.labelled: dict[str, list[dict]] = {"containers": [], "volumes": []}

    def asked(self, method: str, path: str) -> list[object]:
        """Return the bodies of the calls whose path matches."""
        return [body for said, at, body in self.calls if said == method and re.fullmatch(path, at)]

    def answer(self, method: str, path: str, body: object) -> tuple[int, object]:
        if self.hung:
            self.released.wait(60)
        if path.endswith("/version"):
            return 200, {"ApiVersion": "1.41", "Version": "4.3.1", "Arch": "amd64", "Components": [{"Name": self.name}]}
        if path.startswith("/images/"):
            known = {"Id": IMAGE, "RepoDigests": [], "Config": {}, "Architecture": "amd64"}
            return (404, {"message": "no such image"}) if "absent" in path else (200, known)
        if path == "/volumes/create":
            self.labelled["volumes"].append(body)
            return 201, body
        if path == "/containers/create":
            made = {"Id": f"{len(self.labelled['containers']):064x}", **body}
            self.labelled["containers"].append(made)
            return 201, made
        if path.endswith("/start"):
            self.started.set()
        if path.endswith("/kill"):
            self.over.set()
        if path.endswith("/wait"):
            return 200, {"StatusCode": self.code}
        if path == "/containers/json":
            return 200, self.labelled["containers"]
        if path == "/volumes":
            return 200, {"Volumes": self.labelled["volumes"]}
        if path.endswith("/json"):
            return 200, {"Id": "0", "Config": {"Tty": False}, "State": {"OOMKilled": False}}
        if method == "DELETE":
            kind, name = path.strip("/").split("/")
            key = "Id" if kind == "containers" else "Name"
            self.labelled[kind] = [one for one in self.labelled[kind] if one[key] != name]
        return 204, None


def _handler(fake: FakeDocker) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _serve(self) -> None:
            path = re.sub(r"^/v[0-9.]+", "", self.path.partition("?")[0])
            data = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            is_json = "json" in (self.headers.get("Content-Type") or "")
            body = json.loads(data) if data and is_json else data
            fake.calls.append((self.command, path, body))
            fake.credentials += self.headers.get_all("X-Registry-Auth") or []
            if path.endswith("/attach"):
                self._attach()
            elif path == "/images/create" and fake.answer(self.command, path, body)[0] == 200:
                self._pull()
            elif path.endswith("/archive") and self.command == "GET":
                self._send(200, _archive(), "application/x-tar")
            else:
                code, said = fake.answer(self.command, path, body)
                with suppress(BrokenPipeError):  # whoever asked has gone
                    self._send(code, b"" if said is None else json.dumps(said).encode(), "application/json")

        def _attach(self) -> None:
            self.wfile.write(b"HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n")
            self.wfile.flush()
            fake.started.wait(60)
            for stream, text in ((1, b"hello\n"), (2, b"oh\n")):
                self.wfile.write(struct.pack(">BxxxL", stream, len(text)) + text)
            self.wfile.flush()
            fake.over.wait(60)
            self.close_connection = True

        def _pull(self) -> None:
            self.send_response(200)
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            word = b'{"status": "Pulling"}\n'
            self.wfile.write(b"%x\r\n%s\r\n" % (len(word), word))
            self.wfile.flush()
            fake.pulling.set()
            fake.released.wait(60)
            with suppress(BrokenPipeError, ConnectionResetError):
                self.wfile.write(b"0\r\n\r\n")

        def _send(self, code: int, data: bytes, kind: str) -> None:
            self.send_response(code)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        do_GET = do_POST = do_PUT = do_DELETE = _serve  # noqa: N815

        def address_string(self) -> str:
            return "local"

        def log_message(self, *_: object) -> None:
            return

    return Handler


def _archive() -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, kind in (("outputs", tarfile.DIRTYPE), ("outputs/made", tarfile.REGTYPE)):
            info = tarfile.TarInfo(name)
            info.type = kind
            archive.addfile(info, io.BytesIO())
    return buffer.getvalue()


@contextmanager
def listening(fake: FakeDocker, path: Path) -> Iterator[str]:
    """Serve on a Unix socket for the length of a block."""
    path.parent.mkdir(parents=True, exist_ok=True)

    class Server(socketserver.ThreadingUnixStreamServer):
        daemon_threads = True

    with Server(str(path), _handler(fake)) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        try:
            yield str(path)
        finally:
            fake.over.set()
            fake.released.set()
            server.shutdown()
            thread.join()
