"""Modules on another processor: an aarch64 Python with wasmtime under qemu leaves what this machine leaves.

Outputs, fuel and the state of the memory, of guests that look at everything, that end in every way, and that calculate
with floats of every kind. `make aarch64-python` brings the interpreter; under qemu a start takes seconds.
"""

import platform
import shutil
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from wasmtime import wat2wasm

from runtime.jail import Level
from runtime.python_host import PYTHON, package_dir, worker_arguments
from runtime.wasm_engine import WasmEngine, make_module_pool
from runtime.worker_transport import Program
from tests.integration.test_wasm import MODULES, House, house  # noqa: F401
from tests.requirements_gate import need
from tests.unit.runtime.test_wasm_reuse import ENDS, GUEST

pytestmark = pytest.mark.integration
PLACE = Path(__file__).parents[1] / "engines" / "aarch64-python"
BINARY = PLACE / "root" / "usr" / "bin" / "python3.11"
FLOATS = """(module (memory 2)
  (func $put32 (param $at i32) (param $value f32) (f32.store (local.get $at) (local.get $value)))
  (func $put64 (param $at i32) (param $value f64) (f64.store (local.get $at) (local.get $value)))
  (func $all32 (param $at i32) (param $a f32) (param $b f32) {all32})
  (func $all64 (param $at i32) (param $a f64) (param $b f64) {all64})
  (func (export "_start") {calls}))"""
BINARY_OPS = ("add", "sub", "mul", "div", "min", "max", "copysign")
UNARY_OPS = ("sqrt", "ceil", "floor", "trunc", "nearest", "abs", "neg")
VALUES = {
    32: ("0.0", "-0.0", "1.5", "-2.5", "0x1p-149", "0x1.fffffep+127", "inf", "-inf", "nan", "-nan:0x12345", "nan:0x1"),
    64: ("0.0", "-0.0", "1.1", "-2.5", "0x1p-1074", "0x1.fffffffffffffp+1023", "inf", "nan", "-nan:0x12345", "nan:0x1"),
}  # fmt: skip


def floats():
    """A module that does everything that two floats can have done to them, and stores the bits."""

    def body(bits):
        ops = [f"(f{bits}.{name} (local.get $a) (local.get $b))" for name in BINARY_OPS]
        ops += [f"(f{bits}.{name} (local.get $a))" for name in UNARY_OPS]
        other = 96 - bits
        change = ("promote_f32", "demote_f64") if bits == 32 else ("demote_f64", "promote_f32")
        ops.append(f"(f{bits}.{change[1]} (f{other}.{change[0]} (local.get $a)))")
        step = bits // 8
        return "".join(
            f"(call $put{bits} (i32.add (local.get $at) (i32.const {step * i})) {op})" for i, op in enumerate(ops)
        )

    calls, at = [], 0
    for bits in (32, 64):
        for a in VALUES[bits]:
            for b in VALUES[bits]:
                calls.append(f"(call $all{bits} (i32.const {at}) (f{bits}.const {a}) (f{bits}.const {b}))")
                at += bits // 8 * (len(BINARY_OPS) + len(UNARY_OPS) + 1)
    return FLOATS.format(all32=body(32), all64=body(64), calls="".join(calls))


@dataclass(frozen=True)
class Two:
    """One engine here, and one on the other machine."""

    house: House
    there: WasmEngine

    def compare(self, module, **request):
        plan = self.house.plan(module, timeout_s=600.0, **request)
        here = self.house.engine.execute(plan, self.house.store)
        there = self.there.execute(plan, self.house.store)
        assert (there.engine.arch, here.engine.arch) == ("aarch64", platform.machine())
        assert there.exit_code == here.exit_code
        assert (self.house.text(there), self.house.text(there, "stderr")) == (
            self.house.text(here),
            self.house.text(here, "stderr"),
        )
        assert (there.output, there.fuel, there.state_digest) == (here.output, here.fuel, here.state_digest)
        return here


@pytest.fixture
def two(house, tmp_path):  # noqa: F811
    emulator = shutil.which("qemu-aarch64-static")
    have = emulator is not None and BINARY.is_file() and platform.machine() == "x86_64"
    need("aarch64-wasm", have, "apt-get install qemu-user-static, then make aarch64-python")

    def program():
        own, foreign = str(package_dir("wasmtime")), str(PLACE / "site" / "wasmtime")
        return Program(
            name=PYTHON,
            binary=BINARY,
            directory=package_dir("runtime"),
            arguments=lambda inside: [one.replace(own, foreign) for one in worker_arguments(inside, "main")],
            environment={"PYTHONHOME": str(PLACE / "root" / "usr")},
            # The emulator gives the program its own stack, whatever the shell's limit is.
            emulator=(str(emulator), "-s", str(1 << 30), "-L", str(PLACE / "root")),
        )

    there = replace(
        house.engine,
        compiled_dir=tmp_path / "modules-aarch64",
        level=Level.NONE,
        program=program,
        arch="aarch64",
        pool=make_module_pool(),
    )
    yield Two(house, there)
    there.stop()


def test_every_end_and_everything_that_a_guest_can_see(two):
    module = two.house.scratch / "main.wasm"
    module.write_bytes(bytes(wat2wasm(GUEST)))
    for how, code in {"l": 0, **ENDS}.items():
        if how != "o":  # as much output as there may be takes too long
            fuel = 20_000_000 if how == "d" else 5_000_000
            assert two.compare(module, arguments=(how,), fuel=fuel, memory="64Mb").exit_code == code
    assert two.there.pool.stats().started == 1


def test_floats_have_the_same_bits(two):
    assert two.compare(two.house.module(floats())).exit_code == 0


def test_a_store_that_is_half_outside(two):
    store = "(v128.store (i32.const 65528) (v128.const i64x2 -1 -1))"
    assert two.compare(two.house.module(f'(module (memory 1) (func (export "_start") {store}))')).exit_code == 134


def test_a_module_that_looks_everywhere(two):
    folder = two.house.scratch / "folder"
    folder.mkdir()
    for name in ("b", "é", "a"):
        (folder / name).write_text(name)
    assert two.compare(two.house.module(MODULES / "probe.wat"), data=str(folder), fuel=5_000_000).exit_code == 152
