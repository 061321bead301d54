"""Exact sums in float64: expansions, rounding to odd, and the one rounding at the end.

An expansion is a list of float64 arrays whose exact sum is the value, smallest first, no two overlapping
(Shewchuk, "Adaptive precision floating-point arithmetic", 1997). All quantities here lie between 2^-400 and
2^400, so that no step under- or overflows. Rounding to odd keeps what a later, shorter rounding needs to
know (Boldo and Melquiond, "Emulation of a FMA and correctly rounded sums", 2008).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from mxdot.golden.formats import ResultFormat

Doubles = npt.NDArray[np.float64]


def two_sum(a: Doubles, b: Doubles) -> tuple[Doubles, Doubles]:
    """a + b rounded, and the error: their sum is a + b exactly."""
    total = a + b
    part = total - a
    return total, (a - (total - part)) + (b - part)


def two_product(a: Doubles, b: Doubles) -> tuple[Doubles, Doubles]:
    """a * b rounded, and the error: their sum is a * b exactly (Dekker's splitting)."""
    total = a * b
    a_high, b_high = _upper_half(a), _upper_half(b)
    a_low, b_low = a - a_high, b - b_high
    return total, ((a_high * b_high - total) + a_high * b_low + a_low * b_high) + a_low * b_low


def grow(parts: list[Doubles], term: Doubles) -> list[Doubles]:
    """The expansion ``parts`` with ``term`` added exactly; parts that are zero everywhere are dropped."""
    grown = []
    for part in parts:
        term, error = two_sum(term, part)
        if error.any():
            grown.append(error)
    grown.append(term)
    return grown


def add_odd(a: Doubles, b: Doubles) -> Doubles:
    """a + b, an inexact sum rounded to the neighbour whose last bit is 1."""
    total, error = two_sum(a, b)
    inexact = error != 0
    if not inexact.any():
        return total
    bits = np.asarray(total).view(np.int64)
    outward = np.where((error > 0) == (total > 0), 1, -1)
    odd: Doubles = np.where(inexact & (bits & 1 == 0), bits + outward, bits).view(np.float64)
    return odd


def round_odd(parts: list[Doubles]) -> Doubles:
    """The value of an expansion rounded to odd in float64; an exact zero is +0."""
    total = parts[0]
    for part in parts[1:]:
        total = add_odd(total, part)
    return total + 0.0


def to_float32(x: Doubles) -> npt.NDArray[np.float32]:
    """RNE to float32 of values that were rounded to odd (or are exact), overflow to Inf."""
    with np.errstate(over="ignore", under="ignore"):
        return np.asarray(x, np.float64).astype(np.float32)


def to_result(x: Doubles, result: ResultFormat, nan: int) -> npt.NDArray[Any]:
    """RNE to the result format: float32 values for fp32, else uint16 codes; every NaN becomes ``nan``."""
    rounded = to_float32(x)
    bits: npt.NDArray[Any] = rounded.view(np.uint32)
    if result.name != "fp32":
        bits = _odd_float32(x, rounded)
    if result.name == "bf16":
        bits = ((bits + 0x7FFF + (bits >> 16 & 1)) >> 16).astype(np.uint16)
    elif result.name == "fp16":
        with np.errstate(over="ignore", under="ignore"):
            bits = bits.view(np.float32).astype(np.float16).view(np.uint16)
    not_a_number = np.isnan(rounded)
    if not_a_number.any():
        bits = np.where(not_a_number, bits.dtype.type(nan), bits)
    return bits.view(np.float32) if result.name == "fp32" else bits


def _odd_float32(x: Doubles, rounded: npt.NDArray[np.float32]) -> npt.NDArray[np.uint32]:
    """Patterns of x rounded to odd in float32, from its RNE."""
    bits = rounded.view(np.uint32)
    magnitude, back = np.abs(x), np.abs(rounded.astype(np.float64))
    fix = (magnitude != back) & np.isfinite(x) & (bits & 1 == 0)
    return np.where(fix, np.where(magnitude > back, bits + 1, bits - 1), bits).astype(np.uint32)


def _upper_half(a: Doubles) -> Doubles:
    big = a * 134217729.0  # 2^27 + 1
    return big - (big - a)
