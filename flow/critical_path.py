"""The critical path of a nextpnr report in the words of the design: signals, not cells."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

# Yosys names a mapped cell after the signal it drives or feeds, and adds the cell types on the way.
_MAPPED = re.compile(r"(_(TRELLIS_|LUT[2-7]|CCU2C|PFUMX|L6MUX21|DPR16X4|MULT|[A-Z]\d*_LUT4)|\$).*")


@dataclass(frozen=True)
class Hop:
    """A stretch of the path inside one signal's logic: nanoseconds in cells and in wires, `cells` passed."""

    signal: str
    logic_ns: float
    routing_ns: float
    cells: int


def signal(cell: str) -> str:
    """The design's signal behind a mapped cell's name: `round_x_TRELLIS_FF_Q_20` is `round_x`."""
    return _MAPPED.sub("", cell) or cell


def steps(path: list[Hop], manifest: Mapping[str, Any]) -> list[str]:
    """The unit's steps that stand in the path's stage, by the stage number K of its start register `name_sK`.

    Empty where the path starts elsewhere, as in the handshake.
    """
    found = re.search(r"_s(\d+)(_\w+)?$", path[0].signal) if path else None
    return [name for name, stage in manifest["steps"] if found and stage == int(found[1])]


def hops(report: dict[str, Any]) -> list[Hop]:
    """The slowest register-to-register path, from the start register to the end register.

    `report` is nextpnr's --report file. Consecutive cells of one signal are added up; a wire counts
    to the signal it leads to. The list is empty when the design has no such path.
    """
    paths = [p for p in report["critical_paths"] if p["from"] == p["to"] and "clk" in p["from"]]
    if not paths:
        return []
    out: list[Hop] = []
    for edge in max(paths, key=lambda p: sum(e["delay"] for e in p["path"]))["path"]:
        name = signal(edge["to"]["cell"] if edge["type"] == "routing" else edge["from"]["cell"])
        wire = edge["type"] == "routing"
        logic, routing = (0.0, edge["delay"]) if wire else (edge["delay"], 0.0)
        if out and out[-1].signal == name:
            last = out.pop()
            out.append(Hop(name, last.logic_ns + logic, last.routing_ns + routing, last.cells + wire))
        else:
            out.append(Hop(name, logic, routing, int(wire)))
    return [Hop(h.signal, round(h.logic_ns, 3), round(h.routing_ns, 3), h.cells) for h in out]
