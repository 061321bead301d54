"""`make bench`: what a set of units costs on the ECP5, placed with several seeds, as JSON and as a table.

    python -m mxdot.flow.bench [--seeds N] [--quick] [-o DIR]

Writes DIR/bench.json and DIR/bench.md (default docs/). What was placed before is not placed again, so a run
that was stopped goes on where it was.
"""

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import click
from mxdot.flow import synth
from mxdot.flow.commands.synth import MARGIN
from mxdot.flow.files import build_folder, write_atomic
from mxdot.flow.options import chosen
from mxdot.rtl import emit
from mxdot.rtl.parameters import DEFAULT_MHZ
from rich.console import Console
from rich.progress import Progress


@dataclass(frozen=True)
class Row:
    """A unit to measure: its name in the table, its options, and whether a quick run measures it."""

    name: str
    unit: str
    options: dict[str, Any]
    quick: bool = False


def _pair(name: str) -> dict[str, Any]:
    return {"a_format": (name,), "b_format": (name,)}


ROWS = (
    Row("e4m3, 32 lanes (default)", "dot", {}, quick=True),
    Row("e5m2, 32 lanes", "dot", _pair("e5m2")),
    Row("e2m1, 32 lanes", "dot", _pair("e2m1"), quick=True),
    Row("int8, 32 lanes", "dot", _pair("int8")),
    Row("e4m3, 8 lanes, block 32", "dot", {"lanes": 8}),
    Row("e4m3, 32 lanes, accumulating", "dot", {"accumulate": True}),
    Row("FP8 MAC, e4m3", "mac", {}, quick=True),
)


def measure(row: Row, seeds: int, progress: synth.Progress) -> dict[str, Any]:
    """One row's figures; kMAC/s per cell = lanes x median MHz x 1000 / cells / cycles a beat."""
    generated = emit.generate(chosen(row.unit, None, row.options), top=row.unit)
    path = build_folder() / "bench" / f"{row.unit}.v"
    generated.write(path)
    manifest = generated.manifest
    mhz = MARGIN * (manifest["parameters"]["mhz"] or DEFAULT_MHZ)
    done = synth.synthesise(
        path, row.unit, seeds=range(1, seeds + 1), mhz=mhz, progress=progress, manifest=manifest
    )
    speed = median(done.fmax_mhz)
    rate = manifest["parameters"]["lanes"] * speed * 1000 / manifest["initiation_interval"]
    return {
        "name": row.name,
        "command": manifest["command"].replace("generate", "synth") + f" --seeds {seeds}",
        "latency": manifest["latency"],
        "initiation_interval": manifest["initiation_interval"],
        **{
            key: getattr(done, key)
            for key in ("lut4", "ccu2c", "comb", "ff", "dsp", "cells", "seeds", "fmax_mhz")
        },
        "kmac_per_second_per_cell": round(rate / done.cells, 1),
        "critical_steps": done.critical_steps,
        "tools": done.tools,
    }


def markdown(rows: list[dict[str, Any]]) -> str:
    """The figures as a page."""
    seeds = len(rows[0]["seeds"])
    lines = [
        "# Cost and clock",
        "",
        f"ECP5-85k, speed grade 6, out of context, {seeds} seed{'s' * (seeds > 1)}; "
        f"{' and '.join(rows[0]['tools'])}. `make bench SEEDS={seeds}` repeats it.",
        "",
        "| unit | LUT4 | CCU2C | COMB | FF | cells | DSP | MHz by seed | latency | II | kMAC/s per cell |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for r in rows:
        counts = " | ".join(f"{r[key]:,}" for key in ("lut4", "ccu2c", "comb", "ff", "cells", "dsp"))
        fmax = " / ".join(f"{f:.0f}" for f in r["fmax_mhz"])
        lines.append(
            f"| {r['name']} | {counts} | {fmax} | {r['latency']} | {r['initiation_interval']:g} "
            f"| {r['kmac_per_second_per_cell']:,.0f} |"
        )
    return "\n".join(lines) + "\n"


@click.command()
@click.option("--seeds", type=click.IntRange(1), default=5, show_default=True)
@click.option("--quick", is_flag=True, help="A subset, in minutes.")
@click.option("-o", "--output", type=click.Path(path_type=Path), default=Path("docs"), show_default=True)
def main(seeds: int, quick: bool, output: Path) -> None:
    """Measure the units and write bench.json and bench.md."""
    chosen_rows = [row for row in ROWS if row.quick or not quick]
    console = Console(stderr=True)
    figures = []
    with Progress(console=console, disable=not console.is_terminal) as bar:
        task = bar.add_task("bench", total=len(chosen_rows))
        for row in chosen_rows:
            bar.update(task, description=row.name)
            figures.append(measure(row, seeds, lambda text: None))
            bar.advance(task)
            print(
                f"{row.name}: {figures[-1]['cells']:,} cells, {figures[-1]['fmax_mhz']} MHz", file=sys.stderr
            )
    write_atomic(output / "bench.json", json.dumps(figures, indent=1) + "\n")
    write_atomic(output / "bench.md", markdown(figures))
    print(markdown(figures))


if __name__ == "__main__":
    main()
