"""`mxdot generate`: a unit as Verilog with its manifest."""

import json

import click
from mxdot.flow.options import Choice, as_json_option, unit_options


@click.command(epilog="Example: mxdot generate dot --lanes 16 --b-format e2m1 -o out/dot.v")
@unit_options(files=False)
@as_json_option
def command(choice: Choice, as_json: bool) -> None:
    """Write a unit as Verilog and its manifest as JSON beside it."""
    if choice.given_file():
        raise click.UsageError(f"{choice.unit} is a file; name a unit: dot or mac")
    path, manifest = choice.generate()
    if as_json:
        print(json.dumps(manifest, indent=1))
        return
    print(f"{path}: {manifest['unit']}, latency {manifest['latency']} cycles")
    print(f"{path.with_suffix('.json')}: ports, options, steps")
