"""Dot products to give to a Hopper GPU, by rule: those of operands.py, and what alignment and cut turn on.

A tensor core's hard cases lie elsewhere than those of one exact rounding: at 13 bits below the largest
exponent, and in what counts for that exponent.
"""

from __future__ import annotations

from zlib import crc32

import numpy as np
from mxdot.golden import formats
from mxdot.verif import operands
from mxdot.verif.operands import Blocks, Pair, Palette, Rng, Rule
from numpy.typing import NDArray


def _finite(rng: Rng, count: int, pair: Pair) -> Blocks:
    """Finite codes within a window of exponents of its own each row, many or few of them not zero."""
    a, b = (np.zeros((count, pair.block), np.uint8) for _ in "ab")
    none = np.zeros(count, np.uint8)
    made = Blocks(a, b, none, none, np.zeros(count, np.uint32))
    kept = rng.random((count, pair.block)) < rng.choice([0.03, 0.2, 0.6, 1], (count, 1))
    for name, palette in (("a", pair.a), ("b", pair.b)):
        form = palette.format
        top = int(form.bias) + form.emax  # the largest exponent field of a finite number
        low = rng.integers(0, top + 1, (count, 1))
        high = np.minimum(low + rng.choice([0, 1, 3, 6, 30], (count, 1)), top)
        field = rng.integers(low, high + 1, (count, pair.block))
        mantissa = rng.integers(0, 1 << form.mantissa_bits, field.shape)
        sign = rng.integers(0, 2, field.shape) << (form.width - 1)
        codes = (sign | field << form.mantissa_bits | mantissa).astype(np.uint8)
        codes[~np.isfinite(form.values[codes])] = 0
        getattr(made, name)[...] = np.where(kept, codes, rng.choice(palette.zeros, codes.shape))
    return made


def _largest(pair: Pair, rows: Blocks) -> NDArray[np.int64]:
    """The largest exponent of a row's products, about; -20 where all are zero."""
    products = pair.a.format.values[rows.a].astype(np.float64) * pair.b.format.values[rows.b]
    largest: NDArray[np.int64] = np.frexp(np.abs(np.nan_to_num(products)).max(1))[1].astype(np.int64) - 1
    return np.where(products.any(1), largest, -20)


def _near(rng: Rng, exponent: NDArray[np.int64], reach: int) -> NDArray[np.uint32]:
    """FP32 patterns of any sign and mantissa, up to `reach` binades from 2^exponent."""
    field = (exponent + rng.integers(-reach, reach + 1, len(exponent)) + 127).astype(np.uint32)
    return (
        field << np.uint32(23)
        | rng.integers(0, 2, len(field), np.uint32) << np.uint32(31)
        | _mantissa(rng, len(field))
    )


def _mantissa(rng: Rng, count: int) -> NDArray[np.uint32]:
    telling = np.array([0, 1, 0x3FF, 0x400, 0x401, 0x7FFBFF, 0x7FFC00, 0x7FFFFF], np.uint32)
    return np.where(
        rng.random(count) < 0.5, rng.choice(telling, count), rng.integers(0, 1 << 23, count, np.uint32)
    )


def aligned(rng: Rng, count: int, pair: Pair) -> Blocks:
    """Finite products; C's exponent from 30 below to 30 above the largest of theirs."""
    rows = _finite(rng, count, pair)
    rows.c = _near(rng, _largest(pair, rows), 30)
    return rows


def close(rng: Rng, count: int, pair: Pair) -> Blocks:
    """As aligned, with C within 3 binades of the products: carries, borrows and cancellation."""
    rows = _finite(rng, count, pair)
    rows.c = _near(rng, _largest(pair, rows), 3)
    return rows


def alone(rng: Rng, count: int, pair: Pair) -> Blocks:
    """Products that are all zero, of either sign, beside codes of any size; C of every kind decides alone."""
    rows = _finite(rng, count, pair)
    blank = rng.random(rows.a.shape) < 0.5
    rows.a = np.where(blank, rng.choice(pair.a.zeros, blank.shape), rows.a)
    rows.b = np.where(blank, rows.b, rng.choice(pair.b.zeros, blank.shape))
    field = rng.choice(np.array([0, 0, 1, 2, 100, 127, 200, 253, 254], np.uint32), count) << np.uint32(23)
    any_sign = rng.integers(0, 2, count, np.uint32) << np.uint32(31)
    c = np.where(rng.random(count) < 0.5, field | _mantissa(rng, count), rng.integers(0, 0x7F800000, count))
    low = rng.integers(0, 1 << 14, count)
    c = np.where(rng.random(count) < 0.2, low, c).astype(np.uint32) | any_sign
    rows.c = np.where(rng.random(count) < 0.1, any_sign, c)
    return rows


def beside_zeros(rng: Rng, count: int, pair: Pair) -> Blocks:
    """Small products, C zero or as small, and zeros times large numbers, which must not count."""
    rows, sides = _finite(rng, count, pair), (pair.a, pair.b)
    for name, palette in zip("ab", sides, strict=True):
        values = np.abs(palette.format.values)
        small = palette.every[(values > 0) & (values < 2.0 ** (3 - int(palette.format.bias)))]
        getattr(rows, name)[...] = rng.choice(small, rows.a.shape)
    large = [
        p.finite[np.abs(p.format.values[p.finite]) >= 2.0 ** (p.format.emax - 1)] for p in (pair.a, pair.b)
    ]
    side = rng.choice(3, rows.a.shape, p=[0.2, 0.4, 0.4])
    rows.a = np.choose(side, [rows.a, rng.choice(pair.a.zeros, side.shape), rng.choice(large[0], side.shape)])
    rows.b = np.choose(side, [rows.b, rng.choice(large[1], side.shape), rng.choice(pair.b.zeros, side.shape)])
    c = _near(rng, _largest(pair, rows), 16)
    rows.c = np.where(rng.random(count) < 0.5, rng.choice(np.array([0, 1 << 31], np.uint32), count), c)
    return rows


def at_the_cut(rng: Rng, count: int, pair: Pair) -> Blocks:
    """One leading power of two, the others 9 to 16 binades below: what the 13 bits keep, of either sign."""
    rows = _finite(rng, count, pair)
    rows.a[...], rows.b[...] = rng.choice(pair.a.zeros), rng.choice(pair.b.zeros)
    (exp_a, code_a), (exp_b, code_b) = pair.a.powers, pair.b.powers
    sums = exp_a[:, None] + exp_b
    lead = rng.integers(int(sums.min()) + 9, int(sums.max()) + 1, count)
    lanes = rng.permuted(np.tile(np.arange(pair.block), (count, 1)), axis=1)
    with_lead = rng.random(count) < 0.6  # else C leads
    for column in range(min(pair.block, 12)):
        present = with_lead if column == 0 else rng.random(count) < 0.5
        wanted = lead if column == 0 else lead - rng.integers(9, 17, count)
        for exponent in np.unique(wanted):
            exact = np.argwhere(sums == exponent)
            hit = np.flatnonzero(present & (wanted == exponent))
            if len(exact) == 0 or len(hit) == 0:
                continue
            x, y = exact[rng.integers(0, len(exact), len(hit))].T
            sign = rng.random(len(hit)) < 0.5
            rows.a[hit, lanes[hit, column]] = code_a[x]
            rows.b[hit, lanes[hit, column]] = np.where(sign, code_b[y], pair.b.negated[code_b[y]])
    c = np.where(with_lead, lead - rng.integers(8, 18, count), lead)
    rows.c = _near(rng, c, 0)
    rows.c = np.where(rng.random(count) < 0.2, np.uint32(0), rows.c)
    return rows


def subnormals(rng: Rng, count: int, pair: Pair) -> Blocks:
    """Subnormal numbers on one side, any size on the other: what exponent a subnormal has."""
    rows, side = _finite(rng, count, pair), rng.random((count, 1)) < 0.5
    small = [p.every[(np.abs(p.format.values) > 0) & ~_normal(p)] for p in (pair.a, pair.b)]
    finite = [rng.choice(p.finite, rows.a.shape) for p in (pair.a, pair.b)]
    kept = rng.random(rows.a.shape) < rng.choice([0.1, 0.4, 1], (count, 1))
    rows.a = np.where(kept, np.where(side, rng.choice(small[0], rows.a.shape), finite[0]), pair.a.zeros[0])
    rows.b = np.where(side, finite[1], rng.choice(small[1], rows.b.shape))
    c = _near(rng, _largest(pair, rows), 16)
    rows.c = np.where(rng.random(count) < 0.5, np.uint32(0), c)
    return rows


def _normal(palette: Palette) -> NDArray[np.bool_]:
    return np.asarray(~(np.abs(palette.format.values) < (palette.format.min_normal or 0)))


def growing(rng: Rng, count: int, pair: Pair) -> Blocks:
    """Terms of one sign and about one size, C too: the sum grows across powers of two."""
    rows = _finite(rng, count, pair)
    sign = rng.integers(0, 2, (count, 1), np.uint8) << np.uint8(7)
    rows.a, rows.b = rows.a & np.uint8(0x7F) | sign, rows.b & np.uint8(0x7F)
    c = _near(rng, _largest(pair, rows), 5) & np.uint32(0x7FFFFFFF)
    rows.c = c | sign[:, 0].astype(np.uint32) << np.uint32(24)
    return rows


def steps_apart(rng: Rng, count: int, pair: Pair) -> Blocks:
    """The four groups of a longer row take turns in size; now and then one undoes the group before."""
    rows = _finite(rng, count, pair)
    for start in range(32, pair.block, 32):
        undone = np.flatnonzero(rng.random(count) < 0.3)
        rows.a[undone, start : start + 32] = rows.a[undone, start - 32 : start]
        rows.b[undone, start : start + 32] = pair.b.negated[rows.b[undone, start - 32 : start]]
    rows.c = _near(rng, _largest(pair, rows), 16)
    return rows


RULES: dict[str, Rule] = operands.RULES | {
    "aligned": aligned,
    "close": close,
    "alone": alone,
    "beside_zeros": beside_zeros,
    "at_the_cut": at_the_cut,
    "subnormals": subnormals,
    "growing": growing,
    "steps_apart": steps_apart,
}


def row_type(length: int) -> np.dtype[np.void]:
    """A row as hopper.cu reads it: codes, FP32 pattern of C, FP32 scales."""
    codes = ("u1", (length,))
    return np.dtype([("a", *codes), ("b", *codes), ("c", "<u4"), ("sa", "<f4"), ("sb", "<f4")])


def rows(a: str, b: str, length: int, each: int, seed: int, name: str) -> NDArray[np.void]:
    """`each` rows of every rule, in their order, for a run called `name`."""
    pair = Pair(Palette(formats.element(a)), Palette(formats.element(b)), None, length)
    made = np.zeros(each * len(RULES), row_type(length))
    for index, rule in enumerate(RULES.values()):
        rng = np.random.default_rng([seed, crc32(name.encode()), index])
        part = made[index * each : (index + 1) * each]
        blocks = rule(rng, each, pair)
        part["a"], part["b"], part["c"] = blocks.a, blocks.b, blocks.c
        part["sa"], part["sb"] = _scales(rng, each)
    return made


def _scales(rng: Rng, count: int) -> NDArray[np.float32]:
    """Two scales a row: 1, powers of two near it or of any size, FP32 numbers."""
    codes = np.full((2, count), 127, np.uint8)
    kind = rng.integers(0, 6, count)
    codes[:, kind >= 2] = rng.integers(121, 134, (2, count), np.uint8)[:, kind >= 2]
    codes[:, kind == 4] = rng.integers(0, 256, (2, count), np.uint8)[:, kind == 4]
    factor = np.where(kind == 5, 1 + rng.random((2, count)), 1).astype(np.float32)
    scales: NDArray[np.float32] = formats.SCALES["e8m0"].decode(codes) * factor
    return scales
