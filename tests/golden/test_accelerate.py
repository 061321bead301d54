"""The compiled loops give NumPy's bits, and are used only where they are there, wanted and worth it."""

import sys

import numpy as np
import pytest
from mxdot.golden import BlockTensor, accelerate, formats, matmul, profiles

KINDS = [name for name in profiles.PROFILES if name != "cdna3"]


def tensor(rng, rows, name, scale, block):
    form = formats.element(name)
    finite = form.codes[np.isfinite(form.values)]
    codes = rng.choice(finite, (rows, 90))
    codes[rows // 2 :] = np.where(rng.random((rows - rows // 2, 90)) < 0.7, 0, codes[rows // 2 :])
    codes[: rows // 4, 45:] = codes[: rows // 4, :45] ^ 0x80 >> (8 - form.width)  # cancellation
    scales = rng.integers(100, 150, (rows, -(-90 // block)), dtype=np.uint8) if scale == "e8m0" else None
    if scale == "fp32":
        scales = rng.standard_normal((rows, -(-90 // block))).astype(np.float32)
    return BlockTensor(codes, scales, name, block, scale)


@pytest.mark.parametrize("profile", KINDS)
def test_same_bits_with_and_without(profile, monkeypatch):
    row = profiles.get(profile)
    rng = np.random.default_rng(6)
    for scale in [scale for scale in row.scales if scale != "ue4m3"]:
        for a_format, b_format in (("e4m3", "e4m3"), ("e5m2", "e4m3"), ("e5m2", "e5m2")):
            block = row.block or 32
            a, b = tensor(rng, 30, a_format, scale, block), tensor(rng, 27, b_format, scale, block)
            c = rng.integers(0, 1 << 32, (30, 27), dtype=np.uint32).view(np.float32)
            ordinary = rng.standard_normal((30, 27)).astype(np.float32)
            tame = np.where(np.isfinite(c), c, np.float32(0))
            for addend in (None, ordinary, tame, c):
                results = []
                for worth in (0, 1 << 60):
                    monkeypatch.setattr(accelerate, "_WORTH_COMPILING", worth)
                    assert (accelerate.kernels(1000) is None) == (worth > 0)
                    results.append(matmul(a, b, addend, profile).view(np.uint32))
                np.testing.assert_array_equal(*results)


def test_special_operands_with_and_without(monkeypatch):
    rng = np.random.default_rng(7)
    codes = rng.integers(0, 256, (20, 64), dtype=np.uint8)
    a = BlockTensor(codes, None, "e5m2", scale=None)
    results = []
    for worth in (0, 1 << 60):
        monkeypatch.setattr(accelerate, "_WORTH_COMPILING", worth)
        results.append(matmul(a, a, profile="hopper").view(np.uint32))
    np.testing.assert_array_equal(*results)


def test_small_work_and_a_switch_turn_it_off(monkeypatch):
    assert accelerate.kernels(1000) is None
    assert accelerate.kernels(1 << 26) is not None
    monkeypatch.setenv("MXDOT_NUMBA", "0")
    assert accelerate.kernels(1 << 40) is None


def test_without_numba_there_is_numpy(monkeypatch):
    monkeypatch.setitem(sys.modules, "numba", None)
    accelerate._compiled.cache_clear()
    try:
        assert accelerate.kernels(1 << 40) is None
    finally:
        accelerate._compiled.cache_clear()


def test_among_the_subnormals_with_and_without(monkeypatch):
    """Blackwell's sums around 2^-149 and its C below 2^-126."""
    rng = np.random.default_rng(8)
    total = np.arange(-155, -115)
    codes = rng.choice(np.array([0x38, 0x39, 0x3F, 0xB8, 0xBB, 0x00], np.uint8), (2, 40, 32))
    codes[0, ::2, 4:] = 0
    scales = np.stack([127 + total // 2, 127 + total - total // 2])[:, :, None].astype(np.uint8)
    a, b = (BlockTensor(part, scale, "e4m3") for part, scale in zip(codes, scales, strict=True))
    c = rng.choice(np.array([0, 0x80000000, 1, 0x80000003, 0x007FFFFF, 0x400], np.uint32), (40, 40))
    results = []
    for worth in (0, 1 << 60):
        monkeypatch.setattr(accelerate, "_WORTH_COMPILING", worth)
        results.append(matmul(a, b, c.view(np.float32), "blackwell").view(np.uint32))
    np.testing.assert_array_equal(*results)
    assert len(np.unique(results[0])) > 100
