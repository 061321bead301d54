"""The frame in which C and S are added is as wide as it must be, and no wider: rtl/binary32.py."""

from pathlib import Path

import numpy as np
import pytest
from mxdot.golden import BlockTensor, dot, formats
from mxdot.rtl import binary32, narrow
from mxdot.rtl.dot import DotParameters
from mxdot.rtl.emit import generate
from mxdot.verif.simulate import simulate

ROWS = 8000

pytestmark = pytest.mark.usefixtures("builds")


@pytest.fixture(autouse=True)
def frame(monkeypatch: pytest.MonkeyPatch) -> None:
    """Short formats, whose codes are soon all seen, have sums that need no frame: here they get one."""
    monkeypatch.setattr(narrow, "fits", lambda shape: False)


def mismatches(folder: Path, name: str) -> int:
    """Products of the smallest and the largest numbers against addends 70 bits above to 70 below, at edges
    of a binade: what the frame is about."""
    rng = np.random.default_rng(7)
    fmt = formats.element(name)
    values = fmt.values
    edges = np.array([1, 1 | 1 << (fmt.width - 1), values.argmax(), values.argmin()], np.uint8)
    a, b = (
        np.where(rng.random(ROWS) < 0.7, rng.choice(edges, ROWS), rng.integers(0, fmt.mask + 1, ROWS)).astype(
            np.uint8
        )
        for _ in "ab"
    )
    product = values[a].astype(np.float64) * values[b]
    exponent = np.frexp(np.where(product == 0, 1.0, product))[1] + rng.integers(-70, 71, ROWS)
    significands = np.array([0, 0, 1, 2, 0x400000, 0x7FFFFE, 0x7FFFFF], np.uint32)
    c = (exponent + 127).astype(np.uint32) << np.uint32(23) | rng.choice(significands, ROWS)
    c |= rng.integers(0, 2, ROWS, np.uint32) << np.uint32(31)
    left, right = (BlockTensor(x[:, None], None, name, block=1, scale=None) for x in (a, b))
    made = generate(DotParameters(a_format=(name,), b_format=(name,), lanes=1, block=1, scale=None, stages=6))
    path, _ = made.write(folder / "dot.v")
    outputs = simulate(path, made.manifest, {"a": a, "b": b, "c": c}, None, "icarus")
    assert len(outputs.seen_at) == ROWS
    return int((outputs.rows["result"] != dot(left, right, c.view(np.float32)).view(np.uint32)).sum())


@pytest.mark.parametrize("name", ["e2m1", "int8"])
def test_the_frame_is_wide_enough(name: str, tmp_path: Path) -> None:
    assert mismatches(tmp_path, name) == 0


@pytest.mark.parametrize("side", ["BELOW", "ABOVE"])
def test_one_bit_less_is_noticed(side: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(binary32, side, getattr(binary32, side) - 1)
    assert mismatches(tmp_path, "e2m1") > 0
