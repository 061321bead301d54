"""``matmul``: all dot products of the rows of a with the rows of b, tile by tile."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from mxdot.golden import formats, profiles
from mxdot.golden.block import BlockTensor
from mxdot.golden.dot import check_addend, check_length, check_operands, operand, run, tensor_factor
from mxdot.golden.pairs import AllPairs
from mxdot.golden.profiles import Exact, Rounded

_TILE = {Rounded: 256, Exact: 256}  # rows of a and of b at a time, where blocks are summed by BLAS
_PRODUCT_TILE = 64  # where every product is an array element


def matmul(
    a: BlockTensor, b: BlockTensor, c: Any = None, profile: str = "fp32", out: str = "fp32"
) -> npt.NDArray[Any]:
    """(M, K) x (N, K) -> (M, N): result (i, j) is ``dot`` of row i of a and row j of b, bit for bit.

    ``c``: float32 (M, N) or None. Everything else is as in :func:`mxdot.golden.dot`.
    """
    row, result = profiles.get(profile), formats.result(out)
    block = check_operands(a, b, row)
    for name, side in (("a", a), ("b", b)):
        if side.codes.ndim != 2:
            raise ValueError(f"matmul needs 2-D tensors, and {name} has shape {side.shape}")
    check_length(a, b)
    shape = (a.shape[0], b.shape[0])
    start = check_addend(c, shape)
    left, right = operand(a, a.shape[:1]), operand(b, b.shape[:1])
    bits = np.empty(shape, np.float32 if out == "fp32" else np.uint16)
    tile = _TILE.get(type(row.kind), _PRODUCT_TILE)
    for i in range(0, shape[0], tile):
        for j in range(0, shape[1], tile):
            rows, columns = slice(i, i + tile), slice(j, j + tile)
            bits[rows, columns] = run(
                *(row, result, AllPairs(), left.rows(rows), right.rows(columns), block),
                *(start[rows, columns], tensor_factor(a, b)),
            )
    return bits
