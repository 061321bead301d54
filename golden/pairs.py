"""Two operands brought together: row with row for ``dot``, every row with every row for ``matmul``.

The accumulators ask the same three things of either, so that one piece of arithmetic serves both.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
from mxdot.golden.formats import Codes, ElementFormat

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Operand:
    """Rows of codes (R, K), and the exact values of their scales, float64 (R, blocks) or None for ``scale``
    None."""

    element: ElementFormat
    codes: Codes
    scale: str | None
    scales: npt.NDArray[np.float64] | None

    def rows(self, rows: slice) -> Operand:
        """Some of the rows."""
        scales = None if self.scales is None else self.scales[rows]
        return Operand(self.element, self.codes[rows], self.scale, scales)


class Pairing(Protocol):
    """How rows of a and b meet; P stands for the shape of the results."""

    def contract(self, x: Array, y: Array) -> Array:
        """(R, k) and (R', k) -> P: sums of products, exact when every partial sum is."""

    def outer(self, x: Array, y: Array) -> Array:
        """(R,) and (R',) -> P: products of one value a row."""

    def expand(self, x: Array, y: Array) -> tuple[Array, Array]:
        """(R, k) and (R', k), so that they broadcast to P + (k,)."""


class RowWise:
    """Row i of a with row i of b."""

    def contract(self, x: Array, y: Array) -> Array:
        product: Array = np.einsum("nk,nk->n", x, y)
        return product

    def outer(self, x: Array, y: Array) -> Array:
        product: Array = x * y
        return product

    def expand(self, x: Array, y: Array) -> tuple[Array, Array]:
        return x, y


class AllPairs:
    """Row i of a with row j of b."""

    def contract(self, x: Array, y: Array) -> Array:
        product: Array = x @ y.T
        return product

    def outer(self, x: Array, y: Array) -> Array:
        product: Array = x[:, None] * y[None, :]
        return product

    def expand(self, x: Array, y: Array) -> tuple[Array, Array]:
        return x[:, None, :], y[None, :, :]
