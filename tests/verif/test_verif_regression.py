"""The cocotb regression on real units, in both simulators: what `mxdot verify` runs, on few and small builds.

`make regress` covers more parameters; this is the sample that `make test` can afford.
"""

from pathlib import Path
from typing import Any

import pytest
from mxdot.rtl.dot import DotParameters
from mxdot.rtl.emit import generate
from mxdot.rtl.mac import MacParameters
from mxdot.rtl.parameters import Parameters
from mxdot.verif.runner import Report, regress

UNITS: dict[str, Parameters] = {
    "default": DotParameters(),
    "beats": DotParameters(lanes=8, block=32, b_format=("e5m2",)),
    "unscaled": DotParameters(lanes=4, block=4, scale=None, a_format=("int8",), b_format=("e2m3",)),
    "no-addend": DotParameters(lanes=2, block=4, addend=False, a_format=("e3m2",), b_format=("e2m1",)),
    "accumulate": DotParameters(lanes=8, block=16, accumulate=True),
    "mac": MacParameters(b_format=("e5m2",)),
}
# Verilator compiles C++: few builds; Icarus takes the rest.
RUNS = [("default", "verilator", 3000), ("mac", "verilator", 2000)]
RUNS += [(name, "icarus", 300) for name in UNITS]


def check(report: Report, at_least: int) -> None:
    assert report.ok, report.text()
    assert report.tests == 16 and report.results >= at_least


@pytest.mark.parametrize(("name", "simulator", "rows"), RUNS)
def test_a_unit_passes_its_regression(name: str, simulator: str, rows: int, tmp_path: Path) -> None:
    verilog, manifest = generate(UNITS[name]), generate(UNITS[name]).manifest
    path, _ = verilog.write(tmp_path / f"{manifest['top']}.v")
    results = (
        rows if manifest["parameters"]["accumulate"] else 5 * rows
    )  # four stall regimes, a reset, two rates
    check(regress(path, manifest, simulator, seed=1, rows=rows), results // 2)


@pytest.mark.parametrize("simulator", ["icarus", "verilator"])
def test_the_hand_written_unit_passes(small: tuple[Path, dict[str, Any]], simulator: str) -> None:
    report = regress(*small, simulator, seed=2, rows=200)
    check(report, 1000)
    assert report.rows == 2 * report.results
    assert report.text().startswith(f"{simulator}: 16 tests passed, {report.results} results")


def test_a_failure_says_seed_operands_expected_got_and_how_to_repeat(
    small: tuple[Path, dict[str, Any]], tmp_path: Path
) -> None:
    bad = tmp_path / "bad.v"
    bad.write_text(small[0].read_text().replace("8'd115 +", "8'd116 +"))
    report = regress(bad, small[1], "icarus", seed=5, waves=True, rows=200)
    text = report.text()
    assert not report.ok and "volume/regime=none" in text and "(seed 5)" in text
    assert "a int8 codes" in text and "expected 0x" in text and "got 0x" in text
    assert "--sim icarus --seed 5 --rows 200 --waves" in text
    assert report.waves is not None and report.waves.stat().st_size > 0


def test_a_second_run_builds_nothing(small: tuple[Path, dict[str, Any]]) -> None:
    regress(*small, "icarus", rows=50)
    assert regress(*small, "icarus", rows=50).build_seconds == 0.0


def test_no_rows_is_refused(small: tuple[Path, dict[str, Any]]) -> None:
    with pytest.raises(ValueError, match="rows must be at least 1, not 0"):
        regress(*small, "icarus", rows=0)
