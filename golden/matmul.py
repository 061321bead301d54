"""``matmul``: all dot products of the rows of a with the rows of b, tile by tile."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from mxdot.golden import formats, profiles
from mxdot.golden.accelerate import kernels
from mxdot.golden.block import BlockTensor
from mxdot.golden.dot import check_addend, check_length, check_operands, operand, run, tensor_factor
from mxdot.golden.pairs import AllPairs
from mxdot.golden.profiles import Interleaved

_TILE = (128, 256)  # rows of a and of b at a time, so that a tile of results stays in the cache
_PRODUCT_TILE = (64, 64)  # where every product is an array element
_PANEL = 4096  # rows of b whose float64 values are kept at a time


def matmul(
    a: BlockTensor, b: BlockTensor, c: Any = None, profile: str = "fp32", out: str = "fp32"
) -> npt.NDArray[Any]:
    """(M, K) x (N, K) -> (M, N): result (i, j) is ``dot`` of row i of a and row j of b, bit for bit.

    ``c``: float32 (M, N) or None. Everything else is as in :func:`mxdot.golden.dot`.
    """
    row, result = profiles.get(profile), formats.result(out)
    check_operands(a, b, row)
    for name, side in (("a", a), ("b", b)):
        if side.codes.ndim != 2:
            raise ValueError(f"matmul needs 2-D tensors, and {name} has shape {side.shape}")
    check_length(a, b)
    shape = (a.shape[0], b.shape[0])
    start = check_addend(c, shape)
    pairing = AllPairs(kernels(shape[0] * shape[1] * a.shape[1]))
    left, right = operand(a, a.shape[:1]), operand(b, b.shape[:1])
    bits = np.empty(shape, np.float32 if out == "fp32" else np.uint16)
    height, width = _PRODUCT_TILE if isinstance(row.kind, Interleaved) else _TILE
    for panel in range(0, shape[1], _PANEL):
        columns = [slice(j, j + width) for j in range(panel, min(panel + _PANEL, shape[1]), width)]
        b_tiles = [right.rows(cut) for cut in columns]
        for i in range(0, shape[0], height):
            a_tile = left.rows(slice(i, i + height))
            for cut, b_tile in zip(columns, b_tiles, strict=True):
                tile = (slice(i, i + height), cut)
                bits[tile] = run(row, result, pairing, a_tile, b_tile, start[tile], tensor_factor(a, b))
    return bits
