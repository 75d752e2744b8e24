"""Takes what OTLP exporters send over HTTP, and forgets it; GET tells how many bytes that were. Prints its address."""

from __future__ import annotations

from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

_received = 0


class _Handler(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        global _received
        _received += len(self.rfile.read(int(self.headers["Content-Length"])))
        self._answer(b"")

    def do_GET(self) -> None:
        self._answer(str(_received).encode())

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Say nothing."""

    def _answer(self, body: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


if __name__ == "__main__":
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    print(f"http://127.0.0.1:{server.server_port}", flush=True)
    server.serve_forever()
