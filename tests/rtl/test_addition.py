"""C + P of the mac at the edges of a binary32 addition: rtl/addition.py."""

from pathlib import Path

import numpy as np
import pytest
from amaranth.hdl import Const
from mxdot.golden import BlockTensor, dot, formats
from mxdot.rtl import addition
from mxdot.rtl.emit import generate
from mxdot.rtl.mac import MacParameters
from mxdot.verif.simulate import simulate

ROWS = 6000
ENDS = [0x00000000, 0x00000001, 0x007FFFFF, 0x00800000, 0x7F7FFFFF, 0x7F800000, 0x7F800001, 0x7FC00000]
"""Magnitudes of C: zero, subnormal, the largest, Inf, NaN."""

pytestmark = pytest.mark.usefixtures("builds")


def mismatches(folder: Path, name: str, out: str = "fp32", other: str | None = None) -> int:
    """Random products against addends that nearly cancel, of neighbouring exponents, up to 40 bits away, and
    at the ends of the range, with significands at the edges of a binade."""
    rng = np.random.default_rng(11)
    names = (name, other or name)
    of_a, of_b = (formats.element(each) for each in names)
    a, b = (rng.integers(0, fmt.mask + 1, ROWS).astype(np.uint8) for fmt in (of_a, of_b))
    a[rng.random(ROWS) < 0.1] = 0
    with np.errstate(invalid="ignore"):
        product = of_a.values[a].astype(np.float64) * of_b.values[b]
    number = np.where(np.isfinite(product) & (product != 0), product, 1.0)
    kind = rng.integers(0, 4, ROWS)
    away = np.where(kind == 1, rng.integers(-3, 4, ROWS), rng.integers(-40, 41, ROWS))
    edges = rng.choice([0, 1, 2, 0x3FFFFF, 0x400000, 0x7FFFFE, 0x7FFFFF], ROWS)
    c = (np.frexp(number)[1] + away + 126) << 23 | np.where(
        rng.random(ROWS) < 0.5, edges, rng.integers(0, 1 << 23, ROWS)
    )
    c = np.where(kind == 0, np.float32(-number).view(np.uint32) + rng.integers(-3, 4, ROWS), c)
    c = np.where((kind == 3) & (rng.random(ROWS) < 0.5), rng.choice(ENDS, ROWS), c)
    c = (c ^ np.where(kind == 0, 0, rng.integers(0, 2, ROWS) << 31)).astype(np.uint32)
    made = generate(MacParameters(a_format=names[0], b_format=names[1], out=out, mhz=60))
    path, _ = made.write(folder / "mac.v")
    rows = {"a": a, "b": b, "c": c, "last": np.ones(ROWS, np.uint8)}
    outputs = simulate(path, made.manifest, rows, None, "icarus")
    left, right = (
        BlockTensor(x[:, None], None, each, block=1, scale=None)
        for x, each in zip((a, b), names, strict=True)
    )
    expected = dot(left, right, c.view(np.float32), out=out)
    assert len(outputs.seen_at) == ROWS
    return int((outputs.rows["result"] != expected.view(f"u{expected.itemsize}")).sum())


@pytest.mark.parametrize(
    ("name", "out"),
    [
        ("e4m3", "fp32"),
        ("e5m2", "fp32"),
        ("e2m1", "fp32"),
        ("int8", "fp32"),
        ("hif8", "fp16"),
        ("e4m3", "bf16"),
    ],
)
def test_one_rounding_of_the_exact_sum(name: str, out: str, tmp_path: Path) -> None:
    assert mismatches(tmp_path, name, out) == 0


def test_two_formats_one_without_a_sign_of_its_own(tmp_path: Path) -> None:
    assert mismatches(tmp_path, "int8", other="e5m2") == 0


def test_bits_that_fall_out_unseen_are_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(addition, "any_of", lambda flags: Const(0, 1))
    assert mismatches(tmp_path, "e4m3") > 0


def test_a_zero_that_keeps_its_sign_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = addition.given

    def careless(target):  # type: ignore[no-untyped-def]
        step = made(target)
        return type(step)(step.name, lambda c: step.function(c) | {"c_minus": c[31]}, step.delay)

    monkeypatch.setattr(addition, "given", careless)
    assert mismatches(tmp_path, "e4m3") > 0
