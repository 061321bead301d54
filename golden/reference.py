"""The numerics once more in exact rationals, one number at a time: slow, obvious, the last word.

Nothing here shares arithmetic with the rest of golden/; only the constants of the formats and the rows of the
profiles are common. A number is a Fraction, or the float nan, inf or -inf. docs/numerics.md tells the same in
words, section by section.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence
from fractions import Fraction
from functools import cache

from mxdot.golden import formats, profiles
from mxdot.golden.formats import ElementFormat, ResultFormat
from mxdot.golden.profiles import Exact, Fused, Interleaved, Promoted, Rounded

Number = Fraction | float
NAN, ZERO = math.nan, Fraction(0)
FP32 = formats.result("fp32")


# ---- numbers and their formats (sections 1, 2 and 5) ----


def power(exponent: int) -> Fraction:
    """2^exponent."""
    return Fraction(2) ** exponent


def exponent_of(x: Fraction) -> int:
    """floor(log2(|x|)) of a non-zero x."""
    magnitude = abs(x)
    guess = magnitude.numerator.bit_length() - magnitude.denominator.bit_length()
    return guess if power(guess) <= magnitude else guess - 1


def fields(form: ElementFormat, code: int) -> tuple[int, int, int]:
    """Sign (+-1), significand and exponent of a finite code of a float format: sign * significand *
    2^(exponent - mantissa_bits), a subnormal with the exponent of the smallest normal."""
    sign = -1 if code >> (form.width - 1) & 1 else 1
    field = code >> form.mantissa_bits & ((1 << form.exponent_bits) - 1)
    mantissa = code & ((1 << form.mantissa_bits) - 1)
    if field == 0:
        return sign, mantissa, 1 - form.bias
    return sign, mantissa + (1 << form.mantissa_bits), field - form.bias


def decode(name: str, code: int) -> Number:
    """The value of an element's code."""
    form = formats.element(name)
    if code in form.nan_codes:
        return NAN
    if code in form.inf_codes:
        return -math.inf if code >> (form.width - 1) else math.inf
    if form.kind == "int":
        return Fraction(code - 256 if code >= 128 else code, 64)
    if form.kind == "tapered":
        return _decode_hif8(code)
    sign, significand, exponent = fields(form, code)
    return sign * significand * power(exponent - form.mantissa_bits)


def _decode_hif8(code: int) -> Fraction:
    bits = f"{code:08b}"
    sign, bits = (-1 if bits[0] == "1" else 1), bits[1:]
    if bits.startswith("0000"):
        return sign * power(int(bits[4:], 2) - 23) if int(bits[4:], 2) else ZERO
    for prefix, width in (("0001", 0), ("001", 1), ("01", 2), ("10", 3), ("11", 4)):
        if bits.startswith(prefix):
            rest = bits[len(prefix) :]
            exponent_bits, mantissa = rest[:width], rest[width:]
            break
    exponent = 0
    if exponent_bits:
        exponent = int("1" + exponent_bits[1:], 2) * (-1 if exponent_bits[0] == "1" else 1)
    return sign * (1 + Fraction(int(mantissa, 2), 2 ** len(mantissa))) * power(exponent)


def decode_scale(scale: str | None, code: int | float) -> Number:
    """The value of a scale: its code, or for "fp32" the number itself."""
    if scale is None:
        return Fraction(1)
    if scale == "e8m0":
        return NAN if code == 0xFF else power(int(code) - 127)
    if scale == "ue4m3":
        return decode("e4m3", int(code))
    return Fraction(code) if math.isfinite(code) else float(code)


def decode_result(form: ResultFormat, bits: int) -> Number:
    """The value of a result's code."""
    sign = -1 if bits >> (form.width - 1) else 1
    field = bits >> form.mantissa_bits & ((1 << form.exponent_bits) - 1)
    mantissa = bits & ((1 << form.mantissa_bits) - 1)
    if field == (1 << form.exponent_bits) - 1:
        return NAN if mantissa else sign * math.inf
    hidden = 1 << form.mantissa_bits if field else 0
    return sign * (hidden + mantissa) * power(form.lsb + max(field, 1) - 1)


def round_result(form: ResultFormat, x: Number, nan: int) -> int:
    """The code nearest to x, ties to even; overflow to Inf, gradual underflow; an exact zero is +0."""
    if isinstance(x, float):
        if math.isnan(x):
            return nan
        return form.infinity | (1 << (form.width - 1) if x < 0 else 0)
    if x == 0:
        return 0
    sign = 1 << (form.width - 1) if x < 0 else 0
    exponent = max(exponent_of(x), form.emin)
    steps = round(abs(x) / power(exponent - form.mantissa_bits))  # Python rounds ties to even
    if steps >= 1 << (form.mantissa_bits + 1):
        steps, exponent = steps >> 1, exponent + 1
    if steps < 1 << form.mantissa_bits:
        return sign | steps
    if exponent > form.bias:
        return sign | form.infinity
    return sign | (exponent + form.bias) << form.mantissa_bits | (steps - (1 << form.mantissa_bits))


def fp32(x: Number) -> Number:
    """x rounded to FP32."""
    return decode_result(FP32, round_result(FP32, x, FP32.nan))


def add(x: Number, y: Number) -> Number:
    """Exact sum, IEEE rules for NaN and Inf."""
    if isinstance(x, Fraction) and isinstance(y, Fraction):
        return x + y
    if isinstance(x, float) and isinstance(y, float):
        return x + y
    return x if isinstance(x, float) else y


def multiply(x: Number, y: Number) -> Number:
    """Exact product, IEEE rules for NaN, Inf and Inf * 0."""
    if isinstance(x, Fraction) and isinstance(y, Fraction):
        return x * y
    if any(isinstance(each, float) and math.isnan(each) for each in (x, y)) or x == 0 or y == 0:
        return NAN
    return math.inf if (x > 0) == (y > 0) else -math.inf


# ---- quantising (section 3) ----


def pattern(x: float) -> int:
    """The float32 pattern of a float32 value."""
    return int(struct.unpack("<I", struct.pack("<f", x))[0])


def encode(
    name: str, x: float, rounding: str = "rne", overflow: str = "saturate", word: int = 0, bits: int = 16
) -> int:
    """The code of a float32 value, held in a Python float."""
    form = formats.element(name)
    if math.isnan(x):
        return _encoded_nan(name)
    negative = math.copysign(1.0, x) < 0
    grid = _magnitudes(name)
    top_bits = 1 if form.kind == "tapered" else form.mantissa_bits
    largest = grid[-1][0]
    points = [value for value, _ in grid] + [largest + power(exponent_of(largest) - top_bits)]
    index = len(points) - 1
    if math.isfinite(x):
        magnitude = abs(Fraction(x))
        index = max(i for i, value in enumerate(points) if value <= magnitude)
        if index + 1 < len(points):
            fraction = (magnitude - points[index]) / (points[index + 1] - points[index])
            if rounding == "rne":
                index += fraction > Fraction(1, 2) or (fraction == Fraction(1, 2) and index % 2 == 1)
            elif rounding == "stochastic":
                index += math.floor(fraction * 2**bits) + word >= 2**bits
    if index < len(grid):
        code = grid[index][1]
    elif overflow == "saturate":
        code = grid[-1][1]
    elif form.inf_codes:
        code = form.inf_codes[0]
    else:
        code = _encoded_nan(name)
    if code == 0 and not form.negative_zero:
        return 0
    if form.kind == "int":
        return (-code if negative else code) & 0xFF
    return code | (1 << (form.width - 1) if negative else 0)


@cache
def _magnitudes(name: str) -> list[tuple[Fraction, int]]:
    """Every finite magnitude and its positive code, in rising order."""
    codes = range((formats.element(name).mask >> 1) + 1)
    values = [(decode(name, code), code) for code in codes]
    return sorted((Fraction(value), code) for value, code in values if math.isfinite(value))


def _encoded_nan(name: str) -> int:
    return 0x7F if name in ("e4m3", "e5m2") else 0x80


def scale_code(block: Sequence[float], name: str, rule: str) -> int:
    """The e8m0 code of a block of float32 values."""
    form = formats.element(name)
    if not all(math.isfinite(x) for x in block):
        return 0xFF
    amax = max((abs(x) for x in block), default=0.0)
    bits = pattern(amax)
    if rule == "even":
        bits += 1 << (22 - form.mantissa_bits)
    if rule == "rceil":
        bits = round_result(FP32, Fraction(amax) / Fraction(form.max), FP32.nan)
        exponent, mantissa = bits >> 23, bits & 0x7FFFFF
        code = exponent + (mantissa > 0x400000 if exponent == 0 else mantissa != 0)
    else:
        code = (bits >> 23) - form.emax + (rule == "ceil" and bits & 0x7FFFFF != 0)
    return min(max(code, 0), 0xFE)


# ---- dot products (sections 4 to 6) ----


class Row:
    """One operand of one dot product: codes, and the scale's code (or FP32 value) of each block."""

    def __init__(
        self,
        name: str,
        codes: Sequence[int],
        scales: Sequence[int | float] | None,
        scale: str | None,
        block: int,
    ) -> None:
        self.form, self.codes, self.block, self.scale = formats.element(name), list(codes), block, scale
        self.values = [decode(name, code) for code in self.codes]
        count = -(-len(self.codes) // block)
        self.scales = (
            [decode_scale(scale, code) for code in scales] if scales is not None else [Fraction(1)] * count
        )

    def scale_of(self, k: int) -> Number:
        """The scale of element k."""
        return self.scales[k // self.block]


def dot(a: Row, b: Row, c: int = 0, profile: str = "fp32", out: str = "fp32") -> int:
    """The code of c + sum of a_k * b_k in ``profile``; c is an FP32 pattern."""
    row, result = profiles.get(profile), formats.result(out)
    start = decode_result(FP32, c)
    if not a.codes:
        negative_zero = 1 << (result.width - 1) if c == 0x80000000 else 0
        return round_result(result, start, row.nan_code(result)) | negative_zero
    if isinstance(row.kind, Rounded):
        total = _rounded(a, b, start)
    elif isinstance(row.kind, Exact):
        total = start
        for first in range(0, len(a.codes), a.block):
            total = add(total, _block(a, b, first))
    else:
        bits = round_result(FP32, _tensor_core(row.kind, a, b, start), FP32.nan)
        code = round_result(result, decode_result(FP32, bits), row.nan_code(result))
        return code | (1 << (result.width - 1) if bits == 0x80000000 else 0)
    return round_result(result, total, row.nan_code(result))


def _block(a: Row, b: Row, first: int) -> Number:
    """X * S of the block that starts at element ``first``."""
    total: Number = ZERO
    for k in range(first, min(first + a.block, len(a.codes))):
        total = add(total, multiply(a.values[k], b.values[k]))
    return multiply(multiply(a.scale_of(first), b.scale_of(first)), total)


def _rounded(a: Row, b: Row, acc: Number) -> Number:
    """The accumulator before its last rounding."""
    total = acc
    for first in range(0, len(a.codes), a.block):
        total = add(fp32(total), _block(a, b, first))
    return total


def _tensor_core(kind: object, a: Row, b: Row, acc: Number) -> Number:
    """The accumulator before RNE to FP32 of the last step (a no-op for the truncating profiles)."""
    if isinstance(kind, Promoted):
        inner, total = profiles.get(kind.inner).kind, acc
        for first in range(0, len(a.codes), kind.run):
            runs = [_slice(side, first, kind.run) for side in (a, b)]
            partial = _tensor_core(inner, runs[0], runs[1], ZERO)
            scale = multiply(a.scale_of(first), b.scale_of(first))
            if a.scale == "fp32":
                scale = fp32(scale)
            total = add(fp32(total), multiply(partial, scale))
        return total
    assert isinstance(kind, Fused | Interleaved)
    for first in range(0, len(a.codes), kind.group):
        acc = fp32(acc)
        group = range(first, min(first + kind.group, len(a.codes)))
        special: Number = ZERO
        for k in group:
            scale = multiply(a.scale_of(k), b.scale_of(k))
            special = add(special, multiply(scale, multiply(a.values[k], b.values[k])))
        if isinstance(special, float) or isinstance(acc, float):
            acc = add(acc, special)
            continue
        terms = [_term(a, b, k) for k in group]
        acc = _fused(kind, terms, acc) if isinstance(kind, Fused) else _interleaved(kind, terms, acc)
    return acc


def _slice(side: Row, first: int, length: int) -> Row:
    """A run of elements without their scales."""
    return Row(side.form.name, side.codes[first : first + length], None, None, side.block)


def _term(a: Row, b: Row, k: int) -> tuple[Fraction, int]:
    """A product with its scales, and its exponent: the sum of the exponents of its four factors."""
    value, exponent = Fraction(1), 0
    for side in (a, b):
        sign, significand, own = fields(side.form, side.codes[k])
        scale = Fraction(side.scale_of(k))
        value *= sign * significand * power(own - side.form.mantissa_bits) * scale
        exponent += own + exponent_of(scale)
    return value, exponent


def _cut(x: Fraction, unit: Fraction) -> Fraction:
    """x cut toward zero to a multiple of ``unit``."""
    return math.trunc(x / unit) * unit


def _floor(x: Fraction, unit: Fraction) -> Fraction:
    """x floored to a multiple of ``unit``."""
    return math.floor(x / unit) * unit


def _exponents(terms: list[tuple[Fraction, int]]) -> list[int]:
    return [exponent for value, exponent in terms if value != 0]


def _fused(kind: Fused, products: list[tuple[Fraction, int]], acc: Fraction) -> Number:
    terms = list(products)
    if kind.c == "aligned":
        terms.append((acc, max(exponent_of(acc), -126) if acc else 0))
    if not _exponents(terms):
        return acc if kind.c == "added" else ZERO
    unit = power(max(_exponents(terms)) - kind.fraction)
    total = sum((_cut(value, unit) for value, _ in terms), ZERO)
    if total:
        total = _cut(total, power(max(exponent_of(total), -126) - kind.keep))
    if kind.c == "added":
        return fp32(acc + total)
    return total if abs(total) < power(128) else math.copysign(math.inf, total)


def _interleaved(kind: Interleaved, products: list[tuple[Fraction, int]], acc: Fraction) -> Number:
    halves = []
    for parity in (0, 1):
        half = products[parity::2]
        if _exponents(half):
            unit = power(max(_exponents(half)) - kind.fraction)
            halves.append(sum((_cut(value, unit) for value, _ in half), ZERO))
    tops = _exponents(products)
    total = ZERO
    if tops:
        total = sum((_floor(half, power(max(tops) - kind.fraction)) for half in halves), ZERO)
    if acc:
        tops = [*tops, max(exponent_of(acc), -126)]
    if not tops:
        return ZERO
    top = max(tops)
    total = _floor(total, power(top - kind.sum_fraction))
    if acc and max(exponent_of(acc), -126) >= top - kind.fraction - 1:
        total += _floor(acc, power(top - kind.fraction))
    return fp32(total)
