"""Strangers on a node's API port, and clumsy owners: none moves its memory by 64 MiB or keeps it from answering."""

import contextlib
import json
import re
import socket
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from bacalhau.api.http_server import MAX_CONNECTIONS
from tests.requirements_gate import need

MEMORY_BYTES = 64 << 20
STATUS = Path("/proc/self/status")
ROOT = Path(__file__).parents[2]


class NodeProcess:
    def __init__(self, folder):
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.integration.api_process", str(folder)],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        try:
            facts = json.loads(self.process.stdout.readline())
        except ValueError:
            self.end()
            raise
        self.url, self.token, self.large = facts["url"], facts["token"], facts["large"]
        self.host = urlsplit(self.url).netloc

    def peak_bytes(self):
        text = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(r"VmHWM:\s+(\d+) kB", text)[1]) << 10

    def start_measuring(self):
        Path(f"/proc/{self.process.pid}/clear_refs").write_text("5")  # the peak is what is used now
        return self.peak_bytes()

    def connect(self):
        parts = urlsplit(self.url)
        return socket.create_connection((parts.hostname, parts.port), timeout=30)

    def head(self, method, path, *lines):
        return "\r\n".join([f"{method} {path} HTTP/1.1", f"Host: {self.host}", *lines, "", ""]).encode()

    def is_well(self):
        return httpx.get(f"{self.url}/api/v1/health", trust_env=False, timeout=30).status_code == 200

    def end(self):
        self.process.communicate()
        return self.process.returncode


@pytest.fixture
def node(tmp_path):
    need("procfs", STATUS.exists() and "VmHWM" in STATUS.read_text(), "peaks of memory are read from /proc (Linux)")
    node = NodeProcess(tmp_path / "home")
    yield node
    assert node.end() == 0


def bodies_that_nobody_asked_for(node):
    return node.head("POST", "/api/v1/jobs", "Content-Length: 100000000") + bytes(4 << 20)


def heads_without_end(node):
    return node.head("GET", "/api/v1/health")[:-2] + b"X: " + b"a" * (4 << 20)


def requests_in_a_row(node):
    return node.head("GET", "/api/v1/health") * 40_000


def submissions_of_a_mebibyte(node):
    owner = (f"Authorization: Bearer {node.token}", "Content-Type: application/json", "Content-Length: 1048576")
    return node.head("POST", "/api/v1/jobs", *owner) + b"[" * (1 << 20)


def cars_of_large_blocks(node):
    owner = (f"Authorization: Bearer {node.token}", "Content-Type: application/vnd.ipld.car")
    length = bytes.fromhex("ffffff03")  # a section of 8 MiB
    car = bytes.fromhex("11a265726f6f7473806776657273696f6e01") + length + bytes(8 << 20)
    return node.head("PUT", "/api/v1/blocks", *owner, f"Content-Length: {len(car) + 1}") + car


def answers_that_nobody_reads(node):
    return node.head("GET", f"/ipfs/{node.large}?format=car")


@pytest.mark.parametrize(
    "attack",
    [
        bodies_that_nobody_asked_for,
        heads_without_end,
        requests_in_a_row,
        submissions_of_a_mebibyte,
        cars_of_large_blocks,
        answers_that_nobody_reads,
    ],
)
def test_memory_and_honest_calls_are_left_alone(node, attack):
    sent = attack(node)
    assert node.is_well()
    before = node.start_measuring()
    connections = []
    with contextlib.ExitStack() as stack:
        for _ in range(MAX_CONNECTIONS - 4):
            connection = stack.enter_context(node.connect())
            connection.setblocking(False)
            connections.append([connection, memoryview(sent)])
        # All of them at once, each as fast as the node takes it; those that it ends are done.
        for _ in range(400):
            for one in connections:
                one[1] = push(*one)
        assert node.is_well()
        moved = node.peak_bytes() - before
    assert node.is_well()
    print(f"{attack.__name__}: {moved / 2**20:.1f} MiB")
    assert moved < MEMORY_BYTES


def push(connection, rest):
    try:
        return rest[connection.send(rest[:262_144]) :] if rest else rest
    except BlockingIOError:
        return rest
    except OSError:
        return rest[:0]
