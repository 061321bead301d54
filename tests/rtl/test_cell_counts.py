"""Hardware that nothing needs is not generated: generic cells of Yosys, after its own clean-up."""

import subprocess
import sys
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from mxdot.rtl.dot import DotParameters
from mxdot.rtl.emit import generate
from mxdot.rtl.parameters import Parameters

COUNT = """
from pyosys import libyosys as ys
design = ys.Design()
ys.run_pass("read_verilog {path}", design)
ys.run_pass("synth -flatten -noabc", design)
print("cells", len(list(design.top_module().selected_cells())))
"""


@cache
def cells(unit: Parameters) -> int:
    """Gates and flip-flops."""
    with TemporaryDirectory() as folder:
        path, _ = generate(unit).write(Path(folder, "dot.v"))
        done = subprocess.run(
            [sys.executable, "-c", COUNT.format(path=path)], capture_output=True, text=True, check=True
        )
    return int(done.stdout.rsplit("cells", 1)[1])


def dot(a: str = "e4m3", b: str = "e4m3", **options: object) -> Parameters:
    return DotParameters(a_format=tuple(a.split(",")), b_format=(b,), **{"lanes": 4, "block": 4, **options})


@pytest.mark.parametrize("narrower", ["e4m3", "e3m2", "e2m3", "e2m1"])
def test_a_narrower_format_takes_less(narrower: str) -> None:
    wider = {"e4m3": "e5m2", "e3m2": "e4m3", "e2m3": "e3m2", "e2m1": "e2m3"}[narrower]
    assert cells(dot(narrower, narrower)) < 0.97 * cells(dot(wider, wider))


@pytest.mark.parametrize("options", [{"addend": False}, {"scale": None}, {"out": "bf16"}])
def test_what_is_left_out_costs_nothing(options: dict[str, object]) -> None:
    assert cells(dot(**options)) < cells(dot())


def test_without_an_addend_nothing_is_aligned_to_it() -> None:
    assert cells(dot(addend=False)) < 0.85 * cells(dot())


def test_formats_at_run_time_share_the_datapath() -> None:
    names = ("e4m3", "e5m2", "e2m1")
    together = cells(dot(",".join(names)))
    assert max(cells(dot(name)) for name in names) < together < 0.6 * sum(cells(dot(name)) for name in names)
