"""Block tensors: codes with a shared scale a block, and how float32 values become them.

The scale rules work on float32 bit patterns, never on logarithms. docs/numerics.md, section 3.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from mxdot.golden import encode as conversion
from mxdot.golden import formats
from mxdot.golden.formats import Codes, ElementFormat, Floats, ScaleFormat

RULES = ("floor", "ceil", "even", "rceil")
SCALE_NAMES = ("e8m0", "ue4m3", "fp32", None)

_INF = np.uint32(0x7F800000)
FLT_MAX = np.float32(3.4028234663852886e38)
SMALLEST_AMAX = np.uint32(0x38D1B717)  # the pattern of fp32(1e-4)
Block = int | tuple[int, int]
Patterns = npt.NDArray[np.uint32]


@dataclass(frozen=True, eq=False)
class BlockTensor:
    """Element codes with one scale a block.

    ``codes``: uint8 (..., K), 4- and 6-bit codes one a byte. ``scales``: uint8 (float32 for ``scale="fp32"``,
    None for ``scale=None``), one for each ``block`` elements along ``axis`` (the last may be partial:
    missing elements count as +0), or for each (rows, columns) of the last two axes. The value of an element
    is decode(code) * scale * tensor_scale. Wrong shapes, dtypes and codes are a ValueError or TypeError.
    """

    codes: Codes
    scales: npt.NDArray[Any] | None
    format: str
    block: Block = 32
    scale: str | None = "e8m0"
    tensor_scale: float | None = None
    axis: int = -1

    def __post_init__(self) -> None:
        element = formats.element(self.format)
        set_field = object.__setattr__
        set_field(self, "codes", conversion.as_codes(self.codes, element.mask, element.name))
        block = check_block(self.block)
        check_scale(self.scale)
        set_field(self, "axis", check_axis(self.axis, self.codes.ndim, block))
        if self.tensor_scale is not None:
            set_field(self, "tensor_scale", float(self.tensor_scale))
            if not np.isnan(self.tensor_scale) and float(np.float32(self.tensor_scale)) != self.tensor_scale:
                raise ValueError(f"tensor_scale must be a float32 value, not {self.tensor_scale!r}")
        if self.scale is None:
            if self.scales is not None:
                raise ValueError("scales must be None with scale=None (unscaled elements)")
            return
        if self.scales is None:
            raise ValueError(f"scales are missing: scale={self.scale!r} needs one a block")
        if self.scale == "fp32":
            scales: npt.NDArray[Any] = conversion.as_float32(self.scales, "scales")
        else:
            scales = conversion.as_codes(self.scales, _scale(self.scale).mask, self.scale, "scales")
        expected = scale_shape(self.codes.shape, block, self.axis)
        if scales.shape != expected:
            raise ValueError(
                f"scales must have shape {expected} for codes {self.codes.shape}, not {scales.shape}"
            )
        set_field(self, "scales", scales)

    @property
    def element(self) -> ElementFormat:
        """The elements' format."""
        return formats.element(self.format)

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of ``codes``."""
        return self.codes.shape

    def scale_values(self) -> Floats | None:
        """The scales as float32 (exact), or None for unscaled elements."""
        if self.scales is None or self.scale is None:
            return None
        return self.scales if self.scale == "fp32" else _scale(self.scale).decode(self.scales)

    def dequantize(self) -> Floats:
        """float32 values, each the exact product rounded once (RNE); NaN where a scale is NaN."""
        values = self.element.decode(self.codes).astype(np.float64)
        scales = self.scale_values()
        with np.errstate(all="ignore"):
            if scales is not None:
                values *= _spread(scales, self.codes.shape, self.block, self.axis)
            if self.tensor_scale is not None:
                values *= self.tensor_scale
            return values.astype(np.float32)


def quantize(
    x: Any,
    format: str,
    block: Block = 32,
    scale: str | None = "e8m0",
    rule: str = "floor",
    rounding: str = "rne",
    overflow: str = "saturate",
    axis: int = -1,
    random: Any = None,
    random_bits: int = 16,
) -> BlockTensor:
    """float32 (float16, bfloat16) ``x`` as blocks of ``format`` elements, in the shape of ``x``.

    ``block`` elements along ``axis`` (or (rows, columns) of the last two axes) share a scale, chosen by
    ``rule`` (e8m0 only) from the largest magnitude; a partial last block is padded with zeros. A block
    with NaN or Inf gets a NaN scale and codes 0. ``rounding``, ``overflow``, ``random``, ``random_bits``:
    as in ElementFormat.encode. ``scale=None`` encodes the elements alone.
    """
    element = formats.element(format)
    check_scale(scale)
    conversion.check_choice("rule", rule, RULES)
    if scale != "e8m0" and rule != "floor":
        raise ValueError(f"rule {rule!r} chooses e8m0 scales; scale={scale!r} has no rule to choose")
    x = conversion.as_float32(x)
    block = check_block(block)
    axis = check_axis(axis, x.ndim, block)
    options = (rounding, overflow, random, random_bits)
    if scale is None:
        return BlockTensor(conversion.encode(element, x, *options), None, format, block, None, axis=axis)
    largest = block_max(x, block, axis)
    if scale == "e8m0":
        codes = scale_codes(largest, element, rule)
        scales: npt.NDArray[Any] = codes
        factors = reciprocal(codes)
    elif scale == "fp32":
        scales, factors = fp32_scales(largest, element)
    else:
        scales, factors = ue4m3_scales(largest, element, np.float32(1))
    return assemble(x, element, block, scale, axis, largest, scales, factors, options)


def assemble(
    x: Floats,
    element: ElementFormat,
    block: Block,
    scale: str,
    axis: int,
    largest: Patterns,
    scales: npt.NDArray[Any],
    factors: Floats,
    options: tuple[Any, ...] = (),
    tensor_scale: float | None = None,
) -> BlockTensor:
    """Elements x * factor (a float32 product a block) encoded, zero in blocks that hold NaN or Inf."""
    bad = largest >= _INF
    with np.errstate(all="ignore"):
        scaled = x * _spread(factors, x.shape, block, axis)
    if bad.any():
        scaled = np.where(_spread(bad, x.shape, block, axis), np.float32(0), scaled)
    codes = conversion.encode(element, scaled, *options)
    return BlockTensor(codes, scales, element.name, block, scale, tensor_scale, axis)


def block_max(x: Floats, block: Block, axis: int) -> Patterns:
    """The largest magnitude of each block as a float32 pattern; NaN and Inf lie at or above 0x7F800000."""
    patterns = np.ascontiguousarray(x).reshape(x.shape).view(np.uint32) & np.uint32(0x7FFFFFFF)
    for where, length in _block_axes(block, axis):
        patterns = _max_along(patterns, where, length)
    return patterns


def scale_codes(largest: Patterns, element: ElementFormat, rule: str) -> Codes:
    """The e8m0 code of each block from its largest magnitude's float32 pattern; 0xFF for NaN and Inf."""
    if rule == "even":
        if element.kind == "tapered":
            raise ValueError(f"rule 'even' needs a fixed number of mantissa bits, {element.name} has none")
        field = _exponent(largest + np.uint32(1 << (22 - element.mantissa_bits))) - element.emax
    elif rule == "rceil":
        quotient = (largest.view(np.float32) / np.float32(element.max)).view(np.uint32)
        mantissa = quotient & 0x7FFFFF
        field = _exponent(quotient)
        field = field + np.where(field == 0, mantissa > 0x400000, mantissa != 0)
    else:
        field = _exponent(largest) - element.emax
        if rule == "ceil":
            field = field + (largest & 0x7FFFFF != 0)
    return np.where(largest >= _INF, 0xFF, np.clip(field, 0, 0xFE)).astype(np.uint8)


def reciprocal(codes: Codes) -> Floats:
    """2^(127 - code) in float32, exact for every code (0xFE gives a subnormal; 0xFF is not looked at)."""
    factors: Floats = np.ldexp(np.float32(1), 127 - np.minimum(codes, 0xFE).astype(np.int32))
    return factors


def fp32_scales(largest: Patterns, element: ElementFormat) -> tuple[Floats, Floats]:
    """sf = max(amax, 1e-4) / max and 1 / sf, each one float32 operation; NaN for blocks with NaN or Inf."""
    amax = np.maximum(largest, SMALLEST_AMAX).view(np.float32)
    scales: Floats = np.where(largest >= _INF, np.float32(np.nan), amax / np.float32(element.max))
    factors: Floats = np.float32(1) / scales
    return scales, factors


def ue4m3_scales(largest: Patterns, element: ElementFormat, s_enc: np.float32) -> tuple[Codes, Floats]:
    """NVFP4's block scale, code = e4m3(min(amax * (s_enc / max), 448)), and the factor of its elements."""
    one = np.float32(1)
    bad = largest >= _INF
    amax = np.where(bad, np.float32(0), largest.view(np.float32))
    with np.errstate(all="ignore"):
        wanted = np.minimum(amax * (s_enc * (one / np.float32(element.max))), np.float32(448))
        codes = _scale("ue4m3").encode(wanted)
        s_dec = one / s_enc
        factors = np.minimum(one / (_scale("ue4m3").decode(codes) * s_dec), FLT_MAX)
    return np.where(bad, np.uint8(0x7F), codes), factors


def check_block(block: Any) -> Block:
    """A block length, or (rows, columns); anything else is an error that says what is allowed."""
    sizes = block if isinstance(block, tuple) else (block,)
    if len(sizes) > 2 or not all(isinstance(n, (int, np.integer)) and not isinstance(n, bool) for n in sizes):
        raise TypeError(f"block must be an int or a pair (rows, columns), not {block!r}")
    if len(sizes) == 0 or min(sizes) < 1:
        raise ValueError(f"block must be at least 1, not {block!r}")
    return (int(sizes[0]), int(sizes[1])) if len(sizes) == 2 else int(sizes[0])


def check_scale(scale: Any) -> None:
    """A ValueError unless ``scale`` names a scale format, "fp32" or None."""
    if scale not in SCALE_NAMES:
        raise ValueError(f"scale must be 'e8m0', 'ue4m3', 'fp32' or None, not {scale!r}")


def check_axis(axis: Any, ndim: int, block: Block) -> int:
    """The blocked axis counted from the end (-1 is the last); 2-D blocks take the last two axes."""
    if not isinstance(axis, (int, np.integer)) or isinstance(axis, bool):
        raise TypeError(f"axis must be an int, not {axis!r}")
    if isinstance(block, tuple):
        if ndim < 2:
            raise ValueError(f"2-D blocks need at least two axes, not {ndim}")
        if axis not in (-1, ndim - 1):
            raise ValueError(f"2-D blocks take the last two axes: axis must be -1, not {axis}")
    if ndim == 0:
        raise ValueError("a scalar has no axis to block: give at least one dimension")
    if not -ndim <= axis < ndim:
        raise ValueError(f"axis must lie in {-ndim}..{ndim - 1}, not {axis}")
    return int(axis) - ndim if axis >= 0 else int(axis)


def scale_shape(shape: tuple[int, ...], block: Block, axis: int) -> tuple[int, ...]:
    """The shape of the scales of codes of ``shape``."""
    sizes = list(shape)
    for where, length in _block_axes(block, axis):
        sizes[where] = -(-sizes[where] // length)
    return tuple(sizes)


def _block_axes(block: Block, axis: int) -> list[tuple[int, int]]:
    """The blocked axes, from the end, and the block's length along each."""
    return [(-2, block[0]), (-1, block[1])] if isinstance(block, tuple) else [(axis, block)]


def _spread(values: npt.NDArray[Any], shape: tuple[int, ...], block: Block, axis: int) -> npt.NDArray[Any]:
    """One value a block spread over the elements of ``shape``."""
    for where, length in _block_axes(block, axis):
        if length > 1:
            values = np.repeat(values, length, axis=where)
        cut: list[slice] = [slice(None)] * len(shape)
        cut[where] = slice(shape[where])
        values = values[tuple(cut)]
    return values


def _max_along(patterns: Patterns, axis: int, length: int) -> Patterns:
    size = patterns.shape[axis]
    if size == 0:
        return patterns
    if size % length == 0:
        split = patterns.shape[:axis] + (size // length, length) + (patterns.shape[axis:][1:])
        largest: Patterns = patterns.reshape(split).max(axis=axis)
        return largest
    largest = np.maximum.reduceat(patterns, np.arange(0, size, length), axis=axis)
    return largest


def _exponent(patterns: Patterns) -> npt.NDArray[np.int32]:
    return (patterns >> 23).astype(np.int32)


def _scale(name: str) -> ScaleFormat:
    return formats.SCALES[name]
