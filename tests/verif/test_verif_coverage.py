"""Functional coverage: the bins are right, and the rules fill them all."""

from fractions import Fraction

import numpy as np
import pytest
from mxdot.rtl.dot import DotParameters
from mxdot.rtl.emit import describe
from mxdot.verif import bench, coverage, operands

ONE = Fraction(1)
ULP = Fraction(2) ** -23


@pytest.mark.parametrize(
    ("value", "bins"),
    [
        (ONE + ULP, ["exact"]),
        (Fraction(0), ["exact"]),
        (ONE + ULP / 2, ["tie, to even below"]),
        (-(ONE + ULP * 3 / 2), ["tie, to even above"]),
        (ONE + ULP / 2 + ULP / 2**20, ["just above a tie"]),
        (ONE + ULP / 2 - ULP / 2**20, ["just below a tie"]),
        (ONE + ULP / 4, ["other, down"]),
        (ONE + ULP * 3 / 4, ["other, up"]),
        (2 - ULP / 2, ["tie, to even above", "carry into the next binade"]),
        (
            Fraction(2) ** 128 - Fraction(2) ** 102,
            ["other, up", "carry into the next binade", "overflow by rounding"],
        ),
        (Fraction(2) ** -150 * 3, ["tie, to even above", "tie among subnormals"]),
        (Fraction(2) ** -150, ["tie, to even below", "tie among subnormals", "rounds to zero"]),
        (Fraction(2) ** -152, ["other, down", "rounds to zero"]),
        (-(Fraction(2) ** 128), ["overflow"]),
    ],
)
def test_roundings_fall_into_their_bins(value: Fraction, bins: list[str]) -> None:
    assert coverage.roundings(value) == bins


@pytest.mark.parametrize(
    ("bits", "name"),
    [
        (0x7FC00000, "NaN"),
        (0x7F800000, "+Inf"),
        (0xFF800000, "-Inf"),
        (0, "+0"),
        (0x80000000, "-0"),
        (0x807FFFFF, "subnormal"),
        (0x00800000, "smallest binade"),
        (0xFF7FFFFF, "largest binade"),
        (0x3F800000, "other"),
    ],
)
def test_results_fall_into_their_bins(bits: int, name: str) -> None:
    assert coverage.result_class(bits) == name


@pytest.mark.parametrize(
    ("c", "s", "name"),
    [
        (1, 0, "S zero"),
        (0, 1, "c zero"),
        (-3, 3, "c + X*S = 0, neither zero"),
        (2**21 + 1, -(2**21), "cancels 20 bits or more"),
        (2**26, 1, "c above S entirely"),
        (-1, 2**26, "S above c entirely"),
        (2**25, 1, "overlap"),
    ],
)
def test_sums_fall_into_their_bins(c: int, s: int, name: str) -> None:
    assert coverage.sum_class(Fraction(c), Fraction(s)) == name


def test_exact_terms_are_the_operands_own(small_manifest: dict) -> None:
    case = bench.case(small_manifest, 300, 3)
    expected = bench.golden(small_manifest, case)["result"]
    seen = 0
    for block in range(300):
        terms = coverage.exact_terms(small_manifest, case, block)
        result = float(np.uint32(expected[block]).view(np.float32))
        if terms is None:
            assert not np.isfinite(result)
        elif "overflow" in (found := " ".join(coverage.roundings(sum(terms, Fraction(0))))):
            assert np.isinf(result)
        elif found == "exact":
            assert Fraction(result) == sum(terms)
            seen += 1
    assert seen > 30


@pytest.fixture
def small_manifest() -> dict:
    parameters = DotParameters(lanes=4, block=8)
    return describe(parameters, parameters.build(), "dot")


@pytest.mark.parametrize("pair", [("e4m3", "e4m3"), ("e5m2", "e2m1"), ("int8", "e3m2")])
def test_the_rules_leave_no_bin_empty(pair: tuple[str, str], small_manifest: dict) -> None:
    parameters = DotParameters(a_format=(pair[0],), b_format=(pair[1],), lanes=4, block=8)
    manifest = describe(parameters, parameters.build(), "dot")
    assert coverage.empty(coverage.count(manifest, bench.case(manifest, 3000, 1))) == []


def test_uniform_operands_alone_leave_bins_empty(
    small_manifest: dict, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(operands, "RULES", {"uniform": operands.uniform})
    missed = coverage.empty(coverage.count(small_manifest, bench.case(small_manifest, 3000, 1)))
    assert "rounding: tie among subnormals" in missed and "sum: c + X*S = 0, neither zero" in missed


def test_the_script_prints_every_bin(capsys: pytest.CaptureFixture[str]) -> None:
    assert coverage.main(["--rows", "3000"]) == 0
    text = capsys.readouterr().out
    assert all(name in text for names in coverage.BINS.values() for name in names)
    assert coverage.main(["--rows", "20"]) == 1 and "EMPTY" in capsys.readouterr().out
