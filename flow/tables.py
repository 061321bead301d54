"""What a person reads: results as tables."""

from pathlib import Path
from statistics import median
from typing import Any

from mxdot.flow.synth import DEVICES, Synthesis
from rich.console import Console
from rich.table import Table


def console() -> Console:
    """Standard output; wide enough for every table where it is no terminal."""
    plain = Console()
    return plain if plain.is_terminal else Console(width=110)


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

    steps = f", in {', '.join(result.critical_steps)}" if result.critical_steps else ""
    console.print(f"critical path of the slowest seed{steps}", highlight=False, style="italic")
    path = Table()
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


def print_run(console: Console, figures: dict[str, Any], report: Path) -> None:
    """What `mxdot run` found, and where its files lie."""
    table = Table(show_header=False, title="mxdot run", title_justify="left")
    table.add_column()
    table.add_column(justify="right")
    if "images" in figures:
        table.add_row("test images", f"{figures['images']:,}")
        for kind, title in (("fp32", "FP32"), ("golden", "golden model"), ("hardware", "simulated hardware")):
            table.add_row(f"accuracy, {title}", f"{100 * figures[f'accuracy_{kind}']:.2f} %")
        table.add_section()
    table.add_row("dot products compared", f"{figures['dot_products']:,}")
    table.add_row("mismatches", f"{figures['mismatches']:,}")
    table.add_section()
    table.add_row("clock cycles", f"{figures['cycles']:,}")
    table.add_row("simulated cycles a second", f"{figures['cycles_per_second']:,}")
    table.add_row("seconds in all", f"{figures['seconds']}")
    table.add_row("seconds building the simulation", f"{figures['build_seconds']}")
    console.print(table)
    for name in ("verilog", "manifest", "result"):
        if name in figures:
            print(f"{name}: {figures[name]}")
    print(f"report: {report}")


def figure(key: str, value: Any) -> str:
    """A value of a row as a table shows it, by what it is: a share in percent, dB with one digit."""
    if value is None:
        return "–"
    if isinstance(value, list):
        return " × ".join(map(str, value))
    if key in ("saturated", "flushed", "nonfinite", "different", "accuracy"):
        return f"{100 * value:.3g} %"
    if key in ("snr_db", "product_snr_db"):
        return f"{value:.1f}"
    return f"{value:.4g}" if isinstance(value, float) else str(value)
