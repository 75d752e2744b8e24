"""A real S3 server, versitygw: built by `make s3`, on a socket in a folder of its own, and a client that fills it.

It checks every signature, as Amazon does. The client signs by itself, with nothing of ours, so that a mistake in our
signatures cannot be made twice.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import quote

import httpx

from tests.requirements_gate import need

ROOT = Path(__file__).parents[2]
VARIABLE = "BACALHAU_TEST_VERSITYGW"
READY = "service listening on"

ACCESS_KEY, SECRET_KEY, REGION = "TESTER", "a secret / of + the tester", "eu-west-3"
HOST = "s3.example"


def versitygw_binary() -> Path:
    """Return the `versitygw` to test with; the test is skipped if there is none."""
    chosen = os.environ.get(VARIABLE)
    binary = Path(chosen) if chosen else ROOT / "tests" / "engines" / "versitygw" / "versitygw"
    need("s3", binary.is_file(), f"no versitygw at {binary}: make s3, or name one in {VARIABLE}")
    return binary


@dataclass(frozen=True, slots=True, kw_only=True)
class S3Server:
    """A server that runs."""

    socket: Path

    def transport(self) -> httpx.BaseTransport:
        """Return what sends every request there, whatever its host."""
        return httpx.HTTPTransport(uds=str(self.socket))

    def put(self, path: str, data: bytes = b"") -> None:
        """Make a bucket (`bucket`) or an object (`bucket/key`)."""
        encoded = f"/{quote(path, safe='/')}"
        with httpx.Client(transport=self.transport()) as client:
            answer = client.put(f"http://{HOST}{encoded}", content=data, headers=_signed_put(encoded, data))
        assert answer.status_code == 200, answer.text


@contextmanager
def running(folder: Path) -> Iterator[S3Server]:
    """Run a server without objects, until the context ends."""
    (folder / "buckets").mkdir(parents=True)
    socket = folder / "s3.sock"
    command = [versitygw_binary(), "--port", socket, "--region", REGION, "posix", "--sidecar", folder / "meta"]
    (folder / "meta").mkdir()
    environment = {"PATH": os.defpath, "ROOT_ACCESS_KEY": ACCESS_KEY, "ROOT_SECRET_KEY": SECRET_KEY}
    with subprocess.Popen(
        [*command, folder / "buckets"], env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        assert process.stdout is not None
        try:
            said = []
            for line in process.stdout:
                said.append(line)
                if READY in line:
                    break
            assert READY in said[-1], "".join(said)
            yield S3Server(socket=socket)
        finally:
            process.terminate()
            process.stdout.read()


def _signed_put(path: str, data: bytes) -> dict[str, str]:
    """Return the headers of a PUT, by Amazon's description of Signature Version 4."""
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
    digest = hashlib.sha256(data).hexdigest()
    names = "host;x-amz-content-sha256;x-amz-date"
    request = f"PUT\n{path}\n\nhost:{HOST}\nx-amz-content-sha256:{digest}\nx-amz-date:{stamp}\n\n{names}\n{digest}"
    scope = f"{stamp[:8]}/{REGION}/s3/aws4_request"
    text = f"AWS4-HMAC-SHA256\n{stamp}\n{scope}\n{hashlib.sha256(request.encode()).hexdigest()}"
    key = f"AWS4{SECRET_KEY}".encode()
    for part in (*scope.split("/"), text):
        key = hmac.digest(key, part.encode(), "sha256")
    said = f"AWS4-HMAC-SHA256 Credential={ACCESS_KEY}/{scope},SignedHeaders={names},Signature={key.hex()}"
    return {"x-amz-content-sha256": digest, "x-amz-date": stamp, "authorization": said}
