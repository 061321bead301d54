"""The fast way is taken only where it is exact, and gives the bits of the general way."""

import numpy as np
import pytest
from mxdot.golden import BlockTensor, accumulate, formats, matmul, quantize
from mxdot.golden.plain import float64_is_exact, plain


def both_ways(monkeypatch, *arguments):
    """The results with the fast way allowed, and with it refused."""
    fast = matmul(*arguments)
    with monkeypatch.context() as patch:
        patch.setattr(accumulate, "float64_is_exact", lambda a, b, acc: False)
        general = matmul(*arguments)
    return tuple(array.view(np.uint32) if array.dtype == np.float32 else array for array in (fast, general))


@pytest.mark.parametrize("out", formats.RESULTS)
@pytest.mark.parametrize("profile", ["fp32", "exact"])
@pytest.mark.parametrize("name", formats.ELEMENTS)
def test_same_bits_as_the_general_way(name, profile, out, monkeypatch):
    rng = np.random.default_rng(3)
    x, y = (rng.standard_normal((n, 100)).astype(np.float32) for n in (9, 11))
    c = rng.standard_normal((9, 11)).astype(np.float32)
    for scale, block in (("e8m0", 32), ("ue4m3", 16), ("fp32", 32), (None, 7)):
        a, b = quantize(x, name, block, scale), quantize(y, name, block, scale)
        fast, general = both_ways(monkeypatch, a, b, c, profile, out)
        np.testing.assert_array_equal(fast, general)


def test_ordinary_tensors_take_the_fast_way():
    rng = np.random.default_rng(4)
    for name in formats.ELEMENTS:
        a = quantize(rng.standard_normal((8, 512)).astype(np.float32), name)
        fields = (a.element, a.codes, 32, a.scale_values().astype(np.float64))
        assert float64_is_exact(plain(*fields), plain(*fields), np.zeros((8, 8))), name


def test_the_limit_is_sharp_enough(monkeypatch):
    """Scales that drift apart bit by bit: right on both sides of the limit, and both sides are reached."""
    rng = np.random.default_rng(5)
    codes = rng.integers(0, 0x7F, (2, 40, 64), dtype=np.uint8) | (
        rng.integers(0, 2, (2, 40, 64)) << 7
    ).astype(np.uint8)
    taken = set()
    for gap in range(30):
        scales = np.tile(np.array([120, 120 + gap], np.uint8), (40, 1))
        a, b = (BlockTensor(side, scales, "e4m3") for side in codes)
        for profile in ("fp32", "exact"):
            fast, general = both_ways(monkeypatch, a, b, None, profile)
            np.testing.assert_array_equal(fast, general)
        values = 2.0 ** (scales.astype(np.float64) - 127)
        operands = [plain(side.element, side.codes, 32, values) for side in (a, b)]
        taken.add(float64_is_exact(*operands, np.zeros((40, 40))))
    assert taken == {True, False}


def test_an_addend_far_below_is_not_lost():
    a = quantize(np.full((1, 32), 1.0, np.float32), "e4m3")
    c = np.array([[2.0**-140]], np.float32)
    operand = plain(a.element, a.codes, 32, a.scale_values().astype(np.float64))
    assert not float64_is_exact(operand, operand, c.astype(np.float64))
    assert float64_is_exact(operand, operand, np.array([[2.0**-20]]))


@pytest.mark.parametrize(("code", "scale"), [(0x7F, 127), (0x38, 0xFF)])
def test_nan_goes_the_general_way(code, scale):
    codes, scales = np.full((2, 32), 0x38, np.uint8), np.full((2, 1), 127, np.uint8)
    codes[1, 3], scales[1, 0] = code, scale
    tensor = BlockTensor(codes, scales, "e4m3")
    assert plain(tensor.element, codes, 32, tensor.scale_values().astype(np.float64)) is None
    for profile in ("fp32", "exact"):
        got = matmul(tensor, tensor, profile=profile).view(np.uint32)
        assert got.tolist() == [[0x42000000, 0x7FC00000], [0x7FC00000, 0x7FC00000]]
