"""Timing of placed designs, and the delays fitted to it."""

import json
from pathlib import Path

import pytest
from mxdot.flow import fit, synth, timing
from mxdot.rtl.dot import DotParameters
from mxdot.rtl.targets import TARGETS


def test_the_slowest_of_all_routes_is_what_nextpnr_reports(pipe, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = synth.synthesise(pipe, "pipe", mhz=180)
    routed = Path(done.folder) / "seed1-180mhz-routed.json"
    report = json.loads((routed.parent / "seed1-180mhz.json").read_text())
    routes = timing.of_placed(routed, synth.DEVICES["ecp5-85k"].flags)
    sums = [route for route in routes.values() if route.end.startswith("o_result_")]
    assert len(sums) == 9
    # The adder of 8 bits: from a register of stage 1 through one chain, and no LUT on the way.
    slowest = max(sums, key=lambda route: route.ns)
    assert (timing.rank(slowest.start), slowest.chains, slowest.luts) == (1, 1, 0)
    assert 1 <= slowest.bits <= 8
    (path,) = (p["path"] for p in report["critical_paths"] if p["from"] == p["to"])
    if path[-1]["to"]["port"] not in ("CE", "LSR"):  # the handshake's, which no step is to blame for
        assert max(r.ns for r in routes.values()) == pytest.approx(sum(e["delay"] for e in path), abs=0.002)


def test_least_squares_finds_the_constants_again():
    shapes = [(1, 0, 0, 0), (4, 0, 0, 0), (1, 1, 30, 0), (0, 1, 8, 0), (2, 2, 40, 0), (0, 0, 0, 1)]
    true = {"register": 1.5, "lut": 0.9, "carry": 2.0, "carry_bit": 0.03, "multiplier without registers": 5.0}
    routes = [
        timing.Route("a", "b", 1.5 + 0.9 * n + 2.0 * c + 0.03 * b + 5.0 * m, n, c, b, m, 0.0)
        for n, c, b, m in shapes
    ]
    found, error = fit.fitted(routes)
    assert found == pytest.approx(true)
    assert error == pytest.approx(0, abs=1e-9)
    assert fit.fitted(routes[:2])[0].keys() == {"register", "lut"}


def test_what_steps_state_is_taken_apart_into_constants():
    unit = DotParameters(lanes=4, block=4, target="ecp5")
    now = fit.in_use(TARGETS["ecp5"])
    known = fit.uses(unit)
    for step in unit.steps():
        stated = sum(now[name] * times for name, times in known[step.name].items())
        assert stated == pytest.approx(step.delay, abs=0.02)
    built = unit.build()
    for stage in range(1, max(built.stage_of) + 1):
        first = built.stage_of.index(stage)
        last = first + built.stage_of.count(stage)
        ns = sum(s.delay for s in built.plan.steps if s.name in fit.longest(built, stage))
        assert ns == pytest.approx(built.plan.path(first, last))


@pytest.mark.parametrize(
    ("cell", "stage"),
    [("right4_s11_TRELLIS_FF_Q_13", 11), ("fine_s4_0_TRELLIS_FF_Q", 4), ("spare_result_TRELLIS_FF_Q", None)],
)
def test_rank_of_a_register(cell, stage):
    assert timing.rank(cell) == stage
