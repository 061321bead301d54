"""`mxdot quantize`: tensors in files to block tensors, and back."""

import json
from collections.abc import Callable
from fnmatch import fnmatchcase
from functools import partial
from pathlib import Path
from typing import Any

import click
import numpy as np
from click.core import ParameterSource
from mxdot.flow import tables
from mxdot.flow.checkpoint import Checkpoint
from mxdot.flow.options import as_json_option
from mxdot.flow.study import loss
from mxdot.flow.tensors import FLOATS, Floats
from mxdot.golden import BlockTensor, formats, quantize, recipes
from mxdot.golden.block import RULES, Block
from mxdot.golden.encode import OVERFLOWS, ROUNDINGS
from rich.table import Table

# What each recipe leaves open.
_OPEN = {"mx": ("format", "block"), "nvfp4": (), "deepseek": ("block", "scale")}
Way = Callable[[Floats], BlockTensor]
_HOW = ("format", "block", "scale", "rule", "rounding", "overflow", "axis", "recipe", "seed")
_EXAMPLES = (
    "Examples: mxdot quantize x.npy --format e4m3 -o x.safetensors; mxdot quantize model.safetensors "
    "--recipe deepseek --block 128x128 -o fp8.safetensors; mxdot quantize fp8.safetensors --dequantize "
    "-o back.safetensors"
)


@click.command(epilog=_EXAMPLES)
@click.argument("source", metavar="IN.npy|IN.safetensors", type=click.Path(path_type=Path))
@click.option("-o", "--output", required=True, metavar="OUT.safetensors", type=click.Path(path_type=Path))
@click.option("--format", type=click.Choice(list(formats.ELEMENTS)), default="e4m3", show_default=True)
@click.option("--block", metavar="N|RxC", default="32", help="Elements to a scale.  [default: 32]")
@click.option(
    "--scale", type=click.Choice(["e8m0", "ue4m3", "fp32", "none"]), default="e8m0", show_default=True
)
@click.option("--rule", type=click.Choice(RULES), default="floor", show_default=True)
@click.option("--rounding", type=click.Choice(ROUNDINGS), default="rne", show_default=True)
@click.option("--overflow", type=click.Choice(OVERFLOWS), default="saturate", show_default=True)
@click.option("--axis", type=int, default=-1, show_default=True, help="The axis that is cut into blocks.")
@click.option("--recipe", type=click.Choice(list(_OPEN)), help="A known way, in place of most options above.")
@click.option(
    "--seed", type=click.IntRange(0), default=0, show_default=True, help="Of the 16 random bits a value."
)
@click.option(
    "--tensor",
    "patterns",
    metavar="NAME",
    multiple=True,
    help="Only tensors called so (* and ? match), again for more.  [default: all floats of two axes or more]",
)
@click.option(
    "--dequantize", is_flag=True, help="Back to F32, from what this wrote or a DeepSeek checkpoint."
)
@as_json_option
def command(
    source: Path, output: Path, patterns: tuple[str, ...], dequantize: bool, as_json: bool, **how: Any
) -> None:
    """Quantise the tensors of a file to blocks of small elements with shared scales, or turn them back.

    F32, BF16 and F16 are quantised; all other tensors of the file are copied as they are. The layout of the
    output, and of DeepSeek checkpoints, is described in docs/quantize.md.
    """
    current = click.get_current_context().get_parameter_source
    given = [name for name in _HOW if current(name) is ParameterSource.COMMANDLINE]
    if dequantize and given:
        raise click.UsageError(f"--{given[0]} has no meaning with --dequantize")
    if not dequantize and output.suffix != ".safetensors":
        raise click.UsageError(f"-o must end in .safetensors, not {str(output)!r}: codes and scales go in it")
    way = None if dequantize else _way(given, **how)
    file = Checkpoint.read(source)
    if way is None:
        rows = _back(source, file, patterns, output.suffix == ".npy")
    else:
        rows = _forth(source, file, patterns, way, how["recipe"] == "deepseek")
    file.write(output)
    if as_json:
        print(json.dumps({"output": str(output), "tensors": rows}, indent=1))
    else:
        _print(rows)
        print(f"written: {output}")


def _way(given: list[str], recipe: str | None, block: str, scale: str, **how: Any) -> Way:
    """The function that quantises, from the options."""
    seed = how.pop("seed")
    for name in given:
        if recipe and name not in (*_OPEN[recipe], "recipe"):
            raise click.UsageError(f"--{name} has no meaning with --recipe {recipe}")
    if "seed" in given and how["rounding"] != "stochastic":
        raise click.UsageError("--seed has a meaning with --rounding stochastic only")
    if recipe == "nvfp4":
        return recipes.nvfp4
    if recipe == "mx":
        length = _block(block)
        if not isinstance(length, int):
            raise click.UsageError(f"--recipe mx takes --block N, not {block}")
        return partial(recipes.mx, format=how["format"], block=length)
    if recipe == "deepseek":
        sizes = _block(block) if "block" in given else (1, 128)
        pair = sizes if isinstance(sizes, tuple) else (1, sizes)
        return partial(recipes.deepseek, block=pair, scale=scale)
    options = how | {"block": _block(block), "scale": None if scale == "none" else scale}
    if how["rounding"] != "stochastic":
        return partial(quantize, **options)
    words = np.random.default_rng(seed)
    return lambda x: quantize(x, random=words.integers(0, 1 << 16, x.shape, np.uint16), **options)


def _block(text: str) -> Block:
    """`32`, or `128x128` as a pair; golden judges the numbers."""
    sizes = text.split("x")
    if len(sizes) > 2 or not all(size.isascii() and size.isdigit() for size in sizes):
        raise ValueError(f"--block must be a number or ROWSxCOLUMNS, such as 32 or 128x128, not {text!r}")
    return (int(sizes[0]), int(sizes[1])) if len(sizes) == 2 else int(sizes[0])


def _forth(
    source: Path, file: Checkpoint, patterns: tuple[str, ...], way: Way, deepseek: bool
) -> list[dict[str, Any]]:
    """Quantise in place: what the patterns match, else every float tensor of two axes or more."""
    stored = {part for parts in file.parts().values() for part in parts}
    names = [name for name in file.tensors if name not in stored]
    if patterns or source.suffix == ".npy":
        names = _matching(source, names, patterns)
    else:
        kinds = (*FLOATS, "F64")  # F64 is refused in words, not passed over
        names = [n for n in names if file.tensors[n].dtype in kinds and len(file.tensors[n].shape) >= 2]
        if not names:
            raise ValueError(f"{source} holds no float tensor of two axes or more: name others with --tensor")
    rows = []
    for name in names:
        x = file.tensors[name].floats(name)
        try:
            t = way(x)
        except ValueError as error:
            raise ValueError(f"tensor {name!r} of shape {x.shape}: {error}") from None
        file.quantize(name, t, deepseek)
        rows.append(_row(name, t) | loss(x, t))
    return rows


def _back(source: Path, file: Checkpoint, patterns: tuple[str, ...], alone: bool) -> list[dict[str, Any]]:
    """Turn back in place: what the patterns match, else every block tensor; ``alone``: drop all others."""
    found = [*file.parts()]
    if not found:
        raise ValueError(f"{source} holds no block tensor: none of mxdot's, no F8_E4M3 beside a _scale_inv")
    names = _matching(source, found, patterns)
    rows = [_row(name, file.dequantize(name)) for name in names]
    if alone:
        file.tensors = {name: file.tensors[name] for name in names}
    return rows


def _matching(source: Path, names: list[str], patterns: tuple[str, ...]) -> list[str]:
    """The names that a pattern matches, all without a pattern; a pattern without a match is a ValueError."""
    for pattern in patterns:
        if not any(fnmatchcase(name, pattern) for name in names):
            shown = ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
            raise ValueError(f"{source} has no tensor {pattern!r} to take; it has {shown or 'none'}")
    return [n for n in names if not patterns or any(fnmatchcase(n, pattern) for pattern in patterns)]


def _row(name: str, t: BlockTensor) -> dict[str, Any]:
    block = "x".join(map(str, t.block)) if isinstance(t.block, tuple) else str(t.block)
    return {
        "name": name,
        "shape": list(t.shape),
        "format": t.format,
        "block": block if t.scale else None,
        "scale": t.scale or "none",
    }


def _print(rows: list[dict[str, Any]]) -> None:
    table = Table(title="mxdot quantize", title_justify="left")
    for column in rows[0]:
        table.add_column(
            column.replace("_", " "), justify="left" if column in ("name", "format") else "right"
        )
    for row in rows:
        table.add_row(*(tables.figure(key, value) for key, value in row.items()))
    tables.console().print(table)
