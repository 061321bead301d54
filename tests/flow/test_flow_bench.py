"""`make bench` without placing: what it would measure, and what it makes of figures."""

import json

import pytest
from mxdot.flow import bench, bench_page, cells
from mxdot.flow.bench_units import PEERS, UNITS, Unit
from mxdot.flow.options import chosen
from rich.console import Console


def result(unit: Unit, seeds: int, mhz: float = 160.0) -> bench.Result:
    return {
        "key": unit.key, "title": unit.title, "groups": list(unit.groups), "peer": unit.peer,
        "command": "mxdot synth dot", "lanes": unit.options.get("lanes", 32), "asked_mhz": 150,
        "target_mhz": 180.0, "stages": 20, "latency": 21, "initiation_interval": 1,
        "lut4": 1234, "ccu2c": 56, "comb": 1300, "ff": 1600, "dsp": 0, "cells": 1600,
        "seeds": list(range(1, seeds + 1)), "fmax_mhz": [mhz] * seeds, "median_mhz": mhz,
        "kmac_per_second_per_cell": 3200.0, "critical_steps": ["round"], "tools": ["Y 1", "N 2"],
        "cells_by_part": {"decode": {"comb": 3, "ff": 4}},
        "cells_by_step": {"decode_a": {"comb": 3, "ff": 4}},
    }  # fmt: skip


@pytest.mark.parametrize("unit", UNITS, ids=lambda u: u.key)
def test_every_unit_can_be_built_and_each_step_is_of_some_part(unit):
    built = chosen(unit.unit, None, unit.options).build()
    assert built.latency > 1
    modules = {step.function.__module__ for step in built.plan.steps}
    assert not {module for module in modules if cells.topic(module) == "other"}
    assert unit.peer is None or unit.peer in PEERS


def test_keys_are_unique_and_only_names_them():
    assert len({unit.key for unit in UNITS}) == len(UNITS)
    assert [unit.key for unit in bench.choose(False, "mac,e4m3-ecp5")] == ["e4m3-ecp5", "mac"]
    assert {unit.key for unit in bench.choose(False, "lanes")} >= {"lanes-4", "lanes-128"}
    assert 3 < len(bench.choose(True, None)) < len(bench.choose(False, None)) == len(UNITS)
    with pytest.raises(ValueError, match="knows no 'mac9'"):
        bench.choose(False, "mac9")


def test_results_are_kept_when_a_run_is_interrupted_and_goes_on(tmp_path, monkeypatch):
    units = bench.choose(False, "mac,lanes")
    stop_at = 3

    def measure(unit, seeds, jobs, progress):
        if units.index(unit) == stop_at:
            raise KeyboardInterrupt
        return result(unit, seeds, 170.0 if stop_at < 0 else 160.0)

    monkeypatch.setattr(bench, "measure", measure)
    with pytest.raises(KeyboardInterrupt):
        bench.run(units, 5, None, tmp_path, Console(quiet=True))
    assert list(bench.read(tmp_path / "bench.json")) == [unit.key for unit in units[:3]]
    stop_at = -1
    bench.run(units[3:], 5, None, tmp_path, Console(quiet=True))
    kept = bench.read(tmp_path / "bench.json")
    assert [kept[unit.key]["median_mhz"] for unit in units] == [160.0] * 3 + [170.0] * (len(units) - 3)
    assert kept["mac"]["seeds"] == [1, 2, 3, 4, 5] and kept["lanes-4"]["seeds"] == [1]
    first = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert {"bench.json", "bench.md", "bench-lanes.svg"} <= first.keys()
    bench.write(tmp_path, kept)  # --redraw
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == first


def test_the_page_has_the_peer_beside_and_counts_what_met_its_clock():
    goal = next(unit for unit in UNITS if unit.key == "e4m3-ecp5")
    near, far = result(goal, 3), result(goal, 3, 120.0)
    page = bench_page.page([near, far], [])
    assert "| 160 / 160 / 160 → 160 | 21 | 3,200 | 71 (mx-dotp) | 45.1 × |" in page
    assert "Within 15 %: 1 of 2." in page
    assert "`mxdot synth dot --seeds 3`" in page
    json.dumps([near, far])


@pytest.mark.parametrize(
    ("cell", "step"),
    [
        ("product_s3_2_TRELLIS_FF_Q_4", "join"),
        ("sum2_s5_0_TRELLIS_FF_Q_23_DI_CCU2C_S1$CCU2_COMB0", "add2"),
        ("product_0_12$CCU2_COMB0", "join"),
        ("c_s1_TRELLIS_FF_Q", cells.INPUT),
        ("go_TRELLIS_FF_Q", cells.CONTROL),
    ],
)
def test_the_step_of_a_cell(cell, step):
    unit = chosen("dot", None, {"lanes": 4, "block": 4}).build()
    assert cells.owner(cell, cells.owners(unit)) == step
    assert cells.owners(unit)["round_packed"] == "round"
