"""The exact sum of each block, scales included: X * S as float64 terms, with what is NaN or Inf set apart.

A float64 dot product is exact while every partial sum is an integer below 2^53 in units of the smallest
product, whatever the order. Formats too wide for that are cut into digits first, and the products of
digits are the terms. docs/numerics.md, sections 4 and 5.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

import numpy as np
from mxdot.golden.expansion import Doubles, grow, round_odd, two_product
from mxdot.golden.formats import ElementFormat
from mxdot.golden.pairs import Array, Operand, Pairing


@dataclass(frozen=True)
class BlockSum:
    """X * S of one block for every result.

    ``terms``: float64 arrays whose exact sum it is, 0 where it is NaN or Inf; ``special``: NaN or +-Inf
    there and 0 elsewhere, or None where there is nothing special.
    """

    terms: list[Doubles]
    special: Doubles | None


def block_sums(pairing: Pairing, a: Operand, b: Operand) -> Iterator[BlockSum]:
    """The sums of successive blocks along K; the last block may be short."""
    length, block = a.codes.shape[-1], a.block
    a_digits, b_digits = _digits_for(a.element, b.element, min(block, max(length, 1)))
    has_special = any(_has_special(side) for side in (a, b))
    shifts_only = all(_powers_of_two(side.scales) for side in (a, b))
    for j, start in enumerate(range(0, length, block)):
        a_codes, b_codes = a.codes[:, start : start + block], b.codes[:, start : start + block]
        terms = [
            pairing.contract(x.take(a_codes), y.take(b_codes))
            for x in _digits(a.element, a_digits)
            for y in _digits(b.element, b_digits)
        ]
        special = special_sum(pairing, a.element, b.element, a_codes, b_codes) if has_special else None
        if a.scales is None or b.scales is None:
            yield _split(terms, special)
        else:
            with np.errstate(invalid="ignore"):
                scale = pairing.outer(a.scales[:, j], b.scales[:, j])
            yield _scaled(scale, terms, special, shifts_only)


def add_block(acc: Doubles, part: BlockSum) -> Doubles:
    """acc + part rounded to odd, IEEE addition where either is NaN or Inf."""
    finite = np.isfinite(acc)
    parts = [acc if finite.all() else np.where(finite, acc, 0.0)]
    for term in part.terms:
        parts = grow(parts, term)
    return with_special(round_odd(parts), acc, part.special)


def with_special(value: Doubles, acc: Doubles, special: Doubles | None) -> Doubles:
    """``value``, but acc + special in IEEE arithmetic where either is NaN or Inf."""
    finite = np.isfinite(acc)
    if special is None and finite.all():
        return value
    marks = np.zeros_like(acc) if special is None else special
    with np.errstate(invalid="ignore"):
        return np.where((marks != 0) | ~finite, acc + marks, value)


def special_sum(
    pairing: Pairing, a: ElementFormat, b: ElementFormat, a_codes: Array, b_codes: Array
) -> Doubles | None:
    """NaN or +-Inf where IEEE arithmetic gives it for the sum of products, 0 elsewhere; None if nowhere."""
    a_nan, a_inf, a_sign = (table.take(a_codes) for table in _classes(a))
    b_nan, b_inf, b_sign = (table.take(b_codes) for table in _classes(b))
    if not (a_nan.any() or b_nan.any() or a_inf.any() or b_inf.any()):
        return None
    contract = pairing.contract
    a_any, b_any = np.abs(a_inf), np.abs(b_inf)
    a_zero, b_zero = 1 - np.abs(a_sign) - a_nan, 1 - np.abs(b_sign) - b_nan
    nan = (
        contract(a_nan, np.ones_like(b_nan))
        + contract(np.ones_like(a_nan), b_nan)
        + contract(a_any, b_zero)
        + contract(a_zero, b_any)
    )
    count = contract(a_any, np.abs(b_sign)) + contract(np.abs(a_sign), b_any) - contract(a_any, b_any)
    net = contract(a_inf, b_sign) + contract(a_sign, b_inf) - contract(a_inf, b_inf)
    infinite = np.where(np.abs(net) == count, np.copysign(np.inf, net), np.nan)
    return np.where(nan > 0, np.nan, np.where(count > 0, infinite, 0.0))


def _scaled(scale: Doubles, terms: list[Doubles], special: Doubles | None, shifts_only: bool) -> BlockSum:
    """X times the terms, exactly; IEEE rules where X or S is NaN or Inf."""
    if special is not None or not np.isfinite(scale).all():
        marks = np.zeros_like(scale) if special is None else special
        bad = (marks != 0) | ~np.isfinite(scale)
        total: list[Doubles] = []
        for term in terms:
            total = grow(total, term)
        with np.errstate(invalid="ignore"):
            result = scale * np.where(marks != 0, marks, np.sign(round_odd(total)))
        special = np.where(bad, result, 0.0)
        scale = np.where(bad, 0.0, scale)
    if shifts_only:
        return _split([scale * term for term in terms], special)
    products = [two_product(scale, term) for term in terms]
    return _split([part for pair in products for part in pair if part.any()] or [scale * 0.0], special)


def _split(terms: list[Doubles], special: Doubles | None) -> BlockSum:
    if special is None:
        return BlockSum(terms, None)
    return BlockSum([np.where(special != 0, 0.0, term) for term in terms], special)


def _powers_of_two(scales: Doubles | None) -> bool:
    """Whether all scales are powers of two, zero, Inf or NaN: a product with one is exact."""
    if scales is None:
        return True
    fraction = np.frexp(np.where(np.isfinite(scales), scales, 0.0))[0]
    return bool((fraction % 0.5 == 0).all())


def _has_special(side: Operand) -> bool:
    form = side.element
    return any(bool((side.codes == code).any()) for code in (*form.inf_codes, *form.nan_codes))


def _digits_for(a: ElementFormat, b: ElementFormat, length: int) -> tuple[int, int]:
    """How many digits each format needs for sums of ``length`` products of digits to stay below 2^53."""
    a_bits, b_bits = (int(np.abs(form.integers).max()).bit_length() for form in (a, b))
    room = 53 - length.bit_length()
    for a_count, b_count in ((1, 1), (1, 2), (2, 1), (2, 2), (3, 3), (4, 4), (6, 6), (8, 8)):
        if -(-a_bits // a_count) - (-b_bits // b_count) <= room:
            return a_count, b_count
    raise ValueError(f"a block of {length} elements is too long for an exact {a.name} by {b.name} sum")


@cache
def _digits(form: ElementFormat, count: int) -> tuple[Doubles, ...]:
    """``count`` tables of values by code, finite values' digits with the value's sign; they sum to it."""
    integers = form.integers
    magnitude, sign = np.abs(integers), np.sign(integers)
    bits = -(-int(magnitude.max()).bit_length() // count)
    digits = [(magnitude >> bits * i & ((1 << bits) - 1)) << bits * i for i in range(count)]
    return tuple(np.ldexp((sign * digit).astype(np.float64), form.lsb) for digit in digits)


@cache
def _classes(form: ElementFormat) -> tuple[Doubles, Doubles, Doubles]:
    """Tables by code: 1 for NaN; +-1 for Inf; the sign, 0 for zeros and NaN."""
    values = form.values.astype(np.float64)
    nan = np.isnan(values)
    sign = np.where(nan, 0.0, np.sign(values))
    return nan.astype(np.float64), np.where(np.isinf(values), sign, 0.0), sign
