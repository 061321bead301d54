"""dot in every profile against exact rationals, on operands chosen to hurt."""

import itertools
import zlib

import numpy as np
import pytest
from mxdot.golden import dot, formats, profiles

SHAPES = [(32, 32), (32, 40), (7, 40), (1, 9), (48, 33)]


def combinations():
    for name, row in profiles.PROFILES.items():
        for scale in row.scales:
            for a, b in itertools.product(row.elements, repeat=2):
                # every pair somewhere, every pair everywhere would take minutes
                if len(row.elements) <= 2 or a == b or (scale in ("e8m0", None) and (a, b) < (b, a)):
                    yield name, scale, a, b


CASES = [(*each, list(formats.RESULTS)[i % 3]) for i, each in enumerate(combinations())]


@pytest.mark.parametrize(("profile", "scale", "a", "b", "out"), CASES)
def test_bits_equal_exact_rationals(profile, scale, a, b, out, case):
    rng = np.random.default_rng(zlib.crc32(f"{profile} {scale} {a} {b}".encode()))
    row = profiles.get(profile)
    shapes = SHAPES if row.block is None else [(row.block, 130), (row.block, 300)]
    block, length = shapes[(len(a) + len(b) + len(profile)) % len(shapes)]
    rows = 42 if length < 100 else 12
    made = case(rng, a, b, scale, block, length, rows)
    got = dot(made.a, made.b, made.c, profile=profile, out=out)
    bits = got.view(np.uint32) if out == "fp32" else got.astype(np.uint32)
    expected = made.reference(profile, out)
    bad = np.flatnonzero(bits != expected)
    assert not bad.size, f"row {bad[0]} of {bad}: got {bits[bad[0]]:#x}, expected {expected[bad[0]]:#x}"
