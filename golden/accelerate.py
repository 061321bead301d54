"""Two inner loops compiled with numba, where it is installed: the same bits as NumPy gives, sooner.

Nothing here is needed: without numba, or with MXDOT_NUMBA=0 in the environment, NumPy does the same.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

_WORTH_COMPILING = 1 << 26  # products; below, loading numba takes longer than the work


@dataclass(frozen=True)
class Kernels:
    """``round_into(total, acc)``: total += acc, then acc = RNE_fp32(total).

    ``fused_group(x, y, u, v, acc, ...)``: one group of a Fused profile for finite operands, into acc.
    """

    round_into: Callable[..., None]
    fused_group: Callable[..., None]


def kernels(products: int) -> Kernels | None:
    """The compiled loops if numba is there and there are enough products to gain from it, else None."""
    if products < _WORTH_COMPILING or os.environ.get("MXDOT_NUMBA") == "0":
        return None
    return _compiled()


@cache
def _compiled() -> Kernels | None:
    try:
        import numba
    except ImportError:
        return None
    compiled: Any = numba.njit(cache=True, nogil=True, error_model="numpy")
    return Kernels(compiled(_round_into), compiled(_fused_group))


def _round_into(total: Any, acc: Any) -> None:
    for i in range(total.shape[0]):
        for j in range(total.shape[1]):
            total[i, j] += acc[i, j]
            acc[i, j] = np.float32(total[i, j])


def _fused_group(
    x: Any, y: Any, u: Any, v: Any, acc: Any, fraction: int, keep: int, aligned: bool, none: int, largest: int
) -> None:
    """x (R, k), y (k, R') factors; u, v their exponents; sums of exponents below ``none`` hold a zero."""
    rows, length, columns = x.shape[0], x.shape[1], y.shape[1]
    acc_bits = acc.view(np.int64)
    top = np.empty(columns, u.dtype)
    scale = np.empty(columns, x.dtype)
    total = np.empty(columns, x.dtype)
    power = np.empty(2, np.float64)
    power_bits = power.view(np.int64)
    value = np.empty(1, np.float64)
    value_bits = value.view(np.int64)
    mask = np.int64(-1) << np.int64(52 - keep)
    shifts = np.empty(columns, np.int64)
    for i in range(rows):
        for j in range(columns):
            top[j] = u[i, 0] + v[0, j]
            total[j] = 0
        for k in range(1, length):
            for j in range(columns):
                top[j] = max(top[j], v.dtype.type(u[i, k] + v[k, j]))
        for j in range(columns):
            exponent: Any = np.int64(top[j]) if top[j] > none else np.int64(-1000)
            if aligned and acc[i, j] != 0:
                exponent = max(exponent, max((acc_bits[i, j] >> 52 & 0x7FF) - 1023, -126))
            shifts[j] = min(max(fraction - exponent, -400), 400)
            power_bits[0] = (min(shifts[j], largest) + 1023) << 52
            scale[j] = power[0]
        for k in range(length):
            factor = x[i, k]
            for j in range(columns):
                total[j] += np.trunc(factor * y[k, j] * scale[j])
        for j in range(columns):
            power_bits[0] = (shifts[j] + 1023) << 52
            power_bits[1] = (1023 - shifts[j]) << 52
            value[0] = total[j]
            if aligned:
                value[0] += np.trunc(acc[i, j] * power[0])
            value[0] *= power[1]
            if abs(value[0]) < 2.0**-126:
                power_bits[0] = (1023 + 126 + keep) << 52
                power_bits[1] = (1023 - 126 - keep) << 52
                value[0] = np.trunc(value[0] * power[0]) * power[1] + 0.0
            else:
                value_bits[0] &= mask
            if abs(value[0]) >= 2.0**128:
                value[0] = np.copysign(np.inf, value[0])
            if not aligned:
                acc[i, j] = np.float32(acc[i, j]) + np.float32(value[0])
            elif np.isfinite(acc[i, j]):
                acc[i, j] = value[0]
