"""``dot``: dot products of block tensors along their last axis, in any accumulation profile."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt
from mxdot.golden import accumulate, formats, profiles
from mxdot.golden.block import BlockTensor
from mxdot.golden.expansion import to_result
from mxdot.golden.formats import ResultFormat
from mxdot.golden.pairs import Operand, Pairing, RowWise
from mxdot.golden.profiles import Profile

_TILE = 1 << 17  # elements of an operand taken at a time


def dot(
    a: BlockTensor, b: BlockTensor, c: Any = None, profile: str = "fp32", out: str = "fp32"
) -> npt.NDArray[Any]:
    """c + sum of a_i * b_i along the last axis, bit for bit as ``profile`` defines it.

    ``a``, ``b``: (..., K), leading axes broadcast. ``c``: float32 of the result's shape, None is +0.
    Returns float32 (...,), or uint16 codes for out="bf16" and "fp16". K = 0 gives c. Formats, scales or
    blocks that the profile does not accept, or that differ between a and b, are a ValueError.
    """
    row, result = profiles.get(profile), formats.result(out)
    check_operands(a, b, row)
    length = check_length(a, b)
    try:
        shape = np.broadcast_shapes(a.shape[:-1], b.shape[:-1])
    except ValueError:
        raise ValueError(f"leading axes of a {a.shape} and b {b.shape} do not broadcast") from None
    start = check_addend(c, shape).reshape(-1)
    left, right = operand(a, shape), operand(b, shape)
    bits = np.empty(start.shape, np.float32 if out == "fp32" else np.uint16)
    step = max(1, _TILE // max(length, 1))
    for first in range(0, start.size, step):
        rows = slice(first, first + step)
        bits[rows] = run(
            row, result, RowWise(), left.rows(rows), right.rows(rows), start[rows], tensor_factor(a, b)
        )
    return bits.reshape(shape)


def run(
    profile: Profile,
    result: ResultFormat,
    pairing: Pairing,
    a: Operand,
    b: Operand,
    c: npt.NDArray[np.float32],
    factor: np.float32 | None,
) -> npt.NDArray[Any]:
    """Results of one tile: accumulate, apply the tensors' factor, round to the result format."""
    with np.errstate(invalid="ignore"):  # signalling NaNs
        acc = c.astype(np.float64)
    if a.codes.shape[-1] == 0:
        return to_result(acc, result, profile.nan_code(result))
    total = accumulate.accumulate(profile.kind, pairing, a, b, acc)
    if factor is not None:
        with np.errstate(all="ignore"):
            rounded = to_result(total, formats.result("fp32"), profile.nan_code(formats.result("fp32")))
            total = (rounded * factor).astype(np.float64)
    return to_result(total, result, profile.nan_code(result))


def check_operands(a: BlockTensor, b: BlockTensor, profile: Profile) -> None:
    """An error unless ``profile`` accepts a and b together."""
    for name, side in (("a", a), ("b", b)):
        if not isinstance(side, BlockTensor):
            raise TypeError(f"{name} must be a BlockTensor, not {type(side).__name__}")
        if side.axis != -1:
            raise ValueError(f"{name} must be blocked along its last axis, not axis {side.axis}")
        check_element(profile, name, side.format)
    if a.scale != b.scale:
        raise ValueError(f"a has scale {a.scale!r} and b {b.scale!r}: both must have the same scale format")
    if a.scale not in profile.scales:
        allowed = " ".join(str(scale) for scale in profile.scales)
        raise ValueError(
            f"profile {profile.name!r} does not accept scale {a.scale!r}: choose one of {allowed}"
        )
    lengths = [block_length(side) for side in (a, b)]
    if lengths[0] != lengths[1]:
        raise ValueError(f"blocks along K must be equal, not {lengths[0]} for a and {lengths[1]} for b")
    if profile.block not in (None, lengths[0]):
        raise ValueError(f"profile {profile.name!r} needs block {profile.block}, not {lengths[0]}")


def check_element(profile: Profile, name: str, element: str) -> None:
    """A ValueError unless ``profile`` accepts elements of that format."""
    if element not in profile.elements:
        allowed = " ".join(profile.elements)
        raise ValueError(
            f"profile {profile.name!r} does not accept {name} in {element}: choose one of {allowed}"
        )


def check_length(a: BlockTensor, b: BlockTensor) -> int:
    """K, or a ValueError where a and b disagree."""
    if a.shape[-1] != b.shape[-1]:
        raise ValueError(f"a and b must have equal K, not {a.shape[-1]} and {b.shape[-1]}")
    return int(a.shape[-1])


def check_addend(c: Any, shape: tuple[int, ...]) -> npt.NDArray[np.float32]:
    """c, after checking it; +0 for None."""
    if c is None:
        return np.broadcast_to(np.float32(0), shape)
    array = np.asarray(c)
    if array.dtype != np.float32:
        raise TypeError(f"c must be float32, not {array.dtype}")
    if array.shape != shape:
        raise ValueError(f"c must have the result's shape {shape}, not {array.shape}")
    return array


def block_length(tensor: BlockTensor) -> int:
    """The block's length along K."""
    return tensor.block[1] if isinstance(tensor.block, tuple) else tensor.block


def tensor_factor(a: BlockTensor, b: BlockTensor) -> np.float32 | None:
    """RNE_fp32 of the product of the tensor scales, or None where neither tensor has one."""
    if a.tensor_scale is None and b.tensor_scale is None:
        return None
    factors = [np.float32(1 if side.tensor_scale is None else side.tensor_scale) for side in (a, b)]
    with np.errstate(all="ignore"):
        return factors[0] * factors[1]


def operand(tensor: BlockTensor, shape: tuple[int, ...]) -> Operand:
    """Rows of codes (R, K) and float64 scales (R, blocks), leading axes broadcast to ``shape``."""
    rows, length = math.prod(shape), tensor.shape[-1]
    block = block_length(tensor)
    scales = tensor.scale_values()
    if scales is not None:
        if isinstance(tensor.block, tuple):
            scales = np.repeat(scales, tensor.block[0], axis=-2)[..., : tensor.shape[-2], :]
        scales = np.broadcast_to(scales, shape + scales.shape[-1:]).reshape(rows, scales.shape[-1])
    codes = np.broadcast_to(tensor.codes, (*shape, length)).reshape(rows, length)
    return Operand(
        tensor.element, codes, block, tensor.scale, None if scales is None else scales.astype(np.float64)
    )
