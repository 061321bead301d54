"""Lint and structure: clean on generated units, and each check sees its own kind of fault."""

from pathlib import Path
from typing import Any

import pytest
from mxdot.rtl.dot import DotParameters
from mxdot.rtl.emit import generate
from mxdot.rtl.mac import MacParameters
from mxdot.rtl.parameters import Parameters
from mxdot.verif.lint import lint, structure

UNITS: dict[str, Parameters] = {
    "default": DotParameters(),
    "beats": DotParameters(lanes=4, block=12, a_format=("e5m2",), b_format=("int8",)),
    "bare": DotParameters(lanes=1, block=1, addend=False, scale=None, a_format=("e2m1",), b_format=("e3m2",)),
    "contexts": DotParameters(lanes=2, block=2, accumulate=True, contexts=4),
    "mac": MacParameters(),
}


@pytest.mark.parametrize("name", UNITS)
def test_generated_verilog_is_clean(name: str, tmp_path: Path) -> None:
    generated = generate(UNITS[name])
    path, _ = generated.write(tmp_path / f"{generated.manifest['top']}.v")
    assert lint(path) == []
    assert structure(path, generated.manifest) == []


def broken(small: tuple[Path, dict[str, Any]], folder: Path, old: str, new: str) -> Path:
    path = folder / "small_dot.v"
    path.write_text(small[0].read_text().replace(old, new, 1))
    assert path.read_text() != small[0].read_text()
    return path


def test_the_hand_written_unit_is_clean(small: tuple[Path, dict[str, Any]]) -> None:
    assert lint(small[0]) == [] and structure(*small) == []


@pytest.mark.parametrize(
    ("kind", "old", "new"),
    [
        ("combinational loop", "= go;", "= go; wire x, y; assign x = y & o_ready; assign y = x | i_valid;"),
        ("latch", "= go;", "= go; reg y; always @* if (i_valid) y = o_ready;"),
        ("combinational path from o_ready", "output reg [31:0] o_result", "output [31:0] o_result"),
    ],
)
def test_each_structural_fault_is_found(
    small: tuple[Path, dict[str, Any]], tmp_path: Path, kind: str, old: str, new: str
) -> None:
    path = broken(small, tmp_path, old, new)
    if "path" in kind:
        text = path.read_text().replace("o_result <= float", "held <= float")
        path.write_text(
            text.replace("wire go", "reg [31:0] held; assign o_result = held & {32{o_ready}};\n    wire go")
        )
    found = structure(path, small[1])
    assert len(found) == 1 and kind in found[0]


@pytest.mark.parametrize(
    ("tool", "old", "new"),
    [
        ("iverilog -g2005", "input clk,", "input clk, input logic,"),
        ("iverilog -g2012", "wire go", "wire priority; wire go"),
        ("verilator", "reg second, full;", "reg second, full, spare;"),
    ],
)
def test_each_linter_is_heard(
    small: tuple[Path, dict[str, Any]], tmp_path: Path, tool: str, old: str, new: str
) -> None:
    assert any(line.startswith(tool) for line in lint(broken(small, tmp_path, old, new)))
