"""Profile cdna3 in hardware: two halves and C, where floors, cuts and what is dropped can be told apart."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from mxdot.golden.block import BlockTensor
from mxdot.golden.dot import dot as golden_dot
from mxdot.rtl.dot import DotParameters
from mxdot.rtl.emit import generate
from mxdot.rtl.parameters import Parameters
from mxdot.verif.simulate import simulate

Check = Callable[..., int]


def dot(a: str, b: str, lanes: int, block: int, **options: object) -> Parameters:
    options = {"profile": "cdna3", "scale": None, "mhz": 90} | options
    return DotParameters(a_format=a, b_format=b, lanes=lanes, block=block, **options)


UNITS: dict[str, Parameters] = {
    "one group": dot("e4m3fnuz", "e4m3fnuz", 16, 16, mhz=140),
    "a product, and no other half": dot("e5m2fnuz", "e5m2fnuz", 1, 1, addend=False),
    "an odd count": dot("e4m3fnuz", "e5m2fnuz", 1, 3),
    "two groups, the last short": dot("e4m3fnuz", "e5m2fnuz", 4, 20, out="bf16"),
    "two groups a beat": dot("e5m2fnuz", "e5m2fnuz", 32, 32, target="ecp5", out="fp16"),
    "a sum, groups across blocks": dot("e5m2fnuz", "e4m3fnuz", 2, 6, accumulate=True, contexts=4),
    "formats at run time": dot("e5m2fnuz,e4m3fnuz", "e4m3fnuz", 4, 8, accumulate=True),
}


@pytest.mark.parametrize("name", UNITS)
def test_a_unit_gives_the_golden_results(name: str, check: Check) -> None:
    unit = UNITS[name]
    assert check(unit, rows=600 if not unit.accumulate else 900) >= 24


ONE = 0x40  # 1.0 in e4m3fnuz


def edges(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A group a row: one or two products of few bits, so that 2^(M - 24) shows, or none; C of any size."""
    count = 900
    a, b = np.zeros((2, count, 16), np.uint8)
    k = rng.integers(16, size=(count, 2))
    for side, codes in zip(k.T, rng.choice([ONE, ONE | 0x80, 0x08, 0x7C], size=(2, count)), strict=True):
        a[np.arange(count), side], b[np.arange(count), side] = codes, ONE
    a[:200] = 0
    exponents = np.where(np.arange(count) < 200, rng.integers(0, 255, count), rng.integers(80, 150, count))
    fraction = rng.choice([0, 1, 0x400000, 0x7FFFFF, 0x2AAAAA], count)
    c = exponents << 23 | fraction | rng.integers(2, size=count) << 31
    return a, b, c.astype(np.uint32)


def test_c_far_below_and_far_above_its_group(tmp_path: Path, builds: None) -> None:
    made = generate(UNITS["one group"])
    path, _ = made.write(tmp_path / "dot.v")
    a, b, c = edges(np.random.default_rng(7))
    got = simulate(path, made.manifest, {"a": a, "b": b, "c": c}, None, "icarus").rows["result"]
    operands = (BlockTensor(codes, None, "e4m3fnuz", scale=None) for codes in (a, b))
    want = golden_dot(*operands, c.view(np.float32), "cdna3").view(np.uint32)
    np.testing.assert_array_equal(got.astype(np.uint32), want)
    below = want != c
    assert below[:200].sum() == (c[:200] << 1 == 0).sum() and below[200:].sum() > 200
