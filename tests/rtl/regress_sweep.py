"""The long regression (`make regress`): all pairs of formats, and many lane and block counts, in Icarus.

Not collected by `make test`. MXDOT_SEED picks other operands and stalls.
"""

import os
from collections.abc import Callable
from itertools import product

import pytest
from mxdot.rtl.dot import DotParameters
from mxdot.rtl.mac import MacParameters
from mxdot.rtl.parameters import ELEMENT_FORMATS

Check = Callable[..., int]
SEED = int(os.environ.get("MXDOT_SEED", "0"))
PAIRS = [pytest.param(a, b, id=f"{a}-{b}") for a, b in product(ELEMENT_FORMATS, ELEMENT_FORMATS)]
SMALL = [(1, 1), (1, 32), (4, 20)]
LARGE = [(2, 2), (8, 8), (16, 32), (32, 32), (32, 128), (64, 192), (128, 128)]


@pytest.mark.parametrize(("lanes", "block"), SMALL)
@pytest.mark.parametrize(("a", "b"), PAIRS)
def test_a_pair_and_a_shape(a: str, b: str, lanes: int, block: int, check: Check) -> None:
    unit = DotParameters(a_format=(a,), b_format=(b,), lanes=lanes, block=block)
    assert check(unit, rows=1200 // lanes, seed=SEED) > 0


@pytest.mark.parametrize(("lanes", "block"), LARGE)
@pytest.mark.parametrize(("a", "b"), [("e4m3", "e4m3"), ("e5m2", "int8"), ("e2m1", "e3m2")])
def test_larger_shapes(a: str, b: str, lanes: int, block: int, check: Check) -> None:
    unit = DotParameters(a_format=(a,), b_format=(b,), lanes=lanes, block=block)
    assert check(unit, rows=max(60, 1200 // lanes), seed=SEED) > 0


@pytest.mark.parametrize(("contexts", "scale"), [(1, None), (4, "e8m0")])
@pytest.mark.parametrize(("a", "b"), PAIRS)
def test_a_pair_accumulating(a: str, b: str, contexts: int, scale: str | None, check: Check) -> None:
    unit = DotParameters(
        a_format=(a,), b_format=(b,), lanes=4, block=8, scale=scale, accumulate=True, contexts=contexts
    )
    assert check(unit, seed=SEED) > 0


@pytest.mark.parametrize(("a", "b"), PAIRS)
def test_a_pair_in_the_mac(a: str, b: str, check: Check) -> None:
    assert check(MacParameters(a_format=(a,), b_format=(b,), addend=a <= b), seed=SEED) > 0


@pytest.mark.parametrize("lanes", [1, 8, 128])
def test_the_longest_block(lanes: int, check: Check) -> None:
    assert check(DotParameters(a_format=("e5m2",), lanes=lanes, block=4096), seed=SEED) > 0
