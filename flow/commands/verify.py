"""`mxdot verify`: a unit against the golden model, in one or both simulators."""

import json
from dataclasses import asdict

import click
from mxdot.flow.errors import CheckFailed
from mxdot.flow.options import Choice, as_json_option, unit_options
from mxdot.verif import runner
from rich.console import Console


@click.command(epilog="Example: mxdot verify mac --a-format e5m2 --sim both --seed 7")
@unit_options()
@click.option(
    "--sim", type=click.Choice([*runner.SIMULATORS, "both"]), default="verilator", show_default=True
)
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Of operands and stalls.")
@click.option(
    "--rows", type=click.IntRange(1), default=2000, show_default=True, help="Blocks of the large case."
)
@click.option("--waves", is_flag=True, help="Record waves.")
@as_json_option
def command(choice: Choice, sim: str, seed: int, rows: int, waves: bool, as_json: bool) -> None:
    """Run the cocotb regression of a unit, or of FILE.v with its manifest beside it, as it lies.

    Exit code 1 when anything differs from the golden model.
    """
    path, manifest = choice.resolve()
    reports = []
    console = Console(stderr=True)
    for name in runner.SIMULATORS if sim == "both" else (sim,):
        with console.status(f"{name}: building and running the regression"):
            reports.append(runner.regress(path, manifest, name, seed=seed, waves=waves, rows=rows))
    if as_json:
        print(json.dumps([asdict(r) | {"ok": r.ok} for r in reports], indent=1, default=str))
    else:
        for report in reports:
            print(report.text())
    if not all(report.ok for report in reports):
        raise CheckFailed(f"{path} differs from the golden model (seed {seed})")
