"""How three communities quantise: OCP MX, NVFP4 with its two levels of scales, and DeepSeek.

docs/numerics.md, section 3. Sources: OCP MX v1.0; TransformerEngine's order of operations for NVFP4 (arXiv
2509.25149); DeepSeek-V3 (arXiv 2412.19437) and DeepGEMM's power-of-two scales and packed layout.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from mxdot.golden import block as blocks
from mxdot.golden import encode, formats
from mxdot.golden.block import BlockTensor
from mxdot.golden.formats import Codes

_RUN = 128  # DeepSeek's block length along K
_SCALES_PER_WORD = 4


def mx(x: Any, format: str, block: int = 32) -> BlockTensor:
    """OCP MX: e8m0 scales by the ``floor`` rule, elements by RNE, saturating. ``x``: float32 (..., K)."""
    return blocks.quantize(x, format, block)


def nvfp4(x: Any) -> BlockTensor:
    """NVFP4: e2m1 in blocks of 16, a ue4m3 scale a block, one FP32 factor for the tensor. ``x``: (..., K).

    Each step is one FP32 operation: s_enc = min(2688 / amax_tensor, FLT_MAX), or 1 for a tensor of zeros;
    s_dec = 1 / s_enc, the tensor's factor; code = e4m3(min(amax_block * (s_enc * fp32(1/6)), 448));
    element = e2m1(x * min(1 / (value(code) * s_dec), FLT_MAX)). The tensor's largest magnitude is over
    finite values; a block with NaN or Inf gets scale NaN and codes 0.
    """
    x = encode.as_float32(x)
    element = formats.element("e2m1")
    axis = blocks.check_axis(-1, x.ndim, 16)
    magnitude = np.abs(x[np.isfinite(x)])
    amax = magnitude.max() if magnitude.size else np.float32(0)
    largest_scaled = np.float32(element.max * formats.SCALES["ue4m3"].max)  # 6 * 448
    with np.errstate(over="ignore"):
        s_enc = np.minimum(largest_scaled / amax, blocks.FLT_MAX) if amax > 0 else np.float32(1)
    largest = blocks.block_max(x, 16, axis)
    codes, factors = blocks.ue4m3_scales(largest, element, s_enc)
    s_dec = float(np.float32(1) / s_enc)
    return blocks.assemble(x, element, 16, "ue4m3", axis, largest, codes, factors, tensor_scale=s_dec)


def deepseek(x: Any, block: tuple[int, int] = (1, 128), scale: str = "e8m0") -> BlockTensor:
    """DeepSeek: e4m3, blocks (1, 128) for activations or (128, 128) for weights, no amax below 1e-4.

    ``scale="e8m0"``: the ``rceil`` rule; ``"fp32"`` (V3): sf = amax / 448, element = e4m3(x * (1 / sf)),
    each one FP32 operation. A block with NaN or Inf gets scale NaN and codes 0.
    """
    if block not in ((1, _RUN), (_RUN, _RUN)):
        raise ValueError(f"block must be (1, 128) or (128, 128), not {block!r}")
    if scale not in ("e8m0", "fp32"):
        raise ValueError(f"scale must be 'e8m0' or 'fp32', not {scale!r}")
    shape: blocks.Block = _RUN if block == (1, _RUN) else block
    if scale == "fp32":
        return blocks.quantize(x, "e4m3", shape, "fp32")
    x = encode.as_float32(x)
    axis = blocks.check_axis(-1, x.ndim, shape)
    element = formats.element("e4m3")
    largest = np.maximum(blocks.block_max(x, shape, axis), blocks.SMALLEST_AMAX)
    codes = blocks.scale_codes(largest, element, "rceil")
    return blocks.assemble(x, element, shape, "e8m0", axis, largest, codes, blocks.reciprocal(codes))


def pack_scales(scales: Any) -> npt.NDArray[np.int32]:
    """e8m0 codes (..., n) as int32 words (..., ceil(n/4)), the lowest K in bits 7:0, padded with 0."""
    codes = encode.as_codes(scales, 0xFF, "e8m0", "scales")
    if codes.ndim == 0:
        raise ValueError("scales must have at least one axis")
    missing = -codes.shape[-1] % _SCALES_PER_WORD
    padded = np.pad(codes, [(0, 0)] * (codes.ndim - 1) + [(0, missing)])
    return np.ascontiguousarray(padded).view("<i4").astype(np.int32)


def unpack_scales(words: Any, K: int) -> Codes:
    """The e8m0 codes (..., ceil(K/128)) of K elements from their packed int32 words; undoes pack_scales."""
    array = np.asarray(words)
    if array.dtype != np.int32:
        raise TypeError(f"words must be int32, not {array.dtype}")
    count = -(-K // _RUN)
    expected = -(-count // _SCALES_PER_WORD)
    if array.ndim == 0 or array.shape[-1] != expected:
        raise ValueError(f"{K} elements have {count} scales in {expected} words, not shape {array.shape}")
    codes = np.ascontiguousarray(array.astype("<i4")).view(np.uint8)
    return codes[..., :count]
