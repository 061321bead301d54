"""Operands by rule: blocks that go where random numbers never do.

Each rule is a function of (rng, count, pair) that returns `count` blocks of one kind: special exponents
times special significands, cancellation, ties of the final rounding, results in the subnormal and the
overflow range, NaN and Inf. Everything derives from the formats' tables, so a new format needs nothing
here. `RULES` lists them; `blocks` mixes them evenly. After TestFloat's operand rules (Hauser) and the
corner cases named in OCP MX v1.0, section 5.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from mxdot.golden.formats import ElementFormat
from numpy.typing import NDArray

Codes = NDArray[np.uint8]
Rng = np.random.Generator

ONE = {"e8m0": 127, "ue4m3": 0x38}  # the scale code of 1.0


@dataclass(frozen=True)
class Palette:
    """The codes of an element format, sorted by what they are good for."""

    format: ElementFormat

    @cached_property
    def every(self) -> Codes:
        return np.arange(self.format.mask + 1, dtype=np.uint8)

    @cached_property
    def finite(self) -> Codes:
        return self.every[np.isfinite(self.format.values)]

    @cached_property
    def odd(self) -> Codes:
        """NaN and Inf, or every code of a format without them."""
        odd = self.every[~np.isfinite(self.format.values)]
        return odd if len(odd) else self.every

    @cached_property
    def zeros(self) -> Codes:
        return self.every[self.format.values == 0]

    @cached_property
    def special(self) -> Codes:
        """Zeros, and of either sign: the smallest, those about the smallest normal and 1, the largest."""
        magnitudes = np.unique(np.abs(self.format.values[self.finite]))
        at = [np.searchsorted(magnitudes, v) for v in (self.format.min_normal or magnitudes[1], 1.0)]
        chosen = {
            0,
            1,
            2,
            len(magnitudes) - 2,
            len(magnitudes) - 1,
            *(int(i) + d for i in at for d in (-1, 0, 1)),
        }
        kept = magnitudes[[i for i in sorted(chosen) if 0 <= i < len(magnitudes)]]
        return self.finite[np.isin(np.abs(self.format.values[self.finite]), kept)]

    @cached_property
    def negated(self) -> Codes:
        """`negated[code]` is the code of the negative value, or the code itself where there is none."""
        values = self.format.values
        table = {
            (float(v), bool(np.signbit(v))): c for c, v in zip(self.every, values, strict=True) if v == v
        }
        return np.array(
            [table.get((-float(v), not np.signbit(v)), c) for c, v in zip(self.every, values, strict=True)],
            np.uint8,
        )

    @cached_property
    def powers(self) -> tuple[NDArray[np.int64], Codes]:
        """The exponents of the powers of two that the format holds, ascending, and their positive codes."""
        codes = self.finite[self.format.values[self.finite] > 0]
        fraction, exponent = np.frexp(self.format.values[codes].astype(np.float64))
        codes, exponent = codes[fraction == 0.5], exponent[fraction == 0.5] - 1
        order = np.argsort(exponent)
        return exponent[order].astype(np.int64), codes[order]


@dataclass
class Blocks:
    """`count` blocks: codes (count, block), scale codes (count,), addends as FP32 bits (count,)."""

    a: Codes
    b: Codes
    a_scale: Codes
    b_scale: Codes
    c: NDArray[np.uint32]

    def __len__(self) -> int:
        return len(self.a)


@dataclass(frozen=True)
class Pair:
    """What the rules need to know of a unit: element formats, scale format or None, block length."""

    a: Palette
    b: Palette
    scale: str | None
    block: int

    def sums(self, blocks: Blocks) -> NDArray[np.float64]:
        """X*S of each block in float64: near enough to aim an addend by."""
        with np.errstate(invalid="ignore"):
            total = (self.a.format.values[blocks.a].astype(np.float64) * self.b.format.values[blocks.b]).sum(
                1
            )
        return np.nan_to_num(total) * self.factor(blocks)

    def factor(self, blocks: Blocks) -> NDArray[np.float64]:
        """X of each block in float64."""
        if self.scale == "e8m0":
            return np.ldexp(1.0, blocks.a_scale.astype(np.int64) + blocks.b_scale - 254)
        if self.scale == "ue4m3":
            table = np.array([_ue4m3(code) for code in range(256)])
            return table[blocks.a_scale] * table[blocks.b_scale]
        return np.ones(len(blocks))


def _ue4m3(code: int) -> float:
    field, fraction = (code >> 3) & 15, code & 7
    return (8 * (field > 0) + fraction) * 2.0 ** (max(field, 1) - 10)


def _plain(rng: Rng, count: int, pair: Pair, a: Codes, b: Codes) -> Blocks:
    """Blocks with codes drawn from `a` and `b`, scales of 1 and no addend."""
    one = np.full(count, ONE[pair.scale] if pair.scale else 0, np.uint8)
    shape = (count, pair.block)
    return Blocks(rng.choice(a, shape), rng.choice(b, shape), one, one.copy(), np.zeros(count, np.uint32))


def _place(rng: Rng, pair: Pair, blocks: Blocks, exponent: NDArray[np.int64]) -> None:
    """Chooses scales so that |X*S| is about 2^exponent (e8m0; a ue4m3 scale is drawn at random)."""
    count = len(blocks)
    if pair.scale == "ue4m3":
        blocks.a_scale, blocks.b_scale = (rng.integers(0, 0x7F, count, np.uint8) for _ in "ab")
    if pair.scale != "e8m0":
        return
    size = np.frexp(pair.sums(blocks))[1] - 1
    total = np.clip(exponent - size + 254, 0, 508)
    blocks.a_scale = rng.integers(np.maximum(total - 254, 0), np.minimum(total, 254) + 1).astype(np.uint8)
    blocks.b_scale = (total - blocks.a_scale).astype(np.uint8)


def _float32(rng: Rng, exponent: NDArray[np.int64]) -> NDArray[np.uint32]:
    """FP32 bits of either sign near 2^exponent (cut to the range), with telling significands."""
    count = len(exponent)
    field = np.clip(exponent + 127, 0, 254).astype(np.uint32)
    telling = np.array([0, 1, 2, 0x400000, 0x7FFFFE, 0x7FFFFF], np.uint32)
    fraction = np.where(
        rng.random(count) < 0.5, rng.choice(telling, count), rng.integers(0, 1 << 23, count, np.uint32)
    )
    sign = rng.integers(0, 2, count, np.uint32)
    return (sign << np.uint32(31) | field << np.uint32(23) | fraction).astype(np.uint32)


_SPECIAL_C = np.array(
    [0, 0x80000000, 1, 0x80000001, 0x7FFFFF, 0x800000, 0x80800000, 0x3F800000, 0x7F7FFFFF, 0xFF7FFFFF]
    + [0x7F800000, 0xFF800000, 0x7FC00000, 0xFFC00000, 0x7F800001, 0x7FFFFFFF],
    np.uint32,
)


def _special_scales(rng: Rng, pair: Pair, count: int) -> Codes:
    codes = (
        [0, 1, 2, 126, 127, 128, 253, 254, 255] if pair.scale == "e8m0" else [0, 1, 7, 8, 0x38, 0x7E, 0x7F]
    )
    return rng.choice(np.array(codes, np.uint8), count)


def uniform(rng: Rng, count: int, pair: Pair) -> Blocks:
    """Every code, scale and addend equally likely."""
    blocks = _plain(rng, count, pair, pair.a.every, pair.b.every)
    if pair.scale:
        top = 256 if pair.scale == "e8m0" else 128
        blocks.a_scale, blocks.b_scale = (rng.integers(0, top, count, np.uint8) for _ in "ab")
    blocks.c = rng.integers(0, 1 << 32, count, np.uint32)
    return blocks


def overlap(rng: Rng, count: int, pair: Pair) -> Blocks:
    """Finite numbers; the addend's bits overlap the sum's."""
    blocks = _plain(rng, count, pair, pair.a.finite, pair.b.finite)
    _place(rng, pair, blocks, rng.integers(-100, 100, count))
    blocks.c = _float32(rng, np.frexp(pair.sums(blocks))[1] + rng.integers(-26, 26, count))
    return blocks


def special(rng: Rng, count: int, pair: Pair) -> Blocks:
    """Special codes, special scales, special addends."""
    blocks = _plain(rng, count, pair, pair.a.special, pair.b.special)
    if pair.scale:
        blocks.a_scale, blocks.b_scale = (_special_scales(rng, pair, count) for _ in "ab")
    blocks.c = rng.choice(_SPECIAL_C, count)
    return blocks


def sparse(rng: Rng, count: int, pair: Pair) -> Blocks:
    """Zeros of either sign with one special product among them; zero or special addends."""
    blocks = _plain(rng, count, pair, pair.a.zeros, pair.b.special)
    where = rng.integers(0, pair.block, count)
    blocks.a[np.arange(count), where] = rng.choice(pair.a.special, count)
    _place(rng, pair, blocks, rng.integers(-160, 140, count))
    blocks.c = np.where(
        rng.random(count) < 0.5, rng.choice(_SPECIAL_C[:2], count), rng.choice(_SPECIAL_C, count)
    )
    return blocks


def cancelling(rng: Rng, count: int, pair: Pair) -> Blocks:
    """The second half of the block undoes the first but for at most one product."""
    blocks = _plain(rng, count, pair, pair.a.finite, pair.b.finite)
    half = pair.block // 2
    order = rng.permutation(half)
    blocks.a[:, half : 2 * half] = blocks.a[:, order]
    blocks.b[:, half : 2 * half] = pair.b.negated[blocks.b[:, order]]
    blocks.a[:, 2 * half :] = rng.choice(pair.a.zeros)
    spoilt = np.flatnonzero(rng.random(count) < 0.7)
    blocks.b[spoilt, rng.integers(0, pair.block, len(spoilt))] = rng.choice(pair.b.finite, len(spoilt))
    _place(rng, pair, blocks, rng.integers(-140, 120, count))
    blocks.c = np.where(
        rng.random(count) < 0.5,
        rng.choice(_SPECIAL_C[:4], count),
        _float32(rng, np.frexp(pair.sums(blocks))[1] + rng.integers(-30, 30, count)),
    )
    return blocks


def opposite(rng: Rng, count: int, pair: Pair) -> Blocks:
    """The addend is the sum's negative, or a few units in the last place off."""
    blocks = _plain(rng, count, pair, pair.a.finite, pair.b.finite)
    _place(rng, pair, blocks, rng.integers(-150, 127, count))
    with np.errstate(over="ignore"):
        near = (-pair.sums(blocks)).astype(np.float32).view(np.uint32).astype(np.int64)
    blocks.c = (near + rng.choice([-2, -1, 0, 0, 0, 1, 2], count)).astype(np.uint32)
    return blocks


def far(rng: Rng, count: int, pair: Pair) -> Blocks:
    """Sum and addend so far apart that one only nudges the other's rounding."""
    blocks = _plain(rng, count, pair, pair.a.finite, pair.b.finite)
    _place(rng, pair, blocks, rng.integers(-110, 90, count))
    distance = rng.integers(22, 90, count) * rng.choice([-1, 1], count)
    blocks.c = _float32(rng, np.frexp(pair.sums(blocks))[1] + distance)
    return blocks


def tie(rng: Rng, count: int, pair: Pair) -> Blocks:
    """The sum is half a unit in the last place of the addend, exactly or with a tiny product more or less."""
    blocks = _plain(rng, count, pair, pair.a.zeros, pair.b.zeros)
    rows, (exp_a, code_a), (exp_b, code_b) = np.arange(count), pair.a.powers, pair.b.powers
    i, j = rng.integers(0, len(code_a), count), rng.integers(0, len(code_b), count)
    lane = rng.integers(0, pair.block, count)
    blocks.a[rows, lane] = code_a[i]
    blocks.b[rows, lane] = np.where(rng.random(count) < 0.5, code_b[j], pair.b.negated[code_b[j]])
    _place(rng, pair, blocks, np.where(rng.random(count) < 0.2, -150, rng.integers(-148, 100, count)))
    half = np.log2(pair.factor(blocks)) + exp_a[i] + exp_b[j] if pair.scale != "ue4m3" else None
    if half is None:  # a scale of 1 keeps the product a power of two
        blocks.a_scale[:] = blocks.b_scale[:] = ONE["ue4m3"]
        half = exp_a[i] + exp_b[j]
    half = np.asarray(half, np.int64)
    blocks.c = _float32(rng, half + 24)
    blocks.c[half <= -150] &= np.uint32(0x807FFFFF)  # half of the smallest subnormal
    if pair.block > 1:
        nudged = np.flatnonzero(rng.random(count) < 0.6)
        other = (lane[nudged] + rng.integers(1, pair.block, len(nudged))) % pair.block
        small = code_b[0]
        blocks.a[nudged, other] = code_a[0]
        blocks.b[nudged, other] = rng.choice(np.array([small, pair.b.negated[small]]), len(nudged))
    return blocks


def tie_inside(rng: Rng, count: int, pair: Pair) -> Blocks:
    """The sum itself is a tie of FP32, or next to one: products 2^k, 2^(k-24), perhaps a tiny one."""
    blocks = _plain(rng, count, pair, pair.a.zeros, pair.b.zeros)
    (exp_a, code_a), (exp_b, code_b) = pair.a.powers, pair.b.powers
    sums = exp_a[:, None] + exp_b
    top = int(sums.max())
    lanes = rng.permuted(np.tile(np.arange(pair.block), (count, 1)), axis=1)[:, :4]
    wanted = [top, top - rng.integers(0, 3), top - 24, int(sums.min())]
    for column in range(lanes.shape[1]):
        exact = np.argwhere(sums == wanted[column])
        present = np.flatnonzero(rng.random(count) < (1.0, 0.3, 0.8, 0.5)[column])
        if len(exact) == 0 or len(present) == 0:
            continue
        x, y = exact[rng.integers(0, len(exact), len(present))].T
        blocks.a[present, lanes[present, column]] = code_a[x]
        sign = rng.random(len(present)) < 0.5
        blocks.b[present, lanes[present, column]] = np.where(sign, code_b[y], pair.b.negated[code_b[y]])
    _place(rng, pair, blocks, rng.integers(-120, 120, count))
    blocks.c = rng.choice(_SPECIAL_C[:4], count)
    return blocks


def tiny(rng: Rng, count: int, pair: Pair) -> Blocks:
    """Results around FP32's subnormals and half of the smallest."""
    blocks = _plain(rng, count, pair, pair.a.special, pair.b.special)
    _place(rng, pair, blocks, rng.integers(-158, -120, count))
    small = _float32(rng, rng.integers(-150, -124, count)) & np.uint32(0x83FFFFFF)
    blocks.c = np.choose(
        rng.integers(0, 3, count), [small, small & np.uint32(0x8000000F), small & np.uint32(0x80000000)]
    )
    return blocks


def huge(rng: Rng, count: int, pair: Pair) -> Blocks:
    """Results around FP32's largest number, and far above."""
    blocks = _plain(rng, count, pair, pair.a.special, pair.b.special)
    _place(rng, pair, blocks, rng.choice([100, 103, 104, 126, 127, 128, 140, 300], count))
    blocks.c = np.where(rng.random(count) < 0.5, _float32(rng, rng.integers(96, 128, count)), 0x7F7FFFFF)
    blocks.c ^= rng.integers(0, 2, count, np.uint32) << np.uint32(31)
    return blocks


def not_finite(rng: Rng, count: int, pair: Pair) -> Blocks:
    """One NaN or Inf among finite or zero elements, a NaN scale, or an addend that is not finite."""
    blocks = _plain(rng, count, pair, pair.a.finite, pair.b.finite)
    blocks.b[rng.random(count) < 0.2] = rng.choice(pair.b.zeros)
    _place(rng, pair, blocks, rng.integers(-60, 60, count))
    rows = np.arange(count)
    for codes, palette in ((blocks.a, pair.a), (blocks.b, pair.b)):
        hit = rows[rng.random(count) < 0.5]
        codes[hit, rng.integers(0, pair.block, len(hit))] = rng.choice(palette.odd, len(hit))
    if pair.scale:
        nan = 0xFF if pair.scale == "e8m0" else 0x7F
        blocks.a_scale[rng.random(count) < 0.1] = nan
        blocks.b_scale[rng.random(count) < 0.1] = nan
        if pair.scale == "ue4m3":
            blocks.a_scale[rng.random(count) < 0.1] = 0
    blocks.c = np.where(rng.random(count) < 0.5, 0, rng.choice(_SPECIAL_C, count)).astype(np.uint32)
    return blocks


Rule = Callable[[Rng, int, Pair], Blocks]
RULES: dict[str, Rule] = {
    "uniform": uniform,
    "overlap": overlap,
    "special": special,
    "sparse": sparse,
    "cancelling": cancelling,
    "opposite": opposite,
    "far": far,
    "tie": tie,
    "tie_inside": tie_inside,
    "tiny": tiny,
    "huge": huge,
    "not_finite": not_finite,
}


def blocks(rng: Rng, count: int, pair: Pair) -> tuple[Blocks, NDArray[np.int64]]:
    """`count` blocks, the rules evenly mixed and shuffled; and the index into `RULES` of each."""
    rules = list(RULES.values())
    kinds = rng.permuted(np.arange(count) % len(rules))
    mixed = _plain(rng, count, pair, pair.a.zeros, pair.b.zeros)
    for index, rule in enumerate(rules):
        rows = np.flatnonzero(kinds == index)
        if len(rows) == 0:
            continue
        made = rule(rng, len(rows), pair)
        for name in ("a", "b", "a_scale", "b_scale", "c"):
            getattr(mixed, name)[rows] = getattr(made, name)
    return mixed, kinds
