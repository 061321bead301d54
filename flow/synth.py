"""Synthesis and place-and-route with open tools: what a Verilog module costs and how fast it runs.

Yosys maps the module, nextpnr places and routes it without pins (`--out-of-context`). Every step is kept
under `build/synth/` by a hash of the Verilog, the tools and their options: nothing is computed twice.
"""

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from mxdot.flow import critical_path, tools
from mxdot.flow.files import build_folder
from mxdot.rtl.targets import TARGETS

Progress = Callable[[str], None]


@dataclass(frozen=True)
class Device:
    """An FPGA as the tools know it: the mapping pass of Yosys, the program and flags of nextpnr."""

    name: str
    title: str
    synthesis: str
    architecture: str
    flags: tuple[str, ...]


DEVICES = {
    "ecp5-85k": Device(
        "ecp5-85k",
        "Lattice ECP5 LFE5U-85F, speed grade 6",
        "synth_ecp5 -nodsp",
        "ecp5",
        ("--85k", "--package", "CABGA756", "--speed", "6", "--out-of-context", "--timing-allow-fail"),
    ),
}


@dataclass(frozen=True)
class Synthesis:
    """Resources and speed of one module on one device.

    lut4, ccu2c are Yosys's counts; comb, ff, dsp what nextpnr places; cells = max(comb, ff), because a cell
    of this fabric has one LUT and one flip-flop. fmax_mhz has one number a seed; critical_path is the slowest
    seed's, critical_steps the steps of the unit that it goes through.
    """

    device: str
    top: str
    lut4: int
    ccu2c: int
    comb: int
    ff: int
    dsp: int
    cells: int
    seeds: list[int]
    target_mhz: float
    fmax_mhz: list[float]
    critical_path: list[critical_path.Hop]
    critical_steps: list[str]
    tools: list[str]
    folder: str

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def synthesise(
    verilog: Path,
    top: str,
    device: str = "ecp5-85k",
    seeds: Sequence[int] = (1,),
    mhz: float = 180.0,
    jobs: int | None = None,
    progress: Progress = lambda text: None,
    manifest: Mapping[str, Any] | None = None,
) -> Synthesis:
    """Map `verilog` once, then place and route it with each seed, `jobs` at a time (default: all cores).

    mhz is the clock that nextpnr is asked for; missing it is no error. With the unit's manifest the critical
    path is told in its steps. Raises ValueError for an unknown
    device or no seeds, OSError when the file cannot be read, ToolError for the tools.
    """
    if device not in DEVICES:
        raise ValueError(f"unknown device {device!r}; known: {', '.join(DEVICES)}")
    if not seeds:
        raise ValueError("seeds must name at least one seed")
    chip = DEVICES[device]
    if manifest and TARGETS[manifest["parameters"]["target"]].multiplier is not None:
        chip = replace(chip, synthesis=chip.synthesis.replace(" -nodsp", ""))
    source = verilog.read_bytes()
    yosys, nextpnr = tools.yosys(), tools.nextpnr(chip.architecture)
    recipe = json.dumps([top, asdict(chip), yosys.version, nextpnr.version])
    key = hashlib.sha256(source + b"\0" + recipe.encode()).hexdigest()[:16]
    folder = (build_folder() / "synth" / f"{top}-{key}").resolve()

    if not (folder / "netlist.json").exists():
        progress(f"{yosys.name}: mapping {top}")
        _map(source, top, chip, yosys, folder)
    counts = _cell_counts(folder / "stat.json", top)

    def route(seed: int) -> dict[str, Any]:
        report = folder / f"seed{seed}-{mhz:g}mhz.json"
        if not report.exists():
            _route(chip, nextpnr, folder, report, seed, mhz, progress)
        done: dict[str, Any] = json.loads(report.read_text())
        return done

    with ThreadPoolExecutor(max_workers=jobs or os.cpu_count() or 1) as pool:
        try:
            reports = list(pool.map(route, seeds))
        except BaseException:  # Ctrl-C, or one seed failed: do not wait for the others
            tools.stop()
            raise

    fmax = [round(min(c["achieved"] for c in r["fmax"].values()), 2) if r["fmax"] else 0.0 for r in reports]
    used = {name: entry["used"] for name, entry in reports[0]["utilization"].items()}
    comb, ff = used["TRELLIS_COMB"], used["TRELLIS_FF"]
    path = critical_path.hops(reports[fmax.index(min(fmax))])
    return Synthesis(
        device=device,
        top=top,
        lut4=counts.get("LUT4", 0),
        ccu2c=counts.get("CCU2C", 0),
        comb=comb,
        ff=ff,
        dsp=used["MULT18X18D"],
        cells=max(comb, ff),
        seeds=list(seeds),
        target_mhz=mhz,
        fmax_mhz=fmax,
        critical_path=path,
        critical_steps=critical_path.steps(path, manifest) if manifest else [],
        tools=[yosys.version, nextpnr.version],
        folder=os.path.relpath(folder),
    )


def _map(source: bytes, top: str, chip: Device, yosys: tools.Tool, folder: Path) -> None:
    """Write netlist.json and stat.json into `folder`, which appears only when both are complete."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(dir=folder.parent, prefix=".map-"))
    try:
        (scratch / "source.v").write_bytes(source)
        (scratch / "map.ys").write_text(
            f"read_verilog -sv source.v\n{chip.synthesis} -top {top} -json netlist.json\n"
            "tee -q -o stat.json stat -json\n"
        )
        yosys.run(["map.ys"], folder.with_suffix(".yosys.log"), cwd=scratch)
        shutil.rmtree(folder, ignore_errors=True)
        scratch.rename(folder)
    except BaseException:
        shutil.rmtree(scratch, ignore_errors=True)
        raise


def _cell_counts(stat: Path, top: str) -> dict[str, int]:
    text = stat.read_text()
    counts: dict[str, int] = json.loads(text[text.index("{") :])["modules"][f"\\{top}"]["num_cells_by_type"]
    return counts


def _route(
    chip: Device, nextpnr: tools.Tool, folder: Path, report: Path, seed: int, mhz: float, progress: Progress
) -> None:
    def tell(line: str) -> None:
        if line.startswith(("Info: Packing", "Info: Running", "Info: Routing", "Info: Setting up")):
            progress(f"nextpnr seed {seed}: {line.removeprefix('Info: ').rstrip('.').lower()}")

    progress(f"nextpnr seed {seed}: placing")
    half = report.with_suffix(".part")
    nextpnr.run(
        [
            *chip.flags,
            "--json",
            "netlist.json",
            "--report",
            half.name,
            "--write",
            f"{report.stem}-routed.json",
        ]
        + ["--freq", f"{mhz:g}", "--seed", str(seed)],
        report.with_suffix(".log"),
        cwd=folder,
        progress=tell,
    )
    half.replace(report)
