"""Yosys: RTLIL -> plain Verilog whose operators have operands of equal width, as the linters want them.

The pinned Yosys of PyPI's pyosys, in a process of its own: it prints, and ends, as it likes.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from mxdot.rtl import carry, multiplier

MODELS = {"CCU2C": carry.MODEL, "MULT18X18D": multiplier.MODEL}
"""Cells of devices that steps instantiate -> what a simulator takes for them."""
PASSES = (
    "hierarchy -check -auto-top",
    "setattr -unset init w:*",  # reset sets what needs a value; a data register needs none
    "proc",  # in full: an `always @*` whose inputs never change never runs, and its outputs stay X
    "flatten",
    "delete t:$meminit_v2",  # nor does a memory
    "pmuxtree",  # a `casez` with overlapping patterns otherwise
    "opt_expr",
    "opt_clean",
    "check -assert",  # loops in the logic, nets without a driver or with two
)

EXTENDED = ("$add", "$sub", "$mul", "$neg", "$and", "$or", "$xor", "$xnor", "$not")
"""Cells whose operands Verilog extends to the width of the result."""
SHIFTS = ("$shl", "$shr", "$shift")
"""Cells whose first operand it extends to that."""
COMPARED = ("$eq", "$ne", "$lt", "$le", "$gt", "$ge")
"""Cells whose operands it extends to the wider of the two."""


def to_verilog(rtlil: str) -> list[str]:
    """One module of RTLIL -> lines of Verilog-2005. RuntimeError with Yosys's words where it refuses it."""
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder, "unit.il"), Path(folder, "unit.v")
        source.write_text(rtlil)
        command = [sys.executable, "-m", "mxdot.rtl.yosys", str(source), str(target)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError("Yosys refused the netlist: " + (done.stderr or done.stdout).strip()[-2000:])
        return target.read_text().splitlines()


def equal_widths(ys: Any, design: Any) -> None:
    """Writes every operand's extension out; what an operator computes stays the same."""

    def name(text: str) -> Any:
        return ys.IdString(text)

    module = design.top_module()
    for cell in module.selected_cells():
        kind = cell.type.str()
        sides = ["\\A", "\\B"][: 2 if cell.hasPort(name("\\B")) and kind not in SHIFTS else 1]
        if kind == "$logic_not" and cell.getPort(name("\\A")).size() > 1:
            width = cell.getPort(name("\\A")).size()
            cell.type = name("$eq")
            cell.setPort(name("\\B"), ys.SigSpec(ys.Const(0, width)))
            cell.setParam(name("\\B_SIGNED"), ys.Const(0, 32))
            cell.setParam(name("\\B_WIDTH"), ys.Const(width, 32))
        elif kind in EXTENDED + COMPARED + SHIFTS:
            signed = all(cell.getParam(name(f"{side}_SIGNED")).as_bool() for side in sides)
            signals = {side: cell.getPort(name(side)) for side in sides}
            width = max(s.size() for s in signals.values())
            if kind not in COMPARED:
                result = cell.getPort(name("\\Y"))
                width = max(width, result.size())
                if width > result.size():
                    wide = ys.SigSpec(module.addWire(module.uniquify(name("$wide")), width))
                    module.connect(result, wide.extract(0, result.size()))
                    cell.setPort(name("\\Y"), wide)
                    cell.setParam(name("\\Y_WIDTH"), ys.Const(width, 32))
            for side, signal in signals.items():
                signal.extend_u0(width, signed)
                cell.setPort(name(side), signal)
                cell.setParam(name(f"{side}_WIDTH"), ys.Const(width, 32))
                if kind not in COMPARED:  # extended, it is the same sum with or without a sign
                    cell.setParam(name(f"{side}_SIGNED"), ys.Const(0, 32))


def plain_wires(design: Any) -> None:
    """Where there are cells of a device, wires lose their sign, which is for waves only: Yosys 0.70 reads a
    module with a signed wire at such a cell again after synthesis, and what it had made is lost."""
    module = design.top_module()
    if any(cell.type.str().lstrip("\\") in MODELS for cell in module.selected_cells()):
        for wire in module.selected_wires():
            wire.is_signed = False


def main(source: str, target: str) -> None:
    """Runs the passes on the file ``source`` and writes the file ``target``."""
    from pyosys import libyosys as ys

    design = ys.Design()
    cells = Path(target).with_suffix(".cells.v")
    cells.write_text("".join(MODELS.values()))
    ys.run_pass(f"read_verilog -lib -nosynthesis {cells}", design)
    for command in (f"read_rtlil {source}", *PASSES):
        ys.run_pass(command, design)
    equal_widths(ys, design)
    plain_wires(design)
    ys.run_pass(f"write_verilog -noattr {target}", design)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
