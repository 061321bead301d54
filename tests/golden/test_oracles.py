"""What torch 2.13 and torchao 0.18 gave (tests/data/oracles) against the golden model.

Where they agree, code by code; and a test for each place where they do not, which says both codes. `make
oracles` records the codes again, and runs these tests on many more from a folder that MXDOT_ORACLES names.
"""

import json
import os
from pathlib import Path

import numpy as np
import pytest
from mxdot.golden import formats, quantize
from mxdot.golden.block import scale_codes

FOLDER = Path(os.environ.get("MXDOT_ORACLES", Path(__file__).parents[1] / "data" / "oracles"))
TORCH, TORCHAO = (json.loads((FOLDER / f"{name}.json").read_text()) for name in ("torch", "torchao"))
# what torch does beyond the largest value
OVERFLOW = {"e4m3": "saturate", "e5m2": "nonsaturate", "e4m3fnuz": "nonsaturate", "e5m2fnuz": "nonsaturate"}
MX, RULES = tuple(TORCHAO["blocks"]), ("floor", "ceil", "even", "rceil")
ULPS = 64  # as far above D * 2^k torchao's logarithm may miss


def array(text, kind):
    return np.frombuffer(bytes.fromhex(text), kind)


def cast(name):
    """float32 inputs and torch's codes."""
    found = TORCH["casts"][name]
    return array(found["input"], "<f4"), array(found["codes"], np.uint8)


class Blocks:
    """torchao's scales and codes of one format and rule, and ours of the same blocks."""

    def __init__(self, name, rule):
        found = TORCHAO["blocks"][name]
        self.x = array(found["input"], "<f4").reshape(-1, found["block"])
        self.scales = array(found[rule]["scales"], np.uint8)
        self.codes = array(found[rule]["codes"], np.uint8).reshape(self.x.shape)
        self.element = formats.element(name)
        ours = quantize(self.x, name, found["block"], rule=rule)
        self.our_scales, self.our_codes = ours.scales[:, 0], ours.codes
        self.amax = np.abs(self.x).max(axis=1)
        self.finite = np.isfinite(self.amax)

    def rceil_misses(self):
        """Blocks whose amax lies a few units above D * 2^k: a logarithm in FP32 does not see the rest."""
        quotient = (self.amax / np.float32(self.element.max)).view(np.uint32).astype(np.int64)
        rest = np.where(quotient < 0x800000, quotient - 0x400000, quotient & 0x7FFFFF)  # from 2^-127 or 2^k
        return self.finite & (rest > 0) & (rest <= ULPS)


def test_recorded_versions():
    assert TORCH["library"] == "torch 2.13.0"
    assert TORCHAO["library"] == "torchao 0.18.0, torch 2.13.0"


@pytest.mark.parametrize("name", [*OVERFLOW, "e8m0"])
def test_torch_decodes_alike(name):
    np.testing.assert_array_equal(array(TORCH["decodes"][name], "<f4"), formats.get(name).values)


@pytest.mark.parametrize("name", OVERFLOW)
def test_torch_encodes_alike(name):
    """All but NaN, with the overflow that torch has: saturating for e4m3, Inf too, not so for the rest."""
    x, codes = cast(name)
    x, codes = x[~np.isnan(x)], codes[~np.isnan(x)]
    np.testing.assert_array_equal(formats.element(name).encode(x, overflow=OVERFLOW[name]), codes)
    assert np.isinf(x).sum() >= 2 and len(x) > 1000


@pytest.mark.parametrize("name", ["e5m2", "e4m3fnuz", "e5m2fnuz"])
def test_torch_does_not_saturate_but_for_e4m3(name):
    """Our default gives the largest value, torch Inf (e5m2) or NaN (FNUZ); it agrees up to there."""
    x, codes = cast(name)
    form = formats.element(name)
    ours = form.encode(x)
    differ = (ours != codes) & ~np.isnan(x)
    half = {"e5m2": 61440, "e4m3fnuz": 248, "e5m2fnuz": 61440}[name]  # the tie above the largest goes up
    np.testing.assert_array_equal(differ, np.abs(x) >= half)
    assert set(codes[differ]) == ({0x7C, 0xFC} if name == "e5m2" else {0x80})
    assert set(np.abs(form.decode(ours[differ]))) == {np.float32(form.max)}


@pytest.mark.parametrize("name", ["e4m3", "e5m2"])
def test_torch_keeps_the_sign_of_nan(name):
    """NaN is 0x7F here; torch gives 0xFF for a negative one. FNUZ has one NaN, 0x80, in both."""
    x, codes = cast(name)
    x, codes = x[np.isnan(x)], codes[np.isnan(x)]
    np.testing.assert_array_equal(codes, np.where(np.signbit(x), 0xFF, 0x7F))
    assert set(formats.element(name).encode(x)) == {0x7F}
    for fnuz in ("e4m3fnuz", "e5m2fnuz"):
        assert set(cast(fnuz)[1][np.isnan(cast(fnuz)[0])]) == {0x80}


def test_torch_e8m0_is_a_rounding_and_no_scale_rule():
    """To the nearest power of two, ties up; without sign; 0 becomes 2^-127. Here only powers of two go in."""
    x, codes = cast("e8m0")
    bits = x.view(np.uint32)
    field, mantissa = (bits >> 23 & 0xFF).astype(int), bits & 0x7FFFFF
    up = np.where(field > 0, mantissa >= 0x400000, mantissa > 0x400000)
    np.testing.assert_array_equal(codes, np.where(field == 255, 255, field + up))
    form = formats.get("e8m0")
    powers = (np.signbit(x) == 0) & ((mantissa == 0) & (field > 0) & (field < 255) | (bits == 0x00400000))
    np.testing.assert_array_equal(form.encode(x[powers]), codes[powers])
    assert powers.sum() >= 100
    for refused in (0.0, -1.0, 1.5, np.inf):
        with pytest.raises(ValueError, match="powers of two"):
            form.encode(np.float32([refused]))


@pytest.mark.parametrize("name", MX)
@pytest.mark.parametrize("rule", ["floor", "ceil", "even"])
def test_torchao_scales_alike(name, rule):
    blocks = Blocks(name, rule)
    finite = blocks.finite
    np.testing.assert_array_equal(blocks.our_scales[finite], blocks.scales[finite])
    assert finite.sum() > 100


@pytest.mark.parametrize("name", MX)
def test_torchao_rceil_by_logarithm_is_one_low_just_above_a_boundary(name):
    """amax = D * 2^k * (1 + a few ulp) needs k + 1; torchao's ceil(log2(amax / D)) often gives k, and the
    block saturates. Everywhere else both agree."""
    blocks = Blocks(name, "rceil")
    differ = blocks.finite & (blocks.our_scales != blocks.scales)
    assert differ.sum() > 5
    assert not (differ & ~blocks.rceil_misses()).any()
    np.testing.assert_array_equal(blocks.scales[differ], blocks.our_scales[differ] - 1)
    assert (blocks.amax[differ] > blocks.element.max * np.exp2(blocks.scales[differ] - 127.0)).all()


@pytest.mark.parametrize("name", MX)
@pytest.mark.parametrize("rule", RULES)
def test_torchao_elements_alike(name, rule):
    """Wherever the scale is the same, but for NaN, Inf and scale code 0."""
    blocks = Blocks(name, rule)
    same = blocks.finite & (blocks.scales == blocks.our_scales) & (blocks.scales > 0)
    np.testing.assert_array_equal(blocks.our_codes[same], blocks.codes[same])
    assert same.sum() > 100


@pytest.mark.parametrize("name", MX)
@pytest.mark.parametrize(("rule", "factor"), [("floor", 126), ("ceil", 126), ("even", 126), ("rceil", 0)])
def test_torchao_scale_code_0_is_not_2_to_the_minus_127(name, rule, factor):
    """Code 0 is 2^-127 in OCP MX, and here. torchao divides by 2^-126 instead, so that its values come back
    as half, and with rceil by 1, so that they come back as 0."""
    blocks = Blocks(name, rule)
    low = blocks.finite & (blocks.scales == 0) & (blocks.our_scales == 0)
    x, form = blocks.x[low], blocks.element
    np.testing.assert_array_equal(form.encode(np.ldexp(x, factor)), blocks.codes[low])
    np.testing.assert_array_equal(form.encode(np.ldexp(x, 127)), blocks.our_codes[low])
    differ = (blocks.codes[low] != blocks.our_codes[low]).any(axis=1)
    assert differ.sum() > 5
    if rule == "rceil":
        assert not form.decode(blocks.codes[low]).any()


@pytest.mark.parametrize("name", MX)
def test_torchao_takes_inf_for_a_number(name):
    """A block with Inf has scale 0xFF and elements 0 here, all of it is lost. torchao takes Inf for 2^128:
    it becomes the largest value, and small elements beside it 0."""
    for rule, scale in {"floor": 255, "ceil": 255, "even": 255, "rceil": None}.items():
        blocks = Blocks(name, rule)
        inf = np.isinf(blocks.amax)
        assert inf.sum() == 2
        assert set(blocks.our_scales[inf]) == {0xFF} and not blocks.our_codes[inf].any()
        want = 254 if scale is None else scale - blocks.element.emax
        assert set(blocks.scales[inf]) == {want}, rule
        largest = blocks.element.encode(np.float32([np.inf]))[0]
        sign = 1 << (blocks.element.width - 1)
        assert blocks.codes[inf][:, 0].tolist() == [largest, largest | sign]
        assert not (blocks.codes[inf][:, 1:] & (sign - 1)).any()


@pytest.mark.parametrize("name", MX)
@pytest.mark.parametrize("rule", RULES)
def test_torchao_nan_blocks(name, rule):
    """Scale 0xFF in both. The elements, which no decoder looks at, are 0 here; in torchao the NaN stays one
    (e4m3, e5m2), and with rceil makes the whole block NaN."""
    blocks = Blocks(name, rule)
    nan = np.isnan(blocks.amax)
    assert nan.sum() == 1
    assert blocks.scales[nan] == blocks.our_scales[nan] == 0xFF
    assert not blocks.our_codes[nan].any()
    if name in ("e4m3", "e5m2"):
        assert (blocks.codes[nan] & 0x7F == 0x7F).sum() == (blocks.x.shape[1] if rule == "rceil" else 1)


@pytest.mark.parametrize("name", MX)
@pytest.mark.parametrize("rule", RULES)
def test_torchao_zero_blocks_alike(name, rule):
    """Code 0, and the elements keep their signs of zero."""
    blocks = Blocks(name, rule)
    zero = blocks.amax == 0
    assert zero.sum() >= 2
    assert not blocks.scales[zero].any() and not blocks.our_scales[zero].any()
    np.testing.assert_array_equal(blocks.our_codes[zero], blocks.codes[zero])
    assert set(np.unique(blocks.codes[zero])) == {0, 1 << (blocks.element.width - 1)}


def test_rceil_needs_one_more_than_the_logarithm_gives():
    """By hand: 448 * (1 + 2^-23) / 448 is above 1, so the scale must be 2; log2 of it in FP32 is above 0 only
    near k = 0."""
    amax = np.array([0x43E00001, 0x4BE00001], np.uint32)  # 448 and 448 * 2^16, one ulp up
    ours = scale_codes(amax, formats.element("e4m3"), "rceil")
    assert ours.tolist() == [128, 144]
    quotient = amax.view(np.float32) / np.float32(448)
    assert (np.ceil(np.log2(quotient)) + 127).tolist() == [128, 143]
