"""Every recorded dot product of a real tensor core, bit for bit (tests/data/README.md)."""

from pathlib import Path

import numpy as np
import pytest
from mxdot.golden import BlockTensor, dot

DATA = Path(__file__).parents[1] / "data"
PROFILES = {"h100": "hopper", "h200": "hopper", "ada": "ada", "l40s": "ada", "b200": "blackwell-mma"}
FILES = sorted(path.name for path in DATA.glob("*_e?m?*.npz"))


def test_all_chips_and_formats_are_here():
    assert {name.split("_")[0] for name in FILES} == set(PROFILES)
    assert len(FILES) == 11


@pytest.mark.parametrize("name", FILES)
def test_chip(name):
    vectors = np.load(DATA / name)
    chip, form = name.removesuffix(".npz").split("_")[:2]
    a, b = (BlockTensor(vectors[key], None, form, scale=None) for key in "ab")
    c = None if chip in ("h100", "h200") else vectors["c"].view(np.float32)  # Hopper's data ignores C
    got = dot(a, b, c, profile=PROFILES[chip]).view(np.uint32)
    np.testing.assert_array_equal(got, vectors["d"])
