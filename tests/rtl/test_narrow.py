"""C + S * 2^x of sums that a binary32's significand holds, at the edges of a floating-point addition."""

from pathlib import Path

import numpy as np
import pytest
from amaranth.hdl import Const, Value
from mxdot.golden import BlockTensor, dot, formats
from mxdot.rtl import addition, narrow
from mxdot.rtl.bits import flip
from mxdot.rtl.dot import DotParameters
from mxdot.rtl.emit import generate
from mxdot.verif.simulate import simulate

ROWS = 8000
LANES = 4
ENDS = [0x00000000, 0x00000001, 0x007FFFFF, 0x00800000, 0x7F7FFFFF, 0x7F800000, 0x7F800001, 0x7FC00000]
"""Magnitudes of C: zero, subnormal, the largest, Inf, NaN."""

pytestmark = pytest.mark.usefixtures("builds")


def mismatches(
    folder: Path, name: str, out: str = "fp32", scale: str | None = "e8m0", target: str = "generic"
) -> int:
    """Blocks against addends that nearly cancel, of neighbouring exponents, up to 40 bits away, and at the
    ends of the range; by their scales sums lie around and beyond both ends of a binary32's range, too."""
    rng = np.random.default_rng(23)
    fmt = formats.element(name)
    a, b = (rng.integers(0, fmt.mask + 1, (ROWS, LANES)).astype(np.uint8) for _ in range(2))
    a[rng.random(ROWS) < 0.1] = 0
    a[rng.random(ROWS) < 0.3, 1:] = 0
    scales = [None, None]
    factor = np.ones(ROWS)
    if scale == "e8m0":
        x = rng.choice([0, 40, 100, 127, 128, 190, 254], ROWS) + rng.integers(-3, 4, ROWS)
        y = np.where(rng.random(ROWS) < 0.4, rng.integers(0, 255, ROWS), np.clip(254 - x, 0, 254))
        scales = [np.clip(each, 0, 254).astype(np.uint8)[:, None] for each in (x, y)]
        factor = np.exp2(scales[0][:, 0].astype(np.float64) + scales[1][:, 0] - 254)
    elif scale is not None:
        scales = [rng.integers(1, 127, ROWS).astype(np.uint8)[:, None] for _ in range(2)]
        factor = np.prod([formats.SCALES[scale].values[each[:, 0]] for each in scales], axis=0)
    total = (fmt.values[a].astype(np.float64) * fmt.values[b]).sum(axis=1) * factor
    number = np.where(total == 0, 1.0, total)
    kind = rng.integers(0, 4, ROWS)
    away = np.where(kind == 1, rng.integers(-3, 4, ROWS), rng.integers(-40, 41, ROWS))
    edges = rng.choice([0, 1, 2, 0x3FFFFF, 0x400000, 0x7FFFFE, 0x7FFFFF], ROWS)
    field = np.clip(np.frexp(number)[1] + away + 126, 0, 254)
    c = field << 23 | np.where(rng.random(ROWS) < 0.5, edges, rng.integers(0, 1 << 23, ROWS))
    with np.errstate(over="ignore"):
        near = np.float32(-number).view(np.uint32).astype(np.int64) + rng.integers(-3, 4, ROWS)
    c = np.where(kind == 0, near, c)
    c = np.where((kind == 3) & (rng.random(ROWS) < 0.5), rng.choice(ENDS, ROWS), c)
    c = (c ^ np.where(kind == 0, 0, rng.integers(0, 2, ROWS) << 31)).astype(np.uint32)
    unit = DotParameters(
        a_format=name, b_format=name, out=out, block=LANES, lanes=LANES, scale=scale, mhz=60, target=target
    )
    made = generate(unit)
    path, _ = made.write(folder / "dot.v")
    rows = {"a": a, "b": b, "c": c}
    if scale is not None:
        rows |= {f"{side}_scale": each[:, 0] for side, each in zip("ab", scales, strict=True)}
    outputs = simulate(path, made.manifest, rows, None, "icarus")
    left, right = (
        BlockTensor(values, each, name, block=LANES, scale=scale)
        for values, each in zip((a, b), scales, strict=True)
    )
    expected = dot(left, right, c.view(np.float32), out=out)
    assert len(outputs.seen_at) == ROWS
    return int((outputs.rows["result"] != expected.view(f"u{expected.itemsize}")).sum())


@pytest.mark.parametrize(
    ("name", "out", "scale", "target"),
    [
        ("e2m1", "fp32", "e8m0", "generic"),
        ("e2m1", "fp32", "e8m0", "ecp5"),
        ("int8", "fp32", "e8m0", "ecp5"),
        ("e2m3", "fp16", "e8m0", "generic"),
        ("e3m2", "bf16", "e8m0", "ecp5"),
        ("e2m1", "fp32", "ue4m3", "generic"),
        ("int8", "fp16", None, "generic"),
    ],
)
def test_one_rounding_of_the_exact_sum(
    name: str, out: str, scale: str | None, target: str, tmp_path: Path
) -> None:
    shape = DotParameters(a_format=name, b_format=name, block=LANES, lanes=LANES, scale=scale).build()
    assert "s_size" in {step.name for step in shape.plan.steps}, "the unit adds in a frame"
    assert mismatches(tmp_path, name, out, scale, target) == 0


def test_a_sticky_bit_that_is_lost_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(addition, "any_of", lambda flags: Const(0, 1))
    assert mismatches(tmp_path, "e2m1") > 0


def test_a_shift_past_the_smallest_exponent_is_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = narrow.add

    def unstopped(bits, target):  # type: ignore[no-untyped-def]
        steps = made(bits, target)
        at = next(n for n, step in enumerate(steps) if step.name == "stops")
        steps[at] = type(steps[at])("stops", lambda larger_exp: {"stop": Const(31, 5)}, steps[at].delay)
        return steps

    monkeypatch.setattr(narrow, "add", unstopped)
    assert mismatches(tmp_path, "e2m1") > 0


def test_a_negative_difference_taken_for_positive_is_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(narrow, "flip", unturned_fours)
    assert mismatches(tmp_path, "int8", scale=None) > 0


def unturned_fours(value: Value, flag: Value) -> Value:
    return flip(value, flag) if len(value) != narrow.FOUR else value
