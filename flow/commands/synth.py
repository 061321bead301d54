"""`mxdot synth`: what a unit costs and how fast it runs on an FPGA."""

import json
import re
from pathlib import Path

import click
from mxdot.flow import synth, tables
from mxdot.flow.files import write_atomic
from mxdot.flow.options import Choice, as_json_option, unit_options
from mxdot.rtl.targets import GENERIC, TARGETS
from rich.console import Console

# nextpnr stops to improve a path that meets its clock: ask for a fifth more than the unit was cut for.
MARGIN = 1.2


@click.command(epilog="Examples: mxdot synth dot --lanes 16 --seeds 3; mxdot synth other.v --top adder")
@unit_options()
@click.option("--device", type=click.Choice(list(synth.DEVICES)), default="ecp5-85k", show_default=True)
@click.option(
    "--seeds",
    metavar="N",
    type=click.IntRange(1),
    default=1,
    show_default=True,
    help="Place and route with seeds 1 to N.",
)
@click.option(
    "--target-mhz",
    metavar="MHZ",
    type=click.FloatRange(1),
    help=f"Clock that the placer is asked for.  [default: {MARGIN:g} x --mhz]",
)
@click.option(
    "--jobs", metavar="N", type=click.IntRange(1), help="Seeds at a time.  [default: as many as cores]"
)
@click.option("--top", metavar="MODULE", help="Top module of FILE.v.  [default: the file's name]")
@as_json_option
def command(
    choice: Choice,
    device: str,
    seeds: int,
    target_mhz: float | None,
    jobs: int | None,
    top: str | None,
    as_json: bool,
) -> None:
    """Resources, Fmax and critical path of a unit, or of any Verilog file given as FILE.v.

    The result of a unit also goes to NAME.synth.json beside its Verilog.
    """
    manifest = None
    given = choice.given_file()
    if given is not None:
        verilog, mhz, top = given, GENERIC.mhz, top or _top(given)
    elif top is not None:
        raise click.UsageError("--top goes with FILE.v; a unit's module is named by -o")
    else:
        verilog, manifest = choice.generate()
        chosen = manifest["parameters"]
        mhz, top = chosen["mhz"] or TARGETS[chosen["target"]].mhz, verilog.stem
    console = Console(stderr=True)
    with console.status("starting") as status:
        result = synth.synthesise(
            verilog,
            top,
            device,
            range(1, seeds + 1),
            target_mhz or MARGIN * mhz,
            jobs,
            status.update,
            manifest,
        )
    text = json.dumps(result.as_json(), indent=1)
    if given is None:
        write_atomic(verilog.with_suffix(".synth.json"), text + "\n")
    if as_json:
        print(text)
    else:
        tables.print_synthesis(tables.console(), result)
        if given is None:
            print(f"report: {verilog.with_suffix('.synth.json')}; netlists and logs: {result.folder}")


def _top(verilog: Path) -> str:
    modules = re.findall(r"^\s*module\s+(\w+)", verilog.read_text(), re.MULTILINE)
    if not modules:
        raise ValueError(f"{verilog} has no Verilog module")
    if verilog.stem in modules:
        return verilog.stem
    if len(modules) > 1:
        raise ValueError(f"{verilog} has {len(modules)} modules; name one with --top")
    return str(modules[0])
