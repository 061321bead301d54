"""What a person reads: results as tables."""

from statistics import median

from mxdot.flow.synth import DEVICES, Synthesis
from rich.console import Console
from rich.table import Table


def print_synthesis(console: Console, result: Synthesis) -> None:
    """Resources, Fmax by seed and the critical path by signal."""
    table = Table(title=f"{result.top} on {DEVICES[result.device].title}", title_justify="left")
    for column in ("LUT4", "CCU2C", "COMB", "FF", "cells", "DSP", "Fmax MHz"):
        table.add_column(column, justify="right")
    shown = " / ".join(f"{f:.1f}" for f in result.fmax_mhz)
    if len(result.fmax_mhz) > 1:
        shown += f" (median {median(result.fmax_mhz):.1f})"
    numbers = (result.lut4, result.ccu2c, result.comb, result.ff, result.cells, result.dsp)
    table.add_row(*(f"{n:,}" for n in numbers), shown)
    console.print(table)

    path = Table(title="critical path of the slowest seed", title_justify="left")
    path.add_column("signal")
    for column in ("cells", "logic ns", "routing ns"):
        path.add_column(column, justify="right")
    for hop in result.critical_path:
        path.add_row(hop.signal, str(hop.cells), f"{hop.logic_ns:.2f}", f"{hop.routing_ns:.2f}")
    logic = sum(h.logic_ns for h in result.critical_path)
    routing = sum(h.routing_ns for h in result.critical_path)
    path.add_section()
    path.add_row("total", str(sum(h.cells for h in result.critical_path)), f"{logic:.2f}", f"{routing:.2f}")
    console.print(path)
