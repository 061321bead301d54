"""Other libraries as oracles: where ml_dtypes and gfloat agree with us, and each place where they do not.

(test_formats.py and test_encode.py compare ml_dtypes code by code and boundary by boundary.)
"""

import gfloat
import gfloat.formats as theirs
import ml_dtypes
import numpy as np
import pytest
from gfloat import RoundMode
from mxdot.golden import formats, quantize
from mxdot.golden.encode import encode

OCP = ("e4m3", "e5m2", "e3m2", "e2m3", "e2m1", "int8")


def gfloat_format(name):
    return getattr(theirs, f"format_info_ocp_{name}")


def samples(name, seed=0):
    """float32 values over the format's range, subnormals and a little beyond, in both signs."""
    form, rng = formats.element(name), np.random.default_rng(seed)
    x = (
        rng.uniform(-1.1, 1.1, 20_000)
        * form.max
        * np.exp2(-rng.integers(0, form.emax - form.lsb + 3, 20_000))
    )
    return x.astype(np.float32)


@pytest.mark.parametrize("name", OCP)
def test_gfloat_decodes_alike(name):
    form = formats.element(name)
    values = [gfloat.decode_float(gfloat_format(name), int(code)).fval for code in form.codes]
    np.testing.assert_array_equal(form.values.astype(np.float64), values)


@pytest.mark.parametrize("name", OCP)
@pytest.mark.parametrize(("rounding", "mode"), [("rne", RoundMode.TiesToEven), ("rtz", RoundMode.TowardZero)])
def test_gfloat_rounds_alike(name, rounding, mode):
    form, x = formats.element(name), samples(name)
    x = x[np.abs(x) <= form.max]
    want = gfloat.round_ndarray(gfloat_format(name), x.astype(np.float64), mode, True)
    np.testing.assert_array_equal(form.decode(form.encode(x, rounding)), want)


@pytest.mark.parametrize("name", [name for name in OCP if name != "int8"])
def test_gfloat_saturates_alike(name):
    form, x = formats.element(name), np.concatenate([samples(name), np.float32([np.inf, -np.inf, 3e38])])
    want = gfloat.round_ndarray(gfloat_format(name), x.astype(np.float64), RoundMode.TiesToEven, True)
    np.testing.assert_array_equal(form.decode(form.encode(x)), want)


@pytest.mark.parametrize("name", OCP)
@pytest.mark.parametrize("bits", [3, 16])
def test_gfloat_stochastic_fastest_uses_the_same_words_alike(name, bits):
    form, x = formats.element(name), samples(name)
    x = x[np.abs(x) <= form.max]
    words = np.random.default_rng(1).integers(0, 1 << bits, x.size)
    mode = RoundMode.StochasticFastest
    want = gfloat.round_ndarray(gfloat_format(name), x.astype(np.float64), mode, True, words, bits)
    np.testing.assert_array_equal(form.decode(encode(form, x, "stochastic", "saturate", words, bits)), want)


def test_gfloat_other_stochastic_modes_round_the_fraction_to_the_words_first():
    """With 3 bits, f = 15/16 is cut to 7/8 here; gfloat's Stochastic rounds it to 8/8, always up."""
    x, word = np.float32([1 + 0.125 * 15 / 16]), np.array([0])
    assert encode(formats.element("e4m3"), x, "stochastic", "saturate", word, 3)[0] == 0x38
    info = gfloat_format("e4m3")
    assert gfloat.round_ndarray(info, x.astype(np.float64), RoundMode.Stochastic, True, word, 3)[0] == 1.125
    assert (
        gfloat.round_ndarray(info, x.astype(np.float64), RoundMode.StochasticFastest, True, word, 3)[0] == 1.0
    )


def test_gfloat_never_leaves_the_finite_range_when_cutting():
    """RTZ without saturation: 480 and more overflow here (exponents unbounded); gfloat keeps 448, like
    IEEE."""
    x = np.float32([480, 1e9])
    assert formats.element("e4m3").encode(x, "rtz", "nonsaturate").tolist() == [0x7F, 0x7F]
    want = gfloat.round_ndarray(gfloat_format("e4m3"), x.astype(np.float64), RoundMode.TowardZero, False)
    assert want.tolist() == [448, 448]


def test_gfloat_int8_saturates_to_minus_two():
    """The clamp is symmetric here, to +-127/64; gfloat emits code 0x80."""
    x = np.float32([-2, -5])
    assert formats.element("int8").encode(x).tolist() == [0x81, 0x81]
    want = gfloat.round_ndarray(gfloat_format("int8"), x.astype(np.float64), RoundMode.TiesToEven, True)
    assert want.tolist() == [-2, -2]


def test_gfloat_encodes_nan_as_ff():
    """NaN is 0x7F here, gfloat's is 0xFF; both decode as NaN."""
    for name in ("e4m3", "e5m2"):
        assert formats.element(name).encode(np.float32([np.nan]))[0] == 0x7F
        assert gfloat.encode_float(gfloat_format(name), np.nan) == 0xFF


@pytest.mark.parametrize("name", OCP)
def test_gfloat_scale_is_the_floor_rule(name):
    rng = np.random.default_rng(2)
    for _ in range(200):
        block = (rng.standard_normal(32) * np.exp2(rng.uniform(-100, 100))).astype(np.float32)
        scale = gfloat.compute_scale_amax(formats.element(name).emax, block.astype(np.float64))
        assert quantize(block, name).scales[0] == np.log2(scale) + 127


def test_ml_dtypes_rounds_float64_twice():
    """1 + 2^-4 + 2^-40 lies above a tie of e4m3, but through float32 it falls on the tie: float64 is
    refused here."""
    x = np.array([1 + 2.0**-4 + 2.0**-40])
    assert x.astype(ml_dtypes.float8_e4m3fn)[0] == 1.0  # one rounding would give 1.125
    with pytest.raises(TypeError, match="float64"):
        formats.element("e4m3").encode(x)


def test_ml_dtypes_e4m3_overflows_to_nan():
    """Our default saturates; nonsaturate is what ml_dtypes does."""
    x = np.float32([465, -1e9, np.inf])
    assert x.astype(ml_dtypes.float8_e4m3fn).view(np.uint8).tolist() == [0x7F, 0xFF, 0x7F]
    assert formats.element("e4m3").encode(x).tolist() == [0x7E, 0xFE, 0x7E]
    assert formats.element("e4m3").encode(x, overflow="nonsaturate").tolist() == [0x7F, 0xFF, 0x7F]


def test_ml_dtypes_keeps_the_sign_of_nan_and_has_another_payload():
    """NaN is 0x7F here for both OFP8 formats; ml_dtypes gives 0x7E for e5m2 and keeps the sign."""
    x = np.float32([np.nan, np.copysign(np.nan, -1)])
    assert x.astype(ml_dtypes.float8_e4m3fn).view(np.uint8).tolist() == [0x7F, 0xFF]
    assert x.astype(ml_dtypes.float8_e5m2).view(np.uint8).tolist() == [0x7E, 0xFE]
    for name in ("e4m3", "e5m2"):
        assert formats.element(name).encode(x).tolist() == [0x7F, 0x7F]


def test_ml_dtypes_turns_nan_into_a_number_where_there_is_none():
    """e2m1 has no NaN: here an error, in ml_dtypes minus zero."""
    x = np.float32([np.nan])
    assert x.astype(ml_dtypes.float4_e2m1fn).view(np.uint8)[0] == 0x08
    with pytest.raises(ValueError, match="e2m1 has no NaN"):
        formats.element("e2m1").encode(x)


def test_ml_dtypes_e8m0_rounding_is_no_scale_rule():
    """float32 -> e8m0 rounds to the nearest power of two, ties up; no rule scales amax = 1.5 * 2^8 so for
    e4m3."""
    x = np.float32([1.25, 1.5, 1.75])
    assert x.astype(ml_dtypes.float8_e8m0fnu).view(np.uint8).tolist() == [127, 128, 128]
    block = np.float32([1.5 * 2.0**8, 1])
    assert [int(quantize(block, "e4m3", 2, rule=rule).scales[0]) for rule in ("floor", "even", "rceil")] == [
        127
    ] * 3
    assert (block[:1] / 256).astype(ml_dtypes.float8_e8m0fnu).view(np.uint8)[0] == 128
    # only an exact power of two is a scale here
    with pytest.raises(ValueError, match="powers of two"):
        formats.get("e8m0").encode(x)


def test_ml_dtypes_e8m0_has_no_room_for_zero():
    """Both agree that code 0 is 2^-127; ml_dtypes turns zero into NaN, here it is an error."""
    assert np.float32([0.0]).astype(ml_dtypes.float8_e8m0fnu).view(np.uint8)[0] == 0xFF
    with pytest.raises(ValueError, match="powers of two"):
        formats.get("e8m0").encode(np.float32([0.0]))
