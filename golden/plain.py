"""The usual case, fast: where plain float64 arithmetic is exact, and how to see that beforehand.

If every product is a multiple of a unit u and no partial sum can reach 2^53 * u, float64 sums are exact in
any order, with or without fused multiply-adds, and rounding them to float32 is the only rounding. The unit
is taken from the operands' lowest set bits, the bound from the rows' Euclidean norms (Cauchy and Schwarz).
Ordinary tensors pass; NaN, Inf and extreme ranges do not, and go the general way (blocksum.py).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
from mxdot.golden.expansion import Doubles
from mxdot.golden.formats import ElementFormat

_ZERO_UNIT = 1 << 13  # the unit's exponent of zeros, above any other


@dataclass(frozen=True)
class Plain:
    """An operand in float64: its values times their scales, a contiguous (R, k) array a block."""

    element: ElementFormat
    codes: npt.NDArray[np.uint8]
    block: int
    scales: Doubles | None
    blocks: list[Doubles]
    norm: float  # the largest Euclidean norm of a row

    @cached_property
    def coarse_unit(self) -> int:
        """Exponent of a unit of all values, from the format and the scales alone."""
        scales = 0 if self.scales is None else int(_units(self.scales).min(initial=_ZERO_UNIT))
        return self.element.lsb + scales

    @cached_property
    def unit(self) -> int:
        """Exponent of the largest unit of all values, from every code."""
        units = _tables(self.element)[1].take(self.codes)
        if self.scales is not None:
            _by_block(np.add, units, _units(self.scales), self.block)
        return int(units.min(initial=_ZERO_UNIT))


def plain(
    element: ElementFormat, codes: npt.NDArray[np.uint8], block: int, scales: Doubles | None
) -> Plain | None:
    """The operand in float64 (exact), or None if any value or scale is NaN or Inf."""
    values = _tables(element)[0].take(codes)
    if scales is not None:
        with np.errstate(invalid="ignore"):
            _by_block(np.multiply, values, scales, block)
    largest = float(np.einsum("nk,nk->n", values, values).max(initial=0.0))
    if not np.isfinite(largest):
        return None
    starts = range(0, codes.shape[1], block)
    blocks = [np.ascontiguousarray(values[:, start : start + block]) for start in starts]
    return Plain(element, codes, block, scales, blocks, largest**0.5)


def float64_is_exact(a: Plain | None, b: Plain | None, acc: Doubles) -> bool:
    """Whether acc + any part of the sum of products is exact in float64, and finite in float32."""
    if a is None or b is None:
        return False
    largest = float(np.abs(acc).max(initial=0.0))
    size = 2 * (a.norm * b.norm + largest)  # twice: room for the roundings of acc on the way
    if not size < 2.0**126:
        return False
    exponent = int(np.frexp(size)[1])
    if largest and exponent > 53 + int(_units(acc).min(initial=_ZERO_UNIT)):
        return False
    return exponent <= 53 + a.coarse_unit + b.coarse_unit or exponent <= 53 + a.unit + b.unit


def _by_block(operation: np.ufunc, x: npt.NDArray[Any], each: npt.NDArray[Any], block: int) -> None:
    """x = operation(x, its block's value), in place."""
    whole = x.shape[1] // block
    inner = x[:, : whole * block].reshape(len(x), whole, block)  # a view: only the last axis is split
    operation(inner, each[:, :whole, None], out=inner)
    rest = x[:, whole * block :]
    operation(rest, each[:, whole:], out=rest)


def _units(x: Doubles) -> npt.NDArray[np.int16]:
    """The exponent of the lowest set bit of each value."""
    fraction, exponent = np.frexp(np.where(np.isfinite(x), x, 1.0))
    integer = np.ldexp(fraction, 53).astype(np.int64)
    lowest = np.frexp((integer & -integer).astype(np.float64))[1] - 1
    return np.where(fraction == 0, _ZERO_UNIT, lowest + exponent - 53).astype(np.int16)


@cache
def _tables(element: ElementFormat) -> tuple[Doubles, npt.NDArray[np.int16]]:
    """By code: the value in float64, and the exponent of its lowest set bit."""
    values = element.values.astype(np.float64)
    return values, _units(values)
