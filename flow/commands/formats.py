"""`mxdot formats`: the number formats, and every code of one."""

import json
from dataclasses import fields
from typing import Any

import click
import numpy as np
from mxdot.flow import tables
from mxdot.flow.options import as_json_option
from mxdot.golden import formats
from mxdot.golden.formats import ElementFormat, ScaleFormat
from mxdot.rtl.dot import DotParameters
from rich.console import Console
from rich.table import Table


@click.command(epilog="Examples: mxdot formats; mxdot formats e4m3 --codes")
@click.argument("name", required=False)
@click.option("--codes", is_flag=True, help="Every code of NAME with its value.")
@as_json_option
def command(name: str | None, codes: bool, as_json: bool) -> None:
    """List the element and scale formats, or describe the one called NAME."""
    if codes and name is None:
        raise click.UsageError("--codes needs the name of a format")
    chosen: list[ElementFormat | ScaleFormat] = [*formats.ELEMENTS.values(), *formats.SCALES.values()]
    if name is not None:
        chosen = [formats.get(name)]
    if as_json:
        rows = [facts(f) | ({"values": [str(v) for v in f.values]} if codes else {}) for f in chosen]
        print(json.dumps(rows[0] if name else rows, indent=1))
        return
    console = tables.console()
    if name is None:
        _overview(console, [facts(f) for f in chosen])
        return
    table = Table(show_header=False, title=name, title_justify="left")
    for key, value in facts(chosen[0]).items():
        table.add_row(key.replace("_", " "), _text(value))
    console.print(table)
    if codes:
        _codes(console, chosen[0])


def facts(f: ElementFormat | ScaleFormat) -> dict[str, Any]:
    """What a format is, as plain values."""
    found: dict[str, Any] = {
        "name": f.name,
        "use": "element" if isinstance(f, ElementFormat) else "scale",
        "bits": f.width,
        "exponent_bits": f.exponent_bits,
        "mantissa_bits": f.mantissa_bits,
        "bias": f.bias,
        "max": f.max,
        "min_normal": f.min_normal if isinstance(f, ElementFormat) else None,
        "smallest": f.smallest,
        "inf_codes": [f"0x{c:02x}" for c in f.inf_codes] if isinstance(f, ElementFormat) else [],
        "nan_codes": [f"0x{c:02x}" for c in f.nan_codes],
        "negative_zero": isinstance(f, ElementFormat) and f.negative_zero,
        "in_hardware": f.name in _built(),
        "source": f.source,
    }
    return found


def _built() -> set[str | None]:
    """Formats that the dot-product unit takes."""
    choices = {field.name: field.metadata.get("choices", ()) for field in fields(DotParameters)}
    return {*choices["a_format"], *choices["scale"]}


def _overview(console: Console, rows: list[dict[str, Any]]) -> None:
    words = ("name", "use")
    numbers = ("bits", "max", "smallest", "inf_codes", "nan_codes", "negative_zero", "in_hardware")
    table = Table(title="formats", title_justify="left")
    for key in words + numbers:
        table.add_column(key.replace("_", " "), justify="left" if key in words else "right")
    for row in rows:
        table.add_row(*(_text(row[key]) for key in words + numbers))
    console.print(table)


def _codes(console: Console, f: ElementFormat | ScaleFormat) -> None:
    """Sixteen codes a row would be too wide for a terminal: eight, with the row's first code at the left."""
    table = Table(title=f"codes of {f.name}", title_justify="left")
    table.add_column("code")
    for low in range(8):
        table.add_column(f"+{low}", justify="right")
    for first in range(0, len(f.values), 8):
        row = f.values[first : first + 8]
        short = (np.format_float_positional(v, trim="-") if 1e-4 < abs(v) < 1e6 else f"{v:.6g}" for v in row)
        table.add_row(f"0x{first:02x}", *short)
    console.print(table)


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return " ".join(value) if len(value) < 4 else f"{value[0]} … {value[-1]} ({len(value)})"
    if isinstance(value, float):
        mantissa, exponent = np.frexp(value)
        return f"2^{exponent - 1}" if mantissa == 0.5 and not 0 <= exponent - 1 < 16 else f"{value:g}"
    return "–" if value is None else str(value)
