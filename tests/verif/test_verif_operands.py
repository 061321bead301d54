"""Operands by rule: each rule goes where it says."""

from fractions import Fraction

import numpy as np
import pytest
from mxdot.golden import formats
from mxdot.verif import operands
from mxdot.verif.operands import Blocks, Pair, Palette

NAMES = sorted(formats.ELEMENTS)


def pair(a: str = "e4m3", b: str = "e5m2", scale: str | None = "e8m0", block: int = 8) -> Pair:
    return Pair(Palette(formats.element(a)), Palette(formats.element(b)), scale, block)


def terms(p: Pair, made: Blocks, index: int) -> tuple[Fraction, Fraction]:
    """Addend and X*S of a block, exactly; for finite operands under e8m0 or no scales."""
    products = zip(p.a.format.values[made.a[index]], p.b.format.values[made.b[index]], strict=True)
    total = sum((Fraction(float(x)) * Fraction(float(y)) for x, y in products), Fraction(0))
    if p.scale:
        total *= Fraction(2) ** (int(made.a_scale[index]) + int(made.b_scale[index]) - 254)
    return Fraction(float(made.c[index : index + 1].view(np.float32)[0])), total


def half_ulps(value: Fraction) -> Fraction:
    """`value` in units of half its last place as a binary32 (normal range)."""
    size = abs(value)
    exponent = size.numerator.bit_length() - size.denominator.bit_length()
    exponent -= Fraction(2) ** exponent > size
    return size / Fraction(2) ** (max(exponent, -126) - 24)


@pytest.mark.parametrize("a", NAMES)
@pytest.mark.parametrize("scale", ["e8m0", "ue4m3", None])
def test_every_rule_makes_blocks_of_the_right_shape_for_any_format(a: str, scale: str | None) -> None:
    for b, block in (("e4m3", 1), ("int8", 4), (a, 32)):
        p = pair(a, b, scale, block)
        made, kinds = operands.blocks(np.random.default_rng(3), 96, p)
        assert made.a.shape == made.b.shape == (96, block) and made.c.dtype == np.uint32
        assert made.a.max() <= p.a.format.mask and made.b.max() <= p.b.format.mask
        assert np.bincount(kinds).tolist() == [8] * 12
        if scale is None:
            assert not made.a_scale.any() and not made.b_scale.any()
        if scale == "ue4m3":
            assert made.a_scale.max() <= 0x7F


def test_the_same_seed_gives_the_same_blocks() -> None:
    first, again, other = (operands.blocks(np.random.default_rng(s), 60, pair())[0] for s in (1, 1, 2))
    assert (first.a == again.a).all() and (first.c == again.c).all() and (first.a != other.a).any()


@pytest.mark.parametrize("name", NAMES)
def test_a_palette_knows_its_format(name: str) -> None:
    palette = Palette(formats.element(name))
    values = palette.format.values
    assert np.isfinite(values[palette.finite]).all()
    assert (values[palette.zeros] == 0).all() and len(palette.zeros) == 1 + palette.format.negative_zero
    pairs = [(c, n) for c, n in enumerate(palette.negated) if np.isfinite(values[c]) and n != c]
    assert all(values[n] == -values[c] for c, n in pairs) and len(pairs) > len(palette.finite) - 4
    special = np.abs(values[palette.special])
    assert special.max() == np.abs(values[palette.finite]).max() and palette.format.smallest in special
    exponents, codes = palette.powers
    assert (values[codes] == 2.0**exponents).all() and len(codes) == len(set(exponents))


def test_ties_are_ties_or_a_hair_beside_one() -> None:
    p = pair()
    made = operands.tie(np.random.default_rng(4), 300, p)
    kinds = {"exact": 0, "beside": 0}
    for index in range(300):
        c, total = terms(p, made, index)
        steps = half_ulps(c + total)
        kinds["exact"] += steps.denominator == 1 and steps.numerator % 2 == 1
        kinds["beside"] += steps.denominator != 1
    assert kinds["exact"] > 60 and kinds["beside"] > 60


def test_ties_inside_the_sum_need_no_addend() -> None:
    p = pair("e4m3", "e4m3")
    made = operands.tie_inside(np.random.default_rng(4), 300, p)
    steps = [half_ulps(total) for _, total in (terms(p, made, i) for i in range(300)) if total]
    assert sum(s.denominator == 1 and s.numerator % 2 == 1 for s in steps) > 60
    assert sum(s.denominator != 1 for s in steps) > 30


def test_opposite_addends_cancel_exactly_or_to_a_few_units() -> None:
    p = pair("e4m3", "e2m1")
    made = operands.opposite(np.random.default_rng(5), 200, p)
    sums = [terms(p, made, index) for index in range(200) if made.c[index] & 0x7F800000 != 0x7F800000]
    assert sum(c + total == 0 for c, total in sums) > 40
    close = sum(abs(c + total) < abs(total) / 2**18 for c, total in sums if total)
    assert close > 150


def test_cancelling_blocks_often_sum_to_zero() -> None:
    p = pair()
    made = operands.cancelling(np.random.default_rng(5), 200, p)
    zero = sum(terms(p, made, index)[1] == 0 for index in range(200))
    assert 40 < zero < 160


def test_tiny_and_huge_results_lie_at_the_ends_of_the_range() -> None:
    p, rng = pair("e4m3", "e4m3"), np.random.default_rng(6)
    small = [abs(sum(terms(p, operands.tiny(rng, 100, p), i), Fraction(0))) for i in range(100)]
    assert sum(0 < s < Fraction(2) ** -126 for s in small) > 40
    assert sum(0 < s < Fraction(2) ** -149 for s in small) > 3
    made = operands.huge(rng, 200, p)
    finite = [i for i in range(200) if made.a_scale[i] != 255]
    large = [abs(sum(terms(p, made, i), Fraction(0))) for i in finite]
    limit = Fraction(2) ** 128 - Fraction(2) ** 103
    assert sum(s >= limit for s in large) > 30
    assert sum(limit / 2 < s < limit for s in large) > 20


def test_not_finite_blocks_hold_a_nan_or_inf_somewhere_most_of_the_time() -> None:
    p = pair("e5m2", "e5m2")
    made = operands.not_finite(np.random.default_rng(7), 200, p)
    odd = ~np.isfinite(p.a.format.values[made.a]).all(axis=1) | ~np.isfinite(p.b.format.values[made.b]).all(
        axis=1
    )
    odd |= (made.a_scale == 255) | (made.b_scale == 255) | (made.c & 0x7F800000 == 0x7F800000)
    assert 150 < odd.sum() < 200


def test_special_scales_hold_the_ends_and_nan() -> None:
    made = operands.special(np.random.default_rng(8), 400, pair())
    assert {0x00, 0xFE, 0xFF} <= set(made.a_scale.tolist())
    assert {0x00, 0x7E, 0x7F} <= set(
        operands.special(np.random.default_rng(8), 400, pair(scale="ue4m3")).b_scale.tolist()
    )
