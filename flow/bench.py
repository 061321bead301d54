"""`make bench`: what a set of units costs on the ECP5 and how fast it runs, as JSON, as a page and as plots.

    python -m mxdot.flow.bench [--seeds N] [--quick] [--only KEY,…] [--redraw] [-o DIR]

Writes DIR/bench.json, DIR/bench.md and DIR/bench-*.svg (default docs/). What was placed before, by the
content of the Verilog, the clock asked for and the seed, is not placed again: a run that was stopped goes on
where it was. The results file is written after every unit; units not measured this time keep their figures.
"""

import json
import re
import sys
from collections.abc import Iterable
from hashlib import sha256
from pathlib import Path
from statistics import median
from typing import Any

import click
from mxdot.flow import bench_page, bench_plots, cells, cli, counts, synth
from mxdot.flow.bench_units import UNITS, Unit
from mxdot.flow.commands.synth import MARGIN
from mxdot.flow.files import build_folder, write_atomic
from mxdot.flow.options import chosen
from mxdot.rtl import emit
from mxdot.rtl.parameters import Parameters
from mxdot.rtl.pipeline import Pipeline
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

Result = dict[str, Any]
MARKS = ("<!-- goals: make bench -->\n", "<!-- end of goals -->\n")
"""In README.md beside DIR, around the table of the goals."""


def seeds_of(unit: Unit, seeds: int) -> int:
    """The goals are placed with all seeds; sweeps and profiles, where a trend is wanted, with one."""
    return seeds if "goals" in unit.groups else 1


def cut_for(parameters: Parameters, unit: Pipeline) -> int:
    """The clock that a unit is cut for where none was asked: the default, or what its slowest step allows."""
    slowest = max(step.delay for step in unit.plan.steps)
    return min(parameters.device.mhz, int(parameters.device.clock(slowest)))


def measure(unit: Unit, seeds: int, jobs: int | None, progress: synth.Progress) -> Result:
    """One unit's figures; kMAC/s per cell = lanes x median MHz x 1000 / cycles a beat / cells."""
    parameters = chosen(unit.unit, None, unit.options)
    generated = emit.generate(parameters)
    path = build_folder() / "bench" / unit.key / f"{unit.unit}.v"
    generated.write(path)
    manifest = generated.manifest
    built = parameters.build()
    asked = parameters.mhz or cut_for(parameters, built)
    target = unit.target_mhz or MARGIN * asked
    done = synth.synthesise(
        path,
        unit.unit,
        seeds=range(1, seeds + 1),
        mhz=target,
        jobs=jobs,
        progress=progress,
        manifest=manifest,
    )
    speed = median(done.fmax_mhz)
    rate = manifest["parameters"]["lanes"] * speed * 1000 / manifest["initiation_interval"]
    where = cells.by_step(Path(done.folder) / f"seed1-{target:g}mhz-routed.json", built)
    found = {
        "key": unit.key,
        "title": unit.title,
        "groups": list(unit.groups),
        "peer": unit.peer,
        "command": manifest["command"].replace("generate", "synth") + f" --target-mhz {target:g}",
        "verilog": sha256(generated.verilog.encode()).hexdigest()[:16],
        "lanes": manifest["parameters"]["lanes"],
        "asked_mhz": asked,
        "target_mhz": target,
        "stages": manifest["latency"] - 1,
        "latency": manifest["latency"],
        "initiation_interval": manifest["initiation_interval"],
        **{key: getattr(done, key) for key in ("lut4", "ccu2c", "comb", "ff", "dsp", "cells", "seeds")},
        "fmax_mhz": done.fmax_mhz,
        "median_mhz": round(speed, 1),
        "kmac_per_second_per_cell": round(rate / done.cells, 1),
        "critical_steps": done.critical_steps,
        "cells_by_part": cells.by_topic(where, built),
        "cells_by_step": where,
        "tools": done.tools,
    }
    if unit.peer and "ecp5-dsp" not in manifest["command"]:
        progress("counting and-inverter gates")
        found["and_gates"] = counts.generic_size(unit.unit, unit.options)
    return found


def read(path: Path) -> dict[str, Result]:
    """The results of earlier runs by key; none where there is no file."""
    if not path.exists():
        return {}
    units = json.loads(path.read_text())["units"]
    return {entry["key"]: entry for entry in units if entry["key"] in {u.key for u in UNITS}}


def write(folder: Path, results: dict[str, Result]) -> None:
    """The results file, in the order of the units, the page, the plots, and the README's table."""
    ordered = [results[unit.key] for unit in UNITS if unit.key in results]
    lines = json.dumps({"device": synth.DEVICES["ecp5-85k"].title, "units": ordered}, indent=1)
    lines = re.sub(r"\[\s+([^][{}]*?)\s+\]", lambda m: "[" + re.sub(r"\s+", " ", m[1]) + "]", lines)
    lines = re.sub(r"\{\s+([^][{}]*?)\s+\}", lambda m: "{" + re.sub(r"\s+", " ", m[1]) + "}", lines)
    write_atomic(folder / "bench.json", lines + "\n")
    drawn = bench_plots.write(folder, ordered)
    write_atomic(folder / "bench.md", bench_page.page(ordered, drawn))
    readme = folder.parent / "README.md"
    if (summary := bench_page.summary(ordered)) and readme.exists():
        write_atomic(readme, bench_page.between(readme.read_text(), *MARKS, summary))


def choose(quick: bool, only: str | None) -> list[Unit]:
    """The units to measure; ValueError for a key that there is not."""
    if only is None:
        return [unit for unit in UNITS if unit.quick or not quick]
    keys = only.split(",")
    for key in keys:
        if key not in {unit.key for unit in UNITS} | {group for unit in UNITS for group in unit.groups}:
            raise ValueError(f"--only knows no {key!r}; known: {', '.join(unit.key for unit in UNITS)}")
    return [unit for unit in UNITS if {unit.key, *unit.groups} & set(keys)]


def run(units: Iterable[Unit], seeds: int, jobs: int | None, output: Path, console: Console) -> None:
    """Measure the units, telling what is done, and write the results after each."""
    results = read(output / "bench.json")
    units = list(units)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal) as bar:
        task = bar.add_task("bench", total=len(units))
        for at, unit in enumerate(units, 1):
            bar.update(task, description=unit.key)
            result = measure(
                unit,
                seeds_of(unit, seeds),
                jobs,
                lambda text, key=unit.key: bar.update(task, description=f"{key}: {text}"),  # type: ignore[misc]
            )
            results[unit.key] = result
            write(output, results)
            bar.advance(task)
            console.print(
                f"{at}/{len(units)} {unit.key}: {result['cells']:,} cells, {result['median_mhz']} MHz,"
                f" {result['kmac_per_second_per_cell']:,} kMAC/s per cell",
                highlight=False,
            )


@click.command(epilog="Example: python -m mxdot.flow.bench --seeds 3 --only e4m3-ecp5,mac")
@click.option("--seeds", metavar="N", type=click.IntRange(1), default=5, show_default=True)
@click.option("--quick", is_flag=True, help="A subset, one seed, in minutes.")
@click.option("--only", metavar="KEY,…", help="These units or groups of units.")
@click.option("--redraw", is_flag=True, help="Only write page and plots again from the results file.")
@click.option("--jobs", metavar="N", type=click.IntRange(1), help="Seeds at a time.")
@click.option(
    "-o", "--output", metavar="DIR", type=click.Path(path_type=Path), default=Path("docs"), show_default=True
)
def main(seeds: int, quick: bool, only: str | None, redraw: bool, jobs: int | None, output: Path) -> None:
    """Measure units and write bench.json, bench.md and the plots."""
    if redraw:
        write(output, read(output / "bench.json"))
    else:
        run(choose(quick, only), 1 if quick else seeds, jobs, output, Console(stderr=True))


if __name__ == "__main__":
    sys.exit(cli.main(command=main, name="bench"))
