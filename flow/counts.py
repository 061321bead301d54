"""Exact cell counts of a unit by the embedded Yosys: independent of placement, seeds and the machine.

    python -m mxdot.flow.counts FILE.json

writes the counts of the units named in FILE.json anew: a list of entries with `unit` and `options`. The test
of tests/flow/test_flow_counts.py compares such a file with what is generated today.
"""

import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import click
from mxdot.flow import cli, tools
from mxdot.flow.files import write_atomic
from mxdot.flow.options import chosen
from mxdot.rtl import emit

AND_GRAPH = "synth -flatten -top {top}\nabc -g AND"


def ran(verilog: str, passes: str) -> str:
    """What Yosys wrote to the file ``out`` when it ran ``passes`` on the Verilog."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "unit.v").write_text(verilog)
        (folder / "run.ys").write_text(f"read_verilog -sv unit.v\n{passes}\n")
        tools.embedded_yosys().run(["run.ys"], folder / "log", cwd=folder)
        return (folder / "out").read_text()


def count(verilog: str, top: str, passes: str) -> dict[str, int]:
    """Cell type -> number, after Yosys ran ``passes`` on the module ``top``."""
    text = ran(verilog, f"{passes}\ntee -q -o out stat -json")
    counts: dict[str, int] = json.loads(text[text.index("{") :])["modules"][f"\\{top}"]["num_cells_by_type"]
    return counts


def and_gates(verilog: str, top: str) -> int:
    """Two-input ANDs of the unit as an and-inverter graph, inverters free: `synth -flatten; abc -g AND`."""
    return count(verilog, top, AND_GRAPH.format(top=top))["$_AND_"]


def generic_size(unit: str, options: dict[str, Any]) -> int:
    """`and_gates` of the unit in portable Verilog, at its default depth, whatever target the options name."""
    kept = {name: value for name, value in options.items() if name not in ("target", "mhz", "stages")}
    return and_gates(emit.generate(chosen(unit, None, kept)).verilog, unit)


def mapped(unit: str, options: dict[str, Any]) -> dict[str, int]:
    """``lut4``, ``ccu2c`` and ``ff`` of a unit mapped to the ECP5, and its ``and`` gates (`generic_size`)."""
    verilog = emit.generate(chosen(unit, None, options)).verilog
    found = count(verilog, unit, f"synth_ecp5 -nodsp -top {unit}")
    ecp5 = {"lut4": found["LUT4"], "ccu2c": found.get("CCU2C", 0), "ff": found["TRELLIS_FF"]}
    return ecp5 | {"and": generic_size(unit, options)}


@click.command(epilog="Example: python -m mxdot.flow.counts tests/flow/counts.json")
@click.argument("file", type=click.Path(path_type=Path))
def main(file: Path) -> None:
    """Write the counts of the units named in FILE.json anew."""
    entries = json.loads(file.read_text())
    for entry in entries:
        entry["counts"] = mapped(entry["unit"], entry["options"])
    write_atomic(file, "[\n" + ",\n".join(" " + json.dumps(entry) for entry in entries) + "\n]\n")


if __name__ == "__main__":
    sys.exit(cli.main(command=main, name="counts"))
