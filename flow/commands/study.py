"""`mxdot study`: what formats, scale rules and profiles cost, on tensors of yours or built in."""

import json
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import click
from mxdot.flow import accumulation, accuracy, tables
from mxdot.flow.checkpoint import Checkpoint
from mxdot.flow.network import Digits
from mxdot.flow.options import as_json_option
from mxdot.flow.study import DATA, FORMATS, Choice, Subject, choices, compare, synthetic
from mxdot.flow.tensors import FLOATS, Floats
from mxdot.golden import profiles
from mxdot.golden.block import RULES
from mxdot.golden.encode import check_choice
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

Found = dict[str, Any]
_EXAMPLES = (
    "Examples: mxdot study; mxdot study --data positive --plot plots; "
    "mxdot study x.npy --weights w.npy --formats e4m3,e2m1 --profiles hopper,deepseek"
)


def _listed(flag: str, name: str, names: Iterable[str]) -> Callable[[Any], Any]:
    """An option that takes names, comma-separated; all are the default."""

    def split(ctx: click.Context, param: click.Parameter, text: str) -> tuple[str, ...]:
        return tuple(text.split(","))

    default = ",".join(names)
    return click.option(flag, name, metavar="A,B,…", default=default, show_default=True, callback=split)


@click.command(epilog=_EXAMPLES)
@click.argument("source", required=False, metavar="[X.npy|X.safetensors]", type=click.Path(path_type=Path))
@click.option("--tensor", "names", metavar="NAME", multiple=True, help="One of X's tensors; again for more.")
@click.option("--weights", metavar="W.npy", type=click.Path(path_type=Path), help="(M, K) to multiply X by.")
@click.option("--data", type=click.Choice(DATA), multiple=True, help="Built-in tensors.  [default: normal]")
@click.option("--rows", type=click.IntRange(1), default=128, show_default=True, help="Of built-in tensors.")
@click.option("--k", type=click.IntRange(1), default=4096, show_default=True, help="Of built-in tensors.")
@_listed("--formats", "formats", FORMATS)
@_listed("--rules", "rules", RULES)
@click.option("--block", type=int, default=32, show_default=True)
@_listed("--profiles", "kinds", profiles.PROFILES)
@click.option(
    "--element",
    type=click.Choice(accumulation.ELEMENTS),
    default="e4m3",
    show_default=True,
    help="What the profiles sum products of.",
)
@click.option(
    "--dots",
    type=click.IntRange(1),
    default=128,
    show_default=True,
    help="Dot products to compare profiles on.",
)
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True)
@click.option("--plot", metavar="DIR", type=click.Path(path_type=Path), help="Write plots, PNG and SVG.")
@as_json_option
def command(
    source: Path | None,
    names: tuple[str, ...],
    weights: Path | None,
    data: tuple[str, ...],
    rows: int,
    k: int,
    block: int,
    element: str,
    dots: int,
    seed: int,
    plot: Path | None,
    as_json: bool,
    formats: tuple[str, ...],
    rules: tuple[str, ...],
    kinds: tuple[str, ...],
) -> None:
    """Compare formats, scale rules and accumulation profiles by the error they make.

    On the float tensors of a file, rows of K numbers along the last axis; or on random ones, and then on the
    digits network too. docs/study.md says what each column means.
    """
    if source is None and (names or weights):
        raise click.UsageError("--tensor and --weights go with a file X")
    if source is not None and data:
        raise click.UsageError("--data is in place of a file X")
    for rule in rules:
        check_choice("rule", rule, RULES)
    ways = choices(formats, rules, block)
    for kind in kinds:
        profiles.get(kind)
    if source is None:
        subjects = [synthetic(kind, rows, k, seed) for kind in data or DATA[:1]]
    else:
        subjects = _read(source, names, weights)
    found: Found = {"tensors": [], "digits": None}
    with _bar() as bar:
        task = bar.add_task("tensors, formats and profiles", total=len(subjects) * (len(ways) + 1))
        for subject in subjects:
            found["tensors"].append(_tensor(subject, ways, kinds, element, dots, seed, bar, task))
        if source is None:
            found["digits"] = accuracy.study(Digits.load(), ways, kinds, element)
    paths = []
    if plot is not None:
        from mxdot.flow import plots  # Matplotlib takes a second to import

        paths = plots.write(plot, found)
    if as_json:
        print(json.dumps(found | {"plots": [str(p) for p in paths]}, indent=1))
        return
    _print(tables.console(), found)
    for path in paths:
        print(f"plot: {path}")


def _tensor(
    subject: Subject,
    ways: list[Choice],
    kinds: Sequence[str],
    element: str,
    dots: int,
    seed: int,
    bar: Progress,
    task: Any,
) -> Found:
    formats = []
    for way in ways:
        formats.append(compare(subject, way))
        bar.advance(task)
    pairs = accumulation.pairs(subject, element, dots, seed)
    found: Found = {
        "name": subject.name,
        "shape": list(subject.x.shape),
        "weights": list(subject.w.shape),
        "formats": formats,
        "element": element,
        "exponents": list(pairs.exponents),
        "dot_products": len(pairs.a),
        "errors": accumulation.errors(pairs, kinds),
        "differences": accumulation.differences(pairs, kinds),
    }
    bar.advance(task)
    return found


def _read(source: Path, names: tuple[str, ...], weights: Path | None) -> list[Subject]:
    """The float tensors and block tensors of a file, or those that were named, each with the weights."""
    found = _floats(source)
    for name in names:
        if name not in found:
            raise ValueError(f"{source} has no float tensor {name!r}; it has {', '.join(found) or 'none'}")
    if not found:
        raise ValueError(f"{source} holds no float tensor")
    w = None
    if weights is not None:
        others = _floats(weights)
        if len(others) != 1:
            raise ValueError(f"{weights} must hold one float tensor, not {len(others)}")
        w = next(iter(others.values()))
    return [Subject.of(name, found[name], w) for name in names or found]


def _floats(path: Path) -> dict[str, Floats]:
    file = Checkpoint.read(path)
    parts = file.parts()
    stored = {part for group in parts.values() for part in group}
    plain = {n: t.floats(n) for n, t in file.tensors.items() if n not in stored and t.dtype in FLOATS}
    return plain | {name: file.block_tensor(name).dequantize() for name in parts}


def _print(console: Console, found: Found) -> None:
    for tensor in found["tensors"]:
        shape = " × ".join(map(str, tensor["shape"]))
        _rows(console, f"{tensor['name']}, {shape}: quantised", tensor["formats"])
        console.print(_errors(tensor))
        console.print(_differences(tensor))
    digits = found["digits"]
    if digits is not None:
        print(f"digits network: {digits['images']} images, accuracy in FP32 {100 * digits['fp32']:.2f} %")
        _rows(console, "digits: formats", digits["formats"])
        _rows(console, "digits: profiles", digits["profiles"])


def _rows(console: Console, title: str, rows: list[Found]) -> None:
    table = Table(title=title, title_justify="left")
    for key in rows[0] if rows else ():
        words = key in ("format", "rule", "profile", "element")
        table.add_column(key.replace("_db", " dB").replace("_", " "), justify="left" if words else "right")
    for row in rows:
        table.add_row(*(tables.figure(key, value) for key, value in row.items()))
    console.print(table)


def _errors(tensor: Found) -> Table:
    """A row a profile, a column a length."""
    title = f"{tensor['name']}: RMS error of {tensor['dot_products']} sums against exact, {tensor['element']}"
    table = Table(title=title, title_justify="left")
    table.add_column("profile")
    rows: dict[str, list[str]] = {}
    for row in tensor["errors"]:
        rows.setdefault(row["profile"], []).append(f"{row['rms']:.1e}" if row["rms"] else "0")
    for length in dict.fromkeys(row["k"] for row in tensor["errors"]):
        table.add_column(f"K={length}", justify="right")
    for profile, cells in rows.items():
        table.add_row(profile, *cells)
    return table


def _differences(tensor: Found) -> Table:
    """Two profiles a row: how many sums differ, and the first: rows of x and w, the product at which they
    part with its operands, and both sums up to it."""
    table = Table(title=f"{tensor['name']}: where two profiles part", title_justify="left")
    for column in ("profiles", "different", "x row", "w row", "K", "a · b", "sums up to K"):
        table.add_column(column, justify="left" if column == "profiles" else "right")
    for row in tensor["differences"]:
        first, share = row["first"], tables.figure("different", row["different"])
        cells = ["–"] * 5
        if first is not None:
            product = f"{first['a'][-1]} · {first['b'][-1]}"
            cells = [str(first[key]) for key in ("i", "j", "k")] + [product, " ".join(first["results"])]
        table.add_row(" ".join(row["profiles"]), share, *cells)
    return table


def _bar() -> Progress:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    console = Console(stderr=True)
    return Progress(*columns, console=console, transient=True, disable=not console.is_terminal)
