"""Rows in, rows out: one run of a unit in a simulator, without cocotb, for volume (`mxdot run`)."""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from mxdot.verif import player as hdl
from mxdot.verif.rows import Rows, Stream, parse_hex
from mxdot.verif.simulators import (
    Tool,
    ToolError,
    build_root,
    cached,
    call,
    find,
    optimisation,
    runtime,
    tail,
)
from numpy.typing import NDArray


@dataclass(frozen=True)
class Outputs:
    """What came back.

    `rows`: field -> (results,) or (results, count); `unknown`: results that hold X; `cycles`: first offer
    to last transfer, inclusive; `taken_at`, `seen_at`: the cycle of each transfer; `held`: outputs
    withdrawn before their transfer; `build_seconds` is 0 where an earlier build served.
    """

    rows: Rows
    unknown: NDArray[np.bool_]
    cycles: int
    taken_at: NDArray[np.uint64]
    seen_at: NDArray[np.uint64]
    held: int
    undefined: int
    build_seconds: float
    seconds: float


def simulate(
    verilog: Path,
    manifest: Mapping[str, Any],
    inputs: Mapping[str, Any],
    stalls: int | None = None,
    simulator: str = "verilator",
    sides: str = "both",
    level: int = 1,
    standard: str = "2012",
    progress: Callable[[int], None] | None = None,
) -> Outputs:
    """Plays `inputs` (field -> rows of the input stream) through the unit and returns the rows that left it.

    `stalls`: None, or the seed of random stalls on `sides` ("source", "sink", "both"). `level`: -O of the
    C++ build. `standard`: 2005 or 2012, Icarus only. `progress(results so far)` is called a few times a
    second. Raises ValueError for rows that do not fit the manifest, ToolError where a tool is missing or
    fails.
    """
    source = Stream.of(manifest, "in")
    packed = source.pack(inputs)
    tool = find(simulator)
    folder, build_seconds = build_harness(tool, verilog, manifest, level, standard)
    arguments = [f"+seed={(stalls or 0) & 0xFFFFFFFF}"]
    if stalls is not None:
        arguments += [
            f"+stall_{side}" for side, on in (("in", "source"), ("out", "sink")) if sides in (on, "both")
        ]
    command = (
        [str(folder / "Vmxdot_player")]
        if simulator == "verilator"
        else ["vvp", "-n", str(folder / "sim.vvp")]
    )
    (build_root() / "runs").mkdir(exist_ok=True)
    run = Path(tempfile.mkdtemp(dir=build_root() / "runs"))
    try:
        (run / hdl.ROWS).write_bytes(packed)
        start = time.perf_counter()
        log = _play(command + arguments, tool, run, progress, Stream.of(manifest, "out"))
        seconds = time.perf_counter() - start
        counters = re.findall(r"^done (\d+) (\d+)$", log, re.M)[-1]
        return read(run, manifest, int(counters[0]), int(counters[1]), build_seconds, seconds)
    finally:
        shutil.rmtree(run, ignore_errors=True)


def _play(
    command: list[str], tool: Tool, run: Path, progress: Callable[[int], None] | None, sink: Stream
) -> str:
    line = sum(hdl.result_digits(sink)) + len(hdl.result_digits(sink))
    log = run / "run.log"
    with open(log, "w") as out:
        process = subprocess.Popen(command, cwd=run, env=tool.env, stdout=out, stderr=subprocess.STDOUT)
        try:
            while True:
                try:
                    code = process.wait(0.2)
                    break
                except subprocess.TimeoutExpired:
                    results = run / hdl.RESULTS
                    if progress is not None and results.exists():
                        progress(results.stat().st_size // line)
        finally:
            process.kill()
            process.wait()
    if code != 0 or "done " not in log.read_text():
        raise ToolError(f"the simulation ended with exit status {code}\n{tail(log)}")
    return log.read_text()


def read(
    run: Path,
    manifest: Mapping[str, Any],
    held: int,
    undefined: int,
    build_seconds: float = 0.0,
    seconds: float = 0.0,
) -> Outputs:
    """The player's output files in `run` as arrays."""
    sink = Stream.of(manifest, "out")
    columns, unknown = parse_hex((run / hdl.RESULTS).read_bytes(), hdl.result_digits(sink))
    (taken_at,), _ = parse_hex((run / hdl.TAKEN).read_bytes(), [hdl.CYCLE_DIGITS])
    rows, at = {}, 0
    for field in sink.fields:
        lanes = columns[at : at + field.count]
        rows[field.name] = lanes[0] if field.count == 1 else np.stack(lanes, axis=1)
        at += field.count
    seen_at = columns[-1]
    moves = np.concatenate([taken_at, seen_at])
    cycles = int(moves.max() - moves.min()) + 1 if len(moves) else 0
    return Outputs(rows, unknown, cycles, taken_at, seen_at, held, undefined, build_seconds, seconds)


def build_harness(
    tool: Tool, verilog: Path, manifest: Mapping[str, Any], level: int, standard: str
) -> tuple[Path, float]:
    """The unit, its player and a main program, built; (folder, seconds)."""
    unit = verilog.read_text()
    text = hdl.player(manifest)
    if tool.name == "verilator":
        parts = [tool.version, unit, text, hdl.HARNESS_CPP, str(level)]
        return cached(parts, lambda folder: _build_verilator(tool, folder, unit, text, level))
    harness = hdl.harness_verilog(manifest)
    parts = [tool.version, unit, text, harness, standard]
    return cached(parts, lambda folder: _build_icarus(tool, folder, unit, text, harness, standard))


def _build_verilator(tool: Tool, folder: Path, unit: str, text: str, level: int) -> None:
    sources = _write(folder, {"unit.v": unit, "player.v": text, "main.cpp": hdl.HARNESS_CPP})
    log = folder / "build.log"
    flags = [
        "-cc",
        "--exe",
        "--top-module",
        "mxdot_player",
        "-Wno-fatal",
        "-Wno-lint",
        "--x-assign",
        "unique",
    ]
    call([tool.path, *flags, "-Mdir", str(folder), *sources], tool.env, log, folder)
    make = ["make", "-j2", "-C", str(folder), "-f", "Vmxdot_player.mk"]
    with runtime(tool, f"main {level}", folder):
        call(make, dict(tool.env, MAKEFLAGS=optimisation(level)), log, folder)


def _build_icarus(tool: Tool, folder: Path, unit: str, text: str, harness: str, standard: str) -> None:
    sources = _write(folder, {"unit.v": unit, "player.v": text, "harness.v": harness})
    command = [tool.path, f"-g{standard}", "-o", str(folder / "sim.vvp"), "-s", "mxdot_harness", *sources]
    call(command, tool.env, folder / "build.log")


def _write(folder: Path, files: Mapping[str, str]) -> list[str]:
    for name, text in files.items():
        (folder / name).write_text(text)
    return [str(folder / name) for name in files]
