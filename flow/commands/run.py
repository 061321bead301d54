"""`mxdot run`: real numbers through the golden model and the simulated hardware, compared bit for bit."""

import json
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import click
import numpy as np
import numpy.typing as npt
from mxdot.flow import tables
from mxdot.flow.errors import CheckFailed
from mxdot.flow.files import read_matrix, write_atomic, write_matrix
from mxdot.flow.hardware import Array, Hardware, values
from mxdot.flow.network import Digits, fp32
from mxdot.flow.options import Choice, as_json_option, unit_options
from mxdot.golden import matmul
from mxdot.verif import runner
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

Floats = npt.NDArray[np.float32]


@dataclass
class Comparison:
    """Dot products compared, how many differ, and the first difference in words."""

    dot_products: int = 0
    mismatches: int = 0
    first: str | None = None

    def add(self, layer: str, expected: Array, got: Array, out: str) -> None:
        """Compare two (N, M) arrays of results, float32 or bits."""
        bits = [x.view(np.uint32 if out == "fp32" else np.uint16) for x in (expected, got)]
        wrong = bits[0] != bits[1]
        self.dot_products += wrong.size
        self.mismatches += int(wrong.sum())
        if wrong.any() and self.first is None:
            n, m = (int(i[0]) for i in np.nonzero(wrong))
            digits = 8 if out == "fp32" else 4
            e, g = (
                f"0x{x[n, m]:0{digits}x} ({values(y[n : n + 1, m], out)[0]!s})"
                for x, y in zip(bits, (expected, got), strict=True)
            )
            self.first = f"{layer}, row {n}, column {m}: expected {e}, got {g}"


@click.command(epilog="Examples: mxdot run; mxdot run --a-format e2m1 --input x.npy --weights w.npy")
@unit_options()
@click.option("--input", "inputs", metavar="X.npy", type=click.Path(path_type=Path), help="Your own (N, K).")
@click.option("--weights", metavar="W.npy", type=click.Path(path_type=Path), help="Your own (M, K).")
@click.option(
    "--result",
    metavar="Y.npy",
    type=click.Path(path_type=Path),
    help="Where the (N, M) of --input and --weights goes.  [default: NAME.result.npy beside the Verilog]",
)
@click.option("--sim", type=click.Choice(runner.SIMULATORS), default="verilator", show_default=True)
@click.option("--stalls", metavar="SEED", type=click.IntRange(0), help="Stall both streams at random.")
@as_json_option
def command(
    choice: Choice,
    inputs: Path | None,
    weights: Path | None,
    result: Path | None,
    sim: str,
    stalls: int | None,
    as_json: bool,
) -> None:
    """Compute in simulated hardware what the golden model computes, and compare every bit.

    Without --input: every dot product of a trained 64-64-10 network over the 540 test images of handwritten
    digits. With --input and --weights: the product of two float32 matrices. Exit code 1 on a difference.
    """
    if (inputs is None) != (weights is None):
        raise click.UsageError("--input and --weights go together")
    if result is not None and inputs is None:
        raise click.UsageError("--result goes with --input and --weights")
    own = None if inputs is None or weights is None else (read_matrix(inputs), read_matrix(weights))
    if own is not None and own[0].shape[1] != own[1].shape[1]:
        raise ValueError(f"{inputs} has rows of {own[0].shape[1]} numbers, {weights} of {own[1].shape[1]}")
    start = time.perf_counter()
    verilog, manifest = choice.resolve()
    with _bar() as bar:
        unit = Hardware(verilog, manifest, sim, stalls)
        compared = Comparison()
        figures: dict[str, Any] = {}
        if own is None:
            figures |= _digits(unit, compared, bar)
        else:
            product = _product(unit, compared, bar, *own)
            path = result or verilog.with_suffix(".result.npy")
            write_matrix(path, product)
            figures["result"] = str(path)
    figures |= asdict(compared) | {
        "cycles": unit.cycles,
        "cycles_per_second": round(unit.cycles / unit.seconds),
        "simulator": sim,
        "build_seconds": round(unit.build_seconds, 1),
        "seconds": round(time.perf_counter() - start, 1),
        "verilog": str(verilog),
        "manifest": str(verilog.with_suffix(".json")),
        "command": manifest["command"],
    }
    report = verilog.with_suffix(".run.json")
    write_atomic(report, json.dumps(figures, indent=1) + "\n")
    if as_json:
        print(json.dumps(figures, indent=1))
    else:
        tables.print_run(tables.console(), figures, report)
    if compared.mismatches:
        raise CheckFailed(
            f"{compared.mismatches} of {compared.dot_products} dot products differ; first: {compared.first}"
        )


def _digits(unit: Hardware, compared: Comparison, bar: Progress) -> dict[str, Any]:
    digits = Digits.load()
    sizes = [(len(digits.images), *weights.shape) for weights, _ in digits.layers]
    _track(unit, bar, sum(unit.expected_results(*size) for size in sizes))
    out = unit.parameters["out"]
    names = iter(f"layer {i + 1}" for i in range(len(sizes)))

    def golden(x: Floats, weights: Floats, bias: Floats) -> Floats:
        return values(_golden(unit, x, weights, bias), out)

    def hardware(x: Floats, weights: Floats, bias: Floats) -> Floats:
        got = unit.matmul(unit.quantize(x, "a"), unit.quantize(weights, "b"), bias)
        compared.add(next(names), _golden(unit, x, weights, bias), got, out)
        return values(got, out)

    return {
        "images": len(digits.images),
        "accuracy_fp32": digits.accuracy(digits.scores(fp32)),
        "accuracy_golden": digits.accuracy(digits.scores(golden)),
        "accuracy_hardware": digits.accuracy(digits.scores(hardware)),
    }


def _product(unit: Hardware, compared: Comparison, bar: Progress, x: Floats, weights: Floats) -> Floats:
    _track(unit, bar, unit.expected_results(len(x), *weights.shape))
    got = unit.matmul(unit.quantize(x, "a"), unit.quantize(weights, "b"))
    out = unit.parameters["out"]
    compared.add("product", _golden(unit, x, weights, None), got, out)
    return values(got, out)


def _golden(unit: Hardware, x: Floats, weights: Floats, bias: Floats | None) -> Array:
    given = unit.parameters
    a, b = unit.quantize(x, "a"), unit.quantize(weights, "b")
    expected: Array = matmul(a, b, bias, profile=given["profile"], out=given["out"])
    return expected


def _bar() -> Progress:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    console = Console(stderr=True)
    return Progress(*columns, console=console, transient=True, disable=not console.is_terminal)


def _track(unit: Hardware, bar: Progress, results: int) -> None:
    task = bar.add_task(f"{unit.simulator}: building, then results", total=results)
    unit.progress = lambda seen: bar.update(task, completed=seen)
