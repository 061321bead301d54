"""Runs a unit's cocotb regression: one build serves the volume and the protocol tests."""

from __future__ import annotations

import contextlib
import json
import time
import xml.etree.ElementTree as ElementTree
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any

from cocotb_tools import runner as cocotb_runner
from mxdot.verif import player as hdl
from mxdot.verif.bench import repeat_command
from mxdot.verif.simulate import Outputs, simulate
from mxdot.verif.simulators import (
    SIMULATORS,
    Tool,
    ToolError,
    build_root,
    cached,
    environment,
    find,
    runtime,
    tail,
)

__all__ = ["SIMULATORS", "Outputs", "Report", "ToolError", "regress", "simulate"]

TESTS = "mxdot.verif.protocol,mxdot.verif.volume"  # the protocol first: it has a test of time 0


@dataclass(frozen=True)
class Report:
    """What a regression found. `failures`: test -> its message; `rows`, `results`: of all volume runs."""

    simulator: str
    seed: int
    tests: int
    failures: dict[str, str]
    rows: int
    results: int
    build_seconds: float
    seconds: float
    repeat: str
    folder: Path
    waves: Path | None = field(default=None)

    @property
    def ok(self) -> bool:
        """At least one test ran, at least one result was compared, and nothing failed."""
        return self.tests > 0 and self.results > 0 and not self.failures

    def text(self) -> str:
        """A line where all is well; else every failure, the seed and the command that repeats it."""
        if self.ok:
            built = f", built in {self.build_seconds:.0f} s" if self.build_seconds else ""
            return (
                f"{self.simulator}: {self.tests} tests passed, {self.results} results of {self.rows} rows "
                f"compared in {self.seconds:.1f} s{built} (seed {self.seed})"
            )
        lines = [f"{self.simulator}: {len(self.failures)} of {self.tests} tests failed (seed {self.seed})"]
        for message in dict.fromkeys(self.failures.values()):  # stall regimes often fail alike: say it once
            names = ", ".join(name for name, other in self.failures.items() if other == message)
            lines += [f"  {names}:", *("    " + line for line in message.splitlines())]
        if not self.failures:
            lines.append(
                f"  {self.tests} tests ran and {self.results} results were compared: nothing is proved"
            )
        lines.append(f"  repeat with waves: {self.repeat}")
        lines.append(f"  log: {self.folder / 'run.log'}" + (f", waves: {self.waves}" if self.waves else ""))
        return "\n".join(lines)


def regress(
    verilog: Path,
    manifest: Mapping[str, Any],
    simulator: str = "verilator",
    seed: int = 0,
    waves: bool = False,
    rows: int = 2000,
    tests: str | None = None,
) -> Report:
    """Builds the unit with its player (once for each content) and runs every cocotb test on it.

    `rows`: blocks of the large case; each of its stall regimes sends them all. `tests`: a regular
    expression that picks tests by name. Raises ValueError for an unknown simulator, ToolError where a tool
    is missing or a build fails.
    """
    if rows < 1:
        raise ValueError(f"rows must be at least 1, not {rows}")
    tool = find(simulator)
    unit, text = verilog.read_text(), hdl.player(manifest)
    parts = ["cocotb", tool.version, unit, text, str(waves)]
    folder, build_seconds = cached(parts, lambda folder: _build(tool, folder, unit, text, waves))
    run = build_root() / "regressions" / f"{manifest['top']}-{folder.name}-{simulator}-{seed}"
    run.mkdir(parents=True, exist_ok=True)
    for old in ("runs.jsonl", "results.xml", "run.log"):
        (run / old).unlink(missing_ok=True)
    (run / "manifest.json").write_text(json.dumps(manifest))
    start = time.perf_counter()
    status = _test(tool, folder, run, seed, waves, rows, tests)
    seconds = time.perf_counter() - start
    if not (run / "results.xml").exists():
        raise ToolError(
            f"the simulation ended with exit status {status} and no results\n{tail(run / 'run.log')}"
        )
    ran, failures = _results(run / "results.xml")
    sums = [json.loads(line) for line in _lines(run / "runs.jsonl")]
    wave = run / ("dump.vcd" if simulator == "verilator" else "mxdot_player.fst")
    return Report(
        simulator,
        seed,
        ran,
        failures,
        sum(entry["rows"] for entry in sums),
        sum(entry["results"] for entry in sums),
        build_seconds,
        seconds,
        repeat_command(manifest, simulator, seed, rows),
        run,
        wave if waves and wave.exists() else None,
    )


def _build(tool: Tool, folder: Path, unit: str, text: str, waves: bool) -> None:
    (folder / "unit.v").write_text(unit)
    (folder / "player.v").write_text(text)
    arguments = []
    lent: contextlib.AbstractContextManager[None] = contextlib.nullcontext()
    if tool.name == "verilator":
        lent = runtime(tool, f"cocotb {metadata.version('cocotb')} waves {waves}", folder)
        # cocotb makes every signal public, which costs much of the speed; the player's ports are enough.
        arguments = ["-Wno-fatal", "-Wno-lint", "--no-public-flat-rw", "--x-assign", "unique"]
    with environment(tool), lent:
        runner = cocotb_runner.get_runner(tool.name)
        try:
            runner.build(
                sources=[folder / "unit.v", folder / "player.v"],
                hdl_toplevel="mxdot_player",
                build_dir=folder,
                build_args=arguments,
                timescale=("1ns", "1ps"),
                waves=waves,
                log_file=folder / "build.log",
            )
        except (SystemExit, Exception) as error:
            raise ToolError(f"{tool.name} cannot build the unit\n{tail(folder / 'build.log')}") from error


def _test(tool: Tool, folder: Path, run: Path, seed: int, waves: bool, rows: int, tests: str | None) -> int:
    """Runs the tests; the simulator's exit status. What they found is in results.xml."""
    with environment(tool):
        runner = cocotb_runner.get_runner(tool.name)
        try:
            runner.test(
                test_module=TESTS,
                hdl_toplevel="mxdot_player",
                hdl_toplevel_lang="verilog",
                build_dir=folder,
                test_dir=run,
                seed=seed,
                waves=waves,
                plusargs=[f"+dumpfile_path={run / 'mxdot_player.fst'}"] if tool.name == "icarus" else [],
                results_xml=str(run / "results.xml"),
                extra_env={"MXDOT_ROWS": str(rows), "COCOTB_ANSI_OUTPUT": "0"},
                timescale=("1ns", "1ps"),
                test_filter=tests,
                log_file=run / "run.log",
            )
        except SystemExit as stop:
            return int(stop.code) if isinstance(stop.code, int) else 1
        except RuntimeError as died:  # cocotb's runner says so when a signal ended the simulator
            with (run / "run.log").open("a") as log:
                log.write(f"{died}\n")
            return 1
    return 0


def _results(xml: Path) -> tuple[int, dict[str, str]]:
    """Number of tests in cocotb's results file, and the messages of those that failed."""
    tests, failures = 0, {}
    for case in ElementTree.parse(xml).iter("testcase"):
        tests += 1
        for kind in ("failure", "error"):
            for failure in case.iter(kind):
                name = str(case.get("name"))
                message = failure.get("error_msg") or failure.get("message") or failure.text or kind
                failures[name] = message.split("\nassert ")[0]  # pytest's rewriting repeats the values
    return tests, failures


def _lines(path: Path) -> list[str]:
    return path.read_text().splitlines() if path.exists() else []
