"""The long regression (`make regress`): all pairs of formats, and many lane and block counts, in Icarus.

Every pair of formats goes through a block of its own shape, a sum of blocks and the mac; the shapes take
turns, so that each format meets each of them on either side. Not collected by `make test`. MXDOT_SEED picks
other operands, stalls and turns.
"""

import os
from collections.abc import Callable
from itertools import product

import pytest
from mxdot.rtl.dot import DotParameters
from mxdot.rtl.mac import MacParameters
from mxdot.rtl.parameters import ELEMENT_FORMATS

Check = Callable[..., int]
Record = Callable[[str, object], None]
SEED = int(os.environ.get("MXDOT_SEED", "0"))
SHAPES = [(1, 1), (1, 32), (4, 20)]  # lanes, block
SUMS = [(1, None), (4, "e8m0"), (2, "ue4m3")]  # contexts, scale
LARGE = [(2, 2), (8, 8), (16, 32), (32, 32), (32, 128), (64, 192), (128, 128)]
PAIRS = list(product(ELEMENT_FORMATS, ELEMENT_FORMATS))
Turn = tuple[int, str, str]


def turns(number: int) -> list[Turn]:
    """Every pair with one of `number` turns: a format has each of them on either side."""
    known = len(ELEMENT_FORMATS)
    return [((i // known + i % known + SEED) % number, a, b) for i, (a, b) in enumerate(PAIRS)]


@pytest.mark.parametrize(("turn", "a", "b"), turns(len(SHAPES)))
def test_a_pair_and_a_shape(turn: int, a: str, b: str, check: Check, record_property: Record) -> None:
    lanes, block = SHAPES[turn]
    unit = DotParameters(a_format=(a,), b_format=(b,), lanes=lanes, block=block)
    record_property("icarus results", check(unit, rows=1200 // lanes, seed=SEED))


@pytest.mark.parametrize(("turn", "a", "b"), turns(len(SUMS)))
def test_a_pair_accumulating(turn: int, a: str, b: str, check: Check, record_property: Record) -> None:
    contexts, scale = SUMS[turn]
    unit = DotParameters(
        a_format=(a,), b_format=(b,), lanes=4, block=8, scale=scale, accumulate=True, contexts=contexts
    )
    record_property("icarus results", check(unit, seed=SEED))


@pytest.mark.parametrize(("a", "b"), PAIRS)
def test_a_pair_in_the_mac(a: str, b: str, check: Check, record_property: Record) -> None:
    unit = MacParameters(a_format=(a,), b_format=(b,), addend=a <= b)
    record_property("icarus results", check(unit, seed=SEED))


@pytest.mark.parametrize(("lanes", "block"), LARGE)
@pytest.mark.parametrize(("a", "b"), [("e4m3", "e4m3"), ("e5m2", "int8"), ("e2m1", "e3m2")])
def test_larger_shapes(a: str, b: str, lanes: int, block: int, check: Check, record_property: Record) -> None:
    unit = DotParameters(a_format=(a,), b_format=(b,), lanes=lanes, block=block)
    record_property("icarus results", check(unit, rows=max(60, 1200 // lanes), seed=SEED))


@pytest.mark.parametrize("lanes", [1, 8, 128])
def test_the_longest_block(lanes: int, check: Check, record_property: Record) -> None:
    unit = DotParameters(a_format=("e5m2",), lanes=lanes, block=4096)
    record_property("icarus results", check(unit, seed=SEED))
