"""A small module whose delays say what cells and short wires take: LUT chains, adders, multiplier blocks.

All inputs are slices of one long shift register, so that no two parts share a register.
"""

import re
from pathlib import Path

from mxdot.flow import synth, timing
from mxdot.flow.files import build_folder, write_atomic

LEVELS = (1, 2, 3, 4, 5, 6)
WIDTHS = (8, 16, 24, 32, 48, 64)
COPIES = 4


def verilog() -> str:
    """The module `alone`; register `<part>_s2` ends the part that its name says."""
    lines: list[str] = []
    ends: list[str] = []
    taken = 0

    def slice_of(width: int) -> str:
        nonlocal taken
        taken += width
        return f"x_s1[{taken - 1}:{taken - width}]"

    def end(name: str, width: int, value: str) -> None:
        ends.append(f"^{name}_s2")
        lines.append(f"  reg [{width - 1}:0] {name}_s2; always @(posedge clk) {name}_s2 <= {value};")

    for copy in range(COPIES):
        for levels in LEVELS:
            name = f"lut{levels}_{copy}"
            lines.append(f"  wire [{levels}:0] {name}; assign {name}[0] = {slice_of(1)};")
            for at in range(levels):
                pins = f".A({name}[{at}]), .B({slice_of(1)}), .C(1'b0), .D(1'b0), .Z({name}[{at + 1}])"
                lines.append(f"  LUT4 #(.INIT(16'h6666)) {name}_{at} ({pins});")
            end(name, 1, f"{name}[{levels}]")
        for width in WIDTHS:
            end(f"add{width}_{copy}", width, f"{slice_of(width)} + {slice_of(width)}")
        end(f"mul18_{copy}", 36, f"{slice_of(18)} * {slice_of(18)}")
    head = [
        "module alone(input clk, input i_x, output reg o_y);",
        f"  reg [{taken - 1}:0] x_s1; always @(posedge clk) x_s1 <= {{x_s1, i_x}};",
    ]
    gathered = f"  always @(posedge clk) o_y <= {' ^ '.join(f'({e})' for e in ends)};"
    return "\n".join([*head, *lines, gathered, "endmodule", ""])


def routes(mhz: float = 300.0, seed: int = 1) -> list[timing.Route]:
    """The slowest path of every part, by its end register."""
    path = build_folder() / "fit" / "alone.v"
    write_atomic(path, verilog())
    chip = synth.DEVICES["ecp5-85k"]
    manifest = {"parameters": {"target": "ecp5-dsp"}, "steps": []}  # allows multiplier blocks
    done = synth.synthesise(path, "alone", seeds=(seed,), mhz=mhz, manifest=manifest)
    routed = Path(done.folder) / f"seed{seed}-{mhz:g}mhz-routed.json"
    slowest: dict[str, timing.Route] = {}
    for route in timing.of_placed(routed, chip.flags).values():
        part = re.match(r"((lut|add|mul)\d+_\d+)_s2", route.end)
        if part and (part[1] not in slowest or slowest[part[1]].ns < route.ns):
            slowest[part[1]] = route
    return list(slowest.values())
