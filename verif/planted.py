"""Planted bugs: every check of the bench has a twin that it must catch, or the check proves nothing.

    python -m mxdot.verif.planted [--sim verilator|icarus|both]

Bugs of arithmetic replace one step of the unit before it is generated; bugs of the handshake are a wrapper
around the finished Verilog. Each runs through the same regression as the sound unit, which must pass; a bug
that passes too is a hole in the bench, and exit status 1.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
from collections.abc import Callable, Mapping
from typing import Any

from amaranth.hdl import Const, Mux, Value
from mxdot.rtl.dot import DotParameters
from mxdot.rtl.emit import generate
from mxdot.rtl.parameters import Parameters
from mxdot.rtl.pipeline import Step
from mxdot.verif.planted_profiles import PLANTED as PROFILES
from mxdot.verif.rows import Stream
from mxdot.verif.runner import SIMULATORS, Report, build_root, regress

Edit = Callable[[Step], Step]


def truncate(step: Step) -> Step:
    """The final rounding cuts the magnitude off instead of rounding to nearest even."""

    def decide(
        word: Value, lost: Value, negative: Value, empty: Value, c_sign: Value, inf_sign: Value, is_inf: Value
    ) -> dict[str, Any]:
        given = step.function(word, lost, negative, empty, c_sign, inf_sign, is_inf)
        return given | {"up": Mux(negative, ~word[0] & ~lost, 0)}

    return dataclasses.replace(step, function=decide)


def forget_sticky(step: Step) -> Step:
    """The rounding does not hear of the bits that fell below the guard bit."""

    def decide(
        word: Value, lost: Value, negative: Value, empty: Value, c_sign: Value, inf_sign: Value, is_inf: Value
    ) -> dict[str, Any]:
        return step.function(word, Const(0, len(lost)), negative, empty, c_sign, inf_sign, is_inf)

    return dataclasses.replace(step, function=decide)


def ties_away(step: Step) -> Step:
    """Ties of the final rounding go away from zero."""

    def decide(
        word: Value, lost: Value, negative: Value, empty: Value, c_sign: Value, inf_sign: Value, is_inf: Value
    ) -> dict[str, Any]:
        given = step.function(word, lost, negative, empty, c_sign, inf_sign, is_inf)
        return given | {"up": Mux(negative, given["up"], word[0])}

    return dataclasses.replace(step, function=decide)


def drop_overflow(step: Step) -> Step:
    """A sum of 2^128 or more does not become Inf unless an operand was."""

    def judge(packed: Value, empty: Value, is_nan: Value, is_inf: Value) -> dict[str, Any]:
        return {"special": is_nan | is_inf, "blank": is_nan | is_inf | empty}

    return dataclasses.replace(step, function=judge)


ARITHMETIC: dict[str, tuple[str, Edit]] = {  # name -> the step it replaces, and how
    "truncate instead of RNE": ("decide", truncate),
    "sticky lost": ("decide", forget_sticky),
    "ties away from zero": ("decide", ties_away),
    "overflow not seen": ("judge", drop_overflow),
}


def with_step(parameters: Parameters, name: str, edit: Edit) -> Parameters:
    """The same parameters with one of the unit's steps replaced; ValueError where there is no such step."""
    steps = parameters.steps()
    if name not in [step.name for step in steps]:
        raise ValueError(f"the unit has no step {name!r}: {', '.join(step.name for step in steps)}")
    edited = [edit(step) if step.name == name else step for step in steps]
    kind = type(parameters)
    wrong = type(f"Planted{kind.__name__}", (kind,), {"steps": lambda self: edited})
    values = {f.name: getattr(parameters, f.name) for f in dataclasses.fields(parameters) if f.init}
    made = wrong(**values)
    assert isinstance(made, Parameters)
    return made


# name -> what stands between the sound unit (its signals end in _unit) and the ports ({valid} and so on)
HANDSHAKE: dict[str, str] = {
    "valid not held": """
    reg [2:0] tick;
    always @(posedge {clk}) if ({rst}) tick <= 0; else tick <= tick + 1;
    assign {valid} = {valid}_unit && tick != 5;
    assign {ready}_unit = {ready} && tick != 5;
    assign {payload} = {payload}_unit;
    assign {i_ready} = {i_ready}_unit;""",
    "payload changes while it waits": """
    reg waits;
    always @(posedge {clk}) waits <= !{rst} && {valid}_unit && !{ready};
    assign {valid} = {valid}_unit;
    assign {ready}_unit = {ready};
    assign {payload} = waits ? ~{payload}_unit : {payload}_unit;
    assign {i_ready} = {i_ready}_unit;""",
    "valid waits for ready": """
    assign {valid} = {valid}_unit && {ready};
    assign {ready}_unit = {ready};
    assign {payload} = {payload}_unit;
    assign {i_ready} = {i_ready}_unit;""",
    "a result lost now and then": """
    reg [5:0] count;
    wire drop = {valid}_unit && count == 63;
    always @(posedge {clk}) if ({rst}) count <= 0; else if ({valid}_unit && {ready}_unit) count <= count + 1;
    assign {valid} = {valid}_unit && !drop;
    assign {ready}_unit = {ready} || drop;
    assign {payload} = {payload}_unit;
    assign {i_ready} = {i_ready}_unit;""",
    "a result that survives reset": """
    reg kept;
    initial kept = 0;
    always @(posedge {clk}) if ({rst}) kept <= {valid}_unit; else if ({ready}) kept <= 0;
    assign {valid} = {valid}_unit || kept;
    assign {ready}_unit = {ready} && !kept;
    assign {payload} = {payload}_unit;
    assign {i_ready} = {i_ready}_unit;""",
    "a cycle later than the manifest says": """
    reg full;
    reg [{width} - 1:0] late;
    assign {ready}_unit = {ready} || !full;
    always @(posedge {clk})
        if ({rst}) full <= 0;
        else if ({ready}_unit) begin full <= {valid}_unit; late <= {payload}_unit; end
    assign {valid} = full;
    assign {payload} = late;
    assign {i_ready} = {i_ready}_unit;""",
    "a beat taken only every other cycle": """
    reg odd;
    always @(posedge {clk}) odd <= !{rst} && !odd;
    assign {valid} = {valid}_unit;
    assign {ready}_unit = {ready};
    assign {payload} = {payload}_unit;
    assign {i_ready} = {i_ready}_unit && odd;""",
}


def wrapped(verilog: str, manifest: Mapping[str, Any], glue: str) -> str:
    """The unit, renamed, inside a module of its name, with `glue` at its output and `i_ready`."""
    source, sink = Stream.of(manifest, "in"), Stream.of(manifest, "out")
    top, payload = manifest["top"], sink.fields[0]
    names = {"clk": manifest["clock"], "rst": manifest["reset"], "valid": sink.valid, "ready": sink.ready}
    names |= {"payload": payload.port, "width": str(payload.width), "i_ready": source.ready}
    between = {sink.valid: 1, sink.ready: 1, payload.port: payload.width, source.ready: 1}
    nets = {port: f"{port}_unit" for port in between}
    connected = {p["name"]: nets.get(p["name"], p["name"]) for p in manifest["ports"]}
    gate = f"{source.valid} && {source.ready}" if "&& odd" in glue else source.valid
    connected[source.valid] = gate
    ports = ", ".join(
        f"{'input' if p['direction'] == 'in' else 'output'} [{p['width'] - 1}:0] {p['name']}"
        for p in manifest["ports"]
    )
    lines = [f"module {top}({ports});"]
    lines += [f"    wire [{width - 1}:0] {nets[port]};" for port, width in between.items()]
    lines.append(f"    {top}_unit unit({', '.join(f'.{port}({net})' for port, net in connected.items())});")
    lines += [glue.format(**names), "endmodule", ""]
    return "\n".join(lines) + verilog.replace(f"module {top}", f"module {top}_unit", 1)


def run(verilog: str, manifest: Mapping[str, Any], name: str, simulator: str, seed: int, rows: int) -> Report:
    """The regression on one text of the unit."""
    folder = build_root() / "planted"
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{''.join(c if c.isalnum() else '_' for c in name)}.v"
    path.write_text(verilog)
    path.with_suffix(".json").write_text(json.dumps(manifest))
    return regress(path, manifest, simulator, seed, rows=rows)


Text = tuple[str, Mapping[str, Any]]  # a unit's Verilog, and the sound unit's manifest


def texts(parameters: Parameters) -> dict[str, Text]:
    """The sound unit ("no bug") and each planted one; then the profiles with theirs."""
    sound = generate(parameters)
    found: dict[str, Text] = {"no bug": (sound.verilog, sound.manifest)}
    for name, (step, edit) in ARITHMETIC.items():
        found[name] = (generate(with_step(parameters, step, edit)).verilog, sound.manifest)
    for name, glue in HANDSHAKE.items():
        found[name] = (wrapped(sound.verilog, sound.manifest, glue), sound.manifest)
    for name, (unit, step, edit) in PROFILES.items():
        sound = generate(unit)
        found.setdefault(f"no bug: {unit.profile}", (sound.verilog, sound.manifest))
        found[name] = (generate(with_step(unit, step, edit)).verilog, sound.manifest)
    return found


def main(words: list[str] | None = None) -> int:
    """Runs all; prints a line for each; 0 where the sound unit passes and every bug is caught."""
    parser = argparse.ArgumentParser(prog="python -m mxdot.verif.planted", description=__doc__)
    parser.add_argument("--sim", choices=[*SIMULATORS, "both"], default="icarus")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--rows", type=int, default=400)
    options = parser.parse_args(words)
    planted, holes = texts(DotParameters(lanes=4, block=8)), 0
    for simulator in SIMULATORS if options.sim == "both" else [options.sim]:
        for name, (verilog, manifest) in planted.items():
            report = run(verilog, manifest, name, simulator, options.seed, options.rows)
            right = report.ok == name.startswith("no bug")
            holes += not right
            found = (
                f"{len(report.failures)} of {report.tests} tests fail"
                if report.failures
                else "all tests pass"
            )
            print(f"{'ok  ' if right else 'HOLE'} {simulator:9} {name:52} {found}", flush=True)
    return 1 if holes else 0


if __name__ == "__main__":
    sys.exit(main())
