"""Element, scale and result formats as data: every constant of every format stands here, once.

An :class:`ElementFormat` or a :class:`ScaleFormat` comes from :func:`get` by name, a :class:`ResultFormat`
from :func:`result`. All are frozen; what can be derived (largest value, unit in the last place, decode
table) is a property. Sources: OCP OFP8 (e4m3, e5m2), OCP MX v1.0 (e3m2, e2m3, e2m1, int8, e8m0), arXiv
2206.02915 (the FNUZ pair), arXiv 2409.16626 (hif8); docs/numerics.md, sections 1 and 2.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

Codes = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]
Scalar = TypeVar("Scalar", bound=np.generic)


@dataclass(frozen=True)
class ElementFormat:
    """A format of block elements, at most 8 bits wide.

    ``kind`` is ``"float"`` (sign, exponent, mantissa), ``"int"`` (two's complement in units of 2^lsb) or
    ``"tapered"`` (HiFloat8: the fields' widths depend on a prefix; ``mantissa_bits`` is then the widest).
    """

    name: str
    width: int
    kind: str
    exponent_bits: int
    mantissa_bits: int
    bias: int
    inf_codes: tuple[int, ...]
    nan_codes: tuple[int, ...]
    negative_zero: bool
    source: str

    @property
    def mask(self) -> int:
        """The bits that a code may have set, 2^width - 1."""
        return (1 << self.width) - 1

    @cached_property
    def codes(self) -> Codes:
        """Every code, 0 to mask, as uint8."""
        return _frozen(np.arange(self.mask + 1, dtype=np.uint8))

    @cached_property
    def values(self) -> Floats:
        """The decode table: ``values[code]`` is the exact float32 value, Inf and NaN included."""
        table = np.array([self._value(code) for code in range(self.mask + 1)], dtype=np.float32)
        table[list(self.inf_codes)] = np.copysign(np.float32(np.inf), table[list(self.inf_codes)])
        table[list(self.nan_codes)] = np.nan
        return _frozen(table)

    @property
    def lsb(self) -> int:
        """Exponent of the unit in which every finite value is an integer: value = integer * 2^lsb."""
        if self.kind == "float":
            return 1 - self.bias - self.mantissa_bits
        return -6 if self.kind == "int" else -22

    @cached_property
    def integers(self) -> npt.NDArray[np.int64]:
        """``integers[code]`` is value / 2^lsb; Inf and NaN count as 0."""
        finite = np.where(np.isfinite(self.values), self.values, np.float32(0)).astype(np.float64)
        return _frozen(np.ldexp(finite, -self.lsb).astype(np.int64))

    @property
    def nan(self) -> int | None:
        """The NaN that an encoder emits: 0x7F (e4m3, e5m2) or 0x80; None where there is none."""
        return max((code for code in self.nan_codes if code <= 0x80), default=None)

    @cached_property
    def max(self) -> float:
        """The largest value (int8: of the symmetric range that an encoder emits, 127/64)."""
        return float(self.values[np.isfinite(self.values)].max())

    @property
    def emax(self) -> int:
        """Exponent of the largest value, floor(log2(max))."""
        return int(np.frexp(self.max)[1]) - 1

    @property
    def min_normal(self) -> float | None:
        """The smallest normal magnitude; None where the format has no subnormals in the IEEE sense."""
        return math.ldexp(1.0, 1 - self.bias) if self.kind == "float" else None

    @property
    def smallest(self) -> float:
        """The smallest magnitude above zero, 2^lsb."""
        return math.ldexp(1.0, self.lsb)

    def decode(self, codes: npt.ArrayLike) -> Floats:
        """Exact float32 values of ``codes`` (any shape, integers). A code above ``mask`` is a ValueError."""
        from mxdot.golden import encode

        return encode.decode(self, codes)

    def encode(self, x: Any, rounding: str = "rne", overflow: str = "saturate", random: Any = None) -> Codes:
        """Codes of float32 (or float16, bfloat16) ``x``, the same shape; see
        :func:`mxdot.golden.encode.encode`."""
        from mxdot.golden import encode

        return encode.encode(self, x, rounding, overflow, random)

    def _value(self, code: int) -> float:
        """Value of a code by its fields, as if it were neither Inf nor NaN."""
        if self.kind == "int":
            return (code - ((code >> (self.width - 1)) << self.width)) * math.ldexp(1.0, self.lsb)
        sign = -1.0 if code >> (self.width - 1) else 1.0
        body = code & (self.mask >> 1)
        if self.kind == "tapered":
            return sign * _hifloat8(body)
        field, fraction = body >> self.mantissa_bits, body & ((1 << self.mantissa_bits) - 1)
        hidden = 1 << self.mantissa_bits if field else 0
        return sign * math.ldexp(hidden + fraction, self.lsb + max(field, 1) - 1)


@dataclass(frozen=True)
class ScaleFormat:
    """A format of block scales, 8 bits, never negative. ``mantissa_bits`` is 0 for a pure power of two."""

    name: str
    width: int
    exponent_bits: int
    mantissa_bits: int
    bias: int
    nan_codes: tuple[int, ...]
    zero: bool
    source: str

    @property
    def mask(self) -> int:
        """The bits that a code may have set: 0xFF for e8m0, 0x7F for ue4m3 (its sign bit is always zero)."""
        return (1 << (self.exponent_bits + self.mantissa_bits)) - 1

    @cached_property
    def codes(self) -> Codes:
        """Every code, 0 to mask, as uint8."""
        return _frozen(np.arange(self.mask + 1, dtype=np.uint8))

    @property
    def lsb(self) -> int:
        """Exponent of the unit in which every scale is an integer: -127 (e8m0), -9 (ue4m3)."""
        return 1 - self.bias - self.mantissa_bits if self.zero else -self.bias

    @cached_property
    def values(self) -> Floats:
        """The decode table: ``values[code]`` is the exact float32 scale."""
        field = (self.codes >> self.mantissa_bits).astype(np.int64)
        fraction = (self.codes & ((1 << self.mantissa_bits) - 1)).astype(np.float64)
        if self.zero:
            hidden = np.where(field > 0, 1 << self.mantissa_bits, 0)
            table = np.ldexp(hidden + fraction, self.lsb + np.maximum(field, 1) - 1)
        else:
            table = np.ldexp(1 + fraction, self.lsb + field)
        table[list(self.nan_codes)] = np.nan
        with np.errstate(over="ignore"):
            return _frozen(table.astype(np.float32))

    @property
    def max(self) -> float:
        """The largest scale: 2^127 (e8m0), 448 (ue4m3)."""
        return float(np.nanmax(self.values))

    @property
    def smallest(self) -> float:
        """The smallest scale above zero: 2^-127 (e8m0), 2^-9 (ue4m3)."""
        return math.ldexp(1.0, self.lsb)

    def decode(self, codes: npt.ArrayLike) -> Floats:
        """Exact float32 values of ``codes`` (any shape, integers). A code above ``mask`` is a ValueError."""
        from mxdot.golden import encode

        return encode.decode(self, codes)

    def encode(self, x: Any) -> Codes:
        """Codes of float32 ``x``: exact for e8m0 (or a ValueError), RNE and saturating for ue4m3."""
        from mxdot.golden import encode

        return encode.encode_scale(self, x)


@dataclass(frozen=True)
class ResultFormat:
    """A format in which a sum leaves: an IEEE-style binary float with Inf and NaN."""

    name: str
    width: int
    exponent_bits: int
    mantissa_bits: int
    bias: int

    @property
    def emin(self) -> int:
        """Exponent of the smallest normal number."""
        return 1 - self.bias

    @property
    def lsb(self) -> int:
        """Exponent of the smallest subnormal."""
        return self.emin - self.mantissa_bits

    @property
    def infinity(self) -> int:
        """The code of +Inf."""
        return ((1 << self.exponent_bits) - 1) << self.mantissa_bits

    @property
    def nan(self) -> int:
        """The default quiet NaN: positive, only the top mantissa bit set."""
        return self.infinity | 1 << (self.mantissa_bits - 1)

    @property
    def nan_ones(self) -> int:
        """The NaN that NVIDIA's tensor cores return: positive, every mantissa bit set."""
        return (1 << (self.width - 1)) - 1


def _frozen(array: npt.NDArray[Scalar]) -> npt.NDArray[Scalar]:
    array.setflags(write=False)
    return array


def _hifloat8(body: int) -> float:
    """Magnitude of the seven low bits of a HiFloat8 code: a prefix says how wide exponent and mantissa
    are."""
    if body >> 3 == 0b0000:
        return math.ldexp(1.0, body - 23) if body else 0.0
    if body >> 3 == 0b0001:
        return 1 + (body & 7) / 8
    exponent_bits, mantissa_bits = next(
        fields for prefix, width, fields in _HIF8_PREFIXES if body >> (7 - width) == prefix
    )
    field = (body >> mantissa_bits) & ((1 << exponent_bits) - 1)
    hidden = 1 << (exponent_bits - 1)
    magnitude = hidden | (field & (hidden - 1))
    exponent = -magnitude if field & hidden else magnitude
    return math.ldexp((1 << mantissa_bits) + (body & ((1 << mantissa_bits) - 1)), exponent - mantissa_bits)


# prefix, its width in bits, (exponent bits with sign, mantissa bits)
_HIF8_PREFIXES = ((0b001, 3, (1, 3)), (0b01, 2, (2, 3)), (0b10, 2, (3, 2)), (0b11, 2, (4, 1)))

_E5M2_NAN = (0x7D, 0x7E, 0x7F, 0xFD, 0xFE, 0xFF)
_MX, _OFP8 = "OCP MX v1.0", "OCP OFP8"

ELEMENTS: dict[str, ElementFormat] = {
    row.name: row
    for row in (
        ElementFormat("e4m3", 8, "float", 4, 3, 7, (), (0x7F, 0xFF), True, _OFP8),
        ElementFormat("e5m2", 8, "float", 5, 2, 15, (0x7C, 0xFC), _E5M2_NAN, True, _OFP8),
        ElementFormat("e3m2", 6, "float", 3, 2, 3, (), (), True, _MX),
        ElementFormat("e2m3", 6, "float", 2, 3, 1, (), (), True, _MX),
        ElementFormat("e2m1", 4, "float", 2, 1, 1, (), (), True, _MX),
        ElementFormat("int8", 8, "int", 0, 6, 0, (), (), False, _MX),
        ElementFormat("e4m3fnuz", 8, "float", 4, 3, 8, (), (0x80,), False, "arXiv 2206.02915"),
        ElementFormat("e5m2fnuz", 8, "float", 5, 2, 16, (), (0x80,), False, "arXiv 2206.02915"),
        ElementFormat("hif8", 8, "tapered", 4, 3, 0, (0x6F, 0xEF), (0x80,), False, "arXiv 2409.16626"),
    )
}
SCALES: dict[str, ScaleFormat] = {
    row.name: row
    for row in (
        ScaleFormat("e8m0", 8, 8, 0, 127, (0xFF,), False, _MX),
        ScaleFormat("ue4m3", 8, 4, 3, 7, (0x7F,), True, "NVFP4, arXiv 2509.25149"),
    )
}
RESULTS: dict[str, ResultFormat] = {
    row.name: row
    for row in (
        ResultFormat("fp32", 32, 8, 23, 127),
        ResultFormat("bf16", 16, 8, 7, 127),
        ResultFormat("fp16", 16, 5, 10, 15),
    )
}


def get(name: str) -> ElementFormat | ScaleFormat:
    """The element or scale format called ``name``; an unknown name is a ValueError that lists them all."""
    if isinstance(name, str) and name in ELEMENTS:
        return ELEMENTS[name]
    if isinstance(name, str) and name in SCALES:
        return SCALES[name]
    raise ValueError(f"unknown format {name!r}: choose one of {' '.join([*ELEMENTS, *SCALES])}")


def element(name: str) -> ElementFormat:
    """The element format called ``name``; anything else is a ValueError that lists them."""
    if isinstance(name, str) and name in ELEMENTS:
        return ELEMENTS[name]
    raise ValueError(f"unknown element format {name!r}: choose one of {' '.join(ELEMENTS)}")


def result(name: str) -> ResultFormat:
    """The result format called ``name``: fp32, bf16 or fp16; anything else is a ValueError."""
    if isinstance(name, str) and name in RESULTS:
        return RESULTS[name]
    raise ValueError(f"unknown result format {name!r}: choose one of {' '.join(RESULTS)}")
