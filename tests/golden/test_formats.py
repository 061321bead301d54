"""Formats: every code against ml_dtypes and exact rationals, and the derived properties."""

import math
from fractions import Fraction

import ml_dtypes
import numpy as np
import pytest
from mxdot.golden import formats, reference

ML_DTYPES = {
    "e4m3": ml_dtypes.float8_e4m3fn,
    "e5m2": ml_dtypes.float8_e5m2,
    "e3m2": ml_dtypes.float6_e3m2fn,
    "e2m3": ml_dtypes.float6_e2m3fn,
    "e2m1": ml_dtypes.float4_e2m1fn,
    "e4m3fnuz": ml_dtypes.float8_e4m3fnuz,
    "e5m2fnuz": ml_dtypes.float8_e5m2fnuz,
}
# name: emax, max, min normal, smallest, unit exponent, negative zero, finite values
PROPERTIES = {
    "e4m3": (8, 448.0, 2.0**-6, 2.0**-9, -9, True, 253),
    "e5m2": (15, 57344.0, 2.0**-14, 2.0**-16, -16, True, 247),
    "e3m2": (4, 28.0, 0.25, 0.0625, -4, True, 63),
    "e2m3": (2, 7.5, 1.0, 0.125, -3, True, 63),
    "e2m1": (2, 6.0, 1.0, 0.5, -1, True, 15),
    "int8": (0, 127 / 64, None, 1 / 64, -6, False, 256),
    "e4m3fnuz": (7, 240.0, 2.0**-7, 2.0**-10, -10, False, 255),
    "e5m2fnuz": (15, 57344.0, 2.0**-15, 2.0**-17, -17, False, 255),
    "hif8": (15, 2.0**15, None, 2.0**-22, -22, False, 253),
}


@pytest.mark.parametrize("name", formats.ELEMENTS)
def test_every_code_against_exact_rationals(name):
    form = formats.get(name)
    for code, value in enumerate(form.decode(form.codes).tolist()):
        exact = reference.decode(name, code)
        if isinstance(exact, float):
            assert str(value) == str(exact), code
        else:
            assert Fraction(value) == exact, code
            assert Fraction(int(form.integers[code])) * Fraction(2) ** form.lsb == exact, code


@pytest.mark.parametrize("name", ML_DTYPES)
def test_every_code_against_ml_dtypes(name):
    form = formats.get(name)
    theirs = form.codes.view(ML_DTYPES[name]).astype(np.float32)
    ours = form.decode(form.codes)
    np.testing.assert_array_equal(np.isnan(ours), np.isnan(theirs))
    number = ~np.isnan(ours)
    np.testing.assert_array_equal(ours[number].view(np.uint32), theirs[number].view(np.uint32))


def test_every_e8m0_code_against_ml_dtypes():
    form = formats.get("e8m0")
    theirs = form.codes.view(ml_dtypes.float8_e8m0fnu).astype(np.float32)
    np.testing.assert_array_equal(form.decode(form.codes), theirs)
    assert form.values[0] == 2.0**-127 and form.values[0xFE] == 2.0**127 and math.isnan(form.values[0xFF])


def test_ue4m3_is_e4m3_without_a_sign():
    np.testing.assert_array_equal(formats.get("ue4m3").values, formats.get("e4m3").values[:128])


@pytest.mark.parametrize("name", PROPERTIES)
def test_derived_properties(name):
    form = formats.get(name)
    finite = form.values[np.isfinite(form.values)]
    assert PROPERTIES[name] == (
        *(form.emax, form.max, form.min_normal, form.smallest, form.lsb, form.negative_zero),
        len(np.unique(finite)),
    )
    assert (0x80 >> (8 - form.width) in form.codes) and form.mask == len(form.codes) - 1


@pytest.mark.parametrize("name", formats.ELEMENTS)
def test_special_codes(name):
    form = formats.get(name)
    assert tuple(np.flatnonzero(np.isinf(form.values))) == form.inf_codes
    assert tuple(np.flatnonzero(np.isnan(form.values))) == form.nan_codes


def test_hifloat8_values_of_the_paper():
    decode = formats.get("hif8").decode
    codes = [0x00, 0x01, 0x07, 0x08, 0x0F, 0x10, 0x18, 0x6E, 0x6F, 0x7E, 0x80, 0x81, 0xEF]
    values = [0, 2**-22, 2**-16, 1, 1.875, 2, 0.5, 2**15, math.inf, 2**-15, math.nan, -(2**-22), -math.inf]
    np.testing.assert_array_equal(decode(codes), np.array(values, np.float32))


def test_hifloat8_neighbours_differ_in_the_last_bit():
    form = formats.get("hif8")
    positive = form.codes[:0x80][np.isfinite(form.values[:0x80])]
    ordered = positive[np.argsort(form.values[positive])]
    assert (np.diff(ordered.astype(int) & 1) != 0).all()


@pytest.mark.parametrize(
    ("name", "nan", "ones", "infinity", "lsb"),
    [
        ("fp32", 0x7FC00000, 0x7FFFFFFF, 0x7F800000, -149),
        ("bf16", 0x7FC0, 0x7FFF, 0x7F80, -133),
        ("fp16", 0x7E00, 0x7FFF, 0x7C00, -24),
    ],
)
def test_result_formats(name, nan, ones, infinity, lsb):
    form = formats.result(name)
    assert (form.nan, form.nan_ones, form.infinity, form.lsb) == (nan, ones, infinity, lsb)


@pytest.mark.parametrize("lookup", [formats.get, formats.element, formats.result])
@pytest.mark.parametrize("name", ["e4m4", "", None, 8, "E4M3"])
def test_unknown_name_lists_the_known_ones(lookup, name):
    with pytest.raises(ValueError, match="unknown .* choose one of .*(e4m3 e5m2|fp32 bf16)"):
        lookup(name)


def test_codes_outside_a_format_are_refused():
    with pytest.raises(ValueError, match="codes of e2m1 lie in 0..0x0f, not 16"):
        formats.get("e2m1").decode(np.array([1, 16], np.uint8))
    with pytest.raises(ValueError, match="codes of ue4m3 lie in 0..0x7f, not 128"):
        formats.get("ue4m3").decode([128])
    with pytest.raises(ValueError, match="codes of e4m3 lie in 0..0xff, not -1"):
        formats.get("e4m3").decode([-1])
    with pytest.raises(TypeError, match="codes must be integers .* not float64"):
        formats.get("e4m3").decode([1.0])
