"""Scales that multiply, and results narrower than FP32, against the golden model."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from mxdot.golden import BlockTensor
from mxdot.golden import dot as golden_dot
from mxdot.rtl.dot import DotParameters
from mxdot.rtl.emit import generate
from mxdot.rtl.mac import MacParameters
from mxdot.rtl.parameters import Parameters
from mxdot.verif.lint import lint
from mxdot.verif.simulate import simulate

Check = Callable[..., int]


def dot(a: str, b: str, lanes: int, block: int, **options: object) -> Parameters:
    return DotParameters(a_format=(a,), b_format=(b,), lanes=lanes, block=block, **options)


UNITS: dict[str, Parameters] = {
    "nvfp4": dot("e2m1", "e2m1", 16, 16, scale="ue4m3"),
    "nvfp4, a sum": dot("e2m1", "e2m1", 4, 16, scale="ue4m3", accumulate=True, contexts=2),
    "Inf times a scale of zero": dot("e5m2", "hif8", 2, 4, scale="ue4m3", out="bf16"),
    "no sign apart": dot("int8", "int8", 2, 2, scale="ue4m3", out="fp16"),
    "bf16": dot("e4m3", "e4m3", 4, 4, out="bf16"),
    "fp16": dot("e4m3", "e5m2", 4, 4, out="fp16"),
    "fp16, unscaled": dot("e2m1", "e2m1", 4, 4, scale=None, out="fp16"),
    "fp16, a sum": dot("e4m3", "e4m3", 4, 4, out="fp16", accumulate=True, contexts=2),
    "bf16, mac": MacParameters(out="bf16"),
}


@pytest.mark.parametrize("name", UNITS)
def test_a_unit_gives_the_golden_results(name: str, check: Check) -> None:
    assert check(UNITS[name], rows=1000) >= 60


@pytest.mark.parametrize("name", ["nvfp4", "fp16, a sum"])
def test_nothing_to_warn_of(name: str, tmp_path: Path) -> None:
    path, _ = generate(UNITS[name]).write(tmp_path / "dot.v")
    assert lint(path) == []


def test_the_sign_bit_of_a_ue4m3_scale_is_not_looked_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MXDOT_BUILD", str(Path(__file__).parents[2] / "build" / "sim"))
    made = generate(dot("e2m1", "e2m1", 1, 1, scale="ue4m3", addend=False))
    path, _ = made.write(tmp_path / "dot.v")
    scales = np.array([0x38, 0xB8, 0x7F, 0xFF, 0x00, 0x80])
    rows = {"a": np.full(6, 2), "b": np.full(6, 4), "a_scale": scales, "b_scale": np.full(6, 0x40)}
    got = simulate(path, made.manifest, rows, None, "icarus").rows["result"]
    assert got.tolist() == [0x40800000, 0x40800000, 0x7FC00000, 0x7FC00000, 0, 0]  # 1 * 2 * 1 * 2


@pytest.mark.parametrize(
    ("out", "nan", "overflow", "underflow"),
    [
        ("fp32", "0x7FC00000", "2^128 - 2^103", "2^-149"),
        ("bf16", "0x7FC0", "2^128 - 2^119", "2^-133"),
        ("fp16", "0x7E00", "2^16 - 2^4", "2^-24"),
    ],
)
def test_special_values_are_those_of_the_result(out: str, nan: str, overflow: str, underflow: str) -> None:
    words = generate(dot("e4m3", "e4m3", 1, 1, out=out)).manifest["special_values"]
    assert nan in words["nan"] and overflow in words["overflow"] and underflow in words["underflow"]


def test_special_values_of_a_profile_that_cuts() -> None:
    words = generate(DotParameters(profile="hopper", scale=None, lanes=1, block=1)).manifest["special_values"]
    assert "2^128 or more, cut" in words["overflow"] and "2^-139" in words["underflow"]
    zeros = BlockTensor(np.zeros((3, 32), np.uint8), None, "e4m3", 32, None)
    c = np.array([0x00000400, 0x000003FF, 0x800003FF], np.uint32).view(np.float32)  # 2^-139, and what is less
    assert golden_dot(zeros, zeros, c, "hopper").view(np.uint32).tolist() == [0x400, 0, 0]
