"""GPUs as nvidia-smi tells of them: a program that stands in for it, and answers that are none."""

import os
import sys

import pytest

from runtime import nvidia_client
from runtime.nvidia_client import ARGUMENTS, Gpu, find_gpus, parse_gpus, visible_gpus
from storage.errors import UnavailableError
from tests.requirements_gate import need

A = "GPU-5b0c1e4e-1111-2222-3333-444444444444"
B = "GPU-9aee1b7f-1111-2222-3333-444444444444"
ANSWER = f"0, {A}, NVIDIA H100 80GB HBM3, 81559\n1, {B}, NVIDIA A100-SXM4-40GB, 40960\n"
FIRST = Gpu(index=0, uuid=A, name="NVIDIA H100 80GB HBM3", memory_bytes=81559 << 20)
SECOND = Gpu(index=1, uuid=B, name="NVIDIA A100-SXM4-40GB", memory_bytes=40960 << 20)


@pytest.fixture
def stand_in(tmp_path):
    """Put a program called nvidia-smi on a PATH of its own, and return the environment."""

    def make(body):
        program = tmp_path / "nvidia-smi"
        program.write_text(f"#!{sys.executable}\nimport os, sys, time\n{body}\n")
        program.chmod(0o755)
        return {"PATH": str(tmp_path)}

    return make


def test_gpus_of_a_machine(stand_in):
    environment = stand_in(f"assert sys.argv[1:] == {list(ARGUMENTS)!r}\nprint({ANSWER!r}, end='')")
    found = find_gpus(environment)
    assert (found.gpus, found.note) == ((FIRST, SECOND), "")


def test_the_program_gets_no_environment_but_its_own(stand_in):
    body = f"assert set(os.environ) <= {{'PATH', 'LC_ALL', 'LC_CTYPE'}}, os.environ\nprint({ANSWER!r}, end='')"
    assert len(find_gpus(stand_in(body) | {"SECRET": "x"}).gpus) == 2


def test_no_program(tmp_path):
    found = find_gpus({"PATH": str(tmp_path)})
    assert (found.gpus, found.note) == ((), "nvidia-smi is not on the PATH")


@pytest.mark.parametrize(
    ("body", "note"),
    [
        ("print('No devices were found')", "nvidia-smi tells of none"),
        ("", "nvidia-smi tells of none"),
        ("print('NVIDIA-SMI has failed because\\x1b[0m it'); sys.exit(9)",
         "nvidia-smi failed with exit code 9: NVIDIA-SMI has failed because?[0m it"),
        ("sys.exit(3)", "nvidia-smi failed with exit code 3: nothing"),
        ("print('hello')", "nvidia-smi gives a line 1 that is not index, UUID, name and MiB"),
        ("print('x' * (65 << 10))", "nvidia-smi says more than 64 KiB"),
        ("while True: sys.stdout.write('x' * 4096)", "nvidia-smi says more than 64 KiB"),
    ],
)  # fmt: skip
def test_a_program_that_fails_is_no_gpu_and_says_why(stand_in, body, note):
    found = find_gpus(stand_in(body))
    assert (found.gpus, found.note) == ((), note)


def test_a_program_that_cannot_be_started(tmp_path):
    (tmp_path / "nvidia-smi").write_bytes(b"\x7fELF")
    (tmp_path / "nvidia-smi").chmod(0o755)
    assert find_gpus({"PATH": str(tmp_path)}).note == "nvidia-smi cannot be started: exec format error"


def test_a_program_that_does_not_end_is_ended_with_all_that_it_has_started(stand_in, monkeypatch):
    monkeypatch.setattr(nvidia_client, "PATIENCE_S", 0.2)
    environment = stand_in("os.fork()\ntime.sleep(60)")  # both hold the pipe
    assert find_gpus(environment).note == "nvidia-smi did not answer in 0 s, or was killed"


@pytest.mark.parametrize(
    "line",
    [
        f"0, {A}, NVIDIA H100",
        f"0, {A}, NVIDIA H100, 80 GB",
        f"0, {A}, NVIDIA H100, -1",
        f"-1, {A}, NVIDIA H100, 1",
        f"\u0660, {A}, NVIDIA H100, 1",
        "0, 5b0c1e4e, NVIDIA H100, 1",
        "0, GPU-../../dev, NVIDIA H100, 1",
        f"0, {A}, , 1",
        f"0, {A}, NVIDIA \x1b[31m, 1",
        f"0, {A}, {'x' * 101}, 1",
        "",
        "0",
    ],
)
def test_a_line_that_is_something_else(line):
    with pytest.raises(UnavailableError, match="gives a line 2 that is not index, UUID, name and MiB"):
        parse_gpus(f"7, {B}, NVIDIA A100, 40960\n{line}\n")


def test_a_name_with_commas_and_a_memory_that_is_not_told():
    (gpu,) = parse_gpus(f"0, {A}, NVIDIA A, B and C, [N/A]\n")
    assert (gpu.name, gpu.memory_bytes) == ("NVIDIA A, B and C", None)


@pytest.mark.parametrize("text", [f"0, {A}, X, 1\n0, {B}, X, 1\n", f"0, {A}, X, 1\n1, {A}, X, 1\n"])
def test_one_gpu_twice(text):
    with pytest.raises(UnavailableError, match="one GPU twice"):
        parse_gpus(text)


def test_more_gpus_than_a_machine_has():
    with pytest.raises(UnavailableError, match="more than 64"):
        parse_gpus("".join(f"{number}, GPU-{number}, X, 1\n" for number in range(65)))


def test_gpus_come_by_their_number():
    assert parse_gpus("".join(reversed(ANSWER.splitlines(keepends=True)))) == (FIRST, SECOND)


@pytest.mark.parametrize(
    ("visible", "gpus", "note"),
    [
        (None, (FIRST, SECOND), ""),
        ("0,1", (FIRST, SECOND), ""),
        ("1,0", (FIRST, SECOND), ""),
        ("1", (SECOND,), "CUDA_VISIBLE_DEVICES lets 1 of 2 be used"),
        (B, (SECOND,), "CUDA_VISIBLE_DEVICES lets 1 of 2 be used"),
        ("GPU-5b0c", (FIRST,), "CUDA_VISIBLE_DEVICES lets 1 of 2 be used"),
        ("1,7,0", (SECOND,), "CUDA_VISIBLE_DEVICES lets 1 of 2 be used"),
        ("1,1", (SECOND,), "CUDA_VISIBLE_DEVICES lets 1 of 2 be used"),
        ("", (), "CUDA_VISIBLE_DEVICES lets 0 of 2 be used"),
        ("-1", (), "CUDA_VISIBLE_DEVICES lets 0 of 2 be used"),
        ("GPU-", (), "CUDA_VISIBLE_DEVICES lets 0 of 2 be used"),
        ("NoDevFiles", (), "CUDA_VISIBLE_DEVICES lets 0 of 2 be used"),
        ("MIG-5b0c", (), "CUDA_VISIBLE_DEVICES lets 0 of 2 be used"),
    ],
)
def test_what_cuda_lets_be_seen(visible, gpus, note):
    found = visible_gpus((FIRST, SECOND), visible)
    assert (found.gpus, found.note) == (gpus, note)


def test_the_variable_counts(stand_in):
    environment = stand_in(f"print({ANSWER!r}, end='')")
    assert find_gpus(environment | {"CUDA_VISIBLE_DEVICES": "1"}).gpus == (SECOND,)


def test_a_real_machine_with_gpus():
    """Runs where there are some: BACALHAU_REQUIRE=nvidia makes it fail where there are none."""
    found = find_gpus({name: value for name, value in os.environ.items() if name != "CUDA_VISIBLE_DEVICES"})
    need("nvidia", bool(found.gpus), found.note)
    assert [gpu.index for gpu in found.gpus] == list(range(len(found.gpus)))
    assert all(gpu.uuid.startswith("GPU-") and gpu.name and (gpu.memory_bytes or 0) > 1 << 30 for gpu in found.gpus)
    hidden = find_gpus(dict(os.environ) | {"CUDA_VISIBLE_DEVICES": ""})
    assert (hidden.gpus, hidden.note) == ((), f"CUDA_VISIBLE_DEVICES lets 0 of {len(found.gpus)} be used")
