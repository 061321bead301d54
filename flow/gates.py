"""Where a unit's gates are: two-input ANDs of `counts.and_gates`, by the register that they lead to.

    python -m mxdot.flow.gates [-l LANES]

for the e4m3 unit in portable Verilog. Logic that runs through several steps of a stage counts for the last of
them, as in `cells`; logic between two ranks that the synthesiser shares counts for the first that it meets.
"""

import json
import sys
from collections import Counter
from typing import Any

import click
from mxdot.flow import cells, cli, counts
from mxdot.flow.bench_page import table
from mxdot.flow.options import chosen
from mxdot.rtl import emit


def by_register(verilog: str, top: str) -> Counter[str]:
    """Register (or output port), without lane and stage -> ANDs in front of it that no earlier one has."""
    text = counts.ran(verilog, f"{counts.AND_GRAPH.format(top=top)}\nwrite_json out")
    module = json.loads(text)["modules"][top]
    gates = {cell["connections"]["Y"][0]: cell for cell in module["cells"].values() if _is_gate(cell)}
    names = _names(module)
    found: Counter[str] = Counter()
    for register, bit in _ends(module, names):
        waiting = [bit]
        while waiting:
            cell = gates.pop(waiting.pop(), None)
            if cell is not None:
                found[register] += cell["type"] == "$_AND_"
                waiting += [cell["connections"][pin][0] for pin in cell["connections"] if pin != "Y"]
    return found


def _is_gate(cell: dict[str, Any]) -> bool:
    return cell["type"] in ("$_AND_", "$_NOT_")


def _names(module: dict[str, Any]) -> dict[int, str]:
    """Bit -> the best name of its net."""
    found: dict[int, str] = {}
    for name, net in module["netnames"].items():
        for bit in net["bits"]:
            if found.get(bit, "$").startswith("$"):
                found[bit] = name
    return found


def _ends(module: dict[str, Any], names: dict[int, str]) -> list[tuple[str, int]]:
    """Every bit that a register or a port reads, with the name of what reads it."""
    found = []
    for cell in module["cells"].values():
        if not _is_gate(cell):
            pins = cell["connections"]
            reader = cells.plain(names.get(pins.get("Q", [0])[0], "?"))
            found += [(reader, bit) for pin, bits in pins.items() if pin not in ("Q", "C") for bit in bits]
    for name, port in module["ports"].items():
        if port["direction"] == "output":
            found += [(name, bit) for bit in port["bits"]]
    return found


@click.command(epilog="Example: python -m mxdot.flow.gates -l 8")
@click.option(
    "-l", "--lanes", type=int, default=32, show_default=True, help="products a cycle, and the block"
)
def main(lanes: int) -> None:
    """Print where the two-input ANDs of the e4m3 unit are."""
    parameters = chosen("dot", None, {"lanes": lanes, "block": lanes})
    unit = parameters.build()
    owners, topics = cells.owners(unit), {s.name: cells.topic(s.function.__module__) for s in unit.plan.steps}
    rows: dict[str, Counter[str]] = {}
    for register, count in by_register(emit.generate(parameters).verilog, "dot").items():
        part = topics.get(owners.get(register, ""), "control and output buffer")
        rows.setdefault(part, Counter())[register] += count
    order = [*dict.fromkeys(cells.TOPICS.values()), "control and output buffer"]
    lines = []
    for part in order:
        if part in rows:
            most = ", ".join(f"{name} {count:,}" for name, count in rows[part].most_common(5) if count)
            lines.append([part, f"{rows[part].total():,}", f"{rows[part].total() / lanes:.0f}", most])
    lines.append(["**all**", f"{sum(c.total() for c in rows.values()):,}", "", ""])
    click.echo(table(["part", "ANDs", "a lane", "most of it, by register"], lines), nl=False)


if __name__ == "__main__":
    sys.exit(cli.main(command=main, name="gates"))
