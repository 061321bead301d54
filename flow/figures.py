"""`make figures`: the datapath of every profile, drawn from its steps, and its cost beside `fp32`.

    python -m mxdot.flow.figures [-o DIR]

Writes DIR/<profile>.svg (default docs/profiles) and, between the two marks in DIR/<profile>.md, the table of
what `make bench` measured of the same unit. tests/flow/test_flow_figures.py fails where either is not what
this command writes today.
"""

import sys
from pathlib import Path

import click
from mxdot.flow import bench, bench_page, cli, diagram
from mxdot.flow.bench_units import UNITS
from mxdot.flow.files import write_atomic
from mxdot.flow.options import chosen
from mxdot.rtl.parameters import PROFILE_NAMES

KEYS = {"fp32": "lanes-8"} | {name: f"profile-{name}" for name in PROFILE_NAMES if name != "fp32"}
"""Profile -> the unit of `make bench` that stands for it: 8 lanes, so that the page can be compared."""
BESIDE = ("lanes-8", "profile-fp32-unscaled")
BEGIN, END = "<!-- cost: make figures -->\n", "<!-- end of cost -->\n"


def figure(profile: str) -> str:
    """The SVG of a profile's unit."""
    unit = next(unit for unit in UNITS if unit.key == KEYS[profile])
    parameters = chosen(unit.unit, None, unit.options)
    words = " ".join(parameters.options())
    return diagram.draw(parameters.build(), f"{profile}: mxdot generate dot {words}")


def cost(profile: str, results: dict[str, bench.Result]) -> str:
    """The table of a profile's unit and `fp32`'s, as measured; says so where nothing was."""
    keys = dict.fromkeys((*BESIDE, *(k for k in KEYS.values() if k == KEYS[profile])))
    rows = [results[key] for key in keys if key in results]
    if not rows or KEYS[profile] not in results:
        return "Not placed yet: `make bench` does it.\n"
    titles = {"lanes-8": "`fp32`, e8m0 scales", KEYS[profile]: f"`{profile}`"} if profile != "fp32" else {}
    head = ["unit (8 lanes)", "COMB", "FF", "cells", "MHz", "latency", "cycles a beat"]
    lines = [
        [
            titles.get(r["key"], r["title"]),
            *(f"{r[kind]:,}" for kind in ("comb", "ff", "cells")),
            f"{r['median_mhz']:.0f}",
            r["latency"],
            f"{r['initiation_interval']:g}",
        ]
        for r in rows
    ]
    return bench_page.table(head, lines)


def with_cost(page: str, table: str) -> str:
    """The page with the table between its marks."""
    return bench_page.between(page, BEGIN, END, table)


@click.command(epilog="Example: python -m mxdot.flow.figures")
@click.option(
    "-o",
    "--output",
    metavar="DIR",
    type=click.Path(path_type=Path),
    default=Path("docs/profiles"),
    show_default=True,
)
def main(output: Path) -> None:
    """Draw the datapaths and write the cost tables of the profiles' pages."""
    results = bench.read(output.parent / "bench.json")
    for profile in PROFILE_NAMES:
        write_atomic(output / f"{profile}.svg", figure(profile))
        page = output / f"{profile}.md"
        write_atomic(page, with_cost(page.read_text(), cost(profile, results)))


if __name__ == "__main__":
    sys.exit(cli.main(command=main, name="figures"))
