"""dot, matmul and mac: shapes, broadcasting, K = 0, what is refused, and that matmul and mac equal dot."""

import itertools

import numpy as np
import pytest
from mxdot.golden import BlockTensor, dot, formats, mac, matmul, profiles, quantize, reference


def tensor(rng, shape, name="e4m3", block=32, scale="e8m0"):
    """Random codes, NaN and Inf included, and scales around 1."""
    form = formats.element(name)
    codes = rng.integers(0, form.mask + 1, shape, dtype=np.uint8)
    if rng.random() < 0.5:
        codes = np.where(np.isfinite(form.values[codes]), codes, 0)
    count = (*shape[:-1], -(-shape[-1] // block))
    scales = {
        "e8m0": rng.integers(117, 137, count, dtype=np.uint8),
        "ue4m3": rng.integers(30, 80, count, dtype=np.uint8),
        "fp32": rng.standard_normal(count).astype(np.float32),
        None: None,
    }[scale]
    return BlockTensor(codes, scales, name, block, scale)


def bits(array):
    return array.view(np.uint32) if array.dtype == np.float32 else array


EVERYTHING = [
    (name, scale, a, b)
    for name, row in profiles.PROFILES.items()
    for scale in row.scales
    for a, b in [*itertools.product(row.elements[:2], repeat=2), (row.elements[-1], row.elements[0])]
]


@pytest.mark.parametrize(("profile", "scale", "a", "b"), EVERYTHING)
def test_matmul_equals_dot(profile, scale, a, b):
    rng = np.random.default_rng(len(profile))
    block = profiles.get(profile).block or 32
    for m, n, k in ((1, 1, 1), (7, 5, 33), (3, 70, 300)):
        left, right = tensor(rng, (m, k), a, block, scale), tensor(rng, (n, k), b, block, scale)
        c = rng.standard_normal((m, n)).astype(np.float32)
        for out in formats.RESULTS:
            got = matmul(left, right, c, profile, out)
            expanded = [
                BlockTensor(
                    np.expand_dims(side.codes, axis),
                    None if side.scales is None else np.expand_dims(side.scales, axis),
                    *(side.format, block, scale),
                )
                for side, axis in ((left, 1), (right, 0))
            ]
            np.testing.assert_array_equal(bits(got), bits(dot(*expanded, c, profile, out)))


@pytest.mark.parametrize("profile", profiles.PROFILES)
def test_matmul_over_several_tiles(profile):
    rng = np.random.default_rng(3)
    row = profiles.get(profile)
    block = row.block or 32
    left = tensor(rng, (300, 40), row.elements[0], block, row.scales[0])
    right = tensor(rng, (270, 40), row.elements[1], block, row.scales[0])
    got = bits(matmul(left, right, profile=profile))
    for i, j in ((0, 0), (255, 256), (256, 255), (299, 269), (64, 63), (128, 200)):
        pair = [
            BlockTensor(
                side.codes[k],
                None if side.scales is None else side.scales[k],
                *(side.format, side.block, side.scale),
            )
            for side, k in ((left, i), (right, j))
        ]
        assert got[i, j] == bits(dot(*pair, profile=profile))


@pytest.mark.parametrize(("a", "b"), list(itertools.product(formats.ELEMENTS, repeat=2)))
def test_every_pair_of_codes(a, b):
    """K = 1: the product itself, RNE to FP32; NaN canonical, zero positive."""
    left, right = (BlockTensor(formats.element(name).codes[:, None], None, name, 1, None) for name in (a, b))
    with np.errstate(invalid="ignore"):
        product = np.multiply.outer(*(formats.element(name).values.astype(np.float64) for name in (a, b)))
    expected = (product + 0.0).astype(np.float32).view(np.uint32)
    expected = np.where(np.isnan(product), 0x7FC00000, expected)
    for profile in ("fp32", "exact"):
        np.testing.assert_array_equal(bits(matmul(left, right, profile=profile)), expected)
    for name, row in profiles.PROFILES.items():
        if row.kind not in (profiles.get("fp32").kind, profiles.get("exact").kind):
            if {a, b} <= set(row.elements) and row.block is None:  # 8 significant bits are never cut
                nan = row.nan_code(formats.result("fp32"))
                want = np.where(np.isnan(product), nan, expected)
                np.testing.assert_array_equal(bits(matmul(left, right, profile=name)), want)


def test_leading_axes_broadcast():
    rng = np.random.default_rng(4)
    a, b = tensor(rng, (5, 1, 3, 70)), tensor(rng, (4, 1, 70))
    c = rng.standard_normal((5, 4, 3)).astype(np.float32)
    got = dot(a, b, c)
    assert got.shape == (5, 4, 3) and got.dtype == np.float32
    one = dot(
        BlockTensor(a.codes[2, 0, 1], a.scales[2, 0, 1], "e4m3"),
        BlockTensor(b.codes[3, 0], b.scales[3, 0], "e4m3"),
        c[2, 3, 1],
    )
    assert one.shape == () and bits(one) == bits(got)[2, 3, 1]
    assert dot(a, b, c, out="bf16").dtype == np.uint16


def test_two_dimensional_blocks_give_each_row_its_scale():
    rng = np.random.default_rng(5)
    x, w = (rng.standard_normal(shape).astype(np.float32) for shape in ((6, 300), (200, 300)))
    activations, weights = quantize(x, "e4m3", 128), quantize(w, "e4m3", (128, 128))
    rows = BlockTensor(weights.codes, np.repeat(weights.scales, 128, axis=0)[:200], "e4m3", 128)
    for profile in ("fp32", "exact", "deepseek"):
        got = matmul(activations, weights, profile=profile)
        np.testing.assert_array_equal(bits(got), bits(matmul(activations, rows, profile=profile)))


@pytest.mark.parametrize("profile", profiles.PROFILES)
def test_no_elements_give_c(profile):
    row = profiles.get(profile)
    name, scale = row.elements[0], row.scales[0]
    empty = tensor(np.random.default_rng(0), (5, 0), name, row.block or 32, scale)
    c = np.array([0x80000000, 0x3FC00001, 0xFF800000, 0xFFC00001, 0x7F7FFFFF], np.uint32).view(np.float32)
    nan = {out: row.nan_code(formats.result(out)) for out in formats.RESULTS}
    assert bits(dot(empty, empty, c, profile)).tolist() == [
        0x80000000,
        0x3FC00001,
        0xFF800000,
        nan["fp32"],
        0x7F7FFFFF,
    ]
    assert dot(empty, empty, c, profile, "bf16").tolist() == [0x8000, 0x3FC0, 0xFF80, nan["bf16"], 0x7F80]
    assert dot(empty, empty, c, profile, "fp16").tolist() == [0x8000, 0x3E00, 0xFC00, nan["fp16"], 0x7C00]
    assert bits(dot(empty, empty, profile=profile)).tolist() == [0] * 5
    assert matmul(empty, empty, profile=profile).tolist() == [[0.0] * 5] * 5


def test_no_rows():
    rng = np.random.default_rng(0)
    assert dot(tensor(rng, (0, 64)), tensor(rng, (0, 64))).shape == (0,)
    assert matmul(tensor(rng, (0, 64)), tensor(rng, (3, 64))).shape == (0, 3)


@pytest.mark.parametrize(("a", "b"), [("e4m3", "e4m3"), ("e5m2", "e4m3"), ("int8", "e2m1"), ("hif8", "hif8")])
@pytest.mark.parametrize("out", formats.RESULTS)
def test_mac_rounds_every_step(a, b, out):
    rng = np.random.default_rng(6)
    rows, length = 40, 21
    codes = [
        rng.choice(formats.element(n).codes[np.isfinite(formats.element(n).values)], (rows, length))
        for n in (a, b)
    ]
    c = rng.standard_normal(rows).astype(np.float32)
    for profile in ("fp32", "exact"):
        got = mac(*codes, c, formats=(a, b), profile=profile, out=out)
        expected = [
            reference.dot(
                reference.Row(a, codes[0][i].tolist(), None, None, 1),
                reference.Row(b, codes[1][i].tolist(), None, None, 1),
                *(int(c.view(np.uint32)[i]), profile, out),
            )
            for i in range(rows)
        ]
        np.testing.assert_array_equal(bits(got), expected)
    assert mac(codes[0], codes[1][0], formats=(a, b)).shape == (rows,)


def test_mac_step_by_step():
    """2^24 + 1 + 1: each 1 is lost alone (a tie to even), both together are not."""
    ones = np.full((1, 2), 0x38, np.uint8)
    c = np.array([2.0**24], np.float32)
    assert mac(ones, ones, c)[0] == 2.0**24
    assert mac(ones, ones, c, profile="exact")[0] == 2.0**24 + 2
    assert mac(ones, ones, c, out="bf16")[0] == 0x4B80


def test_exact_does_not_depend_on_the_order():
    rng = np.random.default_rng(7)
    scales = rng.integers(0, 255, (2, 20, 6), dtype=np.uint8)
    codes = (
        rng.integers(0, 0x7F, (2, 20, 6, 16), dtype=np.uint8)
        | rng.integers(0, 2, (2, 20, 6, 16), dtype=np.uint8) << 7
    )
    c = rng.standard_normal(20).astype(np.float32)

    def result(codes, scales):
        return bits(
            dot(*(BlockTensor(codes[i].reshape(20, -1), scales[i], "e4m3", 16) for i in (0, 1)), c, "exact")
        )

    want = result(codes, scales)
    for _ in range(5):
        blocks, lanes = rng.permutation(6), rng.permutation(16)
        np.testing.assert_array_equal(result(codes[:, :, blocks][..., lanes], scales[:, :, blocks]), want)


def test_exact_keeps_a_span_of_508_binary_places():
    """2^254 and -2^254 around 2^-254: the smallest scales survive between the largest."""
    codes = np.array([[0x38, 0x38, 0xB8]], np.uint8)
    ones = np.array([[0x38, 0x38, 0x38]], np.uint8)
    scales = np.array([[0xFE, 0x00, 0xFE]], np.uint8)
    a, b = BlockTensor(codes, scales, "e4m3", 1), BlockTensor(ones, scales, "e4m3", 1)
    c = np.array([1.0], np.float32)
    assert dot(a, b, c, "exact")[0] == 1.0
    middle = np.array([[0xFE, 60, 0xFE]], np.uint8)
    a, b = BlockTensor(codes, middle, "e4m3", 1), BlockTensor(ones, middle, "e4m3", 1)
    assert dot(a, b, profile="exact")[0] == 2.0**-134
    assert dot(a, b)[0] == np.inf  # fp32 overflows in the first block and stays there


A = tensor(np.random.default_rng(1), (2, 64))


def with_(**changes):
    fields = {"codes": A.codes, "scales": A.scales, "format": "e4m3", "block": 32, "scale": "e8m0"} | changes
    return BlockTensor(**fields)


UNSCALED = with_(scales=None, scale=None)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ((A.codes, A), TypeError, "a must be a BlockTensor, not ndarray"),
        (
            (A, with_(codes=A.codes[:, :32], scales=A.scales[:, :1])),
            ValueError,
            "a and b must have equal K, not 64 and 32",
        ),
        (
            (A, with_(block=64, scales=A.scales[:, :1])),
            ValueError,
            "blocks along K must be equal, not 32 for a and 64",
        ),
        ((A, UNSCALED), ValueError, "a has scale 'e8m0' and b None"),
        ((A, A, None, "fp64"), ValueError, "unknown profile 'fp64': choose one of fp32 exact hopper"),
        (
            (A, A, None, "fp32", "fp8"),
            ValueError,
            "unknown result format 'fp8': choose one of fp32 bf16 fp16",
        ),
        (
            (A, A, None, "hopper"),
            ValueError,
            "profile 'hopper' does not accept scale 'e8m0': choose one of None",
        ),
        ((A, A, None, "deepseek"), ValueError, "profile 'deepseek' needs block 128, not 32"),
        ((UNSCALED, UNSCALED, None, "deepseek"), ValueError, "profile 'deepseek' needs block 128, not 32"),
        (
            (UNSCALED, UNSCALED, None, "cdna3"),
            ValueError,
            "'cdna3' does not accept a in e4m3: choose one of e4m3fnuz",
        ),
        ((A, with_(format="int8"), None, "blackwell"), ValueError, "'blackwell' does not accept b in int8"),
        ((A, A, 1.0), TypeError, "c must be float32, not float64"),
        ((A, A, np.zeros(3, np.float32)), ValueError, r"c must have the result's shape \(2,\), not \(3,\)"),
        (
            (A, with_(codes=A.codes[:1].repeat(3, 0), scales=A.scales[:1].repeat(3, 0))),
            ValueError,
            "do not broadcast",
        ),
        (
            (with_(codes=A.codes.T, scales=A.scales.T, axis=0), A),
            ValueError,
            "a must be blocked along its last axis",
        ),
    ],
)
def test_dot_refuses(arguments, error, message):
    with pytest.raises(error, match=message):
        dot(*arguments)


def test_matmul_and_mac_refuse():
    with pytest.raises(ValueError, match="matmul needs 2-D tensors, and b has shape \\(64,\\)"):
        matmul(A, with_(codes=A.codes[0], scales=A.scales[0]))
    with pytest.raises(ValueError, match="mac has no profile 'hopper': choose one of fp32 exact"):
        mac(A.codes, A.codes, profile="hopper")
    with pytest.raises(ValueError, match="formats must be a pair of element formats, not 'e4m3'"):
        mac(A.codes, A.codes, formats="e4m3")
    with pytest.raises(ValueError, match="unknown element format 'fp8'"):
        mac(A.codes, A.codes, formats=("e4m3", "fp8"))
