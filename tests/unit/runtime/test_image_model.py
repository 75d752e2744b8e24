"""Keys, nodes and states of images: their encodings never change."""

from __future__ import annotations

import hashlib
import tempfile

import pytest

from runtime.image_model import (
    MAX_STATE_BYTES,
    PAGE_BYTES,
    Image,
    ImageKey,
    PreloadedModule,
    decode_state,
    encode_state,
    is_canonical,
    memory_problem,
)
from runtime.image_pages import BLOCK_BYTES, STATE_PAGE_BYTES, hash_parts
from storage import dag_cbor
from storage.cid import CID, DAG_CBOR, RAW, cid_text, make_cid
from storage.errors import VerificationError
from verifier.model import ModelError

RUNTIME, LOCK = make_cid(DAG_CBOR, b"runtime"), make_cid(DAG_CBOR, b"lock")
PRELOAD = (("json", ()), ("numpy.linalg", ("norm", "inv")))
KEY = ImageKey(runtime=RUNTIME, lock=LOCK, preload=PRELOAD)
IMAGE = Image(
    runtime=RUNTIME,
    lock=LOCK,
    preload=KEY.modules,
    state=make_cid(RAW, b"{}"),
    memory=make_cid(RAW, b"memory"),
)


def test_the_name_is_the_hash_of_type_version_and_parts() -> None:
    node = {
        "v": "image-key/1",
        "runtime": RUNTIME,
        "lock": LOCK,
        "preload": [{"module": "json", "names": []}, {"module": "numpy.linalg", "names": ["norm", "inv"]}],
    }
    assert KEY.name == hashlib.sha256(dag_cbor.encode(node)).hexdigest()
    assert KEY.name == "e4aef461e525dc1524a3c1502e7708a9537c3ceab8c4d368482d37bb98cbf3b1"
    assert IMAGE.key_name == KEY.name


def test_each_part_changes_the_name() -> None:
    keys = [
        KEY,
        ImageKey(runtime=LOCK, lock=LOCK, preload=PRELOAD),
        ImageKey(runtime=RUNTIME, lock=RUNTIME, preload=PRELOAD),
        ImageKey(runtime=RUNTIME, lock=None, preload=PRELOAD),
        ImageKey(runtime=RUNTIME, lock=LOCK),
        ImageKey(runtime=RUNTIME, lock=LOCK, preload=PRELOAD[::-1]),
        ImageKey(runtime=RUNTIME, lock=LOCK, preload=(*PRELOAD, PRELOAD[0])),
        ImageKey(runtime=RUNTIME, lock=LOCK, preload=(("json", ()), ("numpy.linalg", ("inv", "norm")))),
        ImageKey(runtime=RUNTIME, lock=LOCK, preload=(("json", ("numpy.linalg", "norm", "inv")),)),
    ]
    assert len({key.name for key in keys}) == len(keys)


@pytest.mark.parametrize(
    ("runtime", "lock", "preload"),
    [
        (CID(b"no cid"), None, ()),
        (RUNTIME, CID(b""), ()),
        (RUNTIME, None, (("", ()),)),
        (RUNTIME, None, (("json\n", ()),)),
        (RUNTIME, None, (("json", ("",)),)),
        (RUNTIME, None, (("json", ()),) * 4097),
        (RUNTIME, None, (("json", ("x" * 255,) * 4096), ("numpy", ("x" * 255,) * 4096))),
    ],
)
def test_a_key_that_exists_is_legal(
    runtime: CID, lock: CID | None, preload: tuple[tuple[str, tuple[str, ...]], ...]
) -> None:
    with pytest.raises(ModelError):
        ImageKey(runtime=runtime, lock=lock, preload=preload)


def test_the_cid_is_that_of_the_node() -> None:
    assert cid_text(IMAGE.cid) == "bafyreihtsgmk6qq5lgfhnpjniugt5nwawyxyc4gmmltclrtsucrvohm3oi"
    assert IMAGE.cid == make_cid(DAG_CBOR, dag_cbor.encode(IMAGE.to_node()))
    assert Image.from_node(dag_cbor.decode(dag_cbor.encode(IMAGE.to_node()))) == IMAGE
    assert set(IMAGE.to_node()) == {"v", "runtime", "lock", "preload", "state", "memory"}


def test_other_nodes_are_no_images() -> None:
    for change in ({"v": "image/2"}, {"more": 1}, {"state": None}, {"preload": [{"module": "json"}]}):
        with pytest.raises(VerificationError):
            Image.from_node(IMAGE.to_node() | change)
    assert PreloadedModule(module="json", names=()).to_node() == {"module": "json", "names": []}


def test_a_state_has_one_form() -> None:
    state = {"b": [1, 1.5, None, True], "a": "é\ud800", "": {"z": 0, "y": -0.0}}
    data = encode_state(state)
    assert data == b'{"":{"y":-0.0,"z":0},"a":"\\u00e9\\ud800","b":[1,1.5,null,true]}'
    assert decode_state(data) == state
    assert is_canonical(state, data)


@pytest.mark.parametrize("data", [b' {"a":1}', b'{"a":1,"a":1}', b'{"b":1,"a":1}', b'{"a":1.0e0}', b'{"a":1e999}'])
def test_other_forms_are_seen(data: bytes) -> None:
    assert not is_canonical(decode_state(data), data)


@pytest.mark.parametrize(
    "data",
    [b"", b"[]", b"null", b"{", b'{"a":NaN}', b'{"a":-Infinity}', '{"a":"é"}'.encode(), b"[" * 100_000, b"9" * 5000],
)
def test_what_is_no_state_is_refused(data: bytes) -> None:
    with pytest.raises(VerificationError):
        decode_state(data)


def test_a_state_is_bounded() -> None:
    with pytest.raises(ValueError, match="64 MiB"):
        encode_state({"a": "x" * MAX_STATE_BYTES})


@pytest.mark.parametrize("size", [0, 1, PAGE_BYTES + 1, (4 << 30) + PAGE_BYTES])
def test_sizes_that_no_memory_has(size: int) -> None:
    assert memory_problem(size)


@pytest.mark.parametrize("size", [PAGE_BYTES, 320 * PAGE_BYTES, 4 << 30])
def test_sizes_that_a_memory_has(size: int) -> None:
    assert not memory_problem(size)


@pytest.mark.parametrize("pages", [1, 2, 16, 17, 64, 65, 97])
@pytest.mark.parametrize("missing", [0, 1, PAGE_BYTES])
@pytest.mark.parametrize("part_bytes", [STATE_PAGE_BYTES, BLOCK_BYTES])
def test_parts_are_hashed_one_by_one(pages: int, missing: int, part_bytes: int) -> None:
    memory = b"".join(page.to_bytes(2, "big") * (PAGE_BYTES // 2) for page in range(pages))
    parts = [memory[at : at + part_bytes] for at in range(0, len(memory), part_bytes)]
    expected = b"".join(hashlib.sha256(part).digest() for part in parts)
    with tempfile.TemporaryFile() as file:
        file.write(memory[: len(memory) - missing])
        file.flush()
        hashes = hash_parts(file.fileno(), len(memory), part_bytes)
        assert (hashes == expected) == (missing == 0)
        assert file.tell() == len(memory) - missing
