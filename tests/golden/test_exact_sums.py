"""Sums whose small terms survive only if nothing was rounded on the way."""

import itertools

import numpy as np
import pytest
from mxdot.golden import BlockTensor, dot, formats, matmul, reference


@pytest.mark.parametrize(("a", "b"), list(itertools.product(formats.ELEMENTS, repeat=2)))
@pytest.mark.parametrize("profile", ["fp32", "exact"])
def test_the_smallest_product_between_the_largest(a, b, profile):
    """128 max * max, least * least and 128 times - max * max leave least * least."""
    values = {}
    for name in (a, b):
        form = formats.element(name)
        finite = form.codes[np.isfinite(form.values)]
        positive = finite[form.values[finite] > 0]
        order = positive[np.argsort(form.values[positive])]
        values[name] = order[-1], order[0], finite[form.values[finite] == -form.max][0]
    left, right = (np.full((1, 257), values[name][0], np.uint8) for name in (a, b))
    left[0, 129:] = values[a][2]
    left[0, 128], right[0, 128] = values[a][1], values[b][1]
    rng = np.random.default_rng(1)
    shuffled = [left, right]
    for _ in range(6):
        order = rng.permutation(257)
        shuffled = [
            np.concatenate([all_, side[:, order]]) for all_, side in zip(shuffled, (left, right), strict=True)
        ]
    sides = [BlockTensor(part, None, name, 257, None) for part, name in zip(shuffled, (a, b), strict=True)]
    least = formats.element(a).smallest * formats.element(b).smallest
    np.testing.assert_array_equal(dot(*sides, profile=profile), np.full(7, least, np.float32))
    product = matmul(*sides, profile=profile)
    np.testing.assert_array_equal(np.diagonal(product), np.full(7, least, np.float32))


@pytest.mark.parametrize("scale", ["fp32", "ue4m3"])
@pytest.mark.parametrize("name", ["e4m3", "e5m2", "hif8", "int8"])
def test_nearly_equal_blocks_with_wide_scales_cancel(name, scale):
    """X*S - X*S' with S and S' one least product apart: a difference of products of up to 130 bits."""
    rng = np.random.default_rng(2)
    form = formats.element(name)
    finite = form.codes[np.isfinite(form.values)]
    positive, rows, block = finite[form.values[finite] > 0], 40, 32
    least = positive[np.argmin(form.values[positive])]
    a = rng.choice(positive, (rows, 2 * block))
    b = rng.choice(positive, (rows, 2 * block))
    a[:, block:] = a[:, :block]
    opposite = {code: finite[form.values[finite] == -form.values[code]][0] for code in positive}
    b[:, block:] = [[opposite[code] for code in row] for row in b[:, :block]]
    a[:, -1], b[:, -1] = least, 0
    a[:, block - 1], b[:, block - 1] = least, least
    if scale == "fp32":
        scales = rng.uniform(1, 2, (2, rows, 1)).astype(np.float32).repeat(2, axis=2)
    else:
        scales = rng.integers(0x30, 0x40, (2, rows, 1), dtype=np.uint8).repeat(2, axis=2)
    sides = [BlockTensor(part, s, name, block, scale) for part, s in zip((a, b), scales, strict=True)]
    got = dot(*sides, profile="exact").view(np.uint32)
    for i in range(rows):
        one = [
            reference.Row(name, side.codes[i].tolist(), side.scales[i].tolist(), scale, block)
            for side in sides
        ]
        assert got[i] == reference.dot(*one, 0, "exact")


@pytest.mark.parametrize("middle", [0x38, 0x01])
@pytest.mark.parametrize("gap", range(25, 66))
def test_a_small_product_between_a_large_one_and_its_opposite(gap, middle):
    """2^gap + x - 2^gap = x, x being 1 or 2^-18, on both sides of where float64 stops being exact."""
    codes = np.array([[0x38, middle, 0xB8]], np.uint8)
    ones = np.array([[0x38, middle, 0x38]], np.uint8)
    high = 127 + gap // 2, 127 + gap - gap // 2
    sides = [
        BlockTensor(part, np.array([[top, 127, top]], np.uint8), "e4m3", 1)
        for part, top in zip((codes, ones), high, strict=True)
    ]
    x = 1 if middle == 0x38 else 2.0**-18
    assert dot(*sides, profile="exact")[0] == x
    assert matmul(*sides, profile="exact")[0, 0] == x


@pytest.mark.parametrize("exponent", range(-149, -20, 3))
def test_an_addend_below_what_cancels(exponent):
    """c + 1 - 1 = c in ``exact``, however small c is."""
    sides = [
        BlockTensor(np.array([part], np.uint8), None, "e4m3", 1, None)
        for part in ([0x38, 0xB8], [0x38, 0x38])
    ]
    c = np.ldexp(np.float32([1]), exponent)
    np.testing.assert_array_equal(dot(*sides, c, "exact"), c)
