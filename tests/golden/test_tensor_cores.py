"""What the recorded GPU results do not decide, each against exact rationals: where C stands, zeros,
extremes."""

import numpy as np
import pytest
from mxdot.golden import BlockTensor, dot, profiles, reference

FUSED = [name for name, row in profiles.PROFILES.items() if row.block is None and not row.mac]


def compare(profile, a_format, b_format, a, b, c, scales=None, block=32):
    """dot against the reference, row by row."""
    scale = None if scales is None else "e8m0"
    left, right = (
        BlockTensor(codes, None if scales is None else scales[i], form, block, scale)
        for i, (codes, form) in enumerate(((a, a_format), (b, b_format)))
    )
    got = dot(left, right, c, profile).view(np.uint32)
    for i in range(len(a)):
        rows = [
            reference.Row(
                form, codes[i].tolist(), None if scales is None else scales[j][i].tolist(), scale, block
            )
            for j, (codes, form) in enumerate(((a, a_format), (b, b_format)))
        ]
        want = reference.dot(*rows, int(c.view(np.uint32)[i]), profile)
        assert got[i] == want, f"row {i}: c {c.view(np.uint32)[i]:#x}, got {got[i]:#x}, expected {want:#x}"


@pytest.mark.parametrize("profile", FUSED)
def test_addend_at_every_distance_from_the_products(profile):
    """C's exponent from 40 above to 45 below the products': aligned, cut, floored, dropped."""
    row = profiles.get(profile)
    rng = np.random.default_rng(8)
    for a_format, b_format in (row.elements[:2], row.elements[1::-1], row.elements[1:2] * 2):
        rows, length = 2 * 86, 36
        a, b = (rng.integers(0, 256, (rows, length), dtype=np.uint8) & 0xBF | 0x08 for _ in "ab")
        keep = rng.random((rows, length)) < rng.choice([0.05, 0.5, 1], (rows, 1))
        a = np.where(keep, a, 0)  # few products or many; zeros do not count for the alignment
        sign = rng.integers(0, 2, rows).astype(np.uint32) << 31
        exponent = np.repeat(np.arange(86) - 45 + 127, 2).astype(np.uint32) << 23
        mantissa = rng.integers(0, 1 << 23, rows).astype(np.uint32)
        mantissa[::4] = rng.choice([0, 1, 0x7FFFFF, 0x400000], 43)
        compare(profile, a_format, b_format, a, b, (sign | exponent | mantissa).view(np.float32))


@pytest.mark.parametrize("profile", FUSED)
def test_extreme_addends(profile):
    """Zero, subnormal and largest C over tiny, zero and huge products."""
    form = profiles.get(profile).elements[1]
    c = np.array(
        [0, 0x80000000, 1, 0x80000001, 0x007FFFFF, 0x807FFFFF, 0x00800000, 0x7F7FFFFF, 0xFF7FFFFF], np.uint32
    )
    for code in (0x00, 0x01, 0x81, 0x7B, 0xFB):
        a = np.full((len(c), 33), code, np.uint8)
        b = np.full((len(c), 33), 0x3D, np.uint8)
        compare(profile, form, form, a, b, c.view(np.float32))
        a[:, 1:] = 0
        compare(profile, form, form, a, b, c.view(np.float32))


@pytest.mark.parametrize("profile", FUSED)
def test_cancellation_leaves_plus_zero_or_what_was_not_cut(profile):
    form = profiles.get(profile).elements[0]
    one = 0x40 if form.endswith("fnuz") else 0x38
    a = np.array(
        [[one, one | 0x80, 0x01, 0x00], [one, 0, 0, 0], [one | 0x80, 0, 0, 0x81], [0, 0, 0, 0]], np.uint8
    )
    b = np.full((4, 4), one, np.uint8)
    c = np.array([-0.0, -1.0, 1.0, -0.0], np.float32)
    compare(profile, form, form, a, b, c)
    left, right = (BlockTensor(codes, None, form, scale=None) for codes in (a, b))
    assert dot(left, right, c, profile).view(np.uint32)[[1, 3]].tolist() == [0, 0]


def test_an_addend_of_blackwell_mma_is_not_in_the_alignment():
    """2^20 + 2^-9 * 2^-9 * 32: the products' own exponent, not C's, says what is cut."""
    tiny = np.full((1, 32), 0x01, np.uint8)
    a = BlockTensor(tiny, None, "e4m3", scale=None)
    c = np.array([2.0**-7], np.float32)
    assert dot(a, a, c, "blackwell-mma")[0] == np.float32(2.0**-7 + 2.0**-13)
    big = np.array([2.0**20], np.float32)
    assert dot(a, a, big, "hopper")[0] == 2.0**20


def test_fraction_bits_of_each_fused_profile():
    """One large product and one 2^-d below it: kept up to the profile's F, cut to nothing from F + 1 on."""
    for profile, fraction in (("hopper", 13), ("ada", 13), ("blackwell", 23), ("blackwell-mma", 23)):
        for distance in range(1, 18):
            # e5m2 2^0 * 2^0 against 2^-d * 2^0: codes of powers of two are (15 - d) << 2
            a = np.zeros((1, 32), np.uint8)
            a[0, :2] = 15 << 2, (15 - distance) << 2 if distance < 15 else 0x01
            value = 2.0**-distance if distance < 15 else 2.0**-16
            b = np.full((1, 32), 15 << 2, np.uint8)
            got = dot(*(BlockTensor(x, None, "e5m2", scale=None) for x in (a, b)), profile=profile)[0]
            if distance < 15:
                assert got == (1 + value if distance <= fraction else 1.0), (profile, distance)


def test_blackwell_keeps_25_bits_inside_and_23_outside():
    """1 + 3 * 2^-25 - 2^-24: with F = 25 the three small terms survive the alignment and cancel to 2^-25,
    cut."""
    a = np.zeros((1, 32), np.uint8)
    b = np.zeros((1, 32), np.uint8)
    one = 15 << 2
    a[0, :5] = one, 3 << 2, 3 << 2, 3 << 2, 0x80 | 4 << 2  # 1, three of 2^-12, -2^-11
    b[0, :5] = one, 2 << 2, 2 << 2, 2 << 2, 2 << 2  # 1, 2^-13
    c = np.zeros(1, np.float32)
    compare("blackwell", "e5m2", "e5m2", a, b, c)
    compare("blackwell-mma", "e5m2", "e5m2", a, b, c)
    a[0, 4] = 4 << 2  # 1 + 5 * 2^-25: RZ to 23 bits gives 1 + 2^-23
    left, right = (BlockTensor(x, None, "e5m2", scale=None) for x in (a, b))
    assert dot(left, right, profile="blackwell")[0] == 1 + 2.0**-23
    a[0, 4] = 0  # 1 + 3 * 2^-25 is cut to 1
    left = BlockTensor(a, None, "e5m2", scale=None)
    assert dot(left, right, profile="blackwell")[0] == 1.0


def test_ada_groups_of_16_are_sequential():
    """A large product in the second group cannot cut those of the first, in Hopper's one group it does."""
    a = np.zeros((1, 32), np.uint8)
    a[0, :16] = 0x38  # 1.0, sixteen times
    a[0, 16] = 0x7E
    b = np.full((1, 32), 0x01, np.uint8)  # 2^-9
    b[0, 16] = 0x7E
    left, right = (BlockTensor(x, None, "e4m3", scale=None) for x in (a, b))
    assert dot(left, right, profile="hopper")[0] == 448.0 * 448.0
    # 16 * 2^-9 = 2^-5 is below 2^(16-13) = 8 as C of the second group, too: cut there
    assert dot(left, right, profile="ada")[0] == 448.0 * 448.0
    b[0, :16] = 0x38 + 0x08  # 2.0 each: 32 in the first group; single products 2 < 8 are cut by Hopper
    right = BlockTensor(b, None, "e4m3", scale=None)
    assert dot(left, right, profile="hopper")[0] == 448.0 * 448.0
    assert dot(left, right, profile="ada")[0] == 448.0 * 448.0 + 32


@pytest.mark.parametrize("block", [16, 32, 48])
def test_blackwell_aligns_with_the_block_scales(block):
    rng = np.random.default_rng(block)
    rows, length = 60, 100
    for a_format, b_format in (("e4m3", "e4m3"), ("e5m2", "e2m1"), ("e3m2", "e2m3")):
        top = {"e4m3": 0x7F, "e5m2": 0x7C, "e2m1": 8, "e3m2": 32, "e2m3": 32}
        a, b = (rng.integers(0, top[name], (rows, length), dtype=np.uint8) for name in (a_format, b_format))
        count = -(-length // block)
        tame = rng.integers(115, 139, (2, rows, count))
        wild = rng.choice([0, 1, 2, 126, 127, 0xFD, 0xFE, 0xFF], (2, rows, count))
        scales = np.where(np.arange(rows)[:, None] % 3 == 0, wild, tame).astype(np.uint8)
        c = rng.standard_normal(rows).astype(np.float32)
        compare("blackwell", a_format, b_format, a, b, c, scales, block)


def test_overflow_to_infinity_and_what_follows():
    """A group above 2^128 gives Inf, the next finite group keeps it, an opposite Inf makes NaN of ones."""
    a = np.full((1, 96), 0x7B, np.uint8)
    scales = np.array([[0xFE, 127, 127]], np.uint8)
    left = BlockTensor(a, scales, "e5m2")
    assert dot(left, left, profile="blackwell")[0] == np.inf
    a[0, 70] = 0xFC  # -Inf in the last group
    last = dot(
        BlockTensor(a, scales, "e5m2"), BlockTensor(np.abs(a & 0x7F), scales, "e5m2"), profile="blackwell"
    )
    assert last.view(np.uint32)[0] == 0x7FFFFFFF


def test_deepseek_promotes_every_128():
    """hopper loses small products under a large accumulator; promotion every 128 keeps their sum."""
    a = np.full((1, 256), 0x38, np.uint8)
    a[0, 0] = 0x7E
    left, right = (BlockTensor(x, None, "e4m3", 128, None) for x in (a, np.full((1, 256), 0x20, np.uint8)))
    c = np.array([2.0**16], np.float32)
    assert dot(left, right, c, "hopper")[0] == 2.0**16 + 56
    assert dot(left, right, c, "deepseek")[0] == 2.0**16 + 56 + 255 * 0.125


def test_blackwell_among_the_subnormals():
    """Sums from 2^-155 to 2^-115, C zero or subnormal: cut at 2^-149, below it to +0."""
    rng = np.random.default_rng(9)
    total = np.repeat(np.arange(-155, -115), 6)
    rows = len(total)
    a, b = (rng.choice(np.array([0x38, 0x39, 0x3F, 0xB8, 0xBB, 0x00], np.uint8), (rows, 32)) for _ in "ab")
    a[::2, 4:] = 0
    scales = np.stack([127 + total // 2, 127 + total - total // 2])[:, :, None].astype(np.uint8)
    c = rng.choice(np.array([0, 0, 0x80000000, 1, 0x80000003, 0x007FFFFF, 0x00000400], np.uint32), rows)
    compare("blackwell", "e4m3", "e4m3", a, b, c.view(np.float32), scales)


def test_a_group_at_two_to_the_128_is_infinite_for_good():
    """2^128 - 2^103 and 2^128, then as much taken away: only the first is still a number."""
    a = np.zeros((2, 64), np.uint8)
    b = np.full((2, 64), 0x38, np.uint8)
    a[:, 0], a[1, 1] = 0x78, 0x78  # 256, and 256 again
    a[:, 32] = 0xF8
    scales = np.full((2, 2, 2), 127, np.uint8)
    scales[0], scales[1] = 0xFE - 8, 127  # 2^119 * 256 = 2^127
    c = np.array([0, 0], np.float32)
    compare("blackwell", "e4m3", "e4m3", a, b, c, scales)
    left, right = (BlockTensor(part, s, "e4m3") for part, s in zip((a, b), scales, strict=True))
    assert dot(left, right, profile="blackwell").tolist() == [0.0, np.inf]
