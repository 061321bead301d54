"""What H200 gave for rows that aim at C, zeros, subnormals, NaN, Inf and the cut (tests/data/README.md).

The golden model must give it too, and the rows must be able to tell: each rule that was thinkable instead is
refuted by some of them.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mxdot.golden import BlockTensor, dot, formats, matmul

DATA = Path(__file__).parents[1] / "data" / "hopper"
FORMATS = ("e4m3", "e5m2")
FILES = sorted(path.stem for path in DATA.glob("*.npz"))
NAN = 0x7FFFFFFF


def pairs(name: str) -> Iterator[tuple[tuple[str, str], dict[str, Any]]]:
    """The rows of each pair of formats."""
    vectors = np.load(DATA / f"{name}.npz")
    arrays = {key: vectors[key] for key in vectors.files}
    for i, a in enumerate(FORMATS):
        for j, b in enumerate(FORMATS):
            chosen = (arrays["a_format"] == i) & (arrays["b_format"] == j)
            yield (a, b), {key: array[chosen] for key, array in arrays.items()}


def unscaled(pair: tuple[str, str], rows: dict[str, Any], block: int = 32) -> list[BlockTensor]:
    return [BlockTensor(rows[key], None, form, block, None) for key, form in zip("ab", pair, strict=True)]


def test_every_kind_pair_and_rule_is_here() -> None:
    wgmma = ["wgmma-1-c", "wgmma-1-zero", "wgmma-4-c", "wgmma-4-promote", "wgmma-4-zero"]
    assert FILES == ["mma-1-c", "mma-4-c", *wgmma]
    for name in FILES:
        for _, rows in pairs(name):
            assert set(rows["rule"]) == set(range(20)) and len(rows["d"]) >= 40
    for _, rows in pairs("wgmma-1-c"):
        d = rows["d"]
        assert (d == NAN).any() and (d == 0).any() and (d & NAN == 0x7F800000).any()
        assert ((d & NAN > 0) & (d & NAN < 0x00800000)).any()


@pytest.mark.parametrize("name", ["wgmma-1-c", "wgmma-1-zero", "wgmma-4-c", "wgmma-4-zero"])
def test_hopper(name: str) -> None:
    for pair, rows in pairs(name):
        c = None if name.endswith("zero") else rows["c"].view(np.float32)
        got = dot(*unscaled(pair, rows), c, profile="hopper").view(np.uint32)
        np.testing.assert_array_equal(got, rows["d"], err_msg=str(pair))


def test_deepseek_with_fp32_scales() -> None:
    """Equal but for one case: products of scales that underflow to 0, over a negative sum, with C = -0.

    The GPU's fma gives IEEE's -0 there; docs/numerics.md, section 5, makes every exact zero +0.
    """
    differ = 0
    for pair, rows in pairs("wgmma-4-promote"):
        sides = zip("ab", pair, ("sa", "sb"), strict=True)
        a, b = (BlockTensor(rows[x], rows[s][:, None], form, 128, "fp32") for x, form, s in sides)
        got = dot(a, b, rows["c"].view(np.float32), profile="deepseek").view(np.uint32)
        partial = dot(*unscaled(pair, rows, 128), profile="hopper")
        with np.errstate(all="ignore"):
            underflow = rows["sa"] * rows["sb"] == 0
        negative_zero = (rows["c"] == 1 << 31) & underflow & (partial < 0) & np.isfinite(partial)
        np.testing.assert_array_equal(got != rows["d"], negative_zero, err_msg=str(pair))
        assert set(rows["d"][negative_zero]) == {1 << 31} and set(got[negative_zero]) == {0}
        differ += int(negative_zero.sum())
    assert differ >= 4


def test_cublas() -> None:
    """torch._scaled_mm, K = 1024: fast accumulation is `hopper`, the accurate one `deepseek` without scales,
    and with scales of 1 x 128 and 128 x 128 it is `deepseek` whole."""
    kept = np.load(DATA.with_name("hopper-cublas.npz"))
    a, b = (BlockTensor(kept[f"fast_{side}"], None, "e4m3", 128, None) for side in "ab")
    np.testing.assert_array_equal(matmul(a, b, profile="hopper").view(np.uint32), kept["fast_d"])
    np.testing.assert_array_equal(matmul(a, b, profile="deepseek").view(np.uint32), kept["accurate_d"])
    assert (kept["fast_d"] != kept["accurate_d"]).mean() > 0.9
    a = BlockTensor(kept["fp32_a"], kept["fp32_sa"], "e4m3", 128, "fp32")
    b = BlockTensor(kept["fp32_b"], kept["fp32_sb"], "e4m3", (128, 128), "fp32")
    np.testing.assert_array_equal(matmul(a, b, profile="deepseek").view(np.uint32), kept["fp32_d"])


def one_step(
    pair: tuple[str, str],
    rows: dict[str, Any],
    fraction: int = 13,
    keep: int = 13,
    c_fraction: int | None = None,
    zeros_count: bool = False,
    c_counts: bool = True,
    subnormals_normalised: bool = False,
    products_normalised: bool = False,
    subnormal_c: str = "as it is",
    cut: Any = np.trunc,
) -> np.ndarray:
    """One group of 32 by profile `hopper`, or by what it might have been; float64 holds all of it."""
    values = [
        formats.element(form).values[rows[key]].astype(float) for key, form in zip("ab", pair, strict=True)
    ]
    lowest = [1 - formats.element(form).bias for form in pair]
    c = rows["c"].view(np.float32)
    with np.errstate(invalid="ignore"):
        c = c.astype(float)
        ieee = (values[0] * values[1]).sum(1) + c
    x, y, c = (np.nan_to_num(side, nan=0, posinf=0, neginf=0) for side in (*values, c))
    products = x * y
    floor = -99 if subnormals_normalised else 0
    u, v = (
        np.maximum(np.where(side == 0, -99, np.frexp(side)[1] - 1), low + floor)
        for side, low in zip((x, y), lowest, strict=True)
    )
    exponents = np.frexp(products)[1] - 1 if products_normalised else u + v
    top = (exponents if zeros_count else np.where(products == 0, -999, exponents)).max(1)
    if subnormal_c == "zero":
        c = np.where(np.abs(c) < 2.0**-126, 0, c)
    lowest_c = -999 if subnormal_c == "normalised" else -126
    if c_counts:
        top = np.maximum(top, np.where(c == 0, -999, np.maximum(np.frexp(c)[1] - 1, lowest_c)))
    top = np.where(top == -999, 0, top)
    total = np.ldexp(cut(np.ldexp(products, (fraction - top)[:, None])).sum(1), top - fraction)
    bits = fraction if c_fraction is None else c_fraction
    total += np.ldexp(cut(np.ldexp(c, bits - top)), top - bits)
    exponent = np.maximum(np.frexp(total)[1] - 1, lowest_c)
    total = np.ldexp(np.trunc(np.ldexp(total, keep - exponent)), exponent - keep) + 0.0
    with np.errstate(over="ignore"):
        d = np.where(np.isfinite(ieee), total, ieee).astype(np.float32)
    return np.where(np.isnan(d), NAN, d.view(np.uint32))


OTHERS: dict[str, dict[str, Any]] = {
    "12 fraction bits": {"fraction": 12},
    "14 fraction bits": {"fraction": 14},
    "a result of 12 bits": {"keep": 12},
    "a result of 14 bits": {"keep": 14},
    "C with a bit more": {"c_fraction": 14},
    "C not counted for the alignment": {"c_counts": False},
    "zero products counted": {"zeros_count": True},
    "subnormal elements normalised": {"subnormals_normalised": True},
    "products normalised": {"products_normalised": True},
    "subnormal C as zero": {"subnormal_c": "zero"},
    "subnormal C normalised, in and out": {"subnormal_c": "normalised"},
    "floor": {"cut": np.floor},
    "rounding": {"cut": np.round},
}


def test_the_rule_in_one_step() -> None:
    for pair, rows in pairs("wgmma-1-c"):
        np.testing.assert_array_equal(one_step(pair, rows), rows["d"], err_msg=str(pair))


@pytest.mark.parametrize("other", OTHERS)
def test_the_rows_refute(other: str) -> None:
    for pair, rows in pairs("wgmma-1-c"):
        assert (one_step(pair, rows, **OTHERS[other]) != rows["d"]).any(), pair
