"""What the accumulation profiles do: one function a kind of row in :mod:`mxdot.golden.profiles`.

Each takes a pairing, its two operands, the block length and the accumulator (float32 values held in float64,
in the shape of the results), and returns the result as float64, exact or rounded to odd, so that one
more rounding to the output format is right. docs/numerics.md, sections 4 to 6.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt
from mxdot.golden import profiles
from mxdot.golden.blocksum import BlockSum, block_sums, special_sum
from mxdot.golden.expansion import Doubles, grow, round_odd, to_float32
from mxdot.golden.formats import ElementFormat
from mxdot.golden.pairs import Operand, Pairing
from mxdot.golden.profiles import Exact, Fused, Interleaved, Promoted, Rounded

Ints = npt.NDArray[np.int64]
Step = Callable[[Any, Pairing, Operand, Operand, int, Doubles], Doubles]

_FLOOR_SHIFT = 62  # shifting an int64 further than this changes nothing
_LOWEST = -(1 << 20)  # exponent of "no term at all"


def accumulate(kind: object, pairing: Pairing, a: Operand, b: Operand, block: int, acc: Doubles) -> Doubles:
    """The sum of one dot product a result, from ``acc``, as the profile's ``kind`` says."""
    return _STEPS[type(kind)](kind, pairing, a, b, block, acc)


def _rounded(kind: Rounded, pairing: Pairing, a: Operand, b: Operand, block: int, acc: Doubles) -> Doubles:
    last = acc
    for part in block_sums(pairing, a, b, block):
        last = _add(acc, part)
        acc = to_float32(last).astype(np.float64)
    return last


def _exact(kind: Exact, pairing: Pairing, a: Operand, b: Operand, block: int, acc: Doubles) -> Doubles:
    finite = np.isfinite(acc)
    parts, special = [np.where(finite, acc, 0.0)], np.where(finite, 0.0, acc)
    for part in block_sums(pairing, a, b, block):
        for term in part.terms:
            parts = grow(parts, term)
        if part.special is not None:
            with np.errstate(invalid="ignore"):
                special = special + part.special
    return np.where(special != 0, special, round_odd(parts))


def _promoted(kind: Promoted, pairing: Pairing, a: Operand, b: Operand, block: int, acc: Doubles) -> Doubles:
    inner = profiles.get(kind.inner).kind
    for j, start in enumerate(range(0, a.codes.shape[-1], kind.run)):
        a_run, b_run = (
            Operand(side.element, side.codes[:, start : start + kind.run], None, None) for side in (a, b)
        )
        partial = accumulate(inner, pairing, a_run, b_run, block, np.zeros_like(acc))
        if a.scales is not None and b.scales is not None:
            with np.errstate(invalid="ignore"):
                scale = pairing.outer(a.scales[:, j], b.scales[:, j])
            if a.scale == "fp32":
                scale = to_float32(scale).astype(np.float64)
        else:
            scale = np.ones_like(acc)
        acc = to_float32(_add(acc, _product(partial, scale))).astype(np.float64)
    return acc


def _fused(kind: Fused, pairing: Pairing, a: Operand, b: Operand, block: int, acc: Doubles) -> Doubles:
    fraction_bits = a.element.mantissa_bits + b.element.mantissa_bits
    for group in _groups(pairing, a, b, block, kind.group):
        top = _largest_exponent(group.significands, group.exponents)
        c_significand, c_exponent = _float32_parts(acc)
        if kind.c == "aligned":
            top = np.maximum(top, np.where(c_significand != 0, c_exponent, _LOWEST))
        unit = top - kind.fraction
        shift = group.exponents - fraction_bits - unit[..., None]
        total = _shift_toward_zero(group.significands, shift).sum(axis=-1)
        if kind.c == "aligned":
            total = total + _shift_toward_zero(c_significand, c_exponent - 23 - unit)
            acc = _with_special(_cut(total, unit, kind.keep), acc, group.special)
        else:
            partial = BlockSum([_cut(total, unit, kind.keep)], group.special)
            acc = to_float32(_add(acc, partial)).astype(np.float64)
    return acc


def _interleaved(
    kind: Interleaved, pairing: Pairing, a: Operand, b: Operand, block: int, acc: Doubles
) -> Doubles:
    fraction_bits = a.element.mantissa_bits + b.element.mantissa_bits
    for group in _groups(pairing, a, b, block, kind.group):
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
        acc = _with_special(value.astype(np.float64), acc, group.special)
    return acc


class _Group:
    """The products of one group: integers P + (k,) times 2^(exponents - fraction bits), and what is
    special."""

    def __init__(self, significands: Ints, exponents: Ints, special: Doubles | None) -> None:
        self.significands, self.exponents, self.special = significands, exponents, special


def _groups(pairing: Pairing, a: Operand, b: Operand, block: int, size: int) -> Any:
    """Successive groups of ``size`` products, counted from the start of the dot product."""
    length = a.codes.shape[-1]
    a_parts, b_parts = (_parts(side.element) for side in (a, b))
    a_scale, b_scale = (_scale_exponents(side, block, length) for side in (a, b))
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
            for j in range(cut.start // block, (cut.stop - 1) // block + 1):
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


def _scale_exponents(side: Operand, block: int, length: int) -> Ints | None:
    """The exponent of each element's block scale; NaN counts as 1 here, it makes the result NaN elsewhere."""
    if side.scales is None:
        return None
    exponents = np.frexp(np.where(np.isnan(side.scales), 1.0, side.scales))[1].astype(np.int64) - 1
    return np.repeat(exponents, block, axis=1)[:, :length]


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


def _add(acc: Doubles, part: BlockSum) -> Doubles:
    """acc + part rounded to odd, IEEE addition where either is NaN or Inf."""
    finite = np.isfinite(acc)
    parts = [acc if finite.all() else np.where(finite, acc, 0.0)]
    for term in part.terms:
        parts = grow(parts, term)
    return _with_special(round_odd(parts), acc, part.special)


def _with_special(value: Doubles, acc: Doubles, special: Doubles | None) -> Doubles:
    """``value``, but acc + special in IEEE arithmetic where either is NaN or Inf."""
    finite = np.isfinite(acc)
    if special is None and finite.all():
        return value
    marks = np.zeros_like(acc) if special is None else special
    with np.errstate(invalid="ignore"):
        return np.where((marks != 0) | ~finite, acc + marks, value)


def _product(x: Doubles, y: Doubles) -> BlockSum:
    """x * y of float32 values as a block's sum: exact, special values by IEEE rules."""
    with np.errstate(invalid="ignore"):
        product = x * y
    finite = np.isfinite(product)
    return BlockSum(
        [np.where(finite, product, 0.0)], None if finite.all() else np.where(finite, 0.0, product)
    )


_STEPS: dict[type, Step] = {
    Rounded: _rounded,
    Exact: _exact,
    Fused: _fused,
    Interleaved: _interleaved,
    Promoted: _promoted,
}
