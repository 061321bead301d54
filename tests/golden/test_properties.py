"""Property tests: any formats, scales, blocks, lengths and addends against exact rationals."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from mxdot.golden import BlockTensor, dot, formats, mac, matmul, profiles, quantize, reference
from mxdot.golden.block import RULES

run = settings(max_examples=150, deadline=None, derandomize=True)
float32_patterns = st.integers(0, 0xFFFFFFFF)
outs = st.sampled_from(sorted(formats.RESULTS))


@st.composite
def operands(draw):
    """A profile, what it accepts, and one dot product."""
    profile = draw(st.sampled_from(sorted(profiles.PROFILES)))
    row = profiles.get(profile)
    names = [draw(st.sampled_from(row.elements)) for _ in "ab"]
    scale = draw(st.sampled_from(row.scales))
    length = draw(st.integers(0, 70 if row.block is None else 300))
    block = row.block or draw(st.integers(1, 40))
    sides = []
    for name in names:
        mask = formats.element(name).mask
        codes = draw(st.lists(st.integers(0, mask), min_size=length, max_size=length))
        count = -(-length // block)
        if scale is None:
            scales = None
        elif scale == "fp32":
            drawn = draw(st.lists(float32_patterns, min_size=count, max_size=count))
            scales = np.array(drawn, np.uint32).view(np.float32)
        else:
            top = formats.get(scale).mask
            near = st.integers(120, 134) if scale == "e8m0" else st.integers(48, 64)
            scales = np.array(
                draw(st.lists(near | st.integers(0, top), min_size=count, max_size=count)), np.uint8
            )
        sides.append(BlockTensor(np.array(codes, np.uint8), scales, name, block, scale))
    return profile, sides[0], sides[1], draw(float32_patterns)


@run
@given(operands(), outs)
def test_dot(case, out):
    profile, a, b, c = case
    got = dot(a, b, np.array(c, np.uint32).view(np.float32), profile, out)
    rows = [
        reference.Row(
            side.format,
            side.codes.tolist(),
            None if side.scales is None else side.scales.tolist(),
            side.scale,
            side.block,
        )
        for side in (a, b)
    ]
    assert int(got.view(np.uint32) if out == "fp32" else got) == reference.dot(*rows, c, profile, out)


@run
@given(operands())
def test_matmul_of_one_row_each_is_dot(case):
    profile, a, b, c = case
    c = np.array([c], np.uint32).view(np.float32)
    one, two = (
        BlockTensor(
            side.codes[None],
            None if side.scales is None else side.scales[None],
            side.format,
            side.block,
            side.scale,
        )
        for side in (a, b)
    )
    product = matmul(one, two, c[:, None], profile)
    assert product.view(np.uint32)[0, 0] == dot(a, b, c[0], profile).view(np.uint32)


@run
@given(st.data(), outs, float32_patterns, st.sampled_from(["fp32", "exact"]))
def test_mac(data, out, c, profile):
    names = [data.draw(st.sampled_from(sorted(formats.ELEMENTS))) for _ in "ab"]
    length = data.draw(st.integers(0, 30))
    codes = [
        data.draw(st.lists(st.integers(0, formats.element(n).mask), min_size=length, max_size=length))
        for n in names
    ]
    arrays = [np.array(side, np.uint8) for side in codes]
    got = mac(*arrays, np.array(c, np.uint32).view(np.float32), tuple(names), profile, out)
    rows = [reference.Row(name, side, None, None, 1) for name, side in zip(names, codes, strict=True)]
    assert int(got.view(np.uint32) if out == "fp32" else got) == reference.dot(*rows, c, profile, out)


@run
@given(
    st.lists(float32_patterns, min_size=1, max_size=20),
    st.sampled_from(sorted(formats.ELEMENTS)),
    st.sampled_from(RULES),
    st.sampled_from(["rne", "rtz", "stochastic"]),
    st.data(),
)
def test_quantize(patterns, name, rule, rounding, data):
    if name == "hif8" and rule == "even":
        rule = "floor"
    # patterns near one another, so that not every block overflows its small elements away
    base = data.draw(st.integers(0, 254))
    near = [p & 0x80FFFFFF | max(base - (p >> 24 & 15), 0) << 23 for p in patterns]
    patterns = data.draw(st.sampled_from([patterns, near]))
    x = np.array(patterns, np.uint32).view(np.float32)
    overflow = (
        data.draw(st.sampled_from(["saturate", "nonsaturate"]))
        if formats.element(name).nan_codes
        else "saturate"
    )
    words = np.array(data.draw(st.lists(st.integers(0, 0xFFFF), min_size=x.size, max_size=x.size)))
    tensor = quantize(
        x,
        name,
        8,
        rule=rule,
        rounding=rounding,
        overflow=overflow,
        random=words if rounding == "stochastic" else None,
    )
    for j, start in enumerate(range(0, x.size, 8)):
        block = x[start : start + 8].astype(np.float64)
        code = reference.scale_code(block.tolist(), name, rule)
        assert tensor.scales[j] == code
        for k, value in enumerate(block, start):
            scaled = float(np.ldexp(value, 127 - code))
            want = 0 if code == 0xFF else reference.encode(name, scaled, rounding, overflow, int(words[k]))
            assert tensor.codes[k] == want
