"""Tensor cores: products aligned to the largest exponent of their group, cut, and added as integers.

docs/numerics.md, section 6. Each function takes a pairing, its two operands and the accumulator (float32
values held in float64, in the shape of the results) and returns the next accumulator.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt
from mxdot.golden.blocksum import BlockSum, add_block, special_sum, with_special
from mxdot.golden.expansion import Doubles, to_float32
from mxdot.golden.formats import ElementFormat
from mxdot.golden.pairs import Operand, Pairing
from mxdot.golden.profiles import Fused, Interleaved

Ints = npt.NDArray[np.int64]

_FLOOR_SHIFT = 62  # shifting an int64 further than this changes nothing
_LOWEST = -(1 << 20)  # exponent of "no term at all"
_LOWEST_INT8, _LOWEST_INT16 = (
    -64,
    -8192,
)  # a zero's exponent: even added to the largest it is below all others
_FAR = 400  # no exponent of a product or of float32 lies further from 0


def fused(kind: Fused, pairing: Pairing, a: Operand, b: Operand, acc: Doubles) -> Doubles:
    """Aligned sums in floats: a product times 2^(F - M) is exact, and truncating it is the cut at F bits."""
    if pairing.kernels is not None and np.isfinite(acc).all() and not _may_be_special(a, b):
        return _compiled(kind, pairing.kernels.fused_group, a, b, acc)
    for group in _float_groups(kind, pairing, a, b):
        top = group.top
        if kind.c == "aligned":
            finite = np.where(np.isfinite(acc), acc, 0.0)
            top = np.maximum(top, np.where(finite != 0, np.maximum(np.frexp(finite)[1] - 1, -126), _LOWEST))
        shift = np.clip(kind.fraction - top, -_FAR, _FAR)
        scale = np.ldexp(group.x.dtype.type(1), np.minimum(shift, group.largest_shift))
        total = pairing.cut_products(group.x, group.y, scale).astype(np.float64)
        if kind.c == "aligned":
            total += np.trunc(np.ldexp(finite, shift))
        value = _cut(np.ldexp(total, -shift), kind.keep)
        if kind.c == "aligned":
            acc = with_special(value, acc, group.special)
        else:
            acc = to_float32(add_block(acc, BlockSum([value], group.special))).astype(np.float64)
    return acc


def interleaved(kind: Interleaved, pairing: Pairing, a: Operand, b: Operand, acc: Doubles) -> Doubles:
    fraction_bits = a.element.mantissa_bits + b.element.mantissa_bits
    for group in _groups(pairing, a, b, kind.group):
        halves = []
        for parity in (0, 1):
            significands, exponents = (
                array[..., parity::2] for array in (group.significands, group.exponents)
            )
            top = _largest_exponent(significands, exponents)
            shift = exponents - fraction_bits - (top - kind.fraction)[..., None]
            halves.append((_shift_toward_zero(significands, shift).sum(axis=-1), top))
        products_top = np.maximum(halves[0][1], halves[1][1])
        total = np.add(*(_shift_floor(half, top - products_top) for half, top in halves))
        c_significand, c_exponent = _float32_parts(acc)
        c_top = np.where(c_significand != 0, c_exponent, _LOWEST)
        top = np.maximum(products_top, c_top)
        unit = top - kind.sum_fraction
        extra = kind.sum_fraction - kind.fraction
        total = _shift_floor(total, products_top - top + extra)
        addend = _shift_floor(c_significand, c_exponent - 23 - (top - kind.fraction)) << extra
        total = total + np.where(c_top < top - kind.fraction - 1, 0, addend)
        value = to_float32(np.ldexp(total.astype(np.float64), unit.astype(np.int32)))
        acc = with_special(value.astype(np.float64), acc, group.special)
    return acc


@dataclass(frozen=True)
class _FloatGroup:
    """The factors of one group, (R, k), the largest exponent of their products, and what is special."""

    x: npt.NDArray[Any]
    y: npt.NDArray[Any]
    top: Ints
    largest_shift: int
    special: Doubles | None


def _float_groups(kind: Fused, pairing: Pairing, a: Operand, b: Operand) -> Iterator[_FloatGroup]:
    """Successive groups, in float32 where F, the group and unscaled factors leave room for exact sums."""
    length, size = a.codes.shape[-1], kind.group
    sides, lowest, largest_shift = _float_sides(kind, a, b)
    specials = _may_be_special(a, b)
    for start in range(0, length, size):
        cut = slice(start, min(start + size, length))
        (x, u), (y, v) = ((values[:, cut], exponents[:, cut]) for values, exponents in sides)
        top = pairing.largest_sum(u, v).astype(np.int64)
        top = np.where(top * 5 < lowest * 3, _LOWEST, top)  # a sum with a zero's exponent
        special = _special(pairing, a, b, cut) if specials else None
        yield _FloatGroup(x, y, top, largest_shift, special)


def _compiled(kind: Fused, group: Callable[..., None], a: Operand, b: Operand, acc: Doubles) -> Doubles:
    """All groups of finite operands by a compiled loop; the same sums as in ``fused``."""
    sides, lowest, largest_shift = _float_sides(kind, a, b)
    acc = acc.copy()
    for start in range(0, a.codes.shape[-1], kind.group):
        (x, u), (y, v) = ((part[:, start : start + kind.group] for part in side) for side in sides)
        y, v = np.ascontiguousarray(y.T), np.ascontiguousarray(v.T)
        group(x, y, u, v, acc, kind.fraction, kind.keep, kind.c == "aligned", lowest * 3 // 5, largest_shift)
    return acc


def _float_sides(kind: Fused, a: Operand, b: Operand) -> tuple[list[tuple[Any, Any]], int, int]:
    """Factors and exponents of both operands, the exponent of a zero, and the largest shift of a factor."""
    narrow = a.scales is None and kind.fraction + 2 + kind.group.bit_length() <= 24
    lowest = _LOWEST_INT8 if a.scales is None else _LOWEST_INT16
    sides = [_float_side(side, np.float32 if narrow else np.float64, lowest) for side in (a, b)]
    return sides, lowest, 120 if narrow else _FAR


def _float_side(side: Operand, dtype: type, lowest: int) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    """Values with their scales, NaN and Inf as 0, and exponents, those of zeros ``lowest``."""
    significands, exponents = _parts(side.element)
    table = side.element.values
    values: npt.NDArray[Any] = np.where(np.isfinite(table), table, 0).astype(dtype)
    kind = np.int8 if lowest == _LOWEST_INT8 else np.int16
    codes = side.codes
    x: npt.NDArray[Any] = values.take(codes)
    u: npt.NDArray[Any] = np.where(significands != 0, exponents, lowest).astype(kind).take(codes)
    if side.scales is not None:
        scales = np.where(np.isnan(side.scales), 1.0, side.scales)
        scale_exponents = (np.frexp(scales)[1] - 1).astype(kind)
        x *= np.repeat(scales, side.block, axis=1)[:, : x.shape[1]]
        u += np.repeat(scale_exponents, side.block, axis=1)[:, : x.shape[1]]
    return x, u


def _may_be_special(*sides: Operand) -> bool:
    """Whether a code or a scale is NaN or Inf."""
    for side in sides:
        special = ~np.isfinite(side.element.values)
        if special.any() and special.take(side.codes).any():
            return True
        if side.scales is not None and np.isnan(side.scales).any():
            return True
    return False


def _special(pairing: Pairing, a: Operand, b: Operand, cut: slice) -> Doubles | None:
    """NaN or Inf of a group's products, and NaN where one of its blocks has a NaN scale."""
    special = special_sum(pairing, a.element, b.element, a.codes[:, cut], b.codes[:, cut])
    if a.scales is not None and b.scales is not None:
        for j in range(cut.start // a.block, (cut.stop - 1) // a.block + 1):
            scale = pairing.outer(a.scales[:, j], b.scales[:, j])
            if np.isnan(scale).any():
                special = np.where(np.isnan(scale), np.nan, 0.0 if special is None else special)
    return special


class _Group:
    """The products of one group: integers P + (k,) times 2^(exponents - fraction bits), and what is
    special."""

    def __init__(self, significands: Ints, exponents: Ints, special: Doubles | None) -> None:
        self.significands, self.exponents, self.special = significands, exponents, special


def _groups(pairing: Pairing, a: Operand, b: Operand, size: int) -> Iterator[_Group]:
    """Successive groups of ``size`` unscaled products, counted from the start of the dot product."""
    length = a.codes.shape[-1]
    a_parts, b_parts = (_parts(side.element) for side in (a, b))
    for start in range(0, length, size):
        cut = slice(start, min(start + size, length))
        a_codes, b_codes = a.codes[:, cut], b.codes[:, cut]
        x, y = pairing.expand(a_parts[0].take(a_codes), b_parts[0].take(b_codes))
        u, v = pairing.expand(a_parts[1].take(a_codes), b_parts[1].take(b_codes))
        yield _Group(x * y, u + v, _special(pairing, a, b, cut))


@cache
def _parts(form: ElementFormat) -> tuple[Ints, Ints]:
    """By code: the signed significand in units of 2^(exponent - mantissa_bits), and the exponent.

    A subnormal has the exponent of the smallest normal; NaN and Inf have significand 0.
    """
    field = form.codes.astype(np.int64) >> form.mantissa_bits & ((1 << form.exponent_bits) - 1)
    exponents = np.maximum(field, 1) - form.bias
    significands = form.integers >> (exponents - 1 + form.bias)
    return significands, exponents


def _largest_exponent(significands: Ints, exponents: Ints) -> Ints:
    largest: Ints = np.where(significands != 0, exponents, _LOWEST).max(axis=-1, initial=_LOWEST)
    return largest


def _float32_parts(acc: Doubles) -> tuple[Ints, Ints]:
    """float32 values as signed 24-bit significands times 2^(exponent - 23); NaN and Inf count as 0."""
    finite = np.where(np.isfinite(acc), acc, 0.0)
    exponents = np.maximum(np.frexp(finite)[1] - 1, -126)
    return np.ldexp(finite, 23 - exponents).astype(np.int64), exponents.astype(np.int64)


def _shift_toward_zero(x: Ints, shift: Ints) -> Ints:
    """x * 2^shift, the magnitude cut to an integer."""
    magnitude = np.abs(x)
    left, right = np.clip(shift, 0, 40), np.clip(-shift, 0, _FLOOR_SHIFT)
    cut: Ints = np.sign(x) * (magnitude << left >> right)
    return cut


def _shift_floor(x: Ints, shift: Ints) -> Ints:
    """floor(x * 2^shift)."""
    floor: Ints = x << np.clip(shift, 0, 40) >> np.clip(-shift, 0, _FLOOR_SHIFT)
    return floor


def _cut(x: Doubles, keep: int) -> Doubles:
    """x cut toward zero to ``keep`` fraction bits below 2^max(its exponent, -126), never -0; 2^128 is Inf."""
    cut = (np.asarray(x).view(np.int64) & (-1 << (52 - keep))).view(np.float64)
    small = np.abs(x) < 2.0**-126
    if small.any():
        unit = 2.0 ** (-126 - keep)
        cut = np.where(small, np.trunc(x / unit) * unit, cut) + 0.0
    large = np.abs(cut) >= 2.0**128
    return np.where(large, np.copysign(np.inf, cut), cut) if large.any() else cut
