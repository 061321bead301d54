"""Static timing of a placed and routed design from nextpnr's SDF: the slowest path into every register.

nextpnr's own report has one path, the slowest of all. A unit has a path a register, and what they are made
of (levels of logic, carry chains, wires) is what delays are fitted to.
"""

import re
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

from mxdot.flow import critical_path, tools

_NAME = r"((?:\\.|[^\s()\\])+)"
_WIRE = re.compile(rf"\(INTERCONNECT {_NAME} {_NAME} \(\d+:\d+:(\d+)\)")
_CELL = re.compile(rf"\(INSTANCE {_NAME}\)")
_ARC = re.compile(r"\(IOPATH (\w+) (\w+) \(\d+:\d+:(\d+)\)")
_SETUP = re.compile(r"\(SETUPHOLD \(posedge (\w+)\) \(posedge \w+\) \(\d+:\d+:(\d+)\)")
_CLOCKS = ("CLK", "CLK0", "WCK")
_ENABLES = ("CE", "CE0")
# nextpnr forgets on loading which half of a CCU2C a cell was: the second half's carry costs nothing more.
_SECOND = {("FCI", "FCO"): 0, ("FCI", "F"): 403}


@dataclass(frozen=True)
class Route:
    """The slowest path into one register: ``ns`` from clock edge to clock edge, set-up included.

    ``luts``: levels of LUT or multiplexer it passes; ``chains``: carry chains; ``bits``: carry bits in them;
    ``multipliers``: hard multipliers; ``routing``: ns in wires, all levels together.
    """

    start: str
    end: str
    ns: float
    luts: int
    chains: int
    bits: int
    multipliers: int
    routing: float


def slowest(sdf: str) -> dict[str, Route]:
    """End register -> slowest path into its data inputs, of all that start at a register.

    ``sdf``: nextpnr's --sdf file. Clock enables are left out: what drives them is the handshake, not a step.
    """
    wires = [(a, b, int(d)) for a, b, d in _WIRE.findall(sdf)]
    arcs: list[tuple[str, str, int]] = []
    starts: dict[str, int] = {}
    setups: dict[str, int] = {}
    for chunk in sdf.split("(CELLTYPE ")[1:]:
        if not (found := _CELL.search(chunk)):
            continue
        cell = found[1]
        for a, b, d in _ARC.findall(chunk):
            if a in _CLOCKS:
                starts[f"{cell}/{b}"] = max(int(d), starts.get(f"{cell}/{b}", 0))
            else:
                known = _SECOND.get((a, b), int(d)) if cell.endswith("CCU2_COMB1") else int(d)
                arcs.append((f"{cell}/{a}", f"{cell}/{b}", known))
        setups |= {f"{cell}/{p}": int(d) for p, d in _SETUP.findall(chunk) if p not in _ENABLES}
    return _longest(wires, arcs, starts, setups)


def _longest(
    wires: list[tuple[str, str, int]],
    arcs: list[tuple[str, str, int]],
    starts: dict[str, int],
    setups: dict[str, int],
) -> dict[str, Route]:
    after: dict[str, list[tuple[str, int, bool]]] = defaultdict(list)
    waiting: dict[str, int] = defaultdict(int)
    for edges, wire in ((wires, True), (arcs, False)):
        for a, b, d in edges:
            after[a].append((b, d, wire))
            waiting[b] += 1
    at: dict[str, tuple[int, str, bool]] = {pin: (d, "", False) for pin, d in starts.items()}
    ready = [pin for pin in after if not waiting[pin]]
    while ready:
        pin = ready.pop()
        for b, d, wire in after[pin]:
            if pin in at and (b not in at or at[pin][0] + d > at[b][0]):
                at[b] = (at[pin][0] + d, pin, wire)
            waiting[b] -= 1
            if not waiting[b]:
                ready.append(b)
    found: dict[str, Route] = {}
    for pin, setup in setups.items():
        if pin not in at:
            continue
        path = _trace(pin, setup, at)
        if path.end not in found or found[path.end].ns < path.ns:
            found[path.end] = path
    return found


def _trace(pin: str, setup: int, at: dict[str, tuple[int, str, bool]]) -> Route:
    """Back from a register's input to the register it starts at, and what lies on the way."""
    end, ns = _cell(pin), at[pin][0] + setup
    luts = chains = bits = multipliers = routing = 0
    while at[pin][1]:
        _, before, wire = at[pin]
        entry, leave = before.rsplit("/", 1)[1], pin.rsplit("/", 1)[1]
        if wire:
            routing += at[pin][0] - at[before][0]
        elif leave == "FCO":
            chains += entry != "FCI"
            bits += 1
        elif entry in ("A", "B", "C", "D", "M") and leave in ("F", "OFX"):
            luts += 1
        elif leave.startswith("P"):
            multipliers += 1
        pin = before
    return Route(_cell(pin), end, ns / 1000, luts, chains, bits, multipliers, routing / 1000)


def _cell(pin: str) -> str:
    return re.sub(r"\\(.)", r"\1", pin.rsplit("/", 1)[0])


def of_placed(routed: Path, flags: tuple[str, ...], architecture: str = "ecp5") -> dict[str, Route]:
    """`slowest` of a design that nextpnr placed and wrote with --write: loaded again, not placed again."""
    sdf = routed.with_suffix(".sdf")
    arguments = [*flags, "--json", routed.name, "--no-pack", "--no-place", "--no-route", "--sdf", sdf.name]
    tools.nextpnr(architecture).run(arguments, routed.with_suffix(".sdf.log"), cwd=routed.parent)
    text = sdf.read_text()
    sdf.unlink()
    return slowest(text)


def rank(register: str) -> int | None:
    """K of a register cell called `name_sK…`, which stands at the start of stage K; None for another."""
    found = re.search(r"_s(\d+)(_\d+)?$", critical_path.signal(register))
    return int(found[1]) if found else None
