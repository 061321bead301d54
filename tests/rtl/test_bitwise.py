"""Products of integers summed bit by bit: every code pair, the largest sums, and what they cost."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mxdot.rtl import bitwise
from mxdot.rtl.dot import DotParameters
from mxdot.rtl.emit import generate
from mxdot.verif import exhaustive
from mxdot.verif.operands import Blocks


def unit(**options: Any) -> DotParameters:
    return DotParameters(**{"a_format": "int8", "b_format": "int8", "target": "ecp5", **options})


@pytest.mark.parametrize(
    "options",
    [
        {"lanes": 1, "block": 4},
        {"lanes": 2, "block": 2, "mhz": 30},
        {"lanes": 4, "block": 12, "accumulate": True, "contexts": 2},
        {"lanes": 8, "block": 32, "scale": None, "profile": "exact"},
        {"lanes": 16, "block": 16, "mhz": 195},
    ],
    ids=lambda options: f"{options['lanes']} lanes",
)
def test_the_results_are_golden(options: dict[str, Any], check: Any) -> None:
    assert check(unit(**options), rows=1200 // options["lanes"]) > 0


def results(made: DotParameters, a: Any, b: Any, folder: Path) -> list[str]:
    """What is wrong with the results of blocks of unscaled products, in words."""
    generated = generate(made)
    path, _ = generated.write(folder / "dot.v")
    none = np.zeros(len(a), np.uint8)
    blocks = Blocks(a, b, none, none, np.zeros(len(a), np.uint32))
    return exhaustive.check(path, generated.manifest, blocks, "verilator")


def every_pair(folder: Path) -> list[str]:
    """Both lanes take every pair of codes, each in an order of its own."""
    a, b = (grid.astype(np.uint8).ravel() for grid in np.mgrid[:256, :256])
    made = unit(lanes=2, block=2, scale=None)
    return results(made, np.stack([a, b[::-1]], 1), np.stack([b, a[::-1]], 1), folder)


def test_every_code_pair(tmp_path: Path) -> None:
    assert every_pair(tmp_path) == []


def test_a_wrong_digit_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    right = bitwise._digit
    monkeypatch.setattr(bitwise, "_digit", lambda a, low, high: right(a, low & ~high, high))
    assert "results differ" in every_pair(tmp_path)[0]


def test_a_missing_carry_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    right = bitwise._sum
    monkeypatch.setattr(bitwise, "_sum", lambda low, high, into: right(low, high, bitwise.ZERO))
    assert "results differ" in every_pair(tmp_path)[0]


def test_the_largest_sums_in_all_lanes(tmp_path: Path) -> None:
    """-2 and others in every lane, or with another in every second: no sum outgrows its columns."""
    codes, lanes = np.array([0x80, 0x81, 0x7F, 0xFF, 0], np.uint8), 16
    a, b = (np.repeat(grid.reshape(-1, 1), lanes, 1) for grid in np.meshgrid(codes, codes))
    second = np.arange(lanes) % 2 == 1
    mixed = np.where(second, a, b), np.where(second, b, a)
    made = unit(lanes=lanes, block=lanes, scale=None)
    assert results(made, *(np.concatenate(both) for both in zip((a, b), mixed, strict=True)), tmp_path) == []


@pytest.mark.parametrize(
    "other",
    [
        {"lanes": 1, "block": 1},
        {"target": "generic"},
        {"target": "ecp5-dsp"},
        {"b_format": "e4m3"},
    ],
    ids=lambda other: " ".join(map(str, other.values())),
)
def test_other_units_multiply_first(other: dict[str, Any]) -> None:
    def names(made: DotParameters) -> list[str]:
        return [step.name for step in made.steps()]

    assert "planes2" in names(unit()) and "planes2" not in names(unit(**other))
