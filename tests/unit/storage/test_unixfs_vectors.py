"""CIDs that Kubo's own tests assert: the same bytes and profile must give the same CID here."""

import hashlib
import json
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms

from storage.blocks import MemoryBlockStore
from storage.cid import cid_text
from storage.unixfs_import import Importer
from storage.unixfs_profile import LEGACY, V0_2015, V1_2025
from storage.unixfs_read import UnixfsReader

VECTORS = json.loads((Path(__file__).parents[2] / "vectors" / "unixfs" / "kubo.json").read_text())
PROFILES = {profile.name: profile for profile in (V0_2015, V1_2025, LEGACY)}
SLOW_BYTES = 100 << 20

slow = pytest.mark.slow("hashes 1 GiB")


class Forgets:
    """A store that keeps nothing, for inputs larger than memory."""

    def put(self, cid, data):
        pass

    def put_many(self, blocks):
        pass

    def get(self, cid):
        raise AssertionError("import never reads")

    def has(self, cid):
        return False


class ChaCha:
    def __init__(self, seed: str, size: int):
        key = hashlib.sha256(seed.encode()).digest()
        self._cipher = Cipher(algorithms.ChaCha20(key, bytes(16)), None).encryptor()
        self._left = size

    def read(self, size, /):
        size = min(size, self._left)
        self._left -= size
        return self._cipher.update(bytes(size))


def names_of(case):
    stream = ChaCha(case["seed"], 1 << 20)
    alphabet = VECTORS["alphabet"]
    lengths = [case["name_bytes"]] * (case["entries"] - 1) + [case["last_name_bytes"]]
    return ["".join(alphabet[byte % len(alphabet)] for byte in stream.read(length)) for length in lengths]


def label(case):
    return f"{case['profile']}-{case.get('text', case.get('bytes', case.get('entries')))}-{case.get('sharded', '')}"


@pytest.mark.parametrize(
    "case",
    [
        pytest.param(case, id=label(case), marks=[slow] if case.get("bytes", 0) > SLOW_BYTES else [])
        for case in VECTORS["files"]
    ],
)
def test_files_have_kubos_cids(case):
    importer = Importer(Forgets(), PROFILES[case["profile"]])
    if "text" in case:
        entry = importer.bytes(case["text"].encode())
    else:
        entry = importer.file(ChaCha(case["seed"], case["bytes"]))
        assert entry.size == case["bytes"]
    assert cid_text(entry.cid) == case["cid"]


@pytest.mark.parametrize("case", VECTORS["directories"], ids=label)
def test_directories_have_kubos_cids_and_read_back(case):
    store = MemoryBlockStore()
    importer = Importer(store, PROFILES[case["profile"]])
    file = importer.bytes(b"x")
    names = names_of(case) if case["entries"] else []
    root = importer.directory(dict.fromkeys(names, file))
    assert cid_text(root.cid) == case["cid"]
    reader = UnixfsReader(store)
    assert [name for name, _ in reader.entries(root.cid)] == sorted(names)
    for name in names[:20]:
        assert reader.resolve(root.cid, name) == file.cid


def test_the_legacy_profile_has_raw_leaves_of_256_kib_under_cidv1():
    store = MemoryBlockStore()
    root = Importer(store, LEGACY).file(ChaCha("legacy", 2 * (256 << 10) + 1))
    assert cid_text(root.cid) == LEGACY_GOLDEN


LEGACY_GOLDEN = "bafybeigoaugbwuxex55cws3h5gyaey5uykiob47doa7bkgpgdfwtxx3rae"
