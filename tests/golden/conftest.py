"""Adversarial dot-product operands, and their results in exact rationals."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest
from mxdot.golden import BlockTensor, formats, reference

C_PATTERNS = np.array(
    [0, 0x80000000, 0x3F800000, 0xBF800000, 0x7F800000, 0xFF800000, 0x7FC00000, 0xFFC00001, 0x7F7FFFFF]
    + [0xFF7FFFFF, 1, 0x80000001, 0x007FFFFF, 0x00800000, 0x80800000, 0x4B7FFFFF, 0xCB800001, 0x3F800001],
    np.uint32,
)


@dataclass
class Case:
    """Rows of operands, with and without an addend."""

    a: BlockTensor
    b: BlockTensor
    c: np.ndarray

    def reference(self, profile: str, out: str = "fp32") -> np.ndarray:
        """Codes of the result of each row in exact rationals."""
        rows = []
        for i in range(self.a.shape[0]):
            sides = [
                reference.Row(
                    side.format,
                    side.codes[i].tolist(),
                    None if side.scales is None else side.scales[i].tolist(),
                    side.scale,
                    side.block,
                )
                for side in (self.a, self.b)
            ]
            rows.append(reference.dot(*sides, int(self.c.view(np.uint32)[i]), profile, out))
        return np.array(rows, np.uint32)


def make(
    rng: np.random.Generator,
    a_format: str,
    b_format: str,
    scale: str | None,
    block: int,
    length: int,
    rows: int,
) -> Case:
    """Rows that cycle through trouble: specials, extremes, tiny values, cancellation, ties and zeros."""
    sides = []
    for name in (a_format, b_format):
        form = formats.element(name)
        finite = form.codes[np.isfinite(form.values)]
        size = np.abs(form.values[finite])
        tiny, huge = finite[size <= np.quantile(size, 0.1)], finite[size >= np.quantile(size, 0.9)]
        near_one = finite[(size >= 0.5) & (size <= 2)]
        pools = (form.codes, finite, tiny, huge, near_one, finite, np.append(near_one, [0] * len(near_one)))
        codes = np.stack([rng.choice(pools[i % len(pools)], length) for i in range(rows)])
        sides.append((name, finite, codes))
    (_, _, a_codes), (_, b_finite, b_codes) = sides
    for i in range(5, rows, 7):  # pairs that cancel, except perhaps one
        a_codes[i, 1::2] = a_codes[i, : a_codes[i, 1::2].size * 2 : 2]
        values = formats.element(b_format).values
        for k in range(1, length, 2):
            opposite = b_finite[values[b_finite] == -values[b_codes[i, k - 1]]]
            if opposite.size and rng.random() < 0.9:
                b_codes[i, k] = opposite[0]
    c = rng.choice(C_PATTERNS, rows)
    random = rng.integers(0, 1 << 32, rows, dtype=np.uint32)
    moderate = (
        (rng.integers(0, 2, rows) << 31)
        | (rng.integers(100, 160, rows) << 23)
        | rng.integers(0, 1 << 23, rows)
    )
    kind = rng.integers(0, 4, rows)
    c = np.select([kind == 0, kind == 1], [c, random], moderate).astype(np.uint32)
    tensors = []
    for name, codes in ((a_format, a_codes), (b_format, b_codes)):
        scales = make_scales(rng, scale, rows, -(-length // block))
        tensors.append(BlockTensor(codes, scales, name, block, scale))
    return Case(tensors[0], tensors[1], c.view(np.float32))


def make_scales(rng: np.random.Generator, scale: str | None, rows: int, count: int) -> np.ndarray | None:
    """Scales of three kinds by row: tame, anything at all, and the extremes."""
    if scale is None:
        return None
    kind = (np.arange(rows) // 7 % 3)[:, None]
    if scale == "fp32":
        wild = rng.choice(C_PATTERNS, (rows, count)).view(np.float32)
        tame = (rng.standard_normal((rows, count)) * 0.01).astype(np.float32)
        wide = (rng.integers(1, 255, (rows, count)) << 23 | rng.integers(0, 1 << 23, (rows, count))).astype(
            np.uint32
        )
        return np.select([kind == 0, kind == 1], [tame, wide.view(np.float32)], wild)
    low, high, extremes = (
        (120, 134, [0, 1, 127, 0xFD, 0xFE, 0xFF]) if scale == "e8m0" else (40, 70, [0, 1, 0x7E, 0x7F])
    )
    top = 256 if scale == "e8m0" else 128
    return np.select(
        [kind == 0, kind == 1],
        [rng.integers(low, high, (rows, count)), rng.integers(0, top, (rows, count))],
        rng.choice(extremes, (rows, count)),
    ).astype(np.uint8)


@pytest.fixture
def case() -> Callable[..., Case]:
    """The maker of cases."""
    return make
