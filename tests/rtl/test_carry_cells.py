"""The ECP5's carry cells, instantiated: the same results, and the model in the Verilog is Yosys's cell."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from mxdot.rtl import carry
from mxdot.rtl.dot import DotParameters
from mxdot.rtl.emit import generate
from mxdot.rtl.parameters import Parameters

Check = Callable[..., int]

PINS = ["CIN", *(f"{pin}{half}" for half in range(2) for pin in "ABCD")]

PROVE = """
import pyosys, sys
from pathlib import Path
from pyosys import libyosys as ys
cells = Path(pyosys.__file__).parent / "share" / "ecp5" / "cells_sim.v"
design = ys.Design()
for command in (
    f"read_verilog -overwrite {cells}",
    f"read_verilog -sv -nosynthesis {sys.argv[1]}",
    "hierarchy -top both; proc; flatten; sat -verify -prove same 1 both",
):
    ys.run_pass(command, design)
"""


def both(model: str, parameters: str) -> str:
    """The model under another name, and a module that has it and the cell on the same pins."""
    pins = ", ".join(f".{pin}({pin})" for pin in PINS)
    cells = "".join(
        f"wire [2:0] {name}_out; {name} #({parameters}) {name}_cell({pins}, "
        f".S0({name}_out[0]), .S1({name}_out[1]), .COUT({name}_out[2]));"
        for name in ("model", "CCU2C")
    )
    top = f"module both(input {', '.join(PINS)}, output same); {cells}"
    return (
        model.replace("module CCU2C", "module model")
        + f"{top} assign same = model_out == CCU2C_out; endmodule"
    )


@pytest.mark.parametrize(
    "unit",
    [
        DotParameters(target="ecp5", lanes=4, block=4),
        DotParameters(target="ecp5", lanes=2, block=2, a_format="e2m3", b_format="e5m2", scale=None),
        DotParameters(target="ecp5-dsp", lanes=2, block=2),
    ],
    ids=["default", "odd", "dsp"],
)
def test_the_results_are_those_of_plain_verilog(unit: Parameters, check: Check) -> None:
    assert "CCU2C" in generate(unit).verilog
    assert check(unit, rows=400) > 0


def test_a_significand_with_a_sign_of_its_own(check: Check) -> None:
    """The tree's gates, which complement magnitudes, cannot take the product's other sign then."""
    unit = DotParameters(target="ecp5", lanes=2, block=2, a_format="int8", b_format="e2m1")
    assert check(unit, rows=400) > 0


@pytest.mark.parametrize(("name", "bit"), [("SIGNED", 15), ("UNLESS", 7), ("EITHER", 3)])
def test_a_wrong_table_is_noticed(name: str, bit: int, check: Check, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(carry, name, getattr(carry, name) ^ 1 << bit)
    with pytest.raises(AssertionError, match="results differ"):
        check(DotParameters(target="ecp5", lanes=2, block=2), rows=400)


def test_what_a_column_adds() -> None:
    def table(adds: Callable[..., int]) -> int:
        return sum(adds(*(at >> pin & 1 for pin in range(4))) << at for at in range(16))

    assert carry.GATED == table(lambda a, b, c, d: (a & b) ^ (c & d))
    assert carry.SIGNED == table(lambda a, b, c, d: (a ^ b) ^ (c ^ d))
    assert carry.UNLESS == table(lambda a, b, c, d: (a & b) ^ (c & ~d & 1))
    assert carry.EITHER == table(lambda a, b, c, d: (a | ~b & 1) ^ (c | d))


@pytest.mark.parametrize("inject", ["NO", "YES"])
@pytest.mark.parametrize("init", [carry.GATED, carry.SIGNED, carry.UNLESS, carry.EITHER, 0x96AA])
def test_the_model_is_the_cell(init: int, inject: str, tmp_path: Path) -> None:
    source = tmp_path / "both.v"
    halves = [f'.INIT{half}(16\'h{init:04x}), .INJECT1_{half}("{inject}")' for half in range(2)]
    source.write_text(both(carry.MODEL, ", ".join(halves)))
    command = [sys.executable, "-c", PROVE, str(source)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-500:]


def test_plain_verilog_has_none() -> None:
    assert "CCU2C" not in generate(DotParameters(lanes=2, block=2)).verilog
