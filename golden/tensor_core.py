"""Tensor cores: products aligned to the largest exponent of their group, cut, and added as integers.

docs/numerics.md, section 6. Each function takes a pairing, its two operands and the accumulator (float32
values held in float64, in the shape of the results) and returns the next accumulator.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

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


def fused(kind: Fused, pairing: Pairing, a: Operand, b: Operand, acc: Doubles) -> Doubles:
    fraction_bits = a.element.mantissa_bits + b.element.mantissa_bits
    for group in _groups(pairing, a, b, kind.group):
        top = _largest_exponent(group.significands, group.exponents)
        c_significand, c_exponent = _float32_parts(acc)
        if kind.c == "aligned":
            top = np.maximum(top, np.where(c_significand != 0, c_exponent, _LOWEST))
        unit = top - kind.fraction
        shift = group.exponents - fraction_bits - unit[..., None]
        total = _shift_toward_zero(group.significands, shift).sum(axis=-1)
        if kind.c == "aligned":
            total = total + _shift_toward_zero(c_significand, c_exponent - 23 - unit)
            acc = with_special(_cut(total, unit, kind.keep), acc, group.special)
        else:
            partial = BlockSum([_cut(total, unit, kind.keep)], group.special)
            acc = to_float32(add_block(acc, partial)).astype(np.float64)
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


class _Group:
    """The products of one group: integers P + (k,) times 2^(exponents - fraction bits), and what is
    special."""

    def __init__(self, significands: Ints, exponents: Ints, special: Doubles | None) -> None:
        self.significands, self.exponents, self.special = significands, exponents, special


def _groups(pairing: Pairing, a: Operand, b: Operand, size: int) -> Iterator[_Group]:
    """Successive groups of ``size`` products, counted from the start of the dot product."""
    length = a.codes.shape[-1]
    a_parts, b_parts = (_parts(side.element) for side in (a, b))
    a_scale, b_scale = (_scale_exponents(side, length) for side in (a, b))
    for start in range(0, length, size):
        cut = slice(start, min(start + size, length))
        a_codes, b_codes = a.codes[:, cut], b.codes[:, cut]
        x, y = pairing.expand(a_parts[0].take(a_codes), b_parts[0].take(b_codes))
        u, v = pairing.expand(
            a_parts[1].take(a_codes) + (0 if a_scale is None else a_scale[:, cut]),
            b_parts[1].take(b_codes) + (0 if b_scale is None else b_scale[:, cut]),
        )
        special = special_sum(pairing, a.element, b.element, a_codes, b_codes)
        if a.scales is not None and b.scales is not None:
            for j in range(cut.start // a.block, (cut.stop - 1) // a.block + 1):
                scale = pairing.outer(a.scales[:, j], b.scales[:, j])
                if np.isnan(scale).any():
                    special = np.where(np.isnan(scale), np.nan, 0.0 if special is None else special)
        yield _Group(x * y, u + v, special)


@cache
def _parts(form: ElementFormat) -> tuple[Ints, Ints]:
    """By code: the signed significand in units of 2^(exponent - mantissa_bits), and the exponent.

    A subnormal has the exponent of the smallest normal; NaN and Inf have significand 0.
    """
    field = form.codes.astype(np.int64) >> form.mantissa_bits & ((1 << form.exponent_bits) - 1)
    exponents = np.maximum(field, 1) - form.bias
    significands = form.integers >> (exponents - 1 + form.bias)
    return significands, exponents


def _scale_exponents(side: Operand, length: int) -> Ints | None:
    """The exponent of each element's block scale; NaN counts as 1 here, it makes the result NaN elsewhere."""
    if side.scales is None:
        return None
    exponents = np.frexp(np.where(np.isnan(side.scales), 1.0, side.scales))[1].astype(np.int64) - 1
    return np.repeat(exponents, side.block, axis=1)[:, :length]


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


def _cut(total: Ints, unit: Ints, keep: int) -> Doubles:
    """total * 2^unit cut toward zero to ``keep`` fraction bits below 2^max(its exponent, -126); 2^128 is
    Inf."""
    exponent = np.frexp(total.astype(np.float64))[1] - 1 + unit
    lowest = np.maximum(exponent, -126) - keep
    kept = _shift_toward_zero(total, unit - np.maximum(lowest, unit))
    value = np.ldexp(kept.astype(np.float64), np.maximum(lowest, unit).astype(np.int32))
    cut: Doubles = np.where(np.abs(value) >= 2.0**128, np.copysign(np.inf, value), value)
    return cut
