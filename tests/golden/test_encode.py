"""Encoding: every rounding boundary and its float32 neighbours, each rounding and overflow rule."""

import ml_dtypes
import numpy as np
import pytest
from mxdot.golden import formats, reference
from mxdot.golden.encode import encode

ML_DTYPES = {
    "e4m3": ml_dtypes.float8_e4m3fn,
    "e5m2": ml_dtypes.float8_e5m2,
    "e3m2": ml_dtypes.float6_e3m2fn,
    "e2m3": ml_dtypes.float6_e2m3fn,
    "e2m1": ml_dtypes.float4_e2m1fn,
    "e4m3fnuz": ml_dtypes.float8_e4m3fnuz,
    "e5m2fnuz": ml_dtypes.float8_e5m2fnuz,
}
OVERFLOWS = [
    (name, overflow)
    for name in formats.ELEMENTS
    for overflow in ("saturate", "nonsaturate")
    if overflow == "saturate" or formats.get(name).nan_codes
]


def boundaries(name: str) -> np.ndarray:
    """Every value, every midpoint and what lies beyond, each with its float32 neighbours, in both signs."""
    form = formats.get(name)
    values = np.unique(np.abs(form.values[np.isfinite(form.values)]).astype(np.float64))
    top = values[-1] * np.array([1 + 1 / 32, 1 + 1 / 16, 1.125, 1.25, 1.5, 2, 4])
    points = np.concatenate([values, (values[:-1] + values[1:]) / 2, top]).astype(np.float32)
    extreme = np.array([1e-45, 1.1754942e-38, 1.1754944e-38, 3.4028235e38, np.inf], np.float32)
    points = np.concatenate([points, extreme])
    with np.errstate(over="ignore"):
        points = np.concatenate(
            [points, np.nextafter(points, np.float32(0)), np.nextafter(points, np.float32(np.inf))]
        )
    return np.concatenate([points, -points])


@pytest.mark.parametrize("name", ML_DTYPES)
def test_rne_at_every_boundary_against_ml_dtypes(name):
    form = formats.get(name)
    x = boundaries(name)
    # ml_dtypes gives NaN or Inf on overflow where the format has one, and saturates where it has neither
    overflow = "nonsaturate" if form.nan_codes else "saturate"
    np.testing.assert_array_equal(form.encode(x, overflow=overflow), x.astype(ML_DTYPES[name]).view(np.uint8))


@pytest.mark.parametrize("name", ML_DTYPES)
def test_saturation_differs_from_ml_dtypes_only_beyond_the_largest(name):
    form = formats.get(name)
    x = boundaries(name)
    theirs = x.astype(ML_DTYPES[name]).view(np.uint8)
    special = ~np.isfinite(form.values[theirs])
    saturated = np.where(np.signbit(x), form.mask >> 1 | 1 << (form.width - 1), form.mask >> 1)
    saturated = np.where(special, saturated - (len(form.inf_codes + form.nan_codes) // 2), theirs)
    np.testing.assert_array_equal(form.encode(x), saturated)


@pytest.mark.parametrize(("name", "overflow"), OVERFLOWS)
@pytest.mark.parametrize("rounding", ["rne", "rtz"])
def test_every_boundary_against_exact_rationals(name, rounding, overflow):
    x = boundaries(name)
    expected = [reference.encode(name, value, rounding, overflow) for value in x.tolist()]
    np.testing.assert_array_equal(formats.get(name).encode(x, rounding, overflow), expected)


@pytest.mark.parametrize(("name", "overflow"), OVERFLOWS)
@pytest.mark.parametrize("bits", [1, 3, 16, 32])
def test_stochastic_against_exact_rationals(name, overflow, bits):
    rng = np.random.default_rng(bits)
    x = rng.choice(boundaries(name), 400)
    with np.errstate(over="ignore"):
        x[::2] *= rng.uniform(0.9, 1.1, x[::2].size).astype(np.float32)
    words = rng.integers(0, 1 << bits, x.size, dtype=np.uint64)
    expected = [
        reference.encode(name, value, "stochastic", overflow, word, bits)
        for value, word in zip(x.tolist(), words.tolist(), strict=True)
    ]
    np.testing.assert_array_equal(encode(formats.get(name), x, "stochastic", overflow, words, bits), expected)


def test_stochastic_counts_every_word():
    """A quarter of the way up, exactly a quarter of the words round up."""
    words = np.arange(1 << 16, dtype=np.uint32)
    x = np.full(words.shape, 1.0 + 0.125 / 4, np.float32)
    codes = formats.get("e4m3").encode(x, "stochastic", random=words)
    assert np.bincount(codes)[[0x38, 0x39]].tolist() == [3 << 14, 1 << 14]
    assert (codes[-(1 << 14) :] == 0x39).all()


def test_overflow_limits():
    encode = formats.get("e4m3").encode
    x = np.array([464, np.nextafter(np.float32(464), np.float32(465)), 480, -480, 449], np.float32)
    assert encode(x, overflow="nonsaturate").tolist() == [0x7E, 0x7F, 0x7F, 0xFF, 0x7E]
    x = np.array([479.99, 480, -np.inf], np.float32)
    assert encode(x, "rtz", "nonsaturate").tolist() == [0x7E, 0x7F, 0xFF]
    word = np.array([0xFFFF, 0], np.uint16)
    assert encode(np.float32([449, 449]), "stochastic", "nonsaturate", word).tolist() == [0x7F, 0x7E]


@pytest.mark.parametrize(
    ("name", "inf", "nan"),
    [
        ("e4m3", 0x7F, 0x7F),
        ("e5m2", 0x7C, 0x7F),
        ("e4m3fnuz", 0x80, 0x80),
        ("e5m2fnuz", 0x80, 0x80),
        ("hif8", 0x6F, 0x80),
    ],
)
def test_infinity_and_nan(name, inf, nan):
    form = formats.get(name)
    x = np.array([np.inf, np.nan, -np.nan], np.float32)
    for rounding, random in (("rne", None), ("rtz", None), ("stochastic", np.zeros(3, int))):
        assert form.encode(x, rounding, "nonsaturate", random).tolist() == [inf, nan, nan]
        assert (
            form.decode(form.encode(x[:1], rounding, random=None if random is None else random[:1]))[0]
            == form.max
        )


@pytest.mark.parametrize("name", formats.ELEMENTS)
def test_zero_and_underflow_keep_the_sign_where_there_is_one(name):
    form = formats.get(name)
    x = np.array([0.0, -0.0, 1e-30, -1e-30], np.float32)
    minus = 1 << (form.width - 1) if form.negative_zero else 0
    assert form.encode(x).tolist() == [0, minus, 0, minus]


def test_int8_is_symmetric():
    form = formats.get("int8")
    assert form.encode(np.float32([-2, -1.99, 2, -127 / 64])).tolist() == [0x81, 0x81, 0x7F, 0x81]
    assert form.decode([0x80])[0] == -2


@pytest.mark.parametrize("name", ["e3m2", "e2m3", "e2m1", "int8"])
def test_formats_without_nan(name):
    form = formats.get(name)
    with pytest.raises(ValueError, match=f"{name} has no NaN, and x holds one"):
        form.encode(np.float32([1, np.nan]))
    with pytest.raises(ValueError, match=f"{name} has neither Inf nor NaN: overflow must be 'saturate'"):
        form.encode(np.float32([1]), overflow="nonsaturate")


def test_input_types():
    encode = formats.get("e4m3").encode
    x = np.float32([0.1, -3, 500])
    expected = encode(x)
    for dtype in (np.float16, ml_dtypes.bfloat16):
        np.testing.assert_array_equal(encode(x.astype(dtype)), encode(x.astype(dtype).astype(np.float32)))
    np.testing.assert_array_equal(encode(x.astype(">f4")), expected)
    np.testing.assert_array_equal(encode(np.repeat(x, 2)[::2]), expected)
    assert encode(np.float32(1)).shape == () and encode(np.zeros((0, 3), np.float32)).shape == (0, 3)

    class Dlpack:
        def __dlpack__(self, **kwargs):
            return x.__dlpack__(**kwargs)

        def __dlpack_device__(self):
            return x.__dlpack_device__()

    class Array:
        def __array__(self, dtype=None, copy=None):
            return x

    np.testing.assert_array_equal(encode(Dlpack()), expected)
    np.testing.assert_array_equal(encode(Array()), expected)
    assert encode(np.array([448], ml_dtypes.float8_e4m3fn)).tolist() == [0x7E]


@pytest.mark.parametrize(
    "x", [1.0, [0.5], np.float64([1]), np.int8([1]), np.array([True]), np.complex64([1]), ["a"]]
)
def test_other_input_types_are_refused(x):
    with pytest.raises(TypeError, match="x must be float32, float16 or bfloat16, not"):
        formats.get("e4m3").encode(x)


def test_bad_options():
    encode, x = formats.get("e4m3").encode, np.zeros(3, np.float32)
    for options, message in [
        ({"rounding": "up"}, "rounding must be one of rne rtz stochastic, not 'up'"),
        ({"overflow": "wrap"}, "overflow must be one of saturate nonsaturate, not 'wrap'"),
        ({"rounding": "stochastic"}, "needs random"),
        ({"random": np.zeros(3, int)}, "random is only for rounding='stochastic'"),
        ({"rounding": "stochastic", "random": np.zeros(2, int)}, r"shape of x, \(3,\), not \(2,\)"),
        ({"rounding": "stochastic", "random": np.full(3, 1 << 16)}, r"0..2\^16-1, not 65536..65536"),
        ({"rounding": "stochastic", "random": np.full(3, -1)}, r"0..2\^16-1, not -1..-1"),
    ]:
        with pytest.raises(ValueError, match=message):
            encode(x, **options)
    with pytest.raises(TypeError, match="random must be integers, not float64"):
        encode(x, "stochastic", random=np.zeros(3))


def test_e8m0_takes_powers_of_two_only():
    form = formats.get("e8m0")
    np.testing.assert_array_equal(form.encode(form.values), form.codes)
    for bad in (0.0, -1.0, 3.0, 1e-45, np.inf, 2.0**-128, -np.inf):
        with pytest.raises(ValueError, match="e8m0 holds powers of two"):
            form.encode(np.float32([1, bad]))


def test_ue4m3_rounds_and_saturates():
    form = formats.get("ue4m3")
    np.testing.assert_array_equal(form.encode(form.values), form.codes)
    x = np.float32([-0.0, 500, np.inf, 1.0625, 1.1875, np.nan, -np.nan, 2.0**-10])
    assert form.encode(x).tolist() == [0, 0x7E, 0x7E, 0x38, 0x3A, 0x7F, 0x7F, 0]
    for bad in (-1.0, -1e-45, -np.inf):
        with pytest.raises(ValueError, match="ue4m3 has no sign"):
            form.encode(np.float32([1, bad]))


@pytest.mark.parametrize("name", formats.ELEMENTS)
def test_round_trip_of_every_code(name):
    form = formats.get(name)
    number = form.codes[~np.isnan(form.values)]
    overflow = "nonsaturate" if form.inf_codes else "saturate"
    back = form.encode(form.decode(number), overflow=overflow)
    if name == "int8":
        number = np.where(number == 0x80, 0x81, number)
    np.testing.assert_array_equal(back, number)


def test_random_float32_patterns_against_ml_dtypes():
    rng = np.random.default_rng(5)
    x = rng.integers(0, 1 << 32, 200_000, dtype=np.uint32).view(np.float32)
    x = np.concatenate([x, rng.standard_normal(200_000).astype(np.float32)])
    x = x[~np.isnan(x)]
    for name, dtype in ML_DTYPES.items():
        overflow = "nonsaturate" if formats.get(name).nan_codes else "saturate"
        ours = formats.get(name).encode(x, overflow=overflow)
        np.testing.assert_array_equal(ours, x.astype(dtype).view(np.uint8))
