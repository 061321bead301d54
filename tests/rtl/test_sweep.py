"""Every format on either side, lanes, beats, scales, sums, contexts and depths, against the golden model.

A sample; `make regress` takes every pair of formats (regress_sweep.py).
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from amaranth.hdl import Const
from mxdot.rtl.dot import DotParameters
from mxdot.rtl.emit import generate
from mxdot.rtl.mac import MacParameters
from mxdot.rtl.parameters import ELEMENT_FORMATS, Parameters
from mxdot.verif.simulate import simulate

Check = Callable[..., int]


def dot(a: str, b: str, lanes: int, beats: int, **options: object) -> Parameters:
    return DotParameters(a_format=a, b_format=b, lanes=lanes, block=lanes * beats, **options)


UNITS: dict[str, Parameters] = {
    "one lane, one element": dot("e4m3", "int8", 1, 1),
    "one lane, beats": dot("int8", "int8", 1, 5, scale=None),
    "widest sum": dot("e5m2", "e5m2", 8, 4),
    "bias of the other family": dot("e4m3fnuz", "e5m2fnuz", 4, 2),
    "the other way": dot("e5m2fnuz", "e4m3fnuz", 2, 2, accumulate=True),
    "tapered": dot("hif8", "hif8", 4, 2),
    "narrowest sum": dot("e2m1", "e2m1", 1, 1, scale=None, addend=False),
    "no addend": dot("e3m2", "e4m3", 4, 3, addend=False),
    "wide tree": dot("e2m3", "e5m2", 32, 1),
    "a sum of blocks": dot("e2m1", "e3m2", 4, 2, accumulate=True),
    "sums in turn": dot("e5m2", "e2m3", 2, 1, accumulate=True, contexts=4),
    "a sum without addend or scale": dot("int8", "e4m3", 2, 3, accumulate=True, addend=False, scale=None),
    "formats in turn": dot("e4m3,e5m2,e2m1", "e5m2", 2, 2),
    "formats in turn, inside a sum": dot("e3m2,e4m3", "e2m3,e5m2fnuz,hif8", 2, 1, accumulate=True),
    "formats in turn in the mac": MacParameters(a_format="e2m1,e5m2", b_format="e4m3,e3m2", contexts=2),
    "mac": MacParameters(a_format=("e4m3",), b_format=("e2m1",)),
    "mac in turn": MacParameters(a_format=("e5m2",), b_format=("e5m2",), contexts=16),
    "slow clock": dot("e4m3", "e4m3", 4, 2, mhz=30),
    "one stage": dot("e4m3", "e5m2", 2, 2, stages=1, accumulate=True, contexts=2),
}


def test_the_sample_has_every_format_on_either_side() -> None:
    assert {p.a_format[0] for p in UNITS.values()} == set(ELEMENT_FORMATS)
    assert {p.b_format[0] for p in UNITS.values()} == set(ELEMENT_FORMATS)


@pytest.mark.parametrize("name", UNITS)
def test_a_unit_gives_the_golden_results(name: str, check: Check) -> None:
    assert check(UNITS[name]) >= 60


@pytest.mark.parametrize("options", [{}, {"accumulate": True, "contexts": 2}])
def test_as_deep_as_there_are_steps(options: dict[str, object], check: Check) -> None:
    steps = len(dot("e5m2", "e3m2", 2, 2, **options).steps())
    deepest = dot("e5m2", "e3m2", 2, 2, stages=steps, **options)
    assert deepest.build().latency == steps + 1
    assert check(deepest, rows=300) >= 20


@pytest.mark.parametrize("side", ["a", "b"])
def test_the_index_of_no_format_is_a_nan(side: str, tmp_path: Path, builds: None) -> None:
    """Two bits choose among three formats; the fourth index spoils its own block, zeros included."""
    lists = {"a_format": "e4m3,e2m1,e3m2", "b_format": "e2m1,e4m3,e2m3"}
    made = generate(DotParameters(lanes=2, block=4, scale=None, **lists))
    assert made.manifest["streams"]["i"]["fields"][f"{side}_format"]["width"] == 2
    path, _ = made.write(tmp_path / "dot.v")
    index = np.repeat([0, 3, 1, 3, 2], 2)
    rows = {"a": np.zeros((10, 2)), "b": np.zeros((10, 2)), "c": np.full(10, 0x40000000)}
    rows |= {"a_format": np.zeros(10), "b_format": np.zeros(10), f"{side}_format": index}
    got = simulate(path, made.manifest, rows, None, "icarus").rows["result"]
    assert [f"{int(bits):08x}" for bits in got] == [
        "40000000",
        "7fc00000",
        "40000000",
        "7fc00000",
        "40000000",
    ]


def test_a_planted_bug_is_seen(check: Check, monkeypatch: pytest.MonkeyPatch) -> None:
    """A unit that takes the codes of NaN and Inf for numbers."""
    monkeypatch.setattr("mxdot.rtl.decode.one_of", lambda code, codes: Const(0, 1))
    with pytest.raises(AssertionError, match="results differ"):
        check(dot("e4m3", "e4m3", 2, 1))
