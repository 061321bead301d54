"""`mxdot synth`: what a unit costs and how fast it runs on an FPGA."""

import json
import re
from pathlib import Path

import click
from mxdot.flow import synth, tables
from rich.console import Console


@click.command(epilog="Example: mxdot synth out/dot.v --seeds 3")
@click.argument("verilog", metavar="FILE.v", type=click.Path(path_type=Path))
@click.option(
    "--top", metavar="MODULE", help="Top module; default: the file's name, if it is a module of it."
)
@click.option("--device", type=click.Choice(list(synth.DEVICES)), default="ecp5-85k", show_default=True)
@click.option("--seeds", metavar="N", type=click.IntRange(1), default=1, show_default=True,
              help="Place and route with seeds 1 to N.")  # fmt: skip
@click.option("--target-mhz", type=click.FloatRange(1), default=180.0, show_default=True,
              help="Clock that the placer is asked for.")  # fmt: skip
@click.option("--jobs", type=click.IntRange(1), help="Seeds at a time; default: one a core.")
@click.option("--json", "as_json", is_flag=True, help="Print only JSON on stdout.")
def command(
    verilog: Path,
    top: str | None,
    device: str,
    seeds: int,
    target_mhz: float,
    jobs: int | None,
    as_json: bool,
) -> None:
    """Resources, Fmax and critical path of a Verilog module, by Yosys and nextpnr."""
    name = top or _top(verilog)
    console = Console(stderr=True)
    with console.status("starting") as status:
        result = synth.synthesise(
            verilog, name, device, range(1, seeds + 1), target_mhz, jobs, lambda text: status.update(text)
        )
    if as_json:
        print(json.dumps(result.as_json(), indent=1))
    else:
        tables.print_synthesis(Console(), result)


def _top(verilog: Path) -> str:
    modules = re.findall(r"^\s*module\s+(\w+)", verilog.read_text(), re.MULTILINE)
    if not modules:
        raise ValueError(f"{verilog} has no Verilog module")
    if verilog.stem in modules:
        return verilog.stem
    if len(modules) > 1:
        raise ValueError(f"{verilog} has {len(modules)} modules; name one with --top")
    return str(modules[0])
