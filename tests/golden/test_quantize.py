"""Quantising: scale rules on every kind of amax, elements, block shapes, special blocks; all against
rationals."""

import math

import ml_dtypes
import numpy as np
import pytest
from mxdot.golden import BlockTensor, formats, quantize, reference
from mxdot.golden.block import RULES


def amax_patterns(name: str) -> np.ndarray:
    """float32 patterns at which a rule may change its mind: D * 2^k, powers of two, each with its
    neighbours."""
    d = np.float32(formats.get(name).max).view(np.uint32) & 0x7FFFFF
    mantissas = [0, 1, 0x7FFFFF, 0x400000, int(d), int(d) - 1, int(d) + 1, 0x600000, 0x700000, 0x780000]
    rounding = [(1 << (22 - m)) * s for m in (1, 2, 3, 6) for s in (1, -1)]
    mantissas += [(x + y) & 0x7FFFFF for x in (0, int(d)) for y in (*rounding, *(r - 1 for r in rounding))]
    exponents = [0, 1, 2, 7, 8, 9, 14, 15, 16, 100, 127, 200, 253, 254]
    patterns = {e << 23 | (m & 0x7FFFFF) for e in exponents for m in mantissas}
    return np.array(sorted(patterns - {0}), np.uint32)


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("name", formats.ELEMENTS)
def test_scale_and_elements_of_every_amax(name, rule):
    if name == "hif8" and rule == "even":
        pytest.raises(ValueError, quantize, np.ones((1, 4), np.float32), name, 4, rule=rule)
        return
    rng = np.random.default_rng(len(name))
    amax = amax_patterns(name).view(np.float32)
    x = np.outer(amax, [1, 0, 0, 0]).astype(np.float32)
    x[:, 1:] = amax[:, None] * rng.uniform(-1, 1, (amax.size, 3)).astype(np.float32)
    x[:, 2] *= np.float32(2.0**-8)
    tensor = quantize(x, name, block=4, rule=rule)
    for i, row in enumerate(x.tolist()):
        code = reference.scale_code(row, name, rule)
        assert tensor.scales[i, 0] == code, f"amax {amax[i].view(np.uint32):#x}"
        elements = [reference.encode(name, math.ldexp(v, 127 - code)) for v in row]
        assert tensor.codes[i].tolist() == elements, f"amax {amax[i].view(np.uint32):#x}"


def test_rceil_needs_no_divider():
    """rceil is E - emax, plus 1 if m > mantissa(D), but 0 at D * 2^-127 * (1 + 1 ulp): floating formats."""
    rng = np.random.default_rng(2)
    patterns = np.concatenate(
        [rng.integers(1, 0x7F800000, 100_000), *(amax_patterns(n) for n in formats.ELEMENTS)]
    )
    patterns = patterns.astype(np.uint32)
    for name, form in formats.ELEMENTS.items():
        if name == "int8":
            continue
        d = int(np.float32(form.max).view(np.uint32))
        codes = quantize(patterns.view(np.float32)[:, None], name, 1, rule="rceil").scales[:, 0]
        code = (patterns >> 23).astype(int) - form.emax + ((patterns & 0x7FFFFF) > (d & 0x7FFFFF))
        code = np.clip(np.where(patterns == d - (127 << 23) + 1, 0, code), 0, 254)
        np.testing.assert_array_equal(codes, code)


def test_known_scales_of_each_rule():
    """e4m3 ends at 448 = 1.75 * 2^8. ``even`` takes the next scale from 1.9375 * 2^8 = 496 on."""
    x = np.float32([[500, 1], [480, 1], [448, 1], [449, 1], [256, 1]])
    expected = {"floor": [127] * 5, "ceil": [128] * 4 + [127], "even": [128, 127, 127, 127, 127]}
    for rule, scales in (expected | {"rceil": [128, 128, 127, 128, 127]}).items():
        assert quantize(x, "e4m3", 2, rule=rule).scales[:, 0].tolist() == scales, rule
    assert quantize(x[:1], "e4m3", 2).codes.tolist() == [[0x7E, 0x38]]  # 500 saturates to 448


def test_special_blocks():
    x = np.float32([[0.0, -0.0], [np.nan, 1], [1, np.inf], [-np.inf, np.nan], [1e-45, -1e-45]])
    tensor = quantize(x, "e4m3", 2)
    assert tensor.scales[:, 0].tolist() == [0, 0xFF, 0xFF, 0xFF, 0]
    assert tensor.codes[:4].tolist() == [[0x00, 0x80], [0, 0], [0, 0], [0, 0]]
    # 2^-149 / 2^-127 = 2^-22: below e4m3's half step
    assert tensor.codes[4].tolist() == [0x00, 0x80]
    assert np.isnan(tensor.dequantize()[1:4]).all()
    assert quantize(x[:1], "int8", 2).codes.tolist() == [[0, 0]]


def test_code_zero_is_two_to_the_minus_127():
    smallest_normal = np.float32(2.0**-126)
    tensor = quantize(np.array([smallest_normal, smallest_normal / 2], np.float32), "e5m2", 2)
    assert tensor.scales.tolist() == [0]
    assert tensor.dequantize().tolist() == [2.0**-126, 2.0**-127]
    assert formats.get("e5m2").decode(tensor.codes).tolist() == [2.0, 1.0]


@pytest.mark.parametrize("block", [1, 5, 16, 32, 64, 100])
@pytest.mark.parametrize("axis", [0, 1, 2, -1, -2, -3])
def test_blocks_along_any_axis(block, axis):
    x = np.random.default_rng(block).standard_normal((3, 50, 37)).astype(np.float32)
    moved = quantize(np.moveaxis(x, axis, -1), "e2m3", block)
    tensor = quantize(x, "e2m3", block, axis=axis)
    np.testing.assert_array_equal(np.moveaxis(tensor.codes, axis, -1), moved.codes)
    np.testing.assert_array_equal(np.moveaxis(tensor.scales, axis, -1), moved.scales)
    np.testing.assert_array_equal(np.moveaxis(tensor.dequantize(), axis, -1), moved.dequantize())
    assert tensor.codes.shape == x.shape and tensor.scales.shape[axis] == -(-x.shape[axis] // block)


def test_a_partial_block_counts_as_padded_with_zeros():
    x = np.random.default_rng(1).standard_normal((4, 70)).astype(np.float32)
    padded = quantize(np.pad(x, [(0, 0), (0, 26)]), "e4m3")
    tensor = quantize(x, "e4m3")
    np.testing.assert_array_equal(tensor.codes, padded.codes[:, :70])
    np.testing.assert_array_equal(tensor.scales, padded.scales)


def test_two_dimensional_blocks():
    x = np.random.default_rng(3).standard_normal((2, 5, 7)).astype(np.float32)
    tensor = quantize(x, "e4m3", block=(2, 3))
    assert tensor.scales.shape == (2, 3, 3)
    for i in range(3):
        for j in range(3):
            patch = x[1, 2 * i : 2 * i + 2, 3 * j : 3 * j + 3]
            flat = quantize(patch.reshape(1, -1), "e4m3", block=patch.size)
            assert tensor.scales[1, i, j] == flat.scales[0, 0]
            np.testing.assert_array_equal(
                tensor.codes[1, 2 * i : 2 * i + 2, 3 * j : 3 * j + 3].ravel(), flat.codes[0]
            )


def test_rounding_and_overflow_reach_the_elements():
    x = np.random.default_rng(4).standard_normal((8, 64)).astype(np.float32)
    words = np.random.default_rng(5).integers(0, 1 << 16, x.shape)
    for options in (
        {"rounding": "rtz"},
        {"rounding": "stochastic", "random": words},
        {"overflow": "nonsaturate"},
    ):
        tensor = quantize(x, "e4m3", **options)
        scaled = np.ldexp(x, 127 - np.repeat(tensor.scales.astype(int), 32, axis=1))
        np.testing.assert_array_equal(tensor.codes, formats.get("e4m3").encode(scaled, **options))
    assert quantize(np.float32([480, 1]), "e4m3", 2, overflow="nonsaturate").codes[0] == 0x7F


def test_narrow_inputs_are_widened_exactly():
    x = np.random.default_rng(6).standard_normal((4, 64)).astype(ml_dtypes.bfloat16)
    for array in (x, x.astype(np.float16)):
        wide = quantize(array.astype(np.float32), "e4m3")
        np.testing.assert_array_equal(quantize(array, "e4m3").codes, wide.codes)
    with pytest.raises(TypeError, match="not float64"):
        quantize(x.astype(np.float64), "e4m3")


def test_unscaled_elements():
    x = np.float32([[1, -2, 1e9, 0.3]])
    tensor = quantize(x, "e4m3", scale=None)
    assert tensor.scales is None and tensor.codes.tolist() == [[0x38, 0xC0, 0x7E, 0x2A]]
    assert tensor.dequantize().tolist() == [[1, -2, 448, 0.3125]]


def test_fp32_scales():
    x = np.float32([[3, -7, 0, 1], [0, 0, 0, 0], [np.inf, 1, 1, 1]])
    tensor = quantize(x, "e4m3", 4, scale="fp32")
    one, amax = np.float32(1), np.float32([7, 1e-4])
    scales = amax / np.float32(448)
    np.testing.assert_array_equal(tensor.scales[:2, 0], scales)
    np.testing.assert_array_equal(tensor.codes[0], formats.get("e4m3").encode(x[0] * (one / scales[0])))
    assert np.isnan(tensor.scales[2, 0]) and tensor.codes[1:].tolist() == [[0] * 4, [0] * 4]


def test_empty_tensors():
    for shape in ((0, 32), (4, 0), (0,)):
        tensor = quantize(np.zeros(shape, np.float32), "e4m3")
        assert tensor.codes.shape == shape and tensor.dequantize().shape == shape


def test_dequantize_rounds_the_exact_product_once():
    codes = np.array([[0x01, 0x7E, 0x83]], np.uint8)
    tensor = BlockTensor(codes, np.array([[0]], np.uint8), "e4m3", 3)
    # 2^-9 * 2^-127 = 2^-136 and 3 * 2^-136 are float32 subnormals; no flush
    assert tensor.dequantize().tolist() == [[2.0**-136, 448 * 2.0**-127, -3 * 2.0**-136]]
    big = BlockTensor(codes, np.array([[0xFE]], np.uint8), "e4m3", 3)
    assert big.dequantize().tolist() == [[2.0**118, np.inf, -3 * 2.0**118]]
    scaled = BlockTensor(codes, np.array([[0x38]], np.uint8), "e4m3", 3, "ue4m3", float(np.float32(0.1)))
    np.testing.assert_array_equal(
        scaled.dequantize(),
        (np.float64([[2.0**-9, 448, -3 * 2.0**-9]]) * np.float64(np.float32(0.1))).astype(np.float32),
    )


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"format": "e9m9"}, ValueError, "unknown element format 'e9m9'"),
        ({"format": "e8m0"}, ValueError, "unknown element format 'e8m0'"),
        ({"block": 0}, ValueError, "block must be at least 1, not 0"),
        ({"block": 1.5}, TypeError, "block must be an int or a pair"),
        ({"block": (1, 2, 3)}, TypeError, "block must be an int or a pair"),
        ({"block": (0, 4)}, ValueError, "block must be at least 1"),
        ({"scale": "e5m3"}, ValueError, "scale must be 'e8m0', 'ue4m3', 'fp32' or None, not 'e5m3'"),
        ({"rule": "round"}, ValueError, "rule must be one of floor ceil even rceil, not 'round'"),
        ({"scale": "ue4m3", "rule": "ceil"}, ValueError, "rule 'ceil' chooses e8m0 scales"),
        ({"scale": None, "rule": "even"}, ValueError, "rule 'even' chooses e8m0 scales"),
        ({"axis": 2}, ValueError, r"axis must lie in -2..1, not 2"),
        ({"axis": 0, "block": (2, 2)}, ValueError, "2-D blocks take the last two axes"),
        ({"axis": "k"}, TypeError, "axis must be an int"),
        ({"format": "hif8", "rule": "even"}, ValueError, "rule 'even' needs a fixed number of mantissa bits"),
        ({"x": np.float32(1)}, ValueError, "a scalar has no axis"),
        ({"x": np.zeros(4, np.float32), "block": (2, 2)}, ValueError, "2-D blocks need at least two axes"),
    ],
)
def test_bad_arguments(options, error, message):
    arguments = {"x": np.zeros((4, 8), np.float32), "format": "e4m3"} | options
    with pytest.raises(error, match=message):
        quantize(**arguments)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ((np.zeros((2, 8), np.uint8), np.zeros((2, 2), np.uint8), "e4m3", 8), ValueError, r"shape \(2, 1\)"),
        ((np.zeros((2, 8), np.uint8), None, "e4m3", 8), ValueError, "scales are missing"),
        (
            (np.zeros((2, 8), np.uint8), np.zeros((2, 1), np.uint8), "e4m3", 8, None),
            ValueError,
            "must be None",
        ),
        (
            (np.full((2, 8), 64, np.uint8), np.zeros((2, 1), np.uint8), "e3m2", 8),
            ValueError,
            "0..0x3f, not 64",
        ),
        ((np.zeros((2, 8)), np.zeros((2, 1), np.uint8), "e4m3", 8), TypeError, "codes must be integers"),
        ((np.zeros((2, 8), np.uint8), np.zeros((2, 1)), "e4m3", 8), TypeError, "scales must be integers"),
        (
            (np.zeros((2, 8), np.uint8), np.full((2, 1), 0x80), "e4m3", 8, "ue4m3"),
            ValueError,
            "0..0x7f, not 128",
        ),
        (
            (np.zeros((2, 8), np.uint8), np.zeros((2, 1)), "e4m3", 8, "fp32"),
            TypeError,
            "scales must be float32",
        ),
        (
            (np.zeros((2, 8), np.uint8), np.zeros((2, 1), np.uint8), "e4m3", 8, "e8m0", 0.1),
            ValueError,
            "float32 value",
        ),
    ],
)
def test_bad_block_tensors(arguments, error, message):
    with pytest.raises(error, match=message):
        BlockTensor(*arguments)
