"""A web server on this machine that behaves or misbehaves as told, and remembers what it was asked."""

import contextlib
import re
import ssl
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

PIECE = 64 << 10


@dataclass
class Page:
    """One path."""

    body: bytes = b""
    status: int = 200
    etag: str | None = None
    headers: dict = field(default_factory=dict)
    ranges: bool = True
    cut_after: list = field(default_factory=list)
    """For each of the next answers, how many bytes are sent before the connection is closed."""
    chunked: bool = False
    length: int | None = None
    """A Content-Length that is not the body's; 0: none, the end of the connection is the end."""
    before: object = None
    """Called before each answer."""


class UrlServer:
    """Pages by path; a context manager. tls: an ssl.SSLContext."""

    def __init__(self, tls=None):
        self.pages = {}
        self.requests = []
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._http.daemon_threads = True
        if tls is not None:
            self._http.socket = tls.wrap_socket(self._http.socket, server_side=True)
        self.port = self._http.server_address[1]
        self.url = f"{'http' if tls is None else 'https'}://127.0.0.1:{self.port}"
        self._thread = threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.01})

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()

    def asked(self, name):
        """Return one header of all requests, None where it was not sent."""
        return [headers.get(name) for _, headers in self.requests]


def _handler(server):
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *args):
            pass

        def do_GET(self):
            server.requests.append((self.path, dict(self.headers)))
            page = server.pages.get(self.path, Page(status=404))
            if page.before is not None:
                page.before()
            self.close_connection = True
            with contextlib.suppress(BrokenPipeError, ConnectionResetError, ssl.SSLError):
                self._answer(page)

        do_HEAD = do_GET  # noqa: N815  http.server's name

        def _answer(self, page):
            status, body, headers = page.status, page.body, dict(page.headers)
            wanted = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
            fresh = self.headers.get("If-Range", page.etag) == page.etag
            if page.etag is not None and self.headers.get("If-None-Match") == page.etag:
                status, body = 304, b""
            elif wanted and fresh and page.ranges and page.status == 200:
                start = int(wanted[1])
                status, body = (206, body[start:]) if start < len(body) else (416, b"")
                if status == 206:
                    headers.setdefault("Content-Range", f"bytes {start}-{len(page.body) - 1}/{len(page.body)}")
            self.send_response(status)
            if page.etag is not None:
                headers.setdefault("ETag", page.etag)
            if page.chunked:
                headers["Transfer-Encoding"] = "chunked"
            elif page.length != 0 and status != 304:
                headers["Content-Length"] = str(len(body) if page.length is None else page.length)
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            if self.command == "GET":
                self._send(page, body)

        def _send(self, page, body):
            cut = page.cut_after.pop(0) if page.cut_after else None
            body = body if cut is None else body[:cut]
            for at in range(0, len(body), PIECE):
                piece = body[at : at + PIECE]
                self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece) if page.chunked else piece)
            if hasattr(page.cut_after, "stuck") and cut is not None:
                self.wfile.flush()
                page.cut_after.stuck.set()
                page.cut_after.go_on.wait(60)
            if page.chunked and cut is None:
                self.wfile.write(b"0\r\n\r\n")

    return Handler
