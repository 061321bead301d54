"""The recipes against scalar FP32 arithmetic, step by step, and DeepSeek's packed scales."""

import math

import numpy as np
import pytest
from mxdot.golden import dot, formats, quantize, recipes, reference

F = np.float32
FLT_MAX = F(3.4028234663852886e38)


def test_mx_is_floor_rne_saturate():
    x = np.random.default_rng(0).standard_normal((4, 80)).astype(F)
    for name in ("e4m3", "e5m2", "e3m2", "e2m3", "e2m1", "int8"):
        tensor, plain = recipes.mx(x, name), quantize(x, name)
        np.testing.assert_array_equal(tensor.codes, plain.codes)
        np.testing.assert_array_equal(tensor.scales, plain.scales)
    assert recipes.mx(x, "e4m3", block=16).scales.shape == (4, 5)


def nvfp4_block(block: np.ndarray, s_enc: np.float32) -> tuple[int, list[int]]:
    """Scale code and element codes of one block, one FP32 operation at a time."""
    s_dec = F(1) / s_enc
    if not np.isfinite(block).all():
        return 0x7F, [0] * len(block)
    with np.errstate(over="ignore", divide="ignore"):
        wanted = min(F(np.abs(block).max() * F(s_enc * F(F(1) / F(6)))), F(448))
        code = reference.encode("e4m3", float(wanted))
        value = F(reference.decode("e4m3", code))
        r = min(F(F(1) / F(value * s_dec)), FLT_MAX)
        return code, [reference.encode("e2m1", float(F(v * r))) for v in block]


@pytest.mark.parametrize("spread", [1.0, 1e-3, 1e-30, 1e30, 1e-44])
def test_nvfp4(spread):
    rng = np.random.default_rng(7)
    x = (rng.standard_normal((6, 40)) * np.exp2(rng.uniform(-12, 0, (6, 40))) * spread).astype(F)
    x[0, :16] = 0
    x[1, 3], x[2, 20], x[3, 33] = np.nan, np.inf, -np.inf
    tensor = recipes.nvfp4(x)
    amax = np.abs(x[np.isfinite(x)]).max()
    with np.errstate(over="ignore"):
        s_enc = min(F(2688) / amax, FLT_MAX)
    assert tensor.tensor_scale == F(1) / s_enc
    assert (tensor.format, tensor.block, tensor.scale) == ("e2m1", 16, "ue4m3")
    for i in range(6):
        for j, start in enumerate(range(0, 40, 16)):
            code, elements = nvfp4_block(x[i, start : start + 16], s_enc)
            assert tensor.scales[i, j] == code
            assert tensor.codes[i, start : start + 16].tolist() == elements
    assert np.isnan(tensor.dequantize()[1, :16]).all() and (tensor.codes[1, :16] == 0).all()


def test_nvfp4_of_zeros_and_of_nothing():
    for x in (np.zeros((2, 32), F), np.full((2, 32), np.nan, F), np.zeros((0, 16), F)):
        assert recipes.nvfp4(x).tensor_scale == 1.0
    assert recipes.nvfp4(np.zeros((2, 32), F)).scales.tolist() == [[0, 0], [0, 0]]
    assert recipes.nvfp4(np.full((2, 32), np.nan, F)).scales.tolist() == [[0x7F, 0x7F], [0x7F, 0x7F]]


def test_ue4m3_without_a_tensor_factor():
    x = np.random.default_rng(8).standard_normal((3, 50)).astype(F)
    tensor = quantize(x, "e2m1", 16, scale="ue4m3")
    assert tensor.tensor_scale is None
    for i in range(3):
        for j, start in enumerate(range(0, 50, 16)):
            code, elements = nvfp4_block(x[i, start : start + 16], F(1))
            assert tensor.scales[i, j] == code
            assert tensor.codes[i, start : start + 16].tolist() == elements


def test_nvfp4_product_multiplies_both_tensor_factors_in():
    rng = np.random.default_rng(9)
    a, b = (recipes.nvfp4(rng.standard_normal((5, 48)).astype(F) * F(s)) for s in (3, 0.01))
    plain = dot(*(type(t)(t.codes, t.scales, "e2m1", 16, "ue4m3") for t in (a, b)))
    expected = plain * (F(a.tensor_scale) * F(b.tensor_scale))
    np.testing.assert_array_equal(dot(a, b), expected)
    mixed = dot(a, type(b)(b.codes, b.scales, "e2m1", 16, "ue4m3"))
    np.testing.assert_array_equal(mixed, plain * F(a.tensor_scale))


@pytest.mark.parametrize("block", [(1, 128), (128, 128)])
def test_deepseek_power_of_two_scales(block):
    rng = np.random.default_rng(10)
    x = (rng.standard_normal((130, 300)) * np.exp2(rng.uniform(-20, 8, (130, 1)))).astype(F)
    x[3, :128] = 0
    tensor = recipes.deepseek(x, block)
    assert tensor.scales.shape == (-(-130 // block[0]), 3)
    for i in range(tensor.scales.shape[0]):
        for j in range(3):
            patch = x[i * block[0] : (i + 1) * block[0], 128 * j : 128 * (j + 1)]
            floored = [max(float(np.abs(patch).max()), float(F(1e-4)))]
            code = reference.scale_code(floored, "e4m3", "rceil")
            assert tensor.scales[i, j] == code
            value = float(patch.flat[-1])
            got = tensor.codes[i * block[0] : (i + 1) * block[0], 128 * j : 128 * (j + 1)].flat[-1]
            assert got == reference.encode("e4m3", math.ldexp(value, 127 - code))


def test_deepseek_special_blocks():
    x = np.zeros((3, 128), F)
    x[1, 5], x[2, 6] = np.nan, np.inf
    tensor = recipes.deepseek(x)
    assert tensor.scales[:, 0].tolist() == [105, 0xFF, 0xFF] and not tensor.codes.any()
    scales = recipes.deepseek(x, scale="fp32").scales
    assert scales[0, 0] == F(1e-4) / F(448) and np.isnan(scales[1:]).all()


def test_deepseek_fp32_scales():
    x = np.random.default_rng(11).standard_normal((2, 200)).astype(F)
    tensor = recipes.deepseek(x, scale="fp32")
    for i in range(2):
        for j, start in enumerate((0, 128)):
            part = x[i, start : start + 128]
            sf = np.abs(part).max() / F(448)
            assert tensor.scales[i, j] == sf
            expected = formats.get("e4m3").encode(part * (F(1) / sf))
            np.testing.assert_array_equal(tensor.codes[i, start : start + 128], expected)


def test_packed_scales():
    scales = np.array([[1, 2, 3, 4, 5], [0xFF, 0, 0, 0xFE, 9]], np.uint8)
    words = recipes.pack_scales(scales)
    assert words.dtype == np.int32
    assert words.view(np.uint32).tolist() == [[0x04030201, 5], [0xFE0000FF, 9]]
    np.testing.assert_array_equal(recipes.unpack_scales(words, 5 * 128), scales)
    np.testing.assert_array_equal(recipes.unpack_scales(words, 4 * 128 + 1), scales)
    np.testing.assert_array_equal(recipes.unpack_scales(words[:, :1], 300), scales[:, :3])
    assert recipes.pack_scales(np.zeros((2, 0), np.uint8)).shape == (2, 0)


def test_bad_arguments():
    x = np.zeros((4, 256), F)
    for call, error, message in [
        (
            lambda: recipes.deepseek(x, (1, 64)),
            ValueError,
            r"block must be \(1, 128\) or \(128, 128\), not \(1, 64\)",
        ),
        (
            lambda: recipes.deepseek(x, scale="ue4m3"),
            ValueError,
            "scale must be 'e8m0' or 'fp32', not 'ue4m3'",
        ),
        (lambda: recipes.deepseek(x[0], (128, 128)), ValueError, "2-D blocks need at least two axes"),
        (lambda: recipes.nvfp4(x.astype(float)), TypeError, "not float64"),
        (
            lambda: recipes.unpack_scales(np.zeros((2, 2), np.int32), 128),
            ValueError,
            "1 scales in 1 words, not shape",
        ),
        (lambda: recipes.unpack_scales(np.zeros(2), 128), TypeError, "words must be int32, not float64"),
        (lambda: recipes.pack_scales(np.zeros(2)), TypeError, "scales must be integers"),
    ]:
        with pytest.raises(error, match=message):
            call()
