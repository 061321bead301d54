"""Where the cells of a placed unit are: counted by the step whose value the logic ends in.

Yosys names a cell after the signal it drives or leads to, and signals are `<step>_<value>` (logic) and
`<value>_s<stage>` (registers). Logic that runs through several steps of a stage counts for the last of them.
"""

import json
import re
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from mxdot.flow import critical_path
from mxdot.rtl.pipeline import Pipeline

KINDS = {"TRELLIS_COMB": "comb", "TRELLIS_FF": "ff", "MULT18X18D": "dsp"}
INPUT, CONTROL = "(input)", "(control)"
"""Registers that hold an input until a step reads it; handshake, counters and the output buffer."""

TOPICS = {
    "decode": "decode",
    "product": "product",
    "multiplier": "product",
    "bitwise": "product",
    "mac": "product",
    "align": "align",
    "reduce": "adder tree",
    "scale": "scales",
    "sums": "sum kept",
    "accumulate": "sum kept",
    "exact": "exact register",
    "tensor_core": "tensor core",
    "fused": "tensor core",
    "interleaved": "tensor core",
    "collect": "tensor core",
    "binary32": "FP32 end",
    "addition": "FP32 end",
    "narrow": "FP32 end",
    "rounding": "FP32 end",
}
"""Module of rtl/ in which a step is written -> part of the unit, in the order of the data."""


def by_step(routed: Path, unit: Pipeline) -> dict[str, dict[str, int]]:
    """Step -> {"comb": n, "ff": n, "dsp": n}, in the order of the steps, from nextpnr's --write file.

    A feeder of a carry chain counts with the chain. `INPUT` and `CONTROL` stand for what is in no step.
    """
    found = owners(unit)
    steps = [step.name for step in unit.plan.steps]
    counts = {name: Counter[str]() for name in (INPUT, *steps, CONTROL)}
    (module,) = json.loads(routed.read_text())["modules"].values()
    cells = {name: cell for name, cell in module["cells"].items() if cell["type"] in KINDS}
    feeds = {net: name for name, cell in cells.items() for net in cell["connections"].get("FCI", []) if cell}
    for name, cell in cells.items():
        known = name
        while known.startswith("$") and (next_ := _next_in_chain(cells[known], feeds)):
            known = next_
        counts[owner(known, found)][KINDS[cell["type"]]] += 1
    return {name: dict(count) for name, count in counts.items() if count}


def _next_in_chain(cell: dict, feeds: dict[int, str]) -> str | None:  # type: ignore[type-arg]  # JSON
    return next((feeds[net] for net in cell["connections"].get("FCO", []) if net in feeds), None)


def owners(unit: Pipeline) -> dict[str, str]:
    """Signal, without lane and stage -> the step that it belongs to."""
    plan = unit.plan
    found = {"wait": INPUT}  # in memory (rtl/waiting.py)
    for value, index in plan.writer.items():
        step = INPUT if index < 0 else plan.steps[index].name
        found[value] = step
        if index >= 0:
            found[f"{step}_{value}"] = step
    return found


def owner(cell: str, found: dict[str, str]) -> str:
    """The step of a mapped cell."""
    return found.get(plain(critical_path.signal(cell).split("$")[0]), CONTROL)


def plain(signal: str) -> str:
    """A signal's name without lane and stage."""
    return re.sub(r"(_s\d+)?(_\d+)*$", "", signal)


def by_topic(counts: dict[str, dict[str, int]], unit: Pipeline) -> dict[str, dict[str, int]]:
    """The same by part of the unit, in the order of the data."""
    topic_of = {step.name: topic(step.function.__module__) for step in unit.plan.steps}
    topic_of |= {INPUT: "inputs held", CONTROL: "control"}
    names: Iterable[str] = ("inputs held", *dict.fromkeys(TOPICS.values()), "other", "control")
    found: dict[str, Counter[str]] = {name: Counter() for name in names}
    for step, count in counts.items():
        found[topic_of[step]].update(count)
    return {name: dict(count) for name, count in found.items() if count}


def topic(module: str) -> str:
    """The part of the unit that a module of rtl/ writes."""
    return TOPICS.get(module.rsplit(".", 1)[-1], "other")
