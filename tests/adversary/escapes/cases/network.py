"""Sockets, and what stands on them."""

from __future__ import annotations

from typing import Final

from tests.adversary.escapes.attempt import Attempt

_NO: Final = "OSError: [Errno 52] Function not implemented"
_URL: Final = "URLError: <urlopen error [Errno {}]{}>"
_ADDRESS: Final = r"b'\2\0\0\x09\x7f\0\0\1' + bytes(8)"
_OWN_FILE: Final = "os.open('/tmp/f', os.O_CREAT | os.O_RDWR)"


def _socket(name: str, code: str, met: str = _NO) -> Attempt:
    return Attempt(name=name, code=f"import socket; {code}", met=met)


SOCKETS: Final = (
    _socket("TCP", "socket.socket()"),
    _socket("connect", "socket.create_connection(('127.0.0.1', 9), 1)"),
    _socket("listen", "socket.create_server(('127.0.0.1', 0))"),
    _socket("UDP", "socket.socket(socket.AF_INET, socket.SOCK_DGRAM)"),
    _socket("raw", "socket.socket(socket.AF_INET, socket.SOCK_RAW, 1)"),
    _socket("unix", "socket.socket(socket.AF_UNIX)", "AttributeError: module 'socket' has no attribute 'AF_UNIX'"),
    _socket("pair", "socket.socketpair()"),
    _socket("a file as a socket", f"socket.socket(fileno={_OWN_FILE})"),
    _socket("libc socket", "return LIB.socket(2, 1, 0)", "returned -1"),
    _socket("libc connect", f"return LIB.connect(1, {_ADDRESS}, 16)", "returned -1"),
    _socket("libc sendto", f"return LIB.sendto(1, b'x', 1, 0, {_ADDRESS}, 16)", "returned -1"),
    # Names are numbered in the order in which they are asked for, and nobody else is.
    _socket("a name of the machine", "return socket.gethostbyname('localhost.localdomain')", "returned '172.29.1.0'"),
    _socket("a name of the world", "return socket.getaddrinfo('example.org', 80)[0][4]", "returned ('172.29.2.0', 80)"),
    _socket("an address's name", "return socket.gethostbyaddr('127.0.0.1')[0]", "returned '127.0.0.1'"),
    Attempt(
        name="urllib",
        code="import urllib.request; urllib.request.urlopen('http://example.org/')",
        met=_URL.format(52, " Function not implemented"),
    ),
    Attempt(
        name="urllib of a file",
        code="import urllib.request; urllib.request.urlopen('file:///etc/passwd')",
        met=_URL.format(44, " No such file or directory: '/etc/passwd'"),
    ),
    Attempt(
        name="http.client",
        code="import http.client; http.client.HTTPSConnection('127.0.0.1', timeout=1).request('GET', '/')",
        met=_NO,
    ),
    Attempt(
        name="asyncio",
        code="import asyncio; asyncio.run(asyncio.open_connection('127.0.0.1', 80))",
        met=_NO,
    ),
    Attempt(
        name="asyncio server",
        code="import asyncio; asyncio.run(asyncio.start_server(print, '127.0.0.1', 80))",
        met="OSError: could not bind on any address out of [('127.0.0.1', 80)]",
    ),
)

SOCKFS: Final = (
    _socket("made", "return socket.socket().fileno() > 0", "returned True"),
    _socket("connect", "socket.socket().connect(('127.0.0.1', 9))", "OSError: [Errno 23] Host is unreachable"),
    _socket(
        "listen", "s = socket.socket(); s.bind(('127.0.0.1', 0)); s.listen(1)", "OSError: [Errno 138] Not supported"
    ),
    _socket(
        "send",
        "socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b'x', ('127.0.0.1', 9))",
        "OSError: [Errno 23] Host is unreachable",
    ),
)
"""With the socket calls of Emscripten back, which want a WebSocket from the realm. The first is the control."""
