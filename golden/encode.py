"""float32 <-> element and scale codes: the roundings, the overflow rules and the special values.

A conversion is one table look-up. The key is a float32 pattern cut to 17 bits (sign, exponent, 8 mantissa
bits) whose last bit also says whether anything was cut off. Every value and every midpoint of a format of
at most 8 bits needs 7 mantissa bits, so the key decides each rounding. docs/numerics.md, section 3.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt
from mxdot.golden.formats import ELEMENTS, Codes, ElementFormat, Floats, ScaleFormat

ROUNDINGS = ("rne", "rtz", "stochastic")
OVERFLOWS = ("saturate", "nonsaturate")

_CUT = 15  # low bits of a float32 that only count as "something was there"
_INFINITY = 0x7F800000 >> _CUT  # the key of +Inf; magnitudes above it are NaN


def as_float32(x: Any, what: str = "x") -> Floats:
    """``x`` as a float32 array, exactly: float32, float16, bfloat16, ml_dtypes' small floats, DLPack,
    __array__.

    A float64 (Python floats too) is a TypeError, since rounding it to float32 and then to codes would
    round twice; so are integers, which have no agreed meaning here.
    """
    if isinstance(x, np.ndarray) or not hasattr(x, "__dlpack__") or hasattr(x, "__array__"):
        array = np.asarray(x)
    else:
        array = np.from_dlpack(x)
    if array.dtype == np.float32:
        return array
    if array.dtype.kind in "fV" and array.dtype.itemsize <= 4 and np.can_cast(array.dtype, np.float32):
        return array.astype(np.float32)
    raise TypeError(
        f"{what} must be float32, float16 or bfloat16, not {array.dtype}: "
        "convert it with .astype(np.float32), which rounds once more"
    )


def as_codes(codes: Any, mask: int, name: str, what: str = "codes") -> Codes:
    """``codes`` as uint8, each at most ``mask``; other dtypes of integers are taken if every value fits."""
    array = np.asarray(codes)
    if array.dtype.kind not in "iu":
        raise TypeError(f"{what} must be integers (uint8), not {array.dtype}")
    if array.dtype != np.uint8 or mask < 0xFF:
        bad = (array < 0) | (array > mask)
        if bad.any():
            raise ValueError(f"{what} of {name} lie in 0..{mask:#04x}, not {array[bad].flat[0]}")
        array = array.astype(np.uint8, copy=False)
    return array


def decode(form: ElementFormat | ScaleFormat, codes: npt.ArrayLike) -> Floats:
    """The exact float32 values of ``codes`` (any shape). A code above the format's mask is a ValueError."""
    values: Floats = form.values.take(as_codes(codes, form.mask, form.name))
    return values


def encode(
    form: ElementFormat,
    x: Any,
    rounding: str = "rne",
    overflow: str = "saturate",
    random: Any = None,
    random_bits: int = 16,
) -> Codes:
    """Codes (uint8, the shape of ``x``) of float32 ``x``, rounded once.

    ``rounding``: ``"rne"`` (nearest, ties to the even code), ``"rtz"`` (toward zero) or ``"stochastic"``,
    which takes ``random``, one unsigned word below 2^random_bits an element, and rounds away from zero iff
    floor(f * 2^random_bits) + word >= 2^random_bits, f the fraction of the step between two neighbours.
    ``overflow``: ``"saturate"`` gives the largest magnitude, for Inf too; ``"nonsaturate"`` gives Inf, or
    NaN where there is no Inf, and is a ValueError for formats with neither. NaN is a ValueError for a
    format without NaN; zeros and underflow give 0x00 where there is no -0.
    """
    check_choice("rounding", rounding, ROUNDINGS)
    check_choice("overflow", overflow, OVERFLOWS)
    if overflow == "nonsaturate" and form.nan is None:
        raise ValueError(f"{form.name} has neither Inf nor NaN: overflow must be 'saturate'")
    x = as_float32(x)
    if form.nan is None and np.isnan(x).any():
        raise ValueError(f"{form.name} has no NaN, and x holds one")
    words = check_random(x.shape, rounding, random, random_bits)
    bits = np.ascontiguousarray(x).reshape(x.shape).view(np.uint32)
    low = np.uint32((1 << _CUT) - 1)
    key = (bits | ((bits & low) + low)) >> np.uint32(_CUT)
    if words is None:
        codes: Codes = _table(form, rounding, overflow).take(key)
        return codes
    magnitude = key & 0xFFFF
    index = _indices(form, "rtz").take(magnitude).astype(np.intp)
    grid = _grid(form)[0]
    step = np.append(np.diff(grid), np.inf)[index]
    with np.errstate(invalid="ignore"):
        fraction = np.where(magnitude < _INFINITY, (np.abs(x).astype(np.float64) - grid[index]) / step, 0.0)
    up = np.floor(np.ldexp(fraction, random_bits)).astype(np.uint64) + words >= np.uint64(1 << random_bits)
    codes = _signed(form, index + up, key, overflow)
    return codes


def encode_scale(form: ScaleFormat, x: Any) -> Codes:
    """Codes of float32 scales. e8m0 takes exact powers of two 2^-127..2^127 and NaN, anything else is a
    ValueError. ue4m3: RNE, saturating at 448, NaN 0x7F, -0 gives 0x00, a negative is a ValueError."""
    x = as_float32(x)
    nan = np.isnan(x)
    if form.zero:
        if (x < 0).any():
            raise ValueError(f"{form.name} has no sign: {x[x < 0].flat[0]} cannot be a scale")
        return encode(ELEMENTS["e4m3"], np.where(nan, x, np.abs(x)))
    bits = np.ascontiguousarray(x).reshape(x.shape).view(np.uint32)
    half = bits == 0x00400000  # 2^-127, a float32 subnormal
    good = ((bits & 0x807FFFFF) == 0) & (bits != 0) & (bits != 0x7F800000) | half | nan
    if not good.all():
        raise ValueError(
            f"{form.name} holds powers of two from 2^-127 to 2^127 and NaN, not {x[~good].flat[0]}"
        )
    return np.where(nan, 0xFF, bits >> 23).astype(np.uint8)


def check_choice(what: str, value: Any, allowed: tuple[str, ...]) -> None:
    """A ValueError that lists ``allowed`` unless ``value`` is among them."""
    if value not in allowed:
        raise ValueError(f"{what} must be one of {' '.join(allowed)}, not {value!r}")


def check_random(
    shape: tuple[int, ...], rounding: str, random: Any, random_bits: int
) -> npt.NDArray[np.uint64] | None:
    """The words of stochastic rounding as uint64, or None for another rounding."""
    if rounding != "stochastic":
        if random is not None:
            raise ValueError(f"random is only for rounding='stochastic', not {rounding!r}")
        return None
    if not isinstance(random_bits, int) or not 1 <= random_bits <= 32:
        raise ValueError(f"random_bits must be 1 to 32, not {random_bits!r}")
    if random is None:
        raise ValueError("rounding='stochastic' needs random: one word an element, in the shape of x")
    words = np.asarray(random)
    if words.dtype.kind not in "iu":
        raise TypeError(f"random must be integers, not {words.dtype}")
    if words.shape != shape:
        raise ValueError(f"random must have the shape of x, {shape}, not {words.shape}")
    if words.size and not (0 <= words.min() and int(words.max()) < 1 << random_bits):
        raise ValueError(f"random words lie in 0..2^{random_bits}-1, not {words.min()}..{words.max()}")
    return words.astype(np.uint64)


@cache
def _grid(form: ElementFormat) -> tuple[npt.NDArray[np.float64], Codes]:
    """Magnitudes in rising order, one step past the largest included, and the codes of all but that one."""
    codes = form.codes[: (form.mask >> 1) + 1]
    values = form.values[codes].astype(np.float64)
    order = np.argsort(values[np.isfinite(values)])
    codes, values = codes[np.isfinite(values)][order], values[np.isfinite(values)][order]
    top_mantissa = 1 if form.kind == "tapered" else form.mantissa_bits
    return np.append(values, form.max + 2.0 ** (form.emax - top_mantissa)), codes


@cache
def _indices(form: ElementFormat, rounding: str) -> npt.NDArray[np.uint8]:
    """For the key of each magnitude the index into the grid that it rounds to (the last means overflow)."""
    grid, _ = _grid(form)
    finite = (np.arange(_INFINITY, dtype=np.uint32) << _CUT).view(np.float32).astype(np.float64)
    magnitude = np.append(finite, np.full((1 << 16) - _INFINITY, np.inf))  # NaN's index is not looked at
    below = np.searchsorted(grid, magnitude, side="right") - 1
    if rounding == "rne":
        middle = (grid[:-1] + grid[1:]) / 2
        half = np.append(middle, np.inf)[below]
        below = below + ((magnitude > half) | ((magnitude == half) & (below % 2 == 1)))
    return below.astype(np.uint8)


@cache
def _table(form: ElementFormat, rounding: str, overflow: str) -> Codes:
    """The code for each 17-bit key."""
    key = np.arange(1 << 17, dtype=np.uint32)
    index = _indices(form, rounding)[key & 0xFFFF].astype(np.intp)
    return _signed(form, index, key, overflow)


def _signed(
    form: ElementFormat, index: npt.NDArray[np.intp], key: npt.NDArray[np.uint32], overflow: str
) -> Codes:
    """Codes from indices of magnitudes and the keys' signs, overflow and NaN put in."""
    _, codes = _grid(form)
    negative = (key >> 16).astype(bool)
    if overflow == "saturate":
        beyond = codes[-1]
    else:
        beyond = np.uint8(form.inf_codes[0] if form.inf_codes else form.nan or 0)
    magnitude = np.append(codes, beyond)[np.minimum(index, len(codes))].astype(np.int64)
    if form.kind == "int":
        signed = np.where(negative, -magnitude, magnitude) & form.mask
    else:
        signed = magnitude | (negative << np.int64(form.width - 1))
    if not form.negative_zero:
        signed = np.where(magnitude == 0, 0, signed)
    if form.nan is not None:
        signed = np.where((key & 0xFFFF) > _INFINITY, form.nan, signed)
    return signed.astype(np.uint8)
