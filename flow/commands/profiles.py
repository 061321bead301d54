"""`mxdot profiles`: what a dot product's sum may do, each with a worked example."""

import json
from dataclasses import asdict
from typing import Any

import click
import numpy as np
from mxdot.flow import tables
from mxdot.flow.options import as_json_option
from mxdot.golden import BlockTensor, dot, formats, profiles
from mxdot.golden.profiles import Profile
from mxdot.rtl.parameters import PROFILE_NAMES
from rich.table import Table


@click.command(epilog="Examples: mxdot profiles; mxdot profiles hopper")
@click.argument("name", required=False)
@as_json_option
def command(name: str | None, as_json: bool) -> None:
    """List the accumulation profiles, or explain the one called NAME by an example."""
    chosen = [profiles.get(name)] if name else list(profiles.PROFILES.values())
    if as_json:
        rows = [facts(p) for p in chosen]
        print(json.dumps(rows[0] if name else rows, indent=1, ensure_ascii=False))
        return
    console = tables.console()
    if name is None:
        table = Table(title="profiles", title_justify="left")
        for column in ("name", "what it does", "scales", "in hardware"):
            table.add_column(column)
        for row in map(facts, chosen):
            table.add_row(row["name"], row["summary"], " ".join(row["scales"]), _yes(row["in_hardware"]))
        console.print(table)
        return
    table = Table(show_header=False, title=name, title_justify="left")
    for key, value in facts(chosen[0]).items():
        if key != "example":
            table.add_row(key.replace("_", " "), _text(value))
    console.print(table)
    shown = example(chosen[0])
    print(f"example in {shown['formats'][0]}, K = {shown['k']}, no scales:")
    print(f"  a = {shown['a']}, b = {shown['b']}")
    print(f"  {name} gives {shown['result']:.9g}; exactly it is {shown['exactly']:.9g}")


def facts(p: Profile) -> dict[str, Any]:
    """A profile's row as plain values, with its example."""
    return {
        "name": p.name,
        "summary": p.summary,
        "kind": type(p.kind).__name__.lower(),
        **asdict(p.kind),
        "elements": list(p.elements),
        "scales": [s or "none" for s in p.scales],
        "block": p.block,
        "mac": p.mac,
        "in_hardware": p.name in PROFILE_NAMES,
        "source": p.source,
        "example": example(p),
    }


def example(p: Profile) -> dict[str, Any]:
    """A dot product of 128 that shows what a profile loses: large products that cancel, small ones between.

    Exactly, only the small products remain.
    """
    element = formats.element(p.elements[0])
    high, low = 16.0, 2.0**-8
    a, b = np.ones(128, np.float32), np.full(128, low, np.float32)
    a[0], b[0], a[-1], b[-1] = high, high, -high, high

    def tensor(x: Any) -> BlockTensor:
        return BlockTensor(element.encode(x), None, element.name, block=p.block or 32, scale=None)

    return {
        "formats": [element.name, element.name],
        "a": f"[{high:g}, 1, …, 1, -{high:g}]",
        "b": f"[{high:g}, {low:g}, …, {low:g}, {high:g}]",
        "k": len(a),
        "result": float(dot(tensor(a), tensor(b), profile=p.name)),
        "exactly": float(a.astype(np.float64) @ b.astype(np.float64)),
    }


def _text(value: Any) -> str:
    if isinstance(value, list):
        return " ".join(map(str, value))
    return _yes(value) if isinstance(value, bool) else "–" if value is None else str(value)


def _yes(value: bool) -> str:
    return "yes" if value else "no"
