"""Checks that need no simulation: warnings, combinational loops, paths the handshake forbids."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mxdot.verif.rows import Stream
from mxdot.verif.simulators import find

# Cells that a combinational path does not cross: memory elements as Yosys's `proc` leaves them.
_REGISTERS = ("$dff", "$dffe", "$sdff", "$sdffe", "$adff", "$dlatch", "$mem_v2", "$memrd")


def lint(verilog: Path) -> list[str]:
    """Warnings of `iverilog -g2005 -Wall`, `-g2012 -Wall` (timescale aside) and `verilator --lint-only
    -Wall`.
    """
    commands = [
        [find("icarus").path, f"-g{standard}", "-Wall", "-Wno-timescale", "-t", "null", str(verilog)]
        for standard in ("2005", "2012")
    ]
    commands.append([find("verilator").path, "--lint-only", "-Wall", str(verilog)])
    env = find("verilator").env
    found = []
    for command in commands:
        done = subprocess.run(command, capture_output=True, text=True, env=env)
        lines = [
            line
            for line in (done.stdout + done.stderr).splitlines()
            if re.search("%Warning-|%Error|: warning:|: error:|syntax", line)
        ]
        name = " ".join(Path(command[0]).name if i == 0 else word for i, word in enumerate(command[:3]))
        found += [f"{name}: {line}" for line in lines]
        if done.returncode and not lines:
            found.append(f"{name}: exit status {done.returncode}")
    return found


def structure(verilog: Path, manifest: Mapping[str, Any]) -> list[str]:
    """Combinational loops, undriven nets and latches; and a combinational path from `o_ready` to the
    output's ports.

    On the netlist that Yosys reads from the Verilog. A path is followed by whole wires, so it may be
    reported where none is bit by bit; never the other way round.
    """
    sink = Stream.of(manifest, "out")
    stop = ":" + ",".join(f"-{cell}" for cell in _REGISTERS)
    outputs = " ".join(f"o:{port}" for port in (sink.valid, *(field.port for field in sink.fields)))
    union = " ".join(["%u"] * len(sink.fields))
    checks = {
        "combinational loop, undriven or doubly driven net": "check -assert",
        "latch": "select -assert-none t:$dlatch",
        f"combinational path from {sink.ready} to an output": (
            f"select -assert-none {outputs} {union} %ci*{stop} i:{sink.ready} %i"
        ),
    }
    found = []
    for name, check in checks.items():
        script = f"read_verilog {verilog}; hierarchy -top {manifest['top']}; proc -noopt; flatten; {check}"
        program = f"from pyosys import libyosys as ys; ys.run_pass({script!r}, ys.Design())"
        done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
        if done.returncode:
            words = [
                line
                for line in (done.stdout + done.stderr).splitlines()
                if "ERROR" in line or "Warning" in line
            ]
            found.append(f"{name}: {' '.join(words)[:500] or done.stderr[-500:]}")
    return found
