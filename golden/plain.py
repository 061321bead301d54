"""The usual case, fast: where plain float64 arithmetic is exact, and how to see that beforehand.

If every product is a multiple of a unit u and no partial sum can reach 2^53 * u, float64 sums are exact in
any order, with or without fused multiply-adds, and rounding them to float32 is the only rounding. The unit
is taken from the operands' lowest set bits, the bound from the rows' Euclidean norms (Cauchy and Schwarz).
Ordinary tensors pass; NaN, Inf and extreme ranges do not, and go the general way (blocksum.py).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt
from mxdot.golden.expansion import Doubles
from mxdot.golden.formats import ElementFormat

_ZERO_UNIT = 1 << 14  # the unit's exponent of zeros, above any other


@dataclass(frozen=True)
class Plain:
    """Scaled values block by block, each (R, k) and contiguous; the largest norm of a row; the unit's
    exponent."""

    blocks: list[Doubles]
    norm: float
    unit: int


def plain(
    element: ElementFormat, codes: npt.NDArray[np.uint8], block: int, scales: Doubles | None
) -> Plain | None:
    """The operand's values times its scales (exact in float64), or None if any is NaN or Inf."""
    values, units = _tables(element)
    scale_units = None if scales is None else _units(scales)
    blocks, unit = [], _ZERO_UNIT
    squares = np.zeros(len(codes))
    for j, start in enumerate(range(0, codes.shape[1], block)):
        part = codes[:, start : start + block]
        scaled, part_units = values.take(part), units.take(part)
        if scales is not None and scale_units is not None:
            with np.errstate(invalid="ignore"):
                scaled *= scales[:, j, None]
            part_units = part_units + scale_units[:, j, None]
        blocks.append(scaled)
        squares += np.einsum("nk,nk->n", scaled, scaled)
        unit = min(unit, int(part_units.min(initial=_ZERO_UNIT)))
    largest = float(squares.max(initial=0.0))
    return Plain(blocks, largest**0.5, unit) if np.isfinite(largest) else None


def float64_is_exact(a: Plain | None, b: Plain | None, acc: Doubles) -> bool:
    """Whether acc + any part of the sum of products is exact in float64, and finite in float32."""
    if a is None or b is None:
        return False
    largest = float(np.abs(acc).max(initial=0.0))
    size = 2 * (a.norm * b.norm + largest)  # twice: room for the roundings of acc on the way
    unit = min(a.unit + b.unit, int(_units(acc).min(initial=_ZERO_UNIT)) if largest else _ZERO_UNIT)
    return bool(np.isfinite(size)) and np.frexp(size)[1] < min(53 + unit, 127)


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
