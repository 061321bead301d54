"""`make fit`: the delays of rtl/targets.py, measured with the flow itself.

    python -m mxdot.flow.fit [--units KEY,…] [-o FILE]

Two estimates of register, lut, carry and carry_bit, beside those in use (and of a multiplier block without
registers, which no unit has):

alone   chains of LUTs, adders and multiplier blocks between registers, in a small module of their own: what
        cells and short wires take;
placed  the slowest path of every stage of placed units, cut for several clocks, against what it passes in the
        netlist (levels of LUTs, carry chains, their bits). Wires are as long as they are in a unit: this is
        the estimate for rtl/targets.py. A stage counts if it is near its unit's slowest; the placer lets the
        others be slow.

Then every unit's slowest stage, as the steps state it and as it is, and the stages that are off most.
"""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import click
import numpy as np
from mxdot.flow import cli, fit_alone, synth, timing
from mxdot.flow.bench import cut_for
from mxdot.flow.bench_page import table
from mxdot.flow.bench_units import UNITS, Unit
from mxdot.flow.commands.synth import MARGIN
from mxdot.flow.files import build_folder, write_atomic
from mxdot.flow.options import chosen
from mxdot.rtl import emit
from mxdot.rtl.parameters import Parameters
from mxdot.rtl.pipeline import Pipeline
from mxdot.rtl.targets import SHORT, TARGETS, Target
from rich.console import Console

CLOCKS = (30, 50, 75, 100, 125, 150, 175)
SAMPLES = (
    *(Unit(f"fit-{mhz}", f"8 lanes for {mhz} MHz", (), {"lanes": 8, "mhz": mhz}) for mhz in CLOCKS),
    *(unit for unit in UNITS if unit.key in ("lanes-32", "format-e2m1", "profile-hopper")),
)
"""What is placed for it: several clocks, so that stages have few levels and many; and long wires."""
NEAR = 0.7
"""Share of the unit's slowest path from which on a stage counts."""
NAMES = ("register", "lut", "carry", "carry_bit", "multiplier without registers")


@dataclass(frozen=True)
class Stage:
    """One stage of a placed unit: its slowest path, the steps on the longest path that they state, and
    how often each constant is in what these state."""

    unit: str
    number: int
    steps: tuple[str, ...]
    uses: Mapping[str, float]
    route: timing.Route

    def logic(self, constants: Mapping[str, float]) -> float:
        """What the stage's steps state with these constants."""
        return sum(constants[n] * times for n, times in self.uses.items())

    def stated(self, constants: Mapping[str, float]) -> float:
        """The period that this makes."""
        logic = self.logic(constants)
        return constants["register"] + logic - max(0.0, logic - SHORT) * constants["shared"]


def in_use(target: Target) -> dict[str, float]:
    """The target's delays by name."""
    values = {f.name: getattr(target, f.name) for f in fields(target)}
    return {name: value for name, value in values.items() if isinstance(value, float)}


def longest(unit: Pipeline, stage: int) -> list[str]:
    """Names of the steps on the longest path of a stage, by the delays they state."""
    plan = unit.plan
    arrival: dict[str, tuple[float, list[str]]] = {}
    worst: tuple[float, list[str]] = (0.0, [])
    for index, step in enumerate(plan.steps):
        if unit.stage_of[index] != stage:
            continue
        before = max((arrival[n] for n in step.reads if n in arrival), default=(0.0, []), key=lambda a: a[0])
        here = (before[0] + step.delay, [*before[1], step.name] if step.delay else before[1])
        arrival |= {name: here for name, writer in plan.writer.items() if writer == index}
        worst = max(worst, here, key=lambda a: a[0])
    return worst[1]


def uses(parameters: Parameters) -> dict[str, dict[str, float]]:
    """Step -> constant -> how often it is in the step's delay: the difference that one per mille makes."""
    base = {step.name: step.delay for step in parameters.steps()}
    found: dict[str, dict[str, float]] = {name: {} for name in base}
    for name, value in in_use(parameters.device).items():
        if name == "register":
            continue
        change: dict[str, Any] = {name: value * 1.001}
        for step in _on(replace(parameters.device, **change), parameters).steps():
            if times := round((step.delay - base[step.name]) / (value * 0.001), 3):
                found[step.name][name] = times
    return found


def _on(target: Target, parameters: Parameters) -> Parameters:
    """The same parameters on a target that has no name."""
    kind = type("Probed", (type(parameters),), {"device": target})
    probe: Parameters = object.__new__(kind)
    probe.__dict__.update(parameters.__dict__)
    return probe


def stages(unit: Unit, progress: synth.Progress) -> list[Stage]:
    """The stages of a unit, one seed; it is placed where `make bench` or an earlier fit did not yet."""
    parameters = chosen(unit.unit, None, unit.options)
    generated = emit.generate(parameters)
    path = build_folder() / "bench" / unit.key / f"{unit.unit}.v"
    generated.write(path)
    mhz = unit.target_mhz or MARGIN * (parameters.mhz or cut_for(parameters, parameters.build()))
    done = synth.synthesise(path, unit.unit, mhz=mhz, progress=progress, manifest=generated.manifest)
    routed = Path(done.folder) / f"seed1-{mhz:g}mhz-routed.json"
    slowest: dict[int, timing.Route] = {}
    for route in timing.of_placed(routed, synth.DEVICES[done.device].flags).values():
        start, end = timing.rank(route.start), timing.rank(route.end)
        if start is None or end not in (None, start + 1):  # the handshake, or what is kept from item to item
            continue
        if start not in slowest or slowest[start].ns < route.ns:
            slowest[start] = route
    built, known = parameters.build(), uses(parameters)
    found = []
    for number, route in sorted(slowest.items()):
        steps = longest(built, number)
        total: dict[str, float] = {}
        for name, times in (item for step in steps for item in known[step].items()):
            total[name] = total.get(name, 0.0) + times
        found.append(Stage(unit.key, number, tuple(steps), total, route))
    return found


def fitted(routes: Sequence[timing.Route]) -> tuple[dict[str, float], float]:
    """register + what a path passes x its constant ~ its ns: the constants, and the relative error's RMS."""
    ns = np.array([r.ns for r in routes])
    rows = np.array([[1.0, r.luts, r.chains, r.bits, r.multipliers] for r in routes])
    there = [at for at in range(len(NAMES)) if rows[:, at].any()]
    matrix = rows[:, there] / ns[:, None]
    found, *_ = np.linalg.lstsq(matrix, np.ones(len(ns)), rcond=None)
    error = float(np.sqrt(np.mean((matrix @ found - 1) ** 2)))
    return {NAMES[at]: float(value) for at, value in zip(there, found, strict=True)}, error


def shared(found: Sequence[Stage], constants: Mapping[str, float]) -> float:
    """The part of what long stages state that is never there, by the slowest stage of each unit."""
    slowest = [max(rows, key=lambda s: s.route.ns) for rows in by_unit(found).values()]
    beyond = np.array([max(0.0, s.logic(constants) - SHORT) for s in slowest])
    over = np.array([constants["register"] + s.logic(constants) - s.route.ns for s in slowest])
    return float(beyond @ over / (beyond @ beyond)) if beyond.any() else 0.0


def by_unit(found: Sequence[Stage]) -> dict[str, list[Stage]]:
    """The stages of each unit."""
    return {unit: [s for s in found if s.unit == unit] for unit in dict.fromkeys(s.unit for s in found)}


def near_slowest(found: Sequence[Stage]) -> list[Stage]:
    """The stages that are near the slowest of their unit."""
    slowest = {unit: max(s.route.ns for s in rows) for unit, rows in by_unit(found).items()}
    return [s for s in found if s.route.ns >= NEAR * slowest[s.unit]]


def report(found: Sequence[Stage], now: Mapping[str, float]) -> str:
    """The tables."""
    alone, error = fitted(fit_alone.routes())
    placed, left = fitted([s.route for s in near_slowest(found)])
    rows = [
        [name, *(f"{of[name]:.3f}" if name in of else "–" for of in (now, alone, placed))]
        for name in dict.fromkeys([*now, *alone])
    ]
    next(row for row in rows if row[0] == "shared")[3] = f"{shared(found, now):.3f}"
    rows.append(["relative error of a path, RMS", "", f"{100 * error:.0f} %", f"{100 * left:.0f} %"])
    text = ["Delays in ns.", table(["constant", "in use", "alone", "placed"], rows)]
    fresh = dict(now) | placed
    units = []
    for unit, mine in by_unit(found).items():
        ns = max(s.route.ns for s in mine)
        stated = [max(s.stated(k) for s in mine) for k in (now, fresh)]
        units.append([unit, f"{ns:.2f}", *(f"{s:.2f} ({100 * (s / ns - 1):+.0f} %)" for s in stated)])
    text.append(
        "Slowest stage of each unit: as it is, as stated with the delays in use, with the placed ones."
    )
    text.append(table(["unit", "ns", "stated, in use", "stated, placed"], units))
    off = sorted(found, key=lambda s: abs(np.log(s.stated(now) / s.route.ns)), reverse=True)[:20]
    passed = [
        [s.unit, s.number, " ".join(s.steps) or "–", f"{s.stated(now):.2f}", f"{s.route.ns:.2f}",
         f"{s.route.luts} LUT, {s.route.chains} chains of {s.route.bits}"]
        for s in off
    ]  # fmt: skip
    text.append("Stages that are off most.")
    text.append(table(["unit", "stage", "steps", "stated ns", "ns", "passes"], passed))
    return "\n".join(text)


@click.command(epilog="Example: python -m mxdot.flow.fit --units fit-100,fit-150")
@click.option("--units", metavar="KEY,…", help="These units only.")
@click.option("--target", type=click.Choice(list(TARGETS)), default="ecp5", show_default=True)
@click.option(
    "-o", "--output", metavar="FILE", type=click.Path(path_type=Path), help="The tables, as a file."
)
def main(units: str | None, target: str, output: Path | None) -> None:
    """Measure the delays that cuts are made with."""
    keys = units.split(",") if units else [unit.key for unit in SAMPLES]
    known = {unit.key: unit for unit in (*SAMPLES, *UNITS)}
    for key in keys:
        if key not in known:
            raise ValueError(f"--units knows no {key!r}; known: {', '.join(known)}")
    found = []
    console = Console(stderr=True)
    with console.status("starting") as status:
        for key in keys:
            found += stages(known[key], lambda text, key=key: status.update(f"{key}: {text}"))  # type: ignore[misc]
    text = report(found, in_use(TARGETS[target]))
    if output:
        write_atomic(output, text)
    print(text)


if __name__ == "__main__":
    sys.exit(cli.main(command=main, name="fit"))
