"""The state digest: the JavaScript of the runtime against the definition, computed here with hashlib."""

import hashlib
import json
import subprocess

import pytest

import js_host
from runtime.node_client import find_node

PAGE = 4096

PROGRAM = """
import { stateDigest } from %s;
const pages = %d;
const memory = new Uint8Array(pages * 4096);
for (let i = 0; i < memory.length; i += 4093) memory[i] = (i * 7 + pages) %% 251;
process.stdout.write(stateDigest(memory));
"""


def digest(memory: bytes) -> str:
    pages = [memory[at : at + PAGE] for at in range(0, len(memory), PAGE)]
    hashes = b"".join(hashlib.sha256(page).digest() for page in pages)
    return hashlib.sha256(b"bacalhau-state/2\0" + len(pages).to_bytes(4, "little") + hashes).hexdigest()


@pytest.mark.parametrize("pages", [0, 1, 2, 300])
def test_digest_is_as_defined(pages):
    memory = bytearray(pages * PAGE)
    for i in range(0, len(memory), 4093):
        memory[i] = (i * 7 + pages) % 251
    module = json.dumps((js_host.HOST_DIR / "state_digest.mjs").as_uri())
    done = subprocess.run(
        [find_node().binary, "--input-type=module", "-e", PROGRAM % (module, pages)], capture_output=True, check=True
    )
    assert done.stdout.decode() == digest(memory)
