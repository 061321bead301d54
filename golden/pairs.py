"""Two operands brought together: row with row for ``dot``, every row with every row for ``matmul``.

The accumulators ask the same three things of either, so that one piece of arithmetic serves both.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
from mxdot.golden.accelerate import Kernels
from mxdot.golden.formats import Codes, ElementFormat
from mxdot.golden.plain import Plain, plain

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Operand:
    """Rows of codes (R, K) in blocks of ``block``, and the exact values of their scales, float64 (R,
    blocks), or None for ``scale`` None."""

    element: ElementFormat
    codes: Codes
    block: int
    scale: str | None
    scales: npt.NDArray[np.float64] | None

    @cached_property
    def plain(self) -> Plain | None:
        """The values for float64 arithmetic; see plain.py."""
        return plain(self.element, self.codes, self.block, self.scales)

    def rows(self, rows: slice) -> Operand:
        """Some of the rows."""
        scales = None if self.scales is None else self.scales[rows]
        return Operand(self.element, self.codes[rows], self.block, self.scale, scales)


class Pairing(Protocol):
    """How rows of a and b meet; P stands for the shape of the results."""

    kernels: Kernels | None

    def contract(self, x: Array, y: Array, out: Array | None = None) -> Array:
        """(R, k) and (R', k) -> P: sums of products, exact when every partial sum is."""

    def outer(self, x: Array, y: Array) -> Array:
        """(R,) and (R',) -> P: products of one value a row."""

    def expand(self, x: Array, y: Array) -> tuple[Array, Array]:
        """(R, k) and (R', k), so that they broadcast to P + (k,)."""

    def largest_sum(self, x: Array, y: Array) -> Array:
        """(R, k) and (R', k) small integers -> P: the largest x + y along k."""

    def cut_products(self, x: Array, y: Array, scale: Array) -> Array:
        """(R, k), (R', k) and P -> P: the sum along k of x * y * scale, each cut toward zero to an
        integer."""


class RowWise:
    """Row i of a with row i of b."""

    kernels: Kernels | None = None

    def contract(self, x: Array, y: Array, out: Array | None = None) -> Array:
        product: Array = np.einsum("nk,nk->n", x, y, out=out)
        return product

    def outer(self, x: Array, y: Array) -> Array:
        product: Array = x * y
        return product

    def expand(self, x: Array, y: Array) -> tuple[Array, Array]:
        return x, y

    def largest_sum(self, x: Array, y: Array) -> Array:
        largest: Array = (x + y).max(axis=-1)
        return largest

    def cut_products(self, x: Array, y: Array, scale: Array) -> Array:
        products = x * y
        products *= scale[:, None]
        total: Array = np.trunc(products, out=products).sum(axis=-1)
        return total


class AllPairs:
    """Row i of a with row j of b; compiled loops where they are given."""

    def __init__(self, kernels: Kernels | None = None) -> None:
        self.kernels = kernels

    def contract(self, x: Array, y: Array, out: Array | None = None) -> Array:
        product: Array = np.matmul(x, y.T, out=out)
        return product

    def outer(self, x: Array, y: Array) -> Array:
        product: Array = x[:, None] * y[None, :]
        return product

    def expand(self, x: Array, y: Array) -> tuple[Array, Array]:
        return x[:, None, :], y[None, :, :]

    def largest_sum(self, x: Array, y: Array) -> Array:
        x, y = np.ascontiguousarray(x.T)[:, :, None], np.ascontiguousarray(y.T)[:, None, :]
        largest: Array = x[0] + y[0]
        each = np.empty_like(largest)
        for k in range(1, len(x)):
            np.maximum(largest, np.add(x[k], y[k], out=each), out=largest)
        return largest

    def cut_products(self, x: Array, y: Array, scale: Array) -> Array:
        x, y = np.ascontiguousarray(x.T)[:, :, None], np.ascontiguousarray(y.T)[:, None, :]
        total, each = np.zeros_like(scale), np.empty_like(scale)
        for k in range(len(x)):
            np.multiply(x[k], y[k], out=each)
            np.multiply(each, scale, out=each)
            total += np.trunc(each, out=each)
        return total
